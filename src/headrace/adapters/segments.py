"""Segments of the prediction log as files: `open/ID` while a process appends to it, `sealed/ID` after that.

The writer holds an operating-system lock on its file, which is free the moment that its process is gone: then anybody
may seal what it left.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.adapters.durable import Folders, storage_errors, sync_folder
from headrace.adapters.places import safe_name
from headrace.ports.failpoints import failpoint
from headrace.ports.predictions import Orphans, SealedSegment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC


class FileSegments:
    """Segments below `root`. See `headrace.ports.predictions.Segments`."""

    def __init__(self, root: Path) -> None:
        self._open = Path(root) / "open"
        self._sealed = Path(root) / "sealed"
        self._folders = Folders()

    def begin(self, segment: str) -> FileSegment:
        """Begin a segment, its name on the disk. It is locked before it has its name: nobody takes it for an orphan."""
        name = safe_name(segment)
        path, draft = self._open / name, self._open / f".{name}"
        with storage_errors(self._open):
            self._folders.make(self._open)
            self._folders.make(self._sealed)
            descriptor = os.open(draft, _NEW, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                draft.rename(path)
                sync_folder(self._open)
            except OSError:
                for each in (draft, path):
                    each.unlink(missing_ok=True)
                os.close(descriptor)
                raise
            return FileSegment(segment, descriptor, path, self._sealed / name)

    def seal_orphans(self) -> Orphans:
        """Seal what dead writers left. Half a line at the end, as a power cut leaves it, is cut off and counted.

        Raises HR636 where the disk is full, HR637 where it cannot be written.
        """
        with storage_errors(self._open):
            return self._seal_orphans()

    def _seal_orphans(self) -> Orphans:
        segments = torn = 0
        for path in sorted(self._open.iterdir()) if self._open.is_dir() else ():
            descriptor = _taken(path)
            if descriptor is None:
                continue
            try:
                if path.name.startswith("."):
                    path.unlink(missing_ok=True)  # its writer died before it had its name
                    continue
                torn += _cut(path, descriptor)
                segments += 1
            except BaseException:
                os.close(descriptor)
                raise
            FileSegment(path.name, descriptor, path, self._sealed / path.name).seal()
        return Orphans(segments, torn)

    def sealed(self) -> Sequence[SealedSegment]:
        """The sealed segments; their ids sort by time."""
        found = []
        for name in _names(self._sealed):
            with suppress(FileNotFoundError):  # another process has just removed it
                found.append(SealedSegment(name, (self._sealed / name).stat().st_size))
        return found

    def all(self) -> Sequence[str]:
        """The ids of all segments. What is sealed between the two looks is found by the second one."""
        under_construction = _names(self._open)
        return [*under_construction, *_names(self._sealed)]

    def content(self, segment: str) -> bytes | None:
        """The whole lines of a segment; what is being written at this moment is left out."""
        for folder in (self._open, self._sealed):
            with suppress(FileNotFoundError):
                found = (folder / safe_name(segment)).read_bytes()
                return found[: found.rfind(b"\n") + 1]
        return None

    def remove(self, segments: Iterable[str]) -> None:
        """Remove sealed segments. That they left `open` is on the disk first: they must not come back there."""
        paths = [self._sealed / safe_name(each) for each in segments]
        if not paths:
            return
        with storage_errors(self._sealed):
            sync_folder(self._open)
            for path in paths:
                path.unlink(missing_ok=True)
            sync_folder(self._sealed)


class FileSegment:
    """One file, locked and open for appending. See `headrace.ports.predictions.Segment`."""

    def __init__(self, segment: str, descriptor: int, path: Path, target: Path) -> None:
        self.id = segment
        self.size = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._path = path
        self._target = target
        self._torn = False

    def write(self, line: bytes) -> None:
        """Append by one system call, unless the system takes the line in parts. Half a line is taken back."""
        if self._torn:
            line = b"\n" + line  # half a line could not be taken back: it stands alone, and is no record
        try:
            written = os.write(self._descriptor, line)
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError:
            self._take_back()
            raise
        self._torn = False
        self.size += written

    def sync(self) -> None:
        """Put the content on the disk."""
        os.fsync(self._descriptor)

    def seal(self) -> None:
        """Move the file, content first. The lock is let go last, whatever happens: an orphan is sealed by others."""
        try:
            if not self.size:
                self._path.unlink(missing_ok=True)
                return
            failpoint("segment.seal.before")
            os.fsync(self._descriptor)
            self._path.rename(self._target)
            self._path.unlink(missing_ok=True)  # two names of one file, as a power cut may leave, are both kept
            sync_folder(self._target.parent)
            sync_folder(self._path.parent)
            failpoint("segment.seal.after")
        finally:
            os.close(self._descriptor)

    def _take_back(self) -> None:
        try:
            if os.fstat(self._descriptor).st_size != self.size:
                os.ftruncate(self._descriptor, self.size)
        except OSError:
            self._torn = True
            self.size = os.fstat(self._descriptor).st_size


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []


def _taken(path: Path) -> int | None:
    """The descriptor of a file whose writer is dead, locked by this process; None where somebody has it, or it left."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    os.close(descriptor)
    return None


def _cut(path: Path, descriptor: int) -> bool:
    """Cut off what follows the last whole line; answers whether there was something."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole == len(content):
        return False
    os.ftruncate(descriptor, whole)
    return True
