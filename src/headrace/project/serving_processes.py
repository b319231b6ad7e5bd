"""The processes that answer for a server, looked after: those that end or hang are started again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from headrace.errors import HeadraceError
from headrace.project.health import Check
from headrace.project.heartbeat import Patience, Pulse

if TYPE_CHECKING:
    from headrace.ports.clock import Clock

_GRACE = 15.0
"""Seconds that a process has to end."""
_LONGEST_PAUSE = 30.0
_SOON = 60.0
"""Seconds after a start within which an end makes the next pause longer."""


@dataclass(frozen=True, slots=True)
class Children:
    """The processes of a server: how many there are of how many, how often one was started again, the longest silence.

    `silence` is in seconds.
    """

    wanted: int
    running: int
    restarts: int
    silence: float

    def check(self, silent: float) -> Check:
        """Whether all of them answer; one that has been silent for longer than `silent` seconds may not."""
        reason = ""
        if self.running < self.wanted:
            reason = f"{self.running} of {self.wanted} processes answer"
        elif self.silence > silent:
            reason = f"a process that answers has given no sign of life for {self.silence:.0f} s"
        return Check(self.silence, reason, {"processes": self.running, "of": self.wanted})


@dataclass(slots=True)
class Child:
    """A process that answers, and its signs of life."""

    process: subprocess.Popen[bytes]
    pulse: Pulse


Start: TypeAlias = Callable[[int, Pulse], Child]
"""Starts a process that ends when this descriptor is closed, and beats for this pulse. Raises HR955."""


class Processes:
    """The processes of one server. One that ends or hangs is started again, later each time that it does so soon."""

    def __init__(self, clock: Clock, wanted: int, metrics: str, start: Start, patience: Patience) -> None:
        self._clock = clock
        self._wanted = wanted
        self._metrics = metrics
        self._start = start
        self._patience = patience
        self._running: list[Child] = []
        self._reading, self._lifeline = os.pipe()
        self._due = 0.0
        self._pause = 1.0
        self._restarts = 0
        self.children = Children(wanted, 0, 0, 0.0)

    def start(self) -> None:
        """Start all of them, and wait until one can answer. Raises HR955."""
        while len(self._running) < self._wanted:
            self._add()
        self._note()

    def look(self, say: Callable[[str], None]) -> None:
        """Kill those that hang, and start those again that have ended."""
        now = self._clock.monotonic()
        for child in self._running:
            if child.process.poll() is None and child.pulse.is_lost():
                _kill(child.process)
                error = HeadraceError("HR958", f"a process that answers gave none for {child.pulse.silence:.0f} s")
                say(f"{error.code} {error.what}; it is replaced")
        for child in [each for each in self._running if each.process.poll() is not None]:
            self._running.remove(child)
            child.pulse.close()
            _forget_figures(child.process.pid, self._metrics)
            self._restarts += 1
            self._pause = min(self._pause * 2, _LONGEST_PAUSE) if now < self._due + _SOON else 1.0
            self._due = now + self._pause
            say(f"A process ended with status {child.process.returncode}; another one starts in {self._pause:g} s")
        if len(self._running) < self._wanted and now >= self._due:
            with suppress(HeadraceError):  # it has said why; the pause grows
                self._add()
        self._note()

    def end(self) -> None:
        """Have all of them end in good order, or by force when they take too long."""
        if self._lifeline < 0:
            return
        os.close(self._lifeline)
        self._lifeline = -1
        for child in self._running:
            try:
                child.process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                _kill(child.process)
            child.pulse.close()
        os.close(self._reading)

    def _add(self) -> None:
        pulse = Pulse(self._clock, self._patience)
        try:
            self._running.append(self._start(self._reading, pulse))
        except BaseException:
            pulse.close()
            raise
        finally:
            pulse.handed_over()

    def _note(self) -> None:
        silence = max((each.pulse.silence for each in self._running), default=0.0)
        self.children = Children(self._wanted, len(self._running), self._restarts, silence)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _forget_figures(pid: int, folder: str) -> None:
    """Take what a process that is gone had set, such as a queue's length, out of the metrics; counts remain."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
