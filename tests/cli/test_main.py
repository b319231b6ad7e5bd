"""The command line itself: help, start-up, spelling mistakes, errors, exit codes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from statistics import median
from typing import TYPE_CHECKING

import pytest

from headrace.cli import main as entry
from headrace.cli.calling import perform
from headrace.cli.exits import MEANINGS, Exit
from headrace.cli.main import SECTIONS, VERBS, Verbs, run
from headrace.cli.session import Session
from headrace.errors import Cancelled, HeadraceError, article
from tests.cli import golden

if TYPE_CHECKING:
    from pathlib import Path

HEADRACE = [sys.executable, "-m", "headrace.cli.main"]
LIGHT_ENOUGH = 15
"""How many times as long as a bare interpreter `headrace --help` may take."""

TIMED = """
import resource, subprocess, sys
for command in (["-c", "pass"], ["-m", "headrace.cli.main", "--help"]):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
"""


@pytest.fixture(autouse=True)
def plain_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("HEADRACE_DEBUG", raising=False)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == Exit.DONE
    golden.check("help", capsys.readouterr().out)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb_has_an_example_and_the_shared_options(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == Exit.DONE
    text = capsys.readouterr().out
    assert f"Example: headrace {verb}" in text
    for option in ("--json", "--quiet", "--no-color", "--project"):
        assert option in text
    golden.check(f"help_{verb}", text)


def test_the_list_of_verbs_says_what_their_help_says() -> None:
    group = Verbs(name="headrace")
    for name, verb in VERBS.items():
        help_text = group.get_command(None, name).help
        assert help_text.startswith(verb.about.rstrip(".")), name


def test_exit_codes_are_documented() -> None:
    assert set(MEANINGS) == set(Exit)


def test_every_verb_is_in_one_section() -> None:
    assert len(VERBS) == sum(len(section) for section in SECTIONS.values())


def test_import_loads_nothing_heavy() -> None:
    code = "import json, sys, headrace.cli.main; print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"polars", "rich", "sklearn", "duckdb", "numpy", "pandas", "pyarrow", "deltalake", "sqlite3"}
    assert "typer" in loaded


def test_help_starts_quickly() -> None:
    """Processor time, which other processes of the machine change little; the median of five."""
    ratios = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", TIMED], capture_output=True, text=True, check=True)
        bare, helped = map(float, done.stdout.split())
        ratios.append(helped / bare)
    assert median(ratios) < LIGHT_ENOUGH, ratios


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == Exit.DONE
    assert capsys.readouterr().out.startswith("headrace 0.")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["aply"], "there is no verb 'aply': did you mean 'apply'?"),
        (["plan", "--refesh", "x"], "--refresh"),
        (["why"], "NODE"),
        (["query", "select 1", "--format", "xml"], "xml"),
        (["runs", "--limit", "0"], "greater than or equal to 1"),
    ],
)
def test_a_wrong_spelling_is_a_usage_error(arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == Exit.USAGE
    printed = capsys.readouterr()
    assert hint in printed.err
    assert not printed.out


def test_no_verb_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == Exit.USAGE
    assert "Exit codes" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--json", "status"], ["status", "--json"]])
def test_outside_of_a_project(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == Exit.ERROR
    printed = capsys.readouterr()
    assert printed.err.startswith("error HR801: there is no headrace.toml")
    assert json.loads(printed.out)["error"]["code"] == "HR801"


def test_the_console_script_is_the_same_program(tmp_path: Path) -> None:
    done = subprocess.run([*HEADRACE, "status"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == Exit.ERROR
    assert done.stdout == ""
    assert "HR801" in done.stderr


def raising(error: BaseException) -> int:
    def verb(_: Session) -> int:
        raise error

    return perform(Session(), verb)


def test_a_coded_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(HeadraceError("HR712", "nothing")) == Exit.ERROR
    assert "error HR712: nothing" in capsys.readouterr().err


@pytest.mark.parametrize("signal", [KeyboardInterrupt(), Cancelled("r")])
def test_interruption_says_how_to_go_on(signal: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(signal) == Exit.INTERRUPTED
    assert "What is finished stays; run the same command to go on." in capsys.readouterr().err


def test_an_unexpected_exception_is_called_a_bug_and_its_traceback_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert raising(ZeroDivisionError("one by none")) == Exit.ERROR
    printed = capsys.readouterr().err
    assert "error HR820: ZeroDivisionError: one by none" in printed
    assert "this is a bug in headrace" in printed
    [file] = tmp_path.glob("crash-*.log")
    assert str(file) in printed
    assert "ZeroDivisionError: one by none" in file.read_text()
    assert "Traceback" not in printed


def test_the_traceback_is_printed_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_DEBUG", "1")
    assert raising(ZeroDivisionError("one by none")) == Exit.ERROR
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    code = (
        "import sys; from headrace.cli.calling import perform; from headrace.cli.session import Session\n"
        "sys.exit(perform(Session(), lambda cli: [cli.out.data('x' * 1000) for _ in range(1000)] and None))"
    )
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (Exit.DONE, b"")


def test_a_disk_that_is_full_is_an_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert raising(OSError(errno.ENOSPC, "No space left on device")) == Exit.ERROR
    assert "No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize(("noun", "told"), [("table", "a table"), ("endpoint", "an endpoint"), ("model", "a model")])
def test_an_article(noun: str, told: str) -> None:
    assert article(noun) == told


def test_ctrl_c_before_a_verb_begins_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "run", interrupted)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == Exit.INTERRUPTED
