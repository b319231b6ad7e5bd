"""The split of labelled rows by time: train on the past, be judged on what came after it.

Let B (the boundary) be the newest event with a known label, less the holdout. Rows with an event after B are held out.
The model that would have scored the first of them must have been trained `lead` before it happened, so the training
cut-off is B - lead, and **a row is trained on only if its label was known before that cut-off**. Rows in between, whose
event lies before B but whose label came to be known later, are neither trained on nor held out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.ports.durations import duration, spell

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    import polars as pl

LEAST_ROWS = 10
"""Fewer training rows or held-out rows than this are refused: nothing can be learnt or judged from them."""


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Hold out the rows of the last stretch of time."""

    holdout: timedelta

    def __str__(self) -> str:
        return f"time_split(holdout={spell(self.holdout)!r})"


def time_split(holdout: str | timedelta) -> TimeSplit:
    """Hold out the rows whose event lies in the last `holdout` before the newest event, and train on those before.

    Raises:
        HeadraceError: HR110 for what is no duration, HR503 for a duration of nothing.
    """
    length = duration(holdout)
    if not length:
        raise HeadraceError("HR503", f"the holdout is {spell(length)} long")
    return TimeSplit(length)


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """The columns of a label table that a split asks about. Without `known_at`, a label is known at its event."""

    label: str
    event_time: str
    known_at: str | None
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """Labelled rows, split. `skipped` counts the rows that are in neither part."""

    train: pl.DataFrame
    holdout: pl.DataFrame
    boundary: datetime
    cutoff: datetime
    skipped: int


def labelled(rows: pl.LazyFrame, columns: LabelColumns) -> pl.DataFrame:
    """The rows whose label and event time are known, in order of event time and key."""
    import polars as pl

    needed = [columns.label, columns.event_time, *([columns.known_at] if columns.known_at else [])]
    known = rows.drop_nulls(needed).sort(columns.event_time, *columns.keys).collect()
    return known.filter(pl.col(columns.label).is_not_nan()) if known[columns.label].dtype.is_float() else known


def divide(rows: pl.DataFrame, columns: LabelColumns, split: TimeSplit, lead: timedelta) -> Parts:
    """Split labelled rows (see the module). Raises HR512 when a part has too few rows."""
    if rows.is_empty():
        raise HeadraceError("HR512", f"no row has a known {columns.label!r}")
    newest = _newest(rows, columns.event_time)
    boundary = newest - split.holdout
    cutoff = boundary - lead
    past = up_to(rows, columns.event_time, boundary)
    known = up_to(rows, columns.known_at or columns.event_time, cutoff, strictly=True)
    train, holdout = rows.filter(past & known), rows.filter(~past)
    for name, part in (("to train on", train), ("held out", holdout)):
        if len(part) < LEAST_ROWS:
            raise HeadraceError(
                "HR512", f"{len(part)} rows {name} (events up to {newest}, training cut-off {cutoff}, {split})"
            )
    return Parts(train, holdout, boundary, cutoff, len(rows) - len(train) - len(holdout))


def up_to(rows: pl.DataFrame, column: str, moment: datetime, *, strictly: bool = False) -> pl.Expr:
    """Whether the time in a column is at or before a moment; `strictly`: before it."""
    import polars as pl

    dtype = _moment_type(rows, column)
    limit = pl.lit(moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment, dtype=pl.Datetime("us"))
    if dtype.time_zone is not None:
        limit = limit.dt.replace_time_zone("UTC").dt.convert_time_zone(dtype.time_zone)
    value = pl.col(column).cast(dtype)
    return value < limit if strictly else value <= limit


def _newest(rows: pl.DataFrame, column: str) -> datetime:
    """The newest time in a column: in UTC if it has a zone, so that durations are not stretched by summer time."""
    import polars as pl

    newest: datetime = rows.select(pl.col(column).max().cast(_moment_type(rows, column))).item()
    return newest if newest.tzinfo is None else newest.astimezone(UTC)


def _moment_type(rows: pl.DataFrame, column: str) -> pl.Datetime:
    """The type in which dates and times are compared: microseconds, with the zone that the column has."""
    import polars as pl

    dtype = rows.schema[column]
    return pl.Datetime("us", dtype.time_zone if isinstance(dtype, pl.Datetime) else None)
