"""Which columns a Delta table can hold, and what is done about the others before the write.

Delta itself coerces silently (3.5 into 3, nanoseconds into microseconds, unsigned into signed) or ends the process.
Here a column keeps every value, or the write is refused with the name of the column and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from polars.datatypes import DataTypeClass

_KEPT: frozenset[DataTypeClass] = frozenset(
    {pl.Boolean, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Float32, pl.Float64, pl.String, pl.Binary, pl.Date}
    | {pl.Decimal}
)
_WIDENED: dict[DataTypeClass, pl.DataType] = {
    pl.UInt8: pl.Int16(),
    pl.UInt16: pl.Int32(),
    pl.UInt32: pl.Int64(),
    pl.UInt64: pl.Int64(),
    pl.Int128: pl.Int64(),
    pl.UInt128: pl.Int64(),
    pl.Float16: pl.Float32(),
    pl.Categorical: pl.String(),
    pl.Enum: pl.String(),
}
_DEPENDS_ON_THE_VALUES: frozenset[DataTypeClass] = frozenset({pl.UInt64, pl.Int128, pl.UInt128, pl.Datetime})
_FIXES: dict[DataTypeClass, str] = {
    pl.Null: "Give the column a type, such as .cast(pl.String): nothing in it says what it will hold.",
    pl.Duration: "Store a number: .dt.total_microseconds().",
    pl.Time: "Store a number or a text: .dt.to_string('%H:%M:%S').",
    pl.Object: "Store a text or a struct made from the objects.",
    pl.Struct: "Take the struct away: it has no fields.",
}


def stored(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """The frame with types that a Delta table holds, every value kept.

    Unsigned and 128-bit integers become signed ones, categories become text, arrays become lists, datetimes get
    microseconds.

    Raises:
        HeadraceError: HR638 for a column of another type, HR640 for values that would change, HR642 without columns,
            HR644 for names that differ in case alone.
    """
    if not frame.columns:
        raise HeadraceError("HR642", f"the rows for table {name} have no columns")
    _refuse_alike(frame.columns, f"table {name}")
    for column, dtype in frame.schema.items():
        for fields in _structs(dtype):
            _refuse_alike(fields, f"column {column} of table {name}")
    targets = {column: _target(dtype, column, name) for column, dtype in frame.schema.items()}
    return _cast(frame, {column: dtype for column, dtype in targets.items() if dtype != frame.schema[column]}, name)


def _refuse_alike(names: Iterable[str], what: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise HeadraceError("HR644", f"{what} has {other!r} and {name!r}")


def _structs(dtype: pl.DataType) -> Iterator[list[str]]:
    """The names in each struct that a type holds."""
    if isinstance(dtype, pl.List | pl.Array):
        yield from _structs(_instance(dtype.inner))
    if isinstance(dtype, pl.Struct):
        yield [field.name for field in dtype.fields]
        for field in dtype.fields:
            yield from _structs(_instance(field.dtype))


def fitted(frame: pl.DataFrame, base: Mapping[str, pl.DataType], name: str) -> pl.DataFrame:
    """The frame with the columns of a base in the order of the base, ready to be appended to it.

    A datetime of another time zone is shown in the zone of the base: the moment is the same.

    Raises:
        HeadraceError: HR641 when the columns or their types differ.
    """
    missing = [column for column in base if column not in frame.schema]
    added = [column for column in frame.schema if column not in base]
    if missing or added:
        parts = [f"{text} {', '.join(some)}" for text, some in (("without", missing), ("with", added)) if some]
        raise HeadraceError("HR641", f"the new rows of table {name} come {' and '.join(parts)}")
    frame = pl.DataFrame({column: frame.get_column(column) for column in base})
    zones = {
        column: dtype
        for column, dtype in base.items()
        if dtype != frame.schema[column] and _in_utc(dtype) == _in_utc(frame.schema[column])
    }
    frame = _cast(frame, zones, name)
    for column, dtype in base.items():
        if frame.schema[column] != dtype:
            what = f"column {column} of table {name} is {dtype} so far and {frame.schema[column]} in the new rows"
            raise HeadraceError("HR641", what)
    return frame


def in_utc(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with each zoned datetime in UTC, which is all that Delta's own schema knows."""
    return pl.DataFrame({column.name: column.cast(_in_utc(column.dtype)) for column in frame})


def _cast(frame: pl.DataFrame, targets: Mapping[str, pl.DataType], name: str) -> pl.DataFrame:
    """Cast columns, and make sure that no value changed. A strict cast would end the process on some datetimes."""
    columns = []
    for column, target in targets.items():
        before = frame.get_column(column)
        after = before.cast(target, strict=False)
        if _may_change(before.dtype):
            changed = before.ne_missing(after.cast(before.dtype, strict=False))
            if changed.any():
                count = changed.sum()
                at = f"{count} value{'' if count == 1 else 's'}, the first in row {changed.arg_max()}"
                raise HeadraceError("HR640", f"column {column} of table {name} does not fit {target}: {at}")
        columns.append(after)
    return frame.with_columns(columns)


def _target(dtype: pl.DataType, column: str, name: str) -> pl.DataType:
    """The type that a column is stored as."""

    def leaf(dtype: pl.DataType) -> pl.DataType:
        kind = dtype.base_type()
        if kind in _KEPT:
            return dtype
        if kind in _WIDENED:
            return _WIDENED[kind]
        if isinstance(dtype, pl.Datetime):
            return pl.Datetime("us", dtype.time_zone)
        raise HeadraceError("HR638", f"column {column} of table {name} holds {dtype}", fix=_FIXES.get(kind))

    return _mapped(dtype, leaf)


def _in_utc(dtype: pl.DataType) -> pl.DataType:
    """The same type, with UTC for every time zone."""
    return _mapped(dtype, lambda leaf: pl.Datetime("us", "UTC") if getattr(leaf, "time_zone", None) else leaf)


def _may_change(dtype: pl.DataType) -> bool:
    """Whether the type has values that its stored type has not."""
    leaves: list[pl.DataType] = []

    def leaf(dtype: pl.DataType) -> pl.DataType:
        leaves.append(dtype)
        return dtype

    _mapped(dtype, leaf)
    return any(dtype.base_type() in _DEPENDS_ON_THE_VALUES for dtype in leaves)


def _mapped(dtype: pl.DataType, leaf: Callable[[pl.DataType], pl.DataType]) -> pl.DataType:
    """A type with each type in it that holds no other one replaced; arrays become lists."""
    if isinstance(dtype, pl.List | pl.Array):
        return pl.List(_mapped(_instance(dtype.inner), leaf))
    if isinstance(dtype, pl.Struct) and dtype.fields:
        return pl.Struct({field.name: _mapped(_instance(field.dtype), leaf) for field in dtype.fields})
    return leaf(dtype)


def _instance(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    """Polars takes a class such as `pl.Int8` for the type `pl.Int8()`."""
    return dtype() if isinstance(dtype, type) else dtype
