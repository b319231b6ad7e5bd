"""Windows over moments: by time or by count, tumbling or sliding, closed by a watermark. Pure.

The watermark is the latest moment seen, less the lateness that is allowed: no row from before it is expected any more
(T. Akidau and others, The Dataflow Model, 2015). A window is closed when the watermark has reached its end; a row that
comes when all of its windows are closed is late: it changes none of them, and is counted.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Slice:
    """The rows `first` to `stop` (exclusive) of a sequence."""

    first: int
    stop: int

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.stop - self.first


@dataclass(frozen=True, slots=True)
class Span:
    """A window of time, from `start` up to, not including, `end`, and the rows that lie in it."""

    start: datetime
    end: datetime
    rows: Slice


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stream has come: its latest moment, how many rows came, and how many of them too late."""

    latest: datetime | None = None
    rows: int = 0
    late: int = 0


@dataclass(frozen=True, slots=True)
class TimeWindows:
    """Windows of length `size` that begin every `step` (None: tumbling, the one where the other ends).

    Windows begin at `origin` and at multiples of the step before and after it; `lateness` is how long after the latest
    moment rows from before it are waited for. Moments are all aware of their time zone, as `origin` is, or none is.
    """

    size: timedelta
    step: timedelta | None = None
    lateness: timedelta = timedelta()
    origin: datetime = EPOCH

    def __post_init__(self) -> None:
        if self.size <= timedelta() or not timedelta() < self.every <= self.size or self.lateness < timedelta():
            message = f"windows of {self.size} every {self.every}, {self.lateness} late, leave rows out or never end"
            raise ValueError(message)

    @property
    def every(self) -> timedelta:
        """How far apart windows begin."""
        return self.size if self.step is None else self.step

    def spans(self, moments: Sequence[datetime]) -> list[Span]:
        """The windows of moments in ascending order: all that hold one, and the empty ones between them."""
        if not moments:
            return []
        start = self._last_start(moments[0])
        while start - self.every + self.size > moments[0]:
            start -= self.every
        found = []
        while start <= moments[-1]:
            end = start + self.size
            rows = Slice(bisect_left(moments, start), bisect_left(moments, end))
            found.append(Span(start, end, rows))
            start += self.every
        return found

    def watermark(self, progress: Progress) -> datetime | None:
        """The moment from before which no row is expected any more; None before the first row."""
        return None if progress.latest is None else progress.latest - self.lateness

    def closed(self, spans: Iterable[Span], progress: Progress) -> list[Span]:
        """The windows that no row is added to any more."""
        watermark = self.watermark(progress)
        return [] if watermark is None else [span for span in spans if span.end <= watermark]

    def is_late(self, moment: datetime, progress: Progress) -> bool:
        """Whether a row that comes now comes too late for each of its windows."""
        watermark = self.watermark(progress)
        return watermark is not None and self._last_start(moment) + self.size <= watermark

    def advance(self, progress: Progress, moments: Iterable[datetime]) -> Progress:
        """How far the stream has come when rows with these moments came, in the order of their arrival."""
        for moment in moments:
            late = progress.late + self.is_late(moment, progress)
            latest = moment if progress.latest is None else max(progress.latest, moment)
            progress = Progress(latest, progress.rows + 1, late)
        return progress

    def _last_start(self, moment: datetime) -> datetime:
        """When the last of the windows that hold a moment begins."""
        return self.origin + (moment - self.origin) // self.every * self.every


def count_windows(rows: int, size: int, step: int | None = None) -> list[Slice]:
    """The full windows of `size` rows each that begin every `step` rows (None: tumbling). The last rows may be in none.

    Raises ValueError for a size or step below 1, or a step above the size, which would leave rows out.
    """
    every = size if step is None else step
    if size < 1 or not 1 <= every <= size:
        message = f"windows of {size} rows every {every} rows leave rows out or never end"
        raise ValueError(message)
    return [Slice(first, first + size) for first in range(0, rows - size + 1, every)]
