"""Promises 1 and 2: killed at any durable action, a project ends where the undisturbed one ends."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from headrace.ports.failpoints import FAILPOINTS
from tests.crash.conftest import tell
from tests.support import story

if TYPE_CHECKING:
    from pathlib import Path

PASSES = (1, 2, 5)
"""At which pass of a failpoint the process is killed; one kill after the other, in the same story."""


def test_the_undisturbed_story_leaves_nothing_behind(undisturbed: dict[str, Any]) -> None:
    assert undisturbed["leases"] == []
    assert set(undisturbed["pointers"]) == {"dev", "prod"}
    assert undisturbed["pointers"]["dev"] == undisturbed["pointers"]["prod"]
    assert undisturbed["decisions"]
    assert undisturbed["fires"] == [["asked for by hand", True]]


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_killed_at_a_failpoint(failpoint: str, sample: Path, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "flights"
    story.begin(folder, sample)
    killed = 0
    for number in PASSES:
        finished = tell(folder, HEADRACE_FAILPOINT=f"{failpoint}:{number}")
        killed += finished.returncode == -signal.SIGKILL
        assert finished.returncode in (0, -signal.SIGKILL), finished.stderr
    assert killed, f"{failpoint} was never passed"
    finished = tell(folder)
    assert finished.returncode == 0, finished.stderr
    assert json.loads((folder / "state.json").read_text()) == undisturbed
