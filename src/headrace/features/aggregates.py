"""What a window computes: count, mean, total, latest. Each is a value that can be compared and fingerprinted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.ports.durations import duration, spell

if TYPE_CHECKING:
    from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate over the rows of an entity. `over` is the length of the window (None: since the beginning)."""

    kind: str
    column: str | None
    over: timedelta | None

    def __headrace_canonical__(self) -> object:
        """Plain data, for the fingerprint."""
        return [self.kind, self.column, None if self.over is None else spell(self.over)]

    def __str__(self) -> str:
        inside = [] if self.column is None else [repr(self.column)]
        inside += [] if self.over is None else [f'over="{spell(self.over)}"']
        return f"{self.kind}({', '.join(inside)})"


def _window(over: str | timedelta | None) -> timedelta | None:
    return None if over is None else duration(over)


def count(*, over: str | timedelta | None = None) -> Any:
    """How many rows became visible within the window before the cut-off; 0 when there are none."""
    return Aggregate("count", None, _window(over))


def mean(column: str, *, over: str | timedelta | None = None) -> Any:
    """The mean of a column over the window; nulls and NaN are left out; null when nothing is left."""
    return Aggregate("mean", column, _window(over))


def total(column: str, *, over: str | timedelta | None = None) -> Any:
    """The sum of a column over the window; nulls and NaN count as nothing; 0 when there are no rows."""
    return Aggregate("total", column, _window(over))


def latest(column: str, *, over: str | timedelta | None = None) -> Any:
    """The value of the row that became visible last, null included; null when none did within the window."""
    return Aggregate("latest", column, _window(over))
