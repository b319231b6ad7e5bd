"""`headrace up` of a project, as a process."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.projects import Project


PATIENCE = 150.0
"""Seconds until a line that a supervisor is to say; on an idle machine, a few would do."""


def until(there: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Have something done again and again until it is so; fail where it takes too long."""
    end = monotonic() + seconds
    while not there():
        assert monotonic() < end, "it did not come"
        select.select([], [], [], 0.02)  # what is waited for needs the processor as well


def children_of(pid: int, named: str) -> list[int]:
    """The processes that this one has started and whose command holds a word."""
    found = []
    for each in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and named in (each / "cmdline").read_text():
                found.append(int(each.name))
    return found


class Told:
    """A supervisor, and what it says."""

    def __init__(self, project: Project, port: int = 0, **environment: str) -> None:
        command = [str(Path(sys.executable).with_name("headrace")), "up", "--port", str(port), "--watch", "200ms"]
        command += ["--control", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            command, cwd=project.folder, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
        )

    def until(self, about: str) -> str:
        """The next line that tells of this."""
        assert self.process.stderr is not None
        patience = threading.Timer(PATIENCE, self.process.kill)
        patience.start()
        lines = []
        try:
            for line in self.process.stderr:
                lines.append(line)
                if about in line:
                    return line
        finally:
            patience.cancel()
        raise AssertionError(f"{about} was never said: {lines}")

    def control(self) -> str:
        return "http" + self.until("Taking events").partition("http")[2].split()[0].removesuffix("/events")

    def address(self) -> str:
        return "http" + self.until("Serving").partition("http")[2].split()[0]


@contextmanager
def upheld(project: Project, port: int = 0, **environment: str) -> Iterator[Told]:
    told = Told(project, port, **environment)
    try:
        yield told
    finally:
        told.process.kill()
        told.process.communicate()
