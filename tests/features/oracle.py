"""What a label row sees, worked out row by row from the rules alone: no frames, no sums that run on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START = datetime(2024, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
Entity = tuple[Any, ...]


@dataclass(frozen=True)
class Row:
    """One row of the table: whose it is, when it happened, when it became known, and what it holds."""

    entity: Entity
    event_time: datetime | None
    known_at: datetime | None
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """A row that will be visible, from when on, with what decides between rows that become visible together."""

    entity: Entity
    visible_at: datetime
    tie: tuple[Any, ...]
    values: Mapping[str, Any]


def seen(rows: Sequence[Row], delay: timedelta) -> list[Seen]:
    """The rows in the order in which they become visible; those that are not known yet never do."""
    found = []
    for place, row in enumerate(rows):
        if row.known_at is None or None in row.entity:
            continue
        event = (row.event_time is not None, row.event_time or START)
        found.append(Seen(row.entity, row.known_at + delay, (event, place), row.values))
    return sorted(found, key=lambda row: (row.visible_at, row.tie))


def window(rows: Sequence[Seen], entity: Entity, cutoff: datetime | None, over: timedelta | None) -> list[Seen] | None:
    """The rows of the entity that became visible in [cutoff - over, cutoff); None where nobody can say."""
    if cutoff is None or None in entity:
        return None
    return [
        row
        for row in rows
        if row.entity == entity and row.visible_at < cutoff and (over is None or row.visible_at >= cutoff - over)
    ]


def missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def held(rows: Sequence[Seen], column: str) -> list[Any]:
    """The values of the rows that are not missing."""
    return [row.values[column] for row in rows if not missing(row.values[column])]


def count(rows: Sequence[Seen] | None) -> int | None:
    return None if rows is None else len(rows)


def total(rows: Sequence[Seen] | None, column: str) -> Fraction | None:
    return None if rows is None else sum((Fraction(value) for value in held(rows, column)), Fraction(0))


def mean(rows: Sequence[Seen] | None, column: str) -> Fraction | None:
    exact, values = total(rows, column), held(rows or [], column)
    return None if exact is None or not values else exact / len(values)


def std(rows: Sequence[Seen] | None, column: str) -> float | None:
    """The deviation of a sample, worked out in fractions of how far apart the values are."""
    values = [Fraction(value) for value in held(rows or [], column)]
    if len(values) < 2:
        return None
    scale = max(values) - min(values)
    if not scale:
        return 0.0
    middle = sum(values) / len(values)
    square = sum((value - middle) ** 2 for value in values) / (len(values) - 1) / scale**2
    return math.sqrt(square) * float(scale)


def smallest(rows: Sequence[Seen] | None, column: str) -> object:
    return min(held(rows or [], column), default=None)


def largest(rows: Sequence[Seen] | None, column: str) -> object:
    return max(held(rows or [], column), default=None)


def distinct(rows: Sequence[Seen] | None, column: str) -> int | None:
    return None if rows is None else len(set(held(rows, column)))


def latest(rows: Sequence[Seen] | None, column: str) -> object:
    values = held(rows or [], column)
    return values[-1] if values else None


def newest(rows: Sequence[Seen] | None, column: str) -> object:
    return rows[-1].values[column] if rows else None


def near(found: float | None, exact: Fraction | None, rows: Sequence[Row], column: str) -> bool:
    """Whether a float is the exact value: but for two roundings, and what the join documents that it cuts off."""
    if found is None or exact is None:
        return found is None and exact is None
    largest = max((abs(Fraction(row.values[column])) for row in rows if not missing(row.values[column])), default=0)
    unit = max(Fraction(largest) * 2 / Fraction(2) ** (126 - len(rows).bit_length()), Fraction(1, 2**1000))
    rounding = Fraction(math.ulp(float(exact))) * 2
    return abs(Fraction(found) - exact) <= rounding + unit * len(rows)


def near_spread(found: float | None, exact: float | None, rows: Sequence[Row], column: str) -> bool:
    """Whether a deviation is the exact one: but for roundings, and what `headrace.features.spread` says it cuts off."""
    if found is None or exact is None:
        return found is None and exact is None
    if math.isinf(exact):
        return math.isinf(found)
    values = [Fraction(row.values[column]) for row in rows if not missing(row.values[column])]
    unit = (max(values) - min(values)) / Fraction(2) ** 50 + Fraction(1, 2**998)
    return math.isfinite(found) and abs(Fraction(found) - Fraction(exact)) <= unit + 4 * Fraction(math.ulp(exact))
