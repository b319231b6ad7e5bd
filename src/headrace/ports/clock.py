"""Time, identity and patience, as ports: a whole pipeline can run on a simulated clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class Clock(Protocol):
    """The only source of time, ids and waiting."""

    def now(self) -> datetime:
        """The present, in UTC, with its zone."""

    def monotonic(self) -> float:
        """Seconds that never go back, for durations."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def new_id(self) -> str:
        """A new identifier that sorts by time: 8 hexadecimal digits of time and 8 of randomness."""


def stamp(clock: Clock) -> str:
    """The present as text, to the microsecond, in UTC: the form in which the ledger keeps time."""
    return clock.now().isoformat(timespec="microseconds")
