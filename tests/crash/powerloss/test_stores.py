"""Whenever the power is cut, what a manifest names is there, and going on ends where an undisturbed story ends."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest

from headrace.ports.failpoints import FAILPOINTS
from headrace.testing.stores import key_of
from tests.crash.powerloss import steps
from tests.crash.powerloss.powerloss import Machine, Names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OURS = [name for name in FAILPOINTS if name.startswith(("artefact.", "manifest.", "table."))]
PASSES = {"artefact": 7, "manifest": 8, "table": 8}
"""How often a story passes each failpoint of a kind."""

POINTS = [f"{name}:{number}" for name in OURS for number in range(1, PASSES[name.partition(".")[0]] + 1)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    root = tmp_path / "root"
    root.mkdir()
    return Machine(root, tmp_path / "shadow")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Mapping[str, object]]:
    """What the stores hold at the end of a story that nobody disturbs."""
    root = tmp_path_factory.mktemp("undisturbed")
    steps.tell(root)
    return steps.read(root)


def tell(machine: Machine, failpoint: str = "") -> int:
    done = machine.run([sys.executable, steps.__file__, str(machine.root)], {"HEADRACE_FAILPOINT": failpoint})
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def test_the_story_is_about_something(undisturbed: dict[str, Mapping[str, object]]) -> None:
    rows = [found["rows"][1] for found in undisturbed.values() if isinstance(found["rows"], tuple)]
    forked = [[3, 1, 2], [3, 1, 2, 4], [3, 1, 2, 5, 6], [3, 1, 2, 4], [3, 1, 2, 4, 7], [3, 1, 2, 5, 6, 8]]
    assert rows == [*forked, [9, 10], [9, 10, 11]]


@pytest.mark.parametrize("point", POINTS)
def test_a_cut_loses_nothing_that_was_finished(
    machine: Machine, tmp_path: Path, undisturbed: dict[str, Mapping[str, object]], point: str
) -> None:
    assert tell(machine, point) == -signal.SIGKILL
    for names in Names:
        left = machine.left(tmp_path / names, names)
        finished = steps.read(left)
        assert finished.items() <= undisturbed.items()
        assert len(finished) >= number_finished(point)
        steps.tell(left)
        assert steps.read(left) == undisturbed


def number_finished(point: str) -> int:
    """How many steps have surely finished where a story is at its given pass of a failpoint."""
    name, _, number = point.partition(":")
    if name == "manifest.rename.after":
        return int(number)
    storing = [step.number for step in steps.STEPS if step.content or step.file or step.linked]
    return (storing[int(number) - 1] if name.startswith("artefact") else int(number)) - 1


@pytest.mark.parametrize("names", Names)
def test_a_cut_after_the_end_loses_nothing(
    machine: Machine, undisturbed: dict[str, Mapping[str, object]], names: Names
) -> None:
    assert tell(machine) == 0
    machine.cut_power(names)
    assert steps.read(machine.root) == undisturbed


@pytest.mark.parametrize("names", Names)
def test_power_that_is_cut_again_and_again(
    machine: Machine, undisturbed: dict[str, Mapping[str, object]], names: Names
) -> None:
    for name in OURS:
        tell(machine, f"{name}:2")
        machine.cut_power(names)
        assert steps.read(machine.root).items() <= undisturbed.items()
    assert tell(machine) == 0
    assert steps.read(machine.root) == undisturbed


@pytest.mark.parametrize("point", [f"{name}:2" for name in OURS])
def test_a_killed_process_that_goes_on_without_a_cut(
    machine: Machine, undisturbed: dict[str, Mapping[str, object]], point: str
) -> None:
    assert tell(machine, point) == -signal.SIGKILL
    assert tell(machine) == 0
    machine.cut_power()
    assert steps.read(machine.root) == undisturbed


@pytest.mark.parametrize("passed", [1, 2, 3])
@pytest.mark.parametrize("name", ["table.commit.after", "artefact.rename.after", "manifest.rename.before"])
def test_what_is_adopted_is_on_the_disk(
    machine: Machine, undisturbed: dict[str, Mapping[str, object]], name: str, passed: int
) -> None:
    assert tell(machine, f"{name}:{passed}") == -signal.SIGKILL
    assert tell(machine, "manifest.rename.after:1") == -signal.SIGKILL
    machine.cut_power()
    finished = steps.read(machine.root)
    assert finished.items() <= undisturbed.items()
    assert len(finished) >= passed


@pytest.mark.parametrize("point", [f"{name}:2=ENOSPC" for name in OURS])
def test_a_full_disk_is_an_error_and_loses_nothing(
    tmp_path: Path, undisturbed: dict[str, Mapping[str, object]], machine: Machine, point: str
) -> None:
    done = machine.run([sys.executable, steps.__file__, str(tmp_path / "root")], {"HEADRACE_FAILPOINT": point})
    assert done.returncode == 1
    assert "HR636" in done.stderr
    assert steps.read(machine.root).items() <= undisturbed.items()
    steps.tell(machine.root)
    assert steps.read(machine.root) == undisturbed


def test_the_stories_of_two_processes_at_once(machine: Machine, undisturbed: dict[str, Mapping[str, object]]) -> None:
    script = (
        "import subprocess, sys\n"
        "command = [sys.executable, *sys.argv[1:]]\n"
        "processes = [subprocess.Popen(command) for _ in range(2)]\n"
        "sys.exit(max(process.wait() for process in processes))"
    )
    done = machine.run([sys.executable, "-c", script, steps.__file__, str(machine.root)])
    assert done.returncode == 0, done.stderr
    machine.cut_power()
    assert steps.read(machine.root) == undisturbed
    assert key_of(8) in undisturbed
