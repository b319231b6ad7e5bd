"""Single values, as NDJSON and Excel give them, to columns: one type each, and nothing rounded on the way."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from headrace.errors import HeadraceError
from headrace.sources.declared import declared, refuse_inexact
from headrace.sources.times import moments, recognised

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Whole(str):
    """A whole number, as it was written."""

    __slots__ = ()


class Fraction(str):
    """Another number, as it was written."""

    __slots__ = ()


Cell: TypeAlias = "str | Whole | Fraction | bool | datetime | None"

_KINDS = {Whole: "a number", Fraction: "a number", bool: "a truth value", datetime: "a time", str: "a text"}
_NESTED = {list: "a list", dict: "an object", time: "a time of day", timedelta: "a duration", date: "a date"}
_FIX_NESTED = "Write each part of it as a column of its own, or the whole of it as one text."


def frame_of(
    name: str, columns: Mapping[str, Sequence[object]], types: Mapping[str, pl.DataType], place: Callable[[int], str]
) -> pl.DataFrame:
    """Columns of cells as a frame; `types` are the declared ones, and `place` says where a row is.

    Raises:
        HeadraceError: HR311 for a value that does not go with the column, HR316 for one that cannot be landed, HR330
            for a number that cannot be kept exactly.
    """
    return pl.DataFrame([_column(name, called, cells, types.get(called), place) for called, cells in columns.items()])


def _column(
    name: str, called: str, cells: Sequence[object], kind: pl.DataType | None, place: Callable[[int], str]
) -> pl.Series:
    found = set(map(type, cells)) - {type(None)}
    if isinstance(kind, pl.String) and found & {list, dict}:
        cells = [_json(cell) if isinstance(cell, list | dict) else cell for cell in cells]
        found = found - {list, dict} | {str}
    _refuse_nested(name, called, cells, found, place)
    texts = _texts(name, called, cells, found, place)
    if kind is not None:
        return declared(name, texts, kind, place)
    if not found:
        return pl.Series(called, [None] * len(cells), dtype=pl.Null)
    if found == {Whole}:
        return _whole(name, texts, place)
    if found <= {Whole, Fraction}:
        numbers = texts.cast(pl.Float64)
        refuse_inexact(name, numbers, texts, place)
        return numbers
    if len(found) > 1:
        raise _mixed(name, called, cells, place)
    if found == {bool}:
        return texts == "true"
    return moments(texts) if found == {datetime} else recognised(texts)


def _refuse_nested(
    name: str, called: str, cells: Sequence[object], found: set[type], place: Callable[[int], str]
) -> None:
    for kind in found - set(_KINDS):
        row = next(row for row, cell in enumerate(cells) if type(cell) is kind)
        what = f"{name}, {place(row)}: column {called!r} holds {_NESTED.get(kind, kind.__name__)}"
        json_text = f" Or land it as JSON text: schema={{{called!r}: pl.String}}." if kind in (list, dict) else ""
        raise HeadraceError("HR316", what, fix=_FIX_NESTED + json_text)


def _json(cell: object) -> str:
    """A list or an object as JSON, its numbers as they were written."""
    if isinstance(cell, dict):
        return "{" + ", ".join(f"{_json(str(key))}: {_json(value)}" for key, value in cell.items()) + "}"
    if isinstance(cell, list):
        return "[" + ", ".join(map(_json, cell)) + "]"
    return str(cell) if isinstance(cell, Whole | Fraction) else json.dumps(cell, ensure_ascii=False, default=str)


def _texts(name: str, called: str, cells: Sequence[object], found: set[type], place: Callable[[int], str]) -> pl.Series:
    if found & {bool, datetime}:
        cells = [_text(cell) for cell in cells]
    try:
        return pl.Series(called, cells, dtype=pl.String)
    except UnicodeEncodeError:
        row = next(row for row, cell in enumerate(cells) if isinstance(cell, str) and not _encodes(cell))
        what = f"{name}, {place(row)}: column {called!r} holds half of a character (a lone surrogate)"
        raise HeadraceError("HR308", what) from None


def _text(cell: object) -> object:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return cell.isoformat() if isinstance(cell, datetime) else cell


def _encodes(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _whole(name: str, texts: pl.Series, place: Callable[[int], str]) -> pl.Series:
    for kind in (pl.Int64, pl.UInt64):
        numbers = texts.cast(kind, strict=False)
        if numbers.null_count() == texts.null_count():
            return numbers
    signed = texts.cast(pl.Int64, strict=False)
    row = int((signed.is_null() & texts.is_not_null()).arg_max() or 0)
    what = f"{name}, {place(row)}: {texts[row]!r} in column {texts.name!r} is beyond 64 bits"
    fix = f"Declare the column as text: schema={{{texts.name!r}: pl.String}}."
    raise HeadraceError("HR316", what, fix=fix)


def _mixed(name: str, called: str, cells: Sequence[object], place: Callable[[int], str]) -> HeadraceError:
    """The first two values of a column that are of different kinds."""
    given = [(row, _KINDS[type(cell)]) for row, cell in enumerate(cells) if cell is not None]
    first, kind = given[0]
    row, other = next(each for each in given if each[1] != kind)
    value = str(cells[row]) if not isinstance(cells[row], bool) else str(cells[row]).lower()
    what = f"{name}, {place(row)}: column {called!r} holds {other}, {value!r}, and {kind} in {place(first)}"
    return HeadraceError("HR311", what)
