"""Texts as the types that were declared for them: exactly, or an error that names the first one that does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from headrace.errors import HeadraceError, did_you_mean
from headrace.sources.times import dates, moments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_TRUTH = {"true": True, "false": False}
_DIGITS = r"^[+-]?\d+$"
_NUMBER = r"\d"
EXACT = 2**53
"""Whole numbers up to this one are all 64-bit floats; above it some are not."""


def refuse_missing(name: str, declared: Iterable[str], found: Iterable[str]) -> None:
    """Raises HR310 for a declared column that a file does not have."""
    known = tuple(found)
    for column in declared:
        if column not in known:
            fix = f"Correct schema= or the file: {did_you_mean(column, known)}"
            raise HeadraceError("HR310", f"{name} has no column {column!r}, which schema= declares", fix=fix)


def declared(
    name: str, column: pl.Series, kind: pl.DataType, place: Callable[[int], str], decimal: str = "."
) -> pl.Series:
    """A column of texts as the declared type; `place` says where a row is. Raises HR311 with the first that is none."""
    found = converted(column, kind, decimal)
    wrong = found.is_null() & column.is_not_null()
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        what = f"{name}, {place(row)}: {column[row]!r} in column {column.name!r} is no {kind}"
        raise HeadraceError("HR311", what)
    if kind.is_float():
        refuse_inexact(name, found, column, place)
    return found


def converted(column: pl.Series, kind: pl.DataType, decimal: str = ".") -> pl.Series:
    """Texts as another type; null where a text does not fit it exactly."""
    if isinstance(kind, pl.Date):
        return dates(column)
    if isinstance(kind, pl.Datetime):
        return moments(column)
    if isinstance(kind, pl.Boolean):
        return column.str.to_lowercase().replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)
    if decimal == "," and (isinstance(kind, pl.Decimal) or kind.is_float()):
        column = column.set(column.str.contains(".", literal=True), None).str.replace(",", ".", literal=True)
    if isinstance(kind, pl.Decimal):
        digits = column.str.extract(r"\.(\d*?)0*$").str.len_chars().fill_null(0)
        return column.set(digits > kind.scale, None).cast(kind, strict=False)
    return column.cast(kind, strict=False)


def large(numbers: pl.Series) -> bool:
    """Whether a column of floats holds what may have lost digits: huge or infinite numbers."""
    return bool((numbers.abs() > EXACT - 1).any())


def refuse_inexact(name: str, numbers: pl.Series, texts: pl.Series, place: Callable[[int], str]) -> None:
    """Raises HR330 where a text is a number that no float holds: too large, or whole with too many digits."""
    if not large(numbers):
        return
    number = texts.str.contains(_NUMBER)
    suspects = (numbers.is_infinite() & number) | (texts.str.contains(_DIGITS) & (numbers.abs() > EXACT - 1))
    for row in suspects.fill_null(value=False).arg_true():
        if numbers[row] in (float("inf"), float("-inf")) or int(texts[row]) != int(numbers[row]):
            what = f"{name}, {place(row)}: {texts[row]!r} in column {texts.name!r} is more than a float keeps"
            raise HeadraceError("HR330", what, fix=_fix_text(texts.name))


def _fix_text(column: str) -> str:
    return f"Declare the column as text: schema={{{column!r}: pl.String}}."
