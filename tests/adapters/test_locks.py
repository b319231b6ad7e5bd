"""A dead owner is found at once, however it died; a living one is never taken for dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.locks import OwnerLocks, owner_here
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from headrace.adapters.locks import OwnerLocks
held = OwnerLocks(Path(sys.argv[1])).take("other")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def locks(tmp_path: Path) -> OwnerLocks:
    return OwnerLocks(tmp_path / "state" / "owners")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "owners"


def hold(folder: Path) -> subprocess.Popen[str]:
    """A process that holds the lock of "other"."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_an_owner_of_this_process_is_alive_while_it_holds_its_lock(locks: OwnerLocks, folder: Path) -> None:
    assert not locks.alive("me")
    with locks.take("me"):
        assert locks.alive("me")
        assert OwnerLocks(folder).alive("me")
        assert not locks.alive("somebody")
        assert locks.sweep() == 0
        assert f"pid {os.getpid()} on " in locks.describe("me")
    assert not locks.alive("me")
    assert list(folder.iterdir()) == []
    assert locks.describe("me") == "a process that is gone"


def test_a_killed_owner_is_dead_at_once(locks: OwnerLocks, folder: Path) -> None:
    with hold(folder) as process:
        assert locks.alive("other")
        assert locks.sweep() == 0
        assert f"pid {process.pid} on " in locks.describe("other")
        assert "-c" in locks.describe("other")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not locks.alive("other")
        assert f"pid {process.pid} on " in locks.describe("other")
    assert locks.sweep() == 1
    assert locks.sweep() == 0
    assert list(folder.iterdir()) == []


def test_a_child_that_is_started_does_not_keep_its_parents_lock(locks: OwnerLocks) -> None:
    held = locks.take("me")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False):
        held.release()
        held.release()
        with locks.take("me"):
            assert locks.alive("me")


def test_the_name_of_a_living_owner_cannot_be_taken(locks: OwnerLocks, folder: Path) -> None:
    with hold(folder) as process:
        with pytest.raises(HeadraceError, match=f"pid {process.pid} on") as raised:
            locks.take("other")
        assert raised.value.code == "HR620"
        process.kill()
    with locks.take("other"):
        assert locks.alive("other")
        assert f"pid {os.getpid()} on " in locks.describe("other")


def test_asking_and_sweeping_at_once_never_takes_the_living_for_dead(locks: OwnerLocks, folder: Path) -> None:
    def take(number: int) -> bool:
        mine = OwnerLocks(folder)
        with mine.take(f"owner{number}"):
            return all(mine.alive(f"owner{number}") for _ in range(20))

    def sweep(_: int) -> bool:
        OwnerLocks(folder).sweep()
        return True

    with ThreadPoolExecutor(8) as pool:
        alive = [pool.submit(take if number % 2 else sweep, number) for number in range(400)]
    assert all(future.result() for future in alive)
    locks.sweep()
    assert list(folder.iterdir()) == []


def test_sweeping_removes_what_died_while_it_was_made(locks: OwnerLocks, folder: Path) -> None:
    assert locks.sweep() == 0
    folder.mkdir(parents=True)
    (folder / ".draft.1").write_text("")
    (folder / "dead.lock").write_text("no json")
    assert locks.describe("dead") == "a process that is gone"
    assert locks.sweep() == 2


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HeadraceError) as raised:
        OwnerLocks(tmp_path / "file" / "owners").take("me")
    assert raised.value.code == "HR612"


@pytest.mark.parametrize("name", ["", "a/b", ".hidden"])
def test_names_that_are_no_file_names(locks: OwnerLocks, name: str) -> None:
    with pytest.raises(ValueError, match="no name of an owner"):
        locks.take(name)


def test_an_owner_on_another_host_is_presumed_to_be_alive(tmp_path: Path) -> None:
    locks = OwnerLocks(tmp_path)
    assert locks.alive("abc@elsewhere")
    assert locks.describe("abc@elsewhere") == "a process on elsewhere"
    assert not locks.alive(owner_here("abc"))
    with locks.take(owner_here("abc")):
        assert locks.alive(owner_here("abc"))
