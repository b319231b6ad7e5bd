"""Tells when a task begins, whatever process it runs in: the task writes a line into a named pipe that is read here."""

from __future__ import annotations

import os
import select
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.support.figures import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST = 4096


@dataclass(frozen=True, slots=True)
class Began:
    """The reading end of the pipe."""

    path: Path
    descriptor: int

    def when(self, timeout: float) -> float:
        """The moment of the next line, by `time.perf_counter`. Raises BenchError where none comes in time."""
        ready, _, _ = select.select([self.descriptor], [], [], timeout)
        moment = time.perf_counter()
        if not ready:
            raise BenchError(f"no task began within {timeout:.0f} s")
        os.read(self.descriptor, _MOST)
        return moment


@contextmanager
def began(path: Path) -> Iterator[Began]:
    """A pipe at this path, for as long as the block. Whoever may run the task may write to it."""
    os.mkfifo(path)
    path.chmod(0o666)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # a writing end besides: no writer ever meets a closed pipe
    try:
        yield Began(path, descriptor)
    finally:
        os.close(descriptor)
