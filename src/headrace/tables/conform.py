"""The columns of a contract, in its order and types: whatever keeps each value is done, anything else is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from headrace.errors import HeadraceError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polars.datatypes import DataTypeClass

    from headrace.tables.contract import Column, Contract

_DTYPES: dict[str, pl.DataType] = {
    "String": pl.String(),
    "Int64": pl.Int64(),
    "Float64": pl.Float64(),
    "Boolean": pl.Boolean(),
    "Date": pl.Date(),
    "Datetime": pl.Datetime("us", "UTC"),
}
_SMALL_INTEGERS: tuple[DataTypeClass, ...] = (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32)
_WIDENED: dict[str, tuple[DataTypeClass, ...]] = {
    "Int64": _SMALL_INTEGERS,
    "Float64": (pl.Float32, *_SMALL_INTEGERS),
    "String": (pl.Categorical, pl.Enum),
}
_DEPENDS_ON_THE_VALUES: dict[str, tuple[DataTypeClass, ...]] = {
    "Int64": (pl.UInt64, pl.Int128, pl.UInt128),
    "Float64": (pl.Int64, pl.UInt64),
}
_FIX_TEXT = 'Cast it in the function: pl.col("{name}").cast(pl.{type}); or declare its type where the file is read.'
_FIX_MOMENT = 'Parse it in the function: pl.col("{name}").str.to_datetime().'


def dtype_of(column: Column) -> pl.DataType:
    """The Polars type of a column of a contract."""
    return _DTYPES[column.type]


def schema_of_contract(contract: type[Contract]) -> dict[str, str]:
    """Columns and types of clean rows, as text."""
    return {each.name: str(dtype_of(each)) for each in contract.__columns__}


def left_out(columns: Iterable[str], contract: type[Contract]) -> list[str]:
    """The columns that a contract does not name, in order."""
    wanted = {column.name for column in contract.__columns__}
    return [name for name in columns if name not in wanted]


def conformed(
    frame: pl.DataFrame, contract: type[Contract], table: str, *, exactly: bool | None = None
) -> pl.DataFrame:
    """The frame with the columns of the contract. Others are left out, unless there may be none: by the contract.

    Smaller numbers become larger ones, whole numbers become floats and large types small ones where each value stays
    the same, categories become text, a time is brought to UTC (without a zone it is taken as UTC), and a column
    without any value gets the type of the contract.

    Raises:
        HeadraceError: HR406 for a missing column, HR407 for a type that does not fit, HR408 for a column too many.
    """
    missing = [column.name for column in contract.__columns__ if column.name not in frame.columns]
    extra = left_out(frame.columns, contract)
    if missing:
        fix = f"Return it, or take it out of the contract: {did_you_mean(missing[0], extra or frame.columns)}"
        raise HeadraceError("HR406", f"{table} has no column {missing[0]!r}, which its contract names", fix=fix)
    if extra and (contract.__strict__ if exactly is None else exactly):
        raise HeadraceError("HR408", f"{table} has columns that its contract does not name: {', '.join(extra)}")
    return frame.select([_conformed(frame.get_column(each.name), each, table) for each in contract.__columns__])


def _conformed(values: pl.Series, column: Column, table: str) -> pl.Series:
    target, found = dtype_of(column), values.dtype
    if found in (target, pl.Null):
        return values.cast(target)
    if isinstance(found, pl.Datetime) and isinstance(target, pl.Datetime):
        return _moment(values, column, table)
    if found in _WIDENED.get(column.type, ()):
        return values.cast(target)
    if _by_value(found, column):
        cast = values.cast(target, strict=False)
        if not values.ne_missing(cast.cast(found, strict=False)).any():
            return cast
        raise _misfit(table, column, f"{found} with values that {column.type} does not hold")
    raise _misfit(table, column, str(found))


def _by_value(found: pl.DataType, column: Column) -> bool:
    whole = isinstance(found, pl.Decimal) and found.scale == 0 and column.type == "Int64"
    return whole or found in _DEPENDS_ON_THE_VALUES.get(column.type, ())


def _moment(values: pl.Series, column: Column, table: str) -> pl.Series:
    found = values.dtype
    if getattr(found, "time_unit", "us") == "ns" and (values.dt.nanosecond() % 1000 != 0).any():
        raise _misfit(table, column, f"{found} with fractions of a microsecond")
    zoned = values if getattr(found, "time_zone", None) else values.dt.replace_time_zone("UTC")
    return zoned.dt.convert_time_zone("UTC").cast(dtype_of(column))


def _misfit(table: str, column: Column, found: str) -> HeadraceError:
    fix = None
    if found == "String":
        fix = (_FIX_MOMENT if column.type == "Datetime" else _FIX_TEXT).format(name=column.name, type=column.type)
    return HeadraceError("HR407", f"{table}.{column.name} is {found}, and its contract says {column.type}", fix=fix)
