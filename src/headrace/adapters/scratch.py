"""Files under construction: on the file system of the store, out of readers' sight, swept when their owner is gone.

Each process has an area of its own and holds an operating-system lock for it. A lock that is free means that the
owner is dead, however it died, so that whatever lies in its area is rubbish.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = ".scratch"
"""The folder inside a store's root; names that begin with a dot are no part of a store."""

_LOCK = ".lock"


class Scratch:
    """The scratch space of one store. A forked process gets an area of its own."""

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER
        self._area: Path | None = None
        self._owner = 0

    def path(self) -> Path:
        """A new path, with nothing there yet."""
        return self._own() / secrets.token_hex(8)

    def folder(self) -> Path:
        """A new folder, which stays until its user removes it or its owner is dead and swept."""
        path = self.path()
        path.mkdir()
        return path

    @contextmanager
    def working(self) -> Iterator[Path]:
        """A new folder for the block, removed after it."""
        path = self.folder()
        try:
            yield path
        finally:
            shutil.rmtree(path)

    def discard(self, path: Path) -> None:
        """Remove a folder so that it is there or gone, never half there under its name."""
        away = self.path()
        path.rename(away)
        shutil.rmtree(away)

    def sweep(self) -> int:
        """Remove what dead processes left. Answers how many areas that were."""
        if not self._folder.is_dir():
            return 0
        names = {path.with_suffix("") for path in self._folder.iterdir()}
        return sum(_swept(area, area.with_suffix(_LOCK)) for area in sorted(names))

    def _own(self) -> Path:
        if self._area is None or self._owner != os.getpid() or not self._area.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor, self._area = _locked_area(self._folder)
            self._owner = os.getpid()
            weakref.finalize(self, _release, descriptor, self._area, self._owner)
        return self._area


def _locked_area(folder: Path) -> tuple[int, Path]:
    """A new area, with the descriptor that holds its lock. A sweeper may see the lock before it is held: try again."""
    while True:
        area = folder / secrets.token_hex(8)
        lock = area.with_suffix(_LOCK)
        descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o644)
        if _grabbed(descriptor) and lock.exists():
            area.mkdir()
            return descriptor, area
        os.close(descriptor)


def _grabbed(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _swept(area: Path, lock: Path) -> bool:
    """Remove an area, if nobody holds its lock. The lock is made first and removed last: no lock, no owner."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        _remove(area, lock)
        return True
    try:
        if not _grabbed(descriptor):
            return False
        _remove(area, lock)
        return True
    finally:
        os.close(descriptor)


def _remove(area: Path, lock: Path) -> None:
    """Remove an area and then its lock; two may do so at once, after a crash for one."""
    with suppress(FileNotFoundError):
        shutil.rmtree(area)
    lock.unlink(missing_ok=True)


def _release(descriptor: int, area: Path, owner: int) -> None:
    """Give an area back when its store is gone. A forked child shares the descriptor and must not remove the area."""
    if os.getpid() == owner:
        _remove(area, area.with_suffix(_LOCK))
    os.close(descriptor)
