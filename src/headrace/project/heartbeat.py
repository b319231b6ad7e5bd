"""Signs of life: a child beats into a pipe for as long as its loop goes on, and its parent notices when it is silent.

A pipe rather than a file's time: whoever sets the clock of the machine, no child is killed for it.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from headrace.ports.clock import Clock

INTERVAL: Final = 1.0
"""Seconds between two beats."""
_LONGEST_TURN: Final = 5.0
"""Seconds that one turn of a loop may take before the beats stop; where nothing happens, a turn takes half a second."""
_BEAT, _ANEW = b"b", b"a"
_MOST = 65_536
_SHARES = 4
"""One look counts for a quarter of the limit at most: where the parent itself stood still, the child did as well."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a child may be silent before it is replaced: in general, and from its start to its first beat."""

    silent: float = 30.0
    start: float = 60.0


class Pulse:
    """The parent's end: how long a child has been silent. `theirs` is inherited by the child, then `handed_over`."""

    def __init__(self, clock: Clock, patience: Patience) -> None:
        self._clock = clock
        self._patience = patience
        self._reading, self.theirs = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self.theirs, False)
        self._begins = True
        self._looked = clock.monotonic()
        self.silence = 0.0
        """Seconds without a sign of life, as of the last look. May be read by any thread."""

    def handed_over(self) -> None:
        """Let go of the child's end."""
        os.close(self.theirs)

    def is_lost(self) -> bool:
        """Look; answers whether the child has been silent for too long."""
        now, heard = self._clock.monotonic(), self._heard()
        if heard:
            self._begins = heard.endswith(_ANEW)
            self.silence = 0.0
        else:
            self.silence += min(now - self._looked, self._limit / _SHARES)
        self._looked = now
        return self.silence > self._limit

    def close(self) -> None:
        """Hear no more."""
        os.close(self._reading)

    @property
    def _limit(self) -> float:
        return max(self._patience.silent, self._patience.start) if self._begins else self._patience.silent

    def _heard(self) -> bytes:
        found = b""
        with suppress(BlockingIOError):
            while content := os.read(self._reading, _MOST):
                found = content
        return found


class Heart:
    """A child's end, where much runs that is not a loop: a thread beats, but not while a loop that began stands still.

    Loading a project and looking at its sources take as long as they take. The engine's loop turns every half second
    whatever the steps do, so while that runs the beats depend on it.
    """

    def __init__(self, descriptor: int, clock: Clock) -> None:
        self._descriptor = descriptor
        self._clock = clock
        self._turned: float | None = None
        self._ending = Event()
        self._thread = Thread(target=self._run, name="heart", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def turned(self, *, going: bool) -> None:
        """The loop went round; or it is over, and no longer counts."""
        self._turned = self._clock.monotonic() if going else None

    def begin_anew(self) -> None:
        """Beat for the last time before the process replaces itself: it is given the time of a start."""
        self._ending.set()
        self._thread.join()
        _write(self._descriptor, _ANEW)

    def _run(self) -> None:
        there = True
        while there and not self._ending.is_set():
            turned = self._turned
            if turned is None or self._clock.monotonic() - turned <= _LONGEST_TURN:
                there = _write(self._descriptor, _BEAT)
            self._ending.wait(INTERVAL)


async def beat(descriptor: int) -> None:
    """Beat from an event loop, until cancelled or until nobody listens."""
    while _write(descriptor, _BEAT):  # noqa: ASYNC110 - nothing is waited for but time
        await asyncio.sleep(INTERVAL)


def _write(descriptor: int, what: bytes) -> bool:
    """Write a beat; answers whether there is a parent. Where it has not read for long, it finds beats enough."""
    try:
        os.write(descriptor, what)
    except BlockingIOError:
        return True
    except BrokenPipeError:
        return False
    return True
