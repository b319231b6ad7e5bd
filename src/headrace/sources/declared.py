"""Texts as the types that were declared for them: exactly, or an error that names the first one that does not fit."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl

from headrace.errors import HeadraceError, did_you_mean
from headrace.sources.times import dates, moments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_TRUTH = {"true": True, "false": False}
WHOLE = r"^[+-]?\d+$"
PADDED = r"^\s*0\d"
"""A text that a parser takes for a number and that a number does not keep: 00123 is a code that somebody gave."""
_NUMBER = r"\d"
_MANYWHOLE = r"^[+-]?[\d.,]{17,}"
"""A number of up to 15 digits comes back from a 64-bit float as it was written."""
_EXPONENT = r"^[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d{1,9}$"
_LONGEST = 76
"""Digits before or behind the point beyond which no decimal reaches."""
EXACT, _EXACT_SINGLE = 2**53, 2**24
"""Whole numbers up to these are all 64-bit floats, and 32-bit floats; above them some are not."""
_FIX_OTHER = "Leave the column out of schema=, and convert it in a table, where it is to be seen how."


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
        column = _spelled_out(column)
        digits = column.str.extract(r"\.(\d*?)0*$").str.len_chars().fill_null(0)
        return column.set(digits > kind.scale, None).cast(kind, strict=False)
    return column.cast(kind, strict=False)


def _spelled_out(column: pl.Series) -> pl.Series:
    """Texts with an exponent, such as 1e-3, written without it, so that their digits can be counted."""
    powers = column.str.contains(_EXPONENT).fill_null(value=False)
    if not powers.any():
        return column
    return pl.Series(
        column.name, [_plain(text) if power else text for text, power in zip(column, powers, strict=True)], pl.String
    )


def _plain(text: str) -> str | None:
    number = Decimal(text)
    return f"{number:f}" if abs(number.adjusted()) <= _LONGEST else None


def recast(name: str, column: pl.Series, kind: pl.DataType, place: Callable[[int], str]) -> pl.Series:
    """A column that brings a type along as the declared one: every value stays what it is.

    Raises:
        HeadraceError: HR311 for a value that would change, and for a type that says nothing of the declared one; HR330
            for a number that a float does not keep.
    """
    of = column.dtype
    if isinstance(of, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if isinstance(column.dtype, pl.String) or (isinstance(kind, pl.Decimal) and of.is_float()):
        return declared(name, column.cast(pl.String), kind, place)
    if not (of == kind or isinstance(kind, pl.String) or isinstance(of, pl.Null) or _group(of) == _group(kind) != ""):
        what = f"{name}: column {column.name!r} is of type {of}, and schema= declares {kind}"
        raise HeadraceError("HR311", what, fix=_FIX_OTHER)
    if isinstance(of, pl.Datetime) and of.time_zone:
        column = column.dt.convert_time_zone("UTC")
    try:
        found = column.cast(kind, strict=isinstance(kind, pl.String))
    except pl.exceptions.PolarsError as error:
        first = str(error).strip().partition("\n")[0]
        raise HeadraceError("HR311", f"{name}: column {column.name!r} is no {kind}: {first}") from None
    if kind.is_float():
        refuse_inexact(name, found, column.cast(pl.String), place)
    elif not isinstance(kind, pl.String):
        _refuse_changed(name, column, found, place)
    return found


def _group(kind: pl.DataType) -> str:
    """Types of one group say the same of a value; a number is no time, as nobody knows what it counts."""
    if kind.is_numeric() or isinstance(kind, pl.Boolean):
        return "number"
    return "time" if isinstance(kind, pl.Date | pl.Datetime) else ""


def _refuse_changed(name: str, column: pl.Series, found: pl.Series, place: Callable[[int], str]) -> None:
    """Raises HR311 with the first value that does not come back from the declared type."""
    back = found.cast(column.dtype, strict=False)
    wrong = column.is_not_null() & (found.is_null() | back.ne_missing(column))
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        what = f"{name}, {place(row)}: {column[row]} in column {column.name!r} is no {found.dtype}"
        raise HeadraceError("HR311", what)


def large(numbers: pl.Series) -> bool:
    """Whether a column of floats holds what may have lost digits: huge or infinite numbers."""
    return bool((numbers.abs() > _exact(numbers) - 1).any())


def _exact(numbers: pl.Series) -> int:
    return _EXACT_SINGLE if isinstance(numbers.dtype, pl.Float32) else EXACT


def refuse_inexact(name: str, numbers: pl.Series, texts: pl.Series, place: Callable[[int], str]) -> None:
    """Raises HR330 where a text is a number that no float holds: too large, or with too many digits.

    A number with a fraction is kept where the float is written as it was: 64-bit floats have about 16 digits.
    """
    if not large(numbers):
        return
    number, whole = texts.str.contains(_NUMBER), texts.str.contains(WHOLE)
    long = whole if isinstance(numbers.dtype, pl.Float32) else whole | texts.str.contains(_MANYWHOLE)
    suspects = (numbers.is_infinite() & number) | (long & (numbers.abs() > _exact(numbers) - 1))
    for row in suspects.fill_null(value=False).arg_true():
        if not _kept(texts[row], numbers[row], whole=whole[row]):
            what = f"{name}, {place(row)}: {texts[row]!r} in column {texts.name!r} is more than a float keeps"
            raise HeadraceError("HR330", what, fix=_fix_text(texts.name))


def _kept(text: str, number: float, *, whole: bool) -> bool:
    if math.isinf(number):
        return False
    written = Decimal(text.replace(",", "."))
    return written == Decimal(number) or (not whole and written == Decimal(repr(number)))


def _fix_text(column: str) -> str:
    return f"Declare the column as text: schema={{{column!r}: pl.String}}."
