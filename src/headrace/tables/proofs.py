"""What is known of the columns of a Parquet file without reading them, and which rules that proves."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from headrace.tables.expressions import COLUMN, VALUE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from headrace.tables.expressions import Expression

_LOWER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {">": operator.gt, ">=": operator.ge}
_UPPER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {"<": operator.lt, "<=": operator.le}
_DAY: Final = date(1970, 1, 1)
_MOMENT: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT: Final[Mapping[pl.DataType, Callable[[int], object]]] = {
    pl.Int64(): int,
    pl.Date(): lambda days: _DAY + timedelta(days),
    pl.Datetime("us", "UTC"): lambda microseconds: _MOMENT + timedelta(microseconds=microseconds),
}
"""Types whose least and greatest values say all, made of the numbers that the file has: a float may be NaN, a text may
be cut short."""


@dataclass(frozen=True, slots=True)
class Span:
    """How many values of a column are null, and between which two the others lie: None where that is not known."""

    nulls: int
    low: Any = None
    high: Any = None


def spans(path: Path) -> dict[str, Span]:
    """What the file says of its columns: of those that it says something of, floats and nested ones left out."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    types = pl.read_parquet_schema(path)
    found: dict[str, Span] = {}
    unknown = {name for name, kind in types.items() if kind.is_float() or kind.is_nested()}
    for group in range(metadata.num_row_groups):
        for at in range(metadata.num_columns):
            column = metadata.row_group(group).column(at)
            name, said = column.path_in_schema, column.statistics
            if said is None or not said.has_null_count or name not in types:
                unknown.add(name)
            else:
                made = _EXACT.get(types[name]) if said.has_min_max else None
                of = Span(said.null_count, *(() if made is None else (made(said.min_raw), made(said.max_raw))))
                found[name] = _joined(found[name], of) if name in found else of
    return {name: span for name, span in found.items() if name not in unknown}


def _joined(one: Span, other: Span) -> Span:
    nulls = one.nulls + other.nulls
    if one.low is None or other.low is None:
        return Span(nulls)
    return Span(nulls, min(one.low, other.low), max(one.high, other.high))


def proven(says: Expression, known: Mapping[str, Span]) -> bool:
    """Whether it holds for every row, by what is known of the columns; what depends on a null holds."""
    if says.operation == "&":
        return all(proven(each, known) for each in says.parts)
    first, *more = says.parts
    span = known.get(first.parts[0]) if getattr(first, "operation", None) == COLUMN else None
    if span is None:
        return False
    if says.operation == "is not null":
        return span.nulls == 0
    return bool(more) and _within(span, says.operation, more[0])


def _within(span: Span, operation: str, limit: Any) -> bool:  # noqa: ANN401 - an expression, or what a rule names
    """Whether all values of a column keep to a limit."""
    if span.low is None or getattr(limit, "operation", None) != VALUE or type(limit.parts[0]) is not type(span.low):
        return False
    if operation in _LOWER:
        return _LOWER[operation](span.low, limit.parts[0])
    return operation in _UPPER and _UPPER[operation](span.high, limit.parts[0])
