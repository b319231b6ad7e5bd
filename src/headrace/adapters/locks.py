"""Who is alive: each owner holds an operating-system lock, which is free the moment that its process is gone.

The lock belongs to an open file, not to a process id, so that an id that is used again means nothing, and one process
can ask about owners of its own. An owner's name ends in `@HOST`: nothing is known of the processes of another host, so
those are presumed to be alive.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from typing import Self

_ENDING = ".lock"


class Held:
    """An owner's lock, held until it is released. A context manager."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let go; a second time does nothing."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            self._path.unlink(missing_ok=True)
            os.close(descriptor)


class OwnerLocks:
    """The locks of all owners, as files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)

    def take(self, owner: str) -> Held:
        """Take the lock of a new owner. Raises HR612 where the folder cannot be written, HR620 for one that is alive.

        The file is locked before it has its name, so that nobody ever sees a living owner without a lock.
        """
        path = self._path(owner)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            while True:
                draft, descriptor = self._draft(owner)
                try:
                    os.link(draft, path)
                except FileExistsError:
                    os.close(descriptor)
                    if self.alive(owner):
                        raise HeadraceError("HR620", f"{owner} is {self.describe(owner)}") from None
                    _remove_if_dead(path)
                except FileNotFoundError:
                    os.close(descriptor)  # it was swept before it was locked
                else:
                    return Held(path, descriptor)
                finally:
                    draft.unlink(missing_ok=True)
        except OSError as error:
            raise HeadraceError("HR612", f"{self._folder}: {os.strerror(error.errno or 0)}") from error

    def alive(self, owner: str) -> bool:
        """Whether the process that took this owner's lock lives; an owner on another host is presumed to."""
        if _host_of(owner) not in ("", socket.gethostname()):
            return True
        try:
            descriptor = os.open(self._path(owner), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _is_free(descriptor)
        finally:
            os.close(descriptor)

    def describe(self, owner: str) -> str:
        """The owner as people know it, such as "pid 123 on host, since 2026-11-23 07:30:00 (headrace apply)"."""
        try:
            content = json.loads(self._path(owner).read_bytes())
            return "pid {pid} on {host}, since {since} ({command})".format(**content)
        except (OSError, ValueError, KeyError, TypeError):
            away = self.alive(owner)
            return f"a process on {_host_of(owner)}" if away else "a process that is gone"

    def sweep(self) -> int:
        """Remove what dead owners left. Answers how many files that were."""
        if not self._folder.is_dir():
            return 0
        return sum(_remove_if_dead(path) for path in sorted(self._folder.iterdir()))

    def _path(self, owner: str) -> Path:
        if not owner or "/" in owner or owner.startswith("."):
            message = f"{owner!r} is no name of an owner"
            raise ValueError(message)
        return self._folder / f"{owner}{_ENDING}"

    def _draft(self, owner: str) -> tuple[Path, int]:
        """A locked file that does not have its name yet."""
        draft = self._folder / f".{owner}.{os.getpid()}"
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, json.dumps(_about_this_process()).encode())
        return draft, descriptor


def owner_here(name: str) -> str:
    """The name of an owner on this host."""
    return f"{name}@{socket.gethostname()}"


def _host_of(owner: str) -> str:
    return owner.rpartition("@")[2] if "@" in owner else ""


def _about_this_process() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(sep=" ", timespec="seconds"),
        "command": " ".join([Path(sys.argv[0] if sys.argv else "python").name, *sys.argv[1:]]),
    }


def _is_free(descriptor: int) -> bool:
    """Whether nobody holds the lock of an open file. A shared lock asks: those who ask do not see each other."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_if_dead(path: Path) -> bool:
    """Remove a lock file that nobody holds, unless it is another file by now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if not _is_free(descriptor):
            return False
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                path.unlink()
                return True
        return False
    finally:
        os.close(descriptor)
