"""Promises 1 and 2 when the power goes: what a cut leaves of a project can be gone on with, to the undisturbed end."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from headrace.ports.failpoints import FAILPOINTS
from tests.crash.conftest import tell
from tests.crash.powerloss.powerloss import Machine, Names
from tests.support import story

if TYPE_CHECKING:
    from pathlib import Path

PASSES = (2, 1)
"""At which pass the power is cut: in the middle of other work at first, or, where there is no second, at the first."""


def machine_with(folder: Path, sample: Path) -> Machine:
    """A machine with the project on its disk."""
    story.begin(folder / "flights", sample)
    return Machine(folder / "flights", folder / "shadow")


def tell_on(machine: Machine, failpoint: str = "") -> int:
    """Go on with the story on a machine; answers how that ended."""
    done = machine.run(
        [sys.executable, "-m", "tests.support.story", str(machine.root)], {"HEADRACE_FAILPOINT": failpoint}
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def end_of(folder: Path) -> object:
    """Go on with the story without a disturbance; the state at its end."""
    finished = tell(folder)
    assert finished.returncode == 0, finished.stderr
    return json.loads((folder / "state.json").read_text())


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_the_power_is_cut_at_a_failpoint(
    failpoint: str, sample: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    for number in PASSES:  # each on a new machine: a story that came to its end passes nothing any more
        machine = machine_with(tmp_path / str(number), sample)
        if tell_on(machine, f"{failpoint}:{number}"):
            break
    else:
        pytest.fail(f"{failpoint} was never passed")
    for names in Names:
        assert end_of(machine.left(tmp_path / names, names)) == undisturbed


@pytest.mark.parametrize("names", Names)
def test_the_power_is_cut_again_and_again(
    names: Names, sample: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    machine = machine_with(tmp_path, sample)
    cuts = 0
    late = ("collect", "compact", "fire", "mended")  # what the story does once or at its end: it would run to its end
    for failpoint in sorted(FAILPOINTS, key=lambda name: name.startswith(late)):
        cuts += bool(tell_on(machine, f"{failpoint}:2"))
        machine.cut_power(names)
    assert cuts >= sum(not name.startswith(late) for name in FAILPOINTS) / 3
    assert end_of(machine.root) == undisturbed


@pytest.mark.parametrize("names", Names)
def test_the_power_is_cut_after_the_end(
    names: Names, sample: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    machine = machine_with(tmp_path, sample)
    assert tell_on(machine) == 0
    machine.cut_power(names)
    assert story.state(machine.root) == undisturbed
