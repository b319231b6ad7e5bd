"""Bytes that survive a power cut: what is written, renamed or removed here is on the disk when the call returns.

A file is on the disk once it is fsynced, its name once its folder is, and the name of a new folder once the folder
above is. A name is only given to content that is already on the disk, so that no reader ever meets half a file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CLOSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_UNLINKABLE = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")  # how libraries written in Rust spell the number of a system error


def storage_errors(root: Path) -> AbstractContextManager[None]:
    """Give system errors of the block that a user can remedy their code: HR636 for a full disk, HR637 for no access.

    Libraries that wrap the system's error in one of their own are understood by the number in their message.
    """
    return _coded(str(root), {"HR636": _FULL, "HR637": _CLOSED})


def full_disk_told(what: str) -> AbstractContextManager[None]:
    """Give a full disk its code, HR636, whatever of the block met it; `what` was being done."""
    return _coded(what, {"HR636": _FULL})


@contextmanager
def _coded(what: str, codes: Mapping[str, frozenset[int]]) -> Iterator[None]:
    try:
        yield
    except HeadraceError:
        raise
    except Exception as error:
        number = _system_error(error)
        for code, numbers in codes.items():
            if number in numbers:
                raise HeadraceError(code, f"{what}: {os.strerror(number)}") from error
        raise


def _system_error(error: Exception) -> int:
    """The number of the operating system's error behind an exception, 0 where there is none."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _RUST_ERROR.search(str(error))
    return int(found[1]) if found else 0


def pour(pieces: Iterable[bytes], target: Path) -> None:
    """Write pieces into a file, not yet durably. Its errors get codes (HR636, HR637), those of the pieces do not."""
    with storage_errors(target):
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        for piece in pieces:
            left = memoryview(piece)
            while left:
                with storage_errors(target):
                    left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Put the content of a file on the disk."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Put the names in a folder on the disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes) -> None:
    """Write a new file, content on the disk. Its name is not yet: give it its lasting name by `rename_file`."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def rename_file(source: Path, target: Path) -> None:
    """Give a file its name, on the disk; what had that name before is replaced at once."""
    source.replace(target)
    sync_folder(target.parent)


def remove_file(path: Path) -> None:
    """Remove a file, on the disk; removing what is not there is no error."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        sync_folder(path.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name; where the file system cannot, copy it, content on the disk."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _UNLINKABLE:
            raise
        shutil.copyfile(source, target)
        sync_file(target)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Folders:
    """Makes folders whose names are on the disk, and remembers which are, so that each is synced once."""

    def __init__(self) -> None:
        self._made: set[Path] = set()

    def make(self, folder: Path) -> None:
        """Make a folder and those above it. One that exists may be unsynced still: whoever made it may have died."""
        if folder in self._made and folder.is_dir():
            return
        folder.mkdir(parents=True, exist_ok=True)
        for child in (folder, *folder.parents):
            if child in self._made or child.is_mount():
                break
            try:
                sync_folder(child.parent)
            except PermissionError:
                break  # a folder that this user may not even read was not made by this user
            self._made.add(child)
        self._made.add(folder)
