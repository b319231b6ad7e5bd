"""The types of landed columns: which there are, how batches with different ones go together, how they are written."""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import polars as pl

_SIGNED = ("Int8", "Int16", "Int32", "Int64")
_UNSIGNED = ("UInt8", "UInt16", "UInt32", "UInt64")
_FLOATS = ("Float32", "Float64")
_PLAIN = frozenset((*_SIGNED, *_UNSIGNED, *_FLOATS, "String", "Boolean", "Date", "Null"))
_DECIMAL = re.compile(r"Decimal\(precision=(\d+), scale=(\d+)\)")
_FIX_LONG = "Declare the column as text: schema={{{name!r}: pl.String}}."
_FIX_YEARS = "Write null where there is no time, and times of the years 1 to 9999."
_FIRST_DAY, _DAY_AFTER = -719_162, 2_932_897
"""1 January of the year 1 and of the year 10000, in days since 1970."""
_DAY = {"ms": 86_400_000, "us": 86_400_000_000}
_FIX_NANOSECONDS = (
    "Round the column to microseconds where the file is written. The old type INT96 of Parquet seems to hold such "
    "fractions before 1678 and after 2261: write it as TIMESTAMP_MICROS."
)


def dtype(text: str) -> pl.DataType:
    """The type that `str(dtype)` wrote. Raises HR316 for one that is never landed."""
    import polars as pl

    if text in _PLAIN:
        kind: type[pl.DataType] = getattr(pl, text)
        return kind()
    if text.startswith("Datetime"):
        return pl.Datetime("us", "UTC")
    decimal = _DECIMAL.fullmatch(text)
    if decimal is None:
        raise HeadraceError("HR316", f"a column of type {text}")
    return pl.Decimal(int(decimal[1]), int(decimal[2]))


def landable(name: str, frame: pl.DataFrame, declared: Iterable[str]) -> pl.DataFrame:
    """The frame with types that can be landed, each value kept.

    A time without a zone is taken as UTC, categories become text, and a column without any value gets the type Null,
    which goes together with every other one, unless its type was declared. Raises HR316 for a type that cannot be kept.
    """
    return frame.with_columns(
        [_landable(name, column, keep=column.name in set(declared)) for column in frame.get_columns()]
    )


def _landable(file: str, column: pl.Series, *, keep: bool) -> pl.Series:
    import polars as pl

    kind = column.dtype
    if column.null_count() == column.len() and not keep:
        return column.cast(pl.Null)
    if isinstance(kind, pl.Datetime | pl.Date):
        _refuse_other_years(file, column)
    if isinstance(kind, pl.Datetime):
        return _in_utc(file, column)
    if isinstance(kind, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    if str(kind) not in _PLAIN and not isinstance(kind, pl.Decimal):
        fix = _FIX_LONG.format(name=column.name) if isinstance(kind, pl.Int128) else None
        raise HeadraceError("HR316", f"{file}: column {column.name!r} is of type {kind}", fix=fix)
    return column


def _refuse_other_years(file: str, column: pl.Series) -> None:
    """Raises HR316 for what is no time of the years 1 to 9999: not every engine knows others, and some end by them."""
    unit = getattr(column.dtype, "time_unit", None)
    if unit == "ns":
        return  # all of them lie between 1677 and 2262
    a_day = 1 if unit is None else _DAY[unit]
    numbers = column.to_physical()
    wrong = (numbers < _FIRST_DAY * a_day) | (numbers >= _DAY_AFTER * a_day)
    if wrong.any():
        what = f"{file}: column {column.name!r} holds {wrong.sum()} times before the year 1 or after the year 9999"
        raise HeadraceError("HR316", what, fix=_FIX_YEARS)


def _in_utc(file: str, column: pl.Series) -> pl.Series:
    import polars as pl

    kind = column.dtype
    if getattr(kind, "time_unit", "us") == "ns" and (column.dt.nanosecond() % 1000 != 0).any():
        what = f"{file}: column {column.name!r} holds fractions of a microsecond"
        raise HeadraceError("HR316", what, fix=_FIX_NANOSECONDS)
    zoned = column if getattr(kind, "time_zone", None) else column.dt.replace_time_zone("UTC")
    return zoned.dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC"))


def union_schema(
    batches: Iterable[tuple[str, Mapping[str, str]]], example: Callable[[str, str, str], str] | None = None
) -> dict[str, str]:
    """The types that every batch can be cast to, in the order in which columns first appear.

    A column that has no value in any batch is text. Batches may lack columns: what that means is decided elsewhere, see
    `headrace.sources.changes`. Raises HR314 for types that do not go together, with what `example` says of the value
    that is to blame, given its batch, its column and the type that it does not fit.
    """
    found: dict[str, dict[str, str]] = {}
    for batch, schema in batches:
        for column, kind in schema.items():
            found.setdefault(column, {}).setdefault(kind, batch)
    return {column: _union(column, kinds, example) for column, kinds in found.items()}


def _union(column: str, kinds: Mapping[str, str], example: Callable[[str, str, str], str] | None) -> str:
    """The type that holds the values of all types, given with the first batch of each."""
    given = [kind for kind in kinds if kind != "Null"]
    if len(given) < 2:  # noqa: PLR2004 - one type needs no other
        return given[0] if given else "String"
    both = merged(frozenset(given))
    if both is not None:
        return both
    one, other = next(pair for pair in combinations(given, 2) if merged(frozenset(pair)) is None)
    fix = f'Declare its type: schema={{"{column}": pl.String}}; or mend {kinds[other]}.'
    what = f"column {column!r} is {one} in {kinds[one]} and {other} in {kinds[other]}"
    if example is not None:
        odd, right = (one, other) if one == "String" else (other, one)
        what = f"{what}: {example(kinds[odd], column, right)}"
    raise HeadraceError("HR314", what, fix=fix)


def merged(kinds: frozenset[str]) -> str | None:
    """The type that holds the values of several different ones; None where there is none."""
    if not kinds <= {*_SIGNED, *_UNSIGNED, *_FLOATS}:
        return None
    if kinds & set(_FLOATS):
        return "Float64"
    if kinds <= set(_UNSIGNED):
        return "UInt64"
    return None if "UInt64" in kinds else "Int64"
