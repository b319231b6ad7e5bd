"""The folder in which the processes of one server count, below the project's own state.

Whoever uses it holds a lock that the operating system frees with the last of them: the server's parent, and its
processes, which inherit it. So a folder is known to be left behind, however its owners ended.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headrace.adapters.durable import storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX: Final = "figures-"
_LOCK: Final = "in-use.lock"


@dataclass(frozen=True, slots=True)
class Figures:
    """A folder of counts, and the descriptor of its lock, which the processes that count inherit."""

    folder: str
    lock: int


@contextmanager
def shared_figures(state: Path) -> Iterator[Figures]:
    """A new folder for as long as the block. Those that nobody uses any more are removed before."""
    parent = state / "up"
    with storage_errors(parent), _one_at_a_time(parent):
        sweep(state)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield Figures(str(folder), lock)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep(state: Path) -> int:
    """Remove the folders whose owners are gone; answers how many. To be called by one at a time."""
    found = [each for each in (state / "up").glob(f"{_PREFIX}*") if _is_left(each)]
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return len(found)


@contextmanager
def _one_at_a_time(parent: Path) -> Iterator[None]:
    """So that no folder is taken for left behind between its making and its lock."""
    parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(parent / "figures.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_left(folder: Path) -> bool:
    """Whether nobody holds the lock; one that was killed while it made the folder did not come to it."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
