"""What steps print. Each worker prints into a spool of its own; when a step is over, its text goes to the step's log.

A log file is made only for a step that printed something: making a file can cost more than the rest of a step. A spool
holds a mark for each step that began in it, so that the text of a step under way, or of one whose worker died, is found
behind the last mark.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SUFFIX = ".spool"
_MARK = b"\0"


def spool_of(folder: Path, pid: int) -> Path:
    """Where a worker prints while it makes steps of the run that this folder is of."""
    return folder / f"worker-{pid}{_SUFFIX}"


def log_of(folder: Path, node: str) -> Path:
    """What a step of the run has printed, at all of its tries."""
    return folder / f"{node}.log"


class Printed:
    """In a worker: sends whatever is printed, by Python or by a library, to the spool, and on to the logs."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._spool = -1
        self._begin = 0

    def begin(self, folder: Path, node: str) -> None:
        """A step begins: what is printed from now on is its. The spool must exist."""
        if folder != self._folder:
            self._open(folder)
        self._begin = self._write(_MARK + node.encode() + b"\n")

    def end(self, node: str) -> None:
        """The step is over: move what it printed to its log."""
        sys.stdout.flush()
        sys.stderr.flush()
        size = os.fstat(self._spool).st_size - self._begin
        if size and self._folder is not None:
            _append(log_of(self._folder, node), os.pread(self._spool, size, self._begin))
            self._write(_MARK + b"\n")

    def _open(self, folder: Path) -> None:
        spool = os.open(spool_of(folder, os.getpid()), os.O_RDWR | os.O_APPEND)
        for standard in (1, 2):
            os.dup2(spool, standard)
        if self._spool >= 0:
            os.close(self._spool)
        self._folder, self._spool = folder, spool

    def _write(self, content: bytes) -> int:
        """Write to the spool; answers its size afterwards."""
        os.write(self._spool, content)
        return os.fstat(self._spool).st_size


def salvage(spool: Path) -> None:
    """Move what a worker that is gone left in its spool to the log of the step, and remove the spool."""
    node, text = _unfinished(spool)
    if node and text:
        _append(log_of(spool.parent, node), text)
    spool.unlink(missing_ok=True)


def texts(folder: Path) -> Mapping[str, str]:
    """What each step of a run has printed so far, by name of the node; those that printed nothing are left out."""
    found = {file.stem: file.read_bytes() for file in sorted(folder.glob("*.log"))}
    for node, text in map(_unfinished, sorted(folder.glob(f"*{_SUFFIX}"))):
        if node and text:
            found[node] = found.get(node, b"") + text
    return {node: text.decode("utf-8", "replace") for node, text in found.items()}


def _unfinished(spool: Path) -> tuple[str, bytes]:
    """The step behind the last mark, and what it printed."""
    try:
        content = spool.read_bytes()
    except FileNotFoundError:  # its worker has just ended in good order
        return "", b""
    _, _, last = content.rpartition(_MARK)
    node, _, text = last.partition(b"\n")
    return node.decode("utf-8", "replace"), text


def _append(file: Path, content: bytes) -> None:
    with file.open("ab") as log:
        log.write(content)
