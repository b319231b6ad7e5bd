"""Partitions: the part of a table that a row lies in, by the value of a column or by the span of a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from headrace.errors import HeadraceError, suggestion
from headrace.tables.contract import marked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.tables.contract import Contract

_SPANS: Final = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H"}
_CALL: Final = re.compile(r"(\w+)\((\w+)\)")
NOTHING: Final = "none"
"""The partition of rows without a value."""


@dataclass(frozen=True, slots=True)
class Partition:
    """How a table is parted: by the values of a column, or by the year, month, day or hour of one (in UTC)."""

    column: str
    span: str | None = None

    def names(self, rows: pl.DataFrame, table: str) -> pl.Series:
        """The partition of each row. Raises HR484 for a column that is missing or has another type."""
        if self.column not in rows.columns:
            fix = suggestion(self.column, rows.columns)
            raise HeadraceError("HR484", f"{table}: there is no column {self.column!r}", fix=fix)
        values = rows.get_column(self.column)
        if self.span is None:
            if values.dtype.is_nested() or values.dtype.is_float() or values.dtype == pl.Binary:
                raise HeadraceError("HR484", f"{table}: {self.column} is {values.dtype}")
            return values.cast(pl.String).fill_null(NOTHING)
        if not values.dtype.is_temporal() or values.dtype in (pl.Time, pl.Duration):
            raise HeadraceError("HR484", f"{table}: {self.column} is {values.dtype}, which has no {self.span}")
        return values.dt.strftime(_SPANS[self.span]).fill_null(NOTHING)


def partition_of(name: str, contract: type[Contract] | None, declared: str | None) -> Partition | None:
    """What a table declares: a column, a span of the event time ("month"), or a span of a column ("month(sold_at)").

    Raises HR484 where that cannot be.
    """
    if declared is None:
        return None
    types: Mapping[str, str] = {} if contract is None else {each.name: each.type for each in contract.__columns__}
    call = _CALL.fullmatch(declared)
    if call is None and (declared in types or declared not in _SPANS):
        found = Partition(declared)
    elif call is None:
        time = marked(contract, "event_time")
        if time is None:
            fix = f'Name the column: partition_by="{declared}(COLUMN)", or mark one: column(event_time=True).'
            raise HeadraceError(
                "HR484", f"{name}: no column is marked as event_time to take the {declared} of", fix=fix
            )
        found = Partition(time, declared)
    else:
        if call[1] not in _SPANS:
            raise HeadraceError("HR484", f"{name}: {call[1]!r} is no span of time", fix=suggestion(call[1], _SPANS))
        found = Partition(call[2], call[1])
    if contract is not None and found.column not in types:
        fix = suggestion(found.column, [*types, *_SPANS])
        raise HeadraceError("HR484", f"{name}: there is no column {found.column!r}", fix=fix)
    if found.span is not None and types.get(found.column, "Datetime") not in ("Datetime", "Date"):
        raise HeadraceError("HR484", f"{name}: {found.column} is {types[found.column]}, which has no {found.span}")
    return found
