"""Time in feature views: from when a row can be seen, and times of every type as microseconds in UTC.

A row is visible from `known_at + delay`. Where no column says when it became known, its event time stands in. A row
that is not known yet (null) is not visible. It stays visible until the next row of its entity becomes visible, or
until its ttl ends. The ttl counts from the moment at which the row became visible, and not from its event: a row that
is published late is then not worn out before anybody could see it, and of two rows the one that became visible later
is never the one that ends earlier, so that an older row does not come back when a newer one ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from datetime import timedelta

    import polars as pl

VISIBLE_AT = "_visible_at"
EVENT_TIME = "_event_time"
TIE = "_tie_"
"""How the columns begin that decide between rows of the same times."""


def visible_at(known_at: pl.Expr, delay: timedelta) -> pl.Expr:
    """From when on a row can be seen that became known at `known_at`; null where it is not known yet."""
    return known_at + delay


def moment(column: str, dtype: pl.DataType, *, what: str, up: bool = False) -> pl.Expr:
    """A column of times as Datetime in microseconds, in UTC.

    A time without a zone is taken as UTC, a date as its midnight. Nanoseconds are cut, or with `up` go to the next
    microsecond: a row must not be seen a fraction too early. `what` says in an error what the column is.

    Raises:
        HeadraceError: HR455 for a column that holds no times.
    """
    import polars as pl

    time = pl.col(column)
    if isinstance(dtype, pl.Date):
        return time.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if not isinstance(dtype, pl.Datetime):
        raise HeadraceError("HR455", f"{what} {column!r} is of type {dtype}")
    if dtype == pl.Datetime("us", "UTC"):
        return time  # as it is, so that a filter of it can skip parts of files
    time = time.dt.replace_time_zone("UTC") if dtype.time_zone is None else time.dt.convert_time_zone("UTC")
    if dtype.time_unit != "ns":
        return time.dt.cast_time_unit("us")
    cut = time.dt.cast_time_unit("us")
    back = cut.dt.cast_time_unit("ns")
    step = pl.duration(microseconds=1, time_unit="us")
    return (
        pl.when(back < time).then(cut + step).otherwise(cut)
        if up
        else pl.when(back > time).then(cut - step).otherwise(cut)
    )
