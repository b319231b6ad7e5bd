"""Whenever the power is cut, a generation of the online store is there as it was written, or is not there."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.online_lmdb import LmdbOnlineStore
from headrace.ports.online import digest_of
from tests.crash.powerloss.powerloss import Machine, Names

if TYPE_CHECKING:
    from pathlib import Path

FILL = """
import sys
from pathlib import Path
from headrace.adapters.online_lmdb import LmdbOnlineStore
store = LmdbOnlineStore(Path(sys.argv[1]))
for generation in sys.argv[2:]:
    store.fill(generation, ((b"%d" % number, bytes(1_000)) for number in range(1_000)))
"""
ENTRIES = [(b"%d" % number, bytes(1_000)) for number in range(1_000)]
FIRST, SECOND = "1" * 64, "2" * 64


def fill(machine: Machine, failpoint: str = "") -> int:
    command = [sys.executable, "-c", FILL, str(machine.root), FIRST, SECOND]
    done = machine.run(command, {"HEADRACE_FAILPOINT": failpoint})
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    root = tmp_path / "root"
    root.mkdir()
    return Machine(root, tmp_path / "shadow")


@pytest.mark.parametrize("names", Names)
@pytest.mark.parametrize(
    ("failpoint", "finished"),
    [
        ("online.fill.before:1", []),
        ("online.fill.after:1", [FIRST]),
        ("online.fill.before:2", [FIRST]),
        ("online.fill.after:2", [FIRST, SECOND]),
        ("", [FIRST, SECOND]),
    ],
)
def test_what_was_finished_is_left_and_whole(
    machine: Machine, failpoint: str, finished: list[str], names: Names
) -> None:
    assert fill(machine, failpoint) == (-signal.SIGKILL if failpoint else 0)
    machine.cut_power(names)
    store = LmdbOnlineStore(machine.root)
    assert list(store.generations()) == finished
    for generation in finished:
        store.verify(generation, digest_of(ENTRIES))
    assert fill(machine) == 0
    assert list(store.generations()) == [FIRST, SECOND]
    store.verify(SECOND, digest_of(ENTRIES))
    store.sweep()
    assert [
        path for path in (machine.root / ".scratch").iterdir() if path.suffix != ".lock" and any(path.iterdir())
    ] == []


@pytest.mark.parametrize("names", Names)
def test_what_was_dropped_does_not_come_back(machine: Machine, names: Names) -> None:
    fill(machine)
    machine.cut_power(names)
    code = (
        "import sys; from pathlib import Path; from headrace.adapters.online_lmdb import LmdbOnlineStore;"
        "LmdbOnlineStore(Path(sys.argv[1])).drop(sys.argv[2])"
    )
    assert machine.run([sys.executable, "-c", code, str(machine.root), FIRST]).returncode == 0
    machine.cut_power(names)
    assert list(LmdbOnlineStore(machine.root).generations()) == [SECOND]
