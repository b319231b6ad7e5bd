"""A bell that wakes the supervisor: a named pipe that any process of this host can write to.

It only says that there is something to look at; what that is stands in the ledger. A named pipe, unlike a socket, may
lie in a folder with a long path.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from headrace.adapters.durable import storage_errors

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

_MOST = 65_536
_DEAF = (errno.ENXIO, errno.ENOENT)
"""Nobody listens: the pipe has no reader, or there is none."""


class Bell:
    """The bell of one who waits, for as long as the block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        with storage_errors(self._path.parent):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and not stat.S_ISFIFO(self._path.stat().st_mode):
                self._path.unlink()
            with suppress(FileExistsError):
                os.mkfifo(self._path, 0o600)
            self._reading = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._writing = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._reading)
        os.close(self._writing)

    def ring(self) -> None:
        """Wake who waits, from any thread."""
        _ring(self._writing)

    def wait(self, patience: float, *others: int) -> bool:
        """Wait until it rings, one of the `others` can be read from, or the patience of so many seconds is over.

        Answers whether it rang. However often it rang before, that is once.
        """
        ready, _, _ = select.select([self._reading, *others], [], [], patience)
        if self._reading not in ready:
            return False
        os.read(self._reading, _MOST)
        return True


def ring(path: Path) -> bool:
    """Ring the bell at this path, from another process; answers whether somebody listens."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _DEAF:
            return False
        raise
    try:
        _ring(descriptor)
    finally:
        os.close(descriptor)
    return True


def _ring(descriptor: int) -> None:
    with suppress(BlockingIOError):  # it is full: it rings already
        os.write(descriptor, b"!")
