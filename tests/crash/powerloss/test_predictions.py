"""Whenever the power is cut, the prediction log holds what was synced, and nothing that was not answered."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.segments import FileSegments
from headrace.endpoints.log_lines import predictions
from headrace.ports.predictions import Orphans
from tests.crash.powerloss.powerloss import Machine, Names

if TYPE_CHECKING:
    from pathlib import Path

ANSWER = """
import os, signal, sys
from pathlib import Path
from threading import Event
from headrace.adapters import segments
from headrace.endpoints.log import Limits
from tests.support.predictions import batch, log_in
synced = Event()
sync = segments.FileSegment.sync
def told(segment):
    sync(segment)
    synced.set()
segments.FileSegment.sync = told
log = log_in(Path(sys.argv[1]), None, Limits(pause=1000))
log.append(batch(["on-the-disk"] * 100))
assert synced.wait(20)
if sys.argv[2] == "killed":
    log.append(batch(["in-memory"] * 100))
    os.kill(os.getpid(), signal.SIGKILL)
log.close()
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    root = tmp_path / "root"
    root.mkdir()
    return Machine(root, tmp_path / "shadow")


def answer(machine: Machine, how: str, failpoint: str = "") -> int:
    command = [sys.executable, "-c", ANSWER, str(machine.root), how]
    done = machine.run(command, {"HEADRACE_FAILPOINT": failpoint})
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def recorded(store: FileSegments) -> list[str]:
    lines = [line for each in store.all() for line in predictions(store.content(each) or b"")]
    return [each.id for line in lines for each in line or ()] + ["damaged"] * lines.count(None)


@pytest.mark.parametrize("names", Names)
def test_what_came_after_the_last_sync_is_lost_at_most(machine: Machine, names: Names) -> None:
    assert answer(machine, "killed") == -signal.SIGKILL
    store = FileSegments(machine.root)
    assert set(recorded(store)) == {"on-the-disk", "in-memory"}
    machine.cut_power(names)
    assert recorded(store) == ["on-the-disk"] * 100
    assert store.seal_orphans() == Orphans(segments=1)
    assert recorded(store) == ["on-the-disk"] * 100


@pytest.mark.parametrize("names", Names)
@pytest.mark.parametrize("failpoint", ["", "segment.seal.before", "segment.seal.after"])
def test_what_is_sealed_stays_once(machine: Machine, names: Names, failpoint: str) -> None:
    assert answer(machine, "closed", failpoint) == (-signal.SIGKILL if failpoint else 0)
    machine.cut_power(names)
    store = FileSegments(machine.root)
    store.seal_orphans()
    assert recorded(store) == ["on-the-disk"] * 100
    [sealed] = store.sealed()
    code = (
        "import sys; from pathlib import Path; from headrace.adapters.segments import FileSegments;"
        "FileSegments(Path(sys.argv[1])).remove([sys.argv[2]])"
    )
    assert machine.run([sys.executable, "-c", code, str(machine.root), sealed.id]).returncode == 0
    machine.cut_power(names)
    store.seal_orphans()
    assert list(store.all()) == []
