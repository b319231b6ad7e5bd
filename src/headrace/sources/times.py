"""ISO 8601 dates and times in text: recognised only where every value of a column is one, never guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable

_MANY, _FEW = 4096, 4
"""A column of at least so many texts, of which at most one in four is another one, is converted value by value."""
_DATE = r"^\d{4}-\d{2}-\d{2}$"
_MOMENT = r"^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(?::([0-5]\d))?(?:\.(\d{1,6})0{0,3})?(Z|[+-]\d{2}:?\d{2})?$"
_ZONE = r"(Z|[+-]\d{2}:?\d{2})$"
_FIRST_DAY = -719_162
"""1 January of the year 1, in days since 1970: the year 0 is none."""
UTC = pl.Datetime("us", "UTC")


def recognised(column: pl.Series) -> pl.Series:
    """The column as dates or as times in UTC, where each of its texts is one; else the column itself."""
    texts = column.drop_nulls().head(1)
    if texts.is_empty():
        return column
    for pattern, parse in ((_DATE, dates), (_MOMENT, moments)):
        if texts.str.contains(pattern).all():
            return by_value(column, lambda values, pattern=pattern, parse=parse: _all_of(values, pattern, parse))  # type: ignore[misc]
    return column


def by_value(column: pl.Series, convert: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """What `convert` makes of a column, asked for each different value once where there are few of them."""
    if column.len() < _MANY or column.head(_MANY).n_unique() > _MANY // _FEW:
        return convert(column)
    values = column.unique()
    if values.len() > column.len() // _FEW:
        return convert(column)
    converted = convert(values)
    if converted.dtype == column.dtype:
        return column
    return column.replace_strict(values, converted, return_dtype=converted.dtype)


def _all_of(column: pl.Series, pattern: str, parse: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """The column parsed, where all of its texts are what the pattern says; else the column itself."""
    if not column.str.contains(pattern).all():
        return column
    parsed = parse(column)
    return parsed if parsed.null_count() == column.null_count() else column


def dates(column: pl.Series) -> pl.Series:
    """Texts as dates; null where a text is none."""
    found = pl.Series(column.name, column.str.to_date("%Y-%m-%d", strict=False), dtype=pl.Date)
    return found.set(found.to_physical() < _FIRST_DAY, None)


def moments(column: pl.Series) -> pl.Series:
    """Texts as times in UTC; null where a text is none. A time without a zone is taken as UTC."""
    known = column.str.contains(_MOMENT)
    usual = column.str.replace(" ", "T", literal=True)
    zoned = usual.str.contains(_ZONE)
    usual = usual.zip_with(zoned.fill_null(value=True), usual + "Z")
    parsed = usual.str.to_datetime("%+", time_unit="us", strict=False).set(~known, None)
    if parsed.null_count() == column.null_count():
        return parsed.cast(UTC).rename(column.name)
    return _written_out(column).cast(UTC).rename(column.name)


def _written_out(column: pl.Series) -> pl.Series:
    """Texts as times by way of one full spelling: with seconds, and with the digits of the zone."""
    parts = column.str.extract_groups(_MOMENT).struct.rename_fields(["date", "time", "second", "fraction", "zone"])
    spelled = pl.format(
        "{}T{}:{}.{}{}",
        "date",
        "time",
        pl.col("second").fill_null("00"),
        pl.col("fraction").fill_null("0"),
        pl.col("zone").fill_null("+0000").replace("Z", "+0000"),
    )
    found = parts.struct.unnest().select(
        spelled.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False)
    )
    return found.to_series()
