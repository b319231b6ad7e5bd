"""What a monitor tells of its last windows: hours, or days that are the merge of their hours. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import reduce
from typing import TYPE_CHECKING, Final

from headrace.monitors.counts import NumberCounts
from headrace.monitors.measures import ANY, PREDICTION
from headrace.monitors.shifts import Verdict, compare, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headrace.monitors.alarm import Note
    from headrace.monitors.counts import Counts, Profile
    from headrace.monitors.distances import Significance
    from headrace.monitors.quality import Part
    from headrace.monitors.shifts import Comparison
    from headrace.monitors.sketches import Quantiles
    from headrace.ports.records import Facts, Json, Outcome

HOUR: Final = timedelta(hours=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Hours and days are counted from here."""
SHARES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""The quantiles that are told of a column."""
_LEAST: Final = 1e-9
_ESTIMATED: Final = re.compile(r"estimated\((.+)\)")
_DAILY_FROM: Final = 12 * 3_600.0


class Every(StrEnum):
    """How long the windows of a report are."""

    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """The time of one window."""
        return HOUR if self is Every.HOUR else 24 * HOUR

    @property
    def shown(self) -> int:
        """How many windows are told of."""
        return 24 if self is Every.HOUR else 14


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is kept of the answers of a window: their profile, and how long they took.

    `millis` is a sketch of the milliseconds, `total` their sum.
    """

    profile: Profile
    millis: Quantiles
    total: float

    def merge(self, other: Bucket) -> Bucket:
        """What is kept of both windows together."""
        return Bucket(self.profile.merge(other.profile), self.millis.merge(other.millis), self.total + other.total)


@dataclass(frozen=True, slots=True)
class Told:
    """A window of a report, from `start` up to, not including, `end`.

    `measured` are its measures by the names that conditions use. `comparison` has no columns where there are too few
    answers, `quality` is None where there are no labels to expect.
    """

    start: datetime
    end: datetime
    profile: Profile
    comparison: Comparison
    measured: Mapping[str, float | None]
    quality: Part | None = None

    @property
    def answers(self) -> int:
        """How many answers there were."""
        return self.profile.rows

    @property
    def is_told(self) -> bool:
        """Whether there were enough answers to compare."""
        return self.comparison.verdict is not Verdict.TOO_FEW

    def value(self, name: str) -> float | None:
        """A measure by the name that conditions use."""
        found = self.measured.get(name)
        if found is not None or self.quality is None:
            return found
        if name == "labelled":
            return self.quality.share.value
        estimate = _ESTIMATED.fullmatch(name)
        if estimate is not None:
            return self.quality.estimated.get(estimate[1])
        metric = self.quality.metrics.get(name)
        return None if metric is None else metric.value

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "answers": self.answers,
            "measured": dict(self.measured),
            "drift": self.comparison.to_json(),
            "quality": None if self.quality is None else self.quality.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Watched:
    """What a report is of: a monitor in an environment, what it watches, and where it stands.

    `bounds` are the names of what its conditions look at, each with the number that it is compared with; `state` is in
    a word, `notes` are oldest first.
    """

    monitor: str
    environment: str
    endpoint: str
    model: str
    state: str
    bounds: Mapping[str, float]
    outcomes: tuple[Outcome, ...]
    then: tuple[str, ...]
    notes: tuple[Note, ...]

    def to_json(self) -> Facts:
        """Plain data."""
        notes = [
            {"at": each.at.isoformat(), "kind": each.kind.value, "reason": each.reason, "version": each.version}
            for each in self.notes
        ]
        return {
            "monitor": self.monitor,
            "environment": self.environment,
            "endpoint": self.endpoint,
            "model": self.model,
            "state": self.state,
            "conditions": [each.to_json() for each in self.outcomes],
            "then": list(self.then),
            "notes": notes,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What a monitor tells of its last windows, oldest first. `cut`: older answers of them were too many to be read."""

    watched: Watched
    made_at: datetime
    every: Every
    reference: Profile
    windows: tuple[Told, ...]
    cut: bool = False

    @property
    def latest(self) -> Told | None:
        """The last window that has enough answers to be compared."""
        told = [each for each in self.windows if each.is_told]
        return told[-1] if told else None

    @property
    def drifted(self) -> tuple[str, ...]:
        """Which columns of the latest window differ by more than chance, corrected for how many there are.

        The largest population stability index first.
        """
        if self.latest is None:
            return ()
        columns = self.latest.comparison.columns
        return tuple(sorted(self.latest.comparison.significant, key=lambda name: -(columns[name].measures["psi"] or 0)))

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures that are shown by window: those watched, then how many answers and how slow."""
        known = {name for each in self.windows for name in each.measured}
        watched = [name for name in self.watched.bounds if name in known or self._is_quality(name)]
        return tuple(dict.fromkeys([*watched, "answers", "mean_score", "p99_ms", *self._labelled()]))

    def _is_quality(self, name: str) -> bool:
        return any(each.quality is not None and each.value(name) is not None for each in self.windows)

    def _labelled(self) -> tuple[str, ...]:
        return ("labelled",) if any(each.quality is not None for each in self.windows) else ()

    def to_json(self) -> Json:
        """Plain data."""
        columns = {
            name: {
                "reference": _summary(self.reference.columns[name]),
                "latest": None if self.latest is None else _summary(self.latest.profile.columns[name]),
            }
            for name in self.reference.columns
        }
        return {
            **self.watched.to_json(),
            "made_at": self.made_at.isoformat(),
            "every": self.every.value,
            "cut": self.cut,
            "drifted": list(self.drifted),
            "columns": columns,
            "windows": [each.to_json() for each in self.windows],
        }


def every_of(over: float) -> Every:
    """The windows that suit a monitor that looks at so many seconds."""
    return Every.DAY if over >= _DAILY_FROM else Every.HOUR


def starts(now: datetime, every: Every) -> list[datetime]:
    """When the windows of a report begin, the last of which is under way. Hours and days are those of UTC."""
    last = EPOCH + (now - EPOCH) // every.length * every.length
    return [last - step * every.length for step in range(every.shown - 1, -1, -1)]


def told(start: datetime, every: Every, hours: Iterable[Bucket], empty: Bucket, against: tuple[Profile, int]) -> Told:
    """A window as the merge of its hours, compared with its reference.

    Args:
        start: When the window begins.
        every: How long it is.
        hours: What is kept of its hours, in their order; those without answers can be left out.
        empty: What is kept of no answers.
        against: The reference, and how many answers a window needs to be compared with it.
    """
    bucket = reduce(Bucket.merge, hours, empty)
    reference, rows = against
    comparison = compare(reference, bucket.profile, rows=rows)
    return Told(start, start + every.length, bucket.profile, comparison, _measured(bucket, comparison))


def with_quality(window: Told, part: Part | None) -> Told:
    """A window with its quality."""
    return replace(window, quality=part)


def quantiles_of(counts: Counts) -> dict[str, float | None]:
    """The quantiles of a column by their share: "5 %"; empty where there is no sketch of them."""
    if not isinstance(counts, NumberCounts) or counts.quantiles is None:
        return {}
    inner = counts.quantiles.at(SHARES[1:-1])
    return dict(zip((f"{share:.0%}" for share in SHARES), (counts.low, *inner, counts.high), strict=True))


def p_of(test: Significance) -> str:
    """The p-value of a test as people read it."""
    return f"p {test.p_value:.2g}" if test.p_value >= _LEAST else f"p < {_LEAST:g}"


def _summary(counts: Counts) -> Json:
    """What is told of a column besides its histogram."""
    kind = "number" if isinstance(counts, NumberCounts) else "category"
    told_of: Facts = {"kind": kind, "rows": counts.rows, "missing": counts.missing, "different": counts.different}
    if isinstance(counts, NumberCounts):
        return {**told_of, "mean": counts.mean, "deviation": counts.deviation, "quantiles": quantiles_of(counts)}
    return {**told_of, "top": dict(list(counts.top.items())[:10])}


def _measured(bucket: Bucket, comparison: Comparison) -> dict[str, float | None]:
    answers = bucket.profile.rows
    found: dict[str, float | None] = {"answers": float(answers)}
    found["mean_ms"] = bucket.total / answers if answers else None
    found |= zip(("p50_ms", "p95_ms", "p99_ms"), bucket.millis.at((0.5, 0.95, 0.99)), strict=True)
    scores = bucket.profile.columns.get(PREDICTION)
    found["mean_score"] = scores.mean if isinstance(scores, NumberCounts) and scores.values else None
    for name, shift in comparison.columns.items():
        found |= {f"{measure}({name})": value for measure, value in shift.measures.items()}
    return found | {f"{measure}({ANY})": value for measure, value in worst(comparison.columns).items()}
