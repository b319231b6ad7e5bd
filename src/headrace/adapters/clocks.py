"""Clocks: the computer's, and one that only moves when somebody sleeps."""

from __future__ import annotations

import random
import secrets
import time
from datetime import UTC, datetime, timedelta
from threading import Lock

_START = datetime(2026, 1, 1, tzinfo=UTC)


def _identifier(now: datetime, chance: int) -> str:
    return f"{int(now.timestamp()) & 0xFFFFFFFF:08x}{chance:08x}"


class SystemClock:
    """The computer's clock. See `headrace.ports.clock.Clock`."""

    def now(self) -> datetime:
        """The present, in UTC, with its zone."""
        return datetime.now(UTC)

    def micros(self) -> int:
        """The present as microseconds since 1970, at a third of the cost."""
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def new_id(self) -> str:
        """A new identifier that sorts by time, to the second."""
        return _identifier(self.now(), secrets.randbits(32))


class SimulatedClock:
    """A clock that starts at `start` and moves only by `sleep`, which returns at once. Ids follow from the seed."""

    def __init__(self, start: datetime = _START, seed: int = 0) -> None:
        self._start = start.astimezone(UTC)
        self._passed = 0.0
        self._random = random.Random(seed)  # noqa: S311 - repeatable ids are the point
        self._lock = Lock()

    def now(self) -> datetime:
        """The start and all that was slept since, in UTC."""
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """Seconds slept since the start."""
        return self._passed

    def sleep(self, seconds: float) -> None:
        """Let time pass. A negative time is a mistake of the caller: ValueError, as of `time.sleep`."""
        if seconds < 0:
            message = "sleep length must be non-negative"
            raise ValueError(message)
        with self._lock:
            self._passed += seconds

    def new_id(self) -> str:
        """The next identifier of the seed."""
        with self._lock:
            return _identifier(self.now(), self._random.getrandbits(32))
