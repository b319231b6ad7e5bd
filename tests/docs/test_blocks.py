"""Every code block of the documentation does what it says."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer import TyperException
from typer.main import get_command

from headrace.cli.main import VERBS, app
from headrace.errors import catalogue
from headrace.pipeline import Pipeline
from headrace.project.settings import FILE, load
from tests.cli import golden
from tests.cli.commands import headrace, surroundings
from tests.docs.blocks import ROOT, Block, blocks, commands_of, same_output

if TYPE_CHECKING:
    from tests.docs.blocks import Command

KINDS = {"python", "python notest", "console", "toml", "text"}
TUTORIAL = ROOT / "docs" / "tutorial.md"
MARK = "\x1e"


def named(block: Block) -> str:
    return block.name


def test_every_block_says_what_it_is() -> None:
    assert {block.info for block in blocks()} == KINDS


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of `headrace init`, applied."""
    folder = tmp_path_factory.mktemp("docs") / "shop"
    headrace(folder.parent, "init", "shop")
    headrace(folder, "apply")
    return folder


@pytest.mark.parametrize("block", blocks("python"), ids=named)
def test_python(block: Block, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that opens an environment runs in a project; a pipeline must be one that `check` finds nothing in."""
    file = tmp_path / "pipeline.py"
    file.write_text(block.text, encoding="utf-8")
    monkeypatch.chdir(request.getfixturevalue("project") if "headrace.open" in block.text else tmp_path)
    names = runpy.run_path(str(file))
    for name, value in names.items():
        if isinstance(value, Pipeline):
            (tmp_path / FILE).write_text(f'pipeline = "pipeline:{name}"\n[databases]\ncrm = "env:CRM_URL"\n')
            assert ", no problem" in headrace(tmp_path, "check").out


@pytest.mark.parametrize("block", blocks("python notest"), ids=named)
def test_python_that_is_a_fragment_can_be_parsed(block: Block) -> None:
    """Decorators of nothing are what such a block may hold besides whole statements."""
    lines = [f"{line}\ndef decorated(): ..." if line.startswith("@") else line for line in block.text.splitlines()]
    compile("\n".join(lines), block.name, "exec")


@pytest.mark.parametrize("block", blocks("toml"), ids=named)
def test_settings(block: Block, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(block.text, encoding="utf-8")
    assert load(tmp_path).folder == tmp_path


def test_the_tutorial(tmp_path: Path) -> None:
    commands = [command for block in blocks("console") if block.page == TUTORIAL for command in commands_of(block.text)]
    assert commands
    for command, printed in zip(commands, type_in(tmp_path, commands), strict=True):
        documented = "\n".join(command.output)
        told = golden.normal(documented).splitlines(), golden.normal(printed).splitlines()
        differing = "\n".join(unified_diff(*told, str(TUTORIAL), "printed", lineterm=""))
        assert same_output(documented, printed), f"$ {command.line}\n{differing}"


def type_in(folder: Path, commands: list[Command]) -> list[str]:
    """What one shell prints for each command; `$?` is the exit code of the command before."""
    script = "last=0\n" + "".join(f"printf '{MARK}'\n(exit $last)\n{command.line}\nlast=$?\n" for command in commands)
    environment = {**surroundings(), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash"],  # noqa: S607 - the shell that a reader has
        input=script,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.split(MARK)[1:]


@pytest.mark.parametrize("block", [each for each in blocks("console") if each.page != TUTORIAL], ids=named)
def test_commands_exist(block: Block) -> None:
    commands = commands_of(block.text)
    assert commands
    for command in commands:
        program, *arguments = words(command.line)
        if program == "headrace":
            parse(arguments)
        elif program == "make":
            assert all(f"\n{target}:" in (ROOT / "Makefile").read_text() for target in arguments)
        else:
            assert program in {"cd", "git"}, command.line


@pytest.mark.parametrize("code", [code for code, entry in catalogue().items() if "`headrace " in entry.fix])
def test_commands_that_an_error_names_exist(code: str) -> None:
    for command in re.findall(r"`headrace ([^`]+)`", catalogue()[code].fix):
        parse(words(command))


def words(line: str) -> list[str]:
    """The words of a command, without its comment and without what its output goes to."""
    split = shlex.split(line, comments=True)
    return split[: split.index(">")] if ">" in split else split


def parse(arguments: list[str]) -> None:
    """Let the real command line read its arguments, and stop there."""
    verb, *rest = arguments
    assert verb in VERBS, verb
    group = get_command(app)
    assert group is not None
    group.get_command(None, verb).make_context(verb, rest)  # type: ignore[attr-defined]  # the group of all verbs


@pytest.mark.parametrize("arguments", [["plann"], ["plan", "--refesh", "x"], ["why"], ["runs", "--limit", "0"]])
def test_a_command_that_does_not_exist_is_found(arguments: list[str]) -> None:
    with pytest.raises((AssertionError, TyperException)):
        parse(arguments)


@pytest.mark.parametrize(
    ("documented", "printed", "same"),
    [
        ("made, <1 s", "made, 3 s\n", True),
        ("run 0123456789abcdef", "run fedcba9876543210", True),
        ("a\n...\nd", "a\nb\nc\nd\n", True),
        ("a\n...\nd", "a\nd\n", True),
        ("a ... d", "a b c d", True),
        ("auc 0.86...", "auc 0.869328", True),
        ("auc 0.86", "auc 0.87", False),
        ("a\nb", "a", False),
        ("a", "a\nb", False),
        ("...", "", True),
        ("", "said", False),
    ],
)
def test_outputs_are_compared(documented: str, printed: str, same: bool) -> None:
    assert same_output(documented, printed) is same
