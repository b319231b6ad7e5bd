"""NDJSON: one JSON object on each line. Its keys are the columns; a key that a line lacks is no value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

from headrace.errors import HeadraceError
from headrace.sources.cells import Fraction, Whole, frame_of
from headrace.sources.declared import refuse_missing
from headrace.sources.texts import Text, utf8

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from headrace.sources.spec import FileSpec


_FIX_LINES = "Write each object on one line, for example with `jq -c {}`."


class _WrongError(ValueError):
    """What is wrong with a line though a lenient reader would take it."""


def read_ndjson(name: str, content: bytes, spec: FileSpec) -> pl.DataFrame:
    """The rows of an NDJSON file, with its columns in the order in which they first appear.

    Raises:
        HeadraceError: HR304 for a file without a line, HR308, HR310, HR311, HR316, HR324 for a line that is no JSON
            object, and HR330, with the file and, where there is one, the line.
    """
    frame = read_lines(name, Text(utf8(name, content)), spec.schema)
    if not frame.width:
        raise HeadraceError("HR304", f"{name} has no line with a JSON object")
    refuse_missing(name, spec.schema, frame.columns)
    return frame


def read_lines(name: str, text: Text, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The rows of lines, each column of its type where there is one in `types`, which may name columns without a value.

    Raises:
        HeadraceError: HR308, HR311, HR316, HR324 and HR330.
    """
    columns: dict[str, list[object]] = {}
    lines: list[int] = []
    for number, line in enumerate(text.content.split(b"\n"), text.before + 1):
        if line and not line.isspace():
            _add(columns, _row(name, number, line), len(lines))
            lines.append(number)
    return frame_of(name, columns, types, lambda row: f"line {lines[row]}")


def _add(columns: dict[str, list[object]], row: dict[str, object], rows: int) -> None:
    """One more row; a key that is new had no value in the rows before."""
    for key in row:
        if key not in columns:
            columns[key] = [None] * rows
    for key, cells in columns.items():
        cells.append(row.get(key))


def _row(name: str, number: int, line: bytes) -> dict[str, object]:
    try:
        row = _DECODER.decode(line.decode())
    except json.JSONDecodeError as error:
        what = f"{name}, line {number}, column {error.pos + 1}: {error.msg}"
        begun = {b"{": ".", b"[": "'.[]'", b"[{": "'.[]'"}.get(line.strip())
        fix = None if begun is None else _FIX_LINES.format(begun)
        raise HeadraceError("HR324", what, fix=fix) from None
    except _WrongError as error:
        raise HeadraceError("HR324", f"{name}, line {number}: {error}") from None
    except RecursionError:
        raise HeadraceError("HR324", f"{name}, line {number}: nested too deeply") from None
    if not isinstance(row, dict):
        what = f"{name}, line {number}: {line[:40].decode(errors='replace')!r} is no JSON object"
        raise HeadraceError("HR324", what, fix=_FIX_LINES.format("'.[]'") if isinstance(row, list) else None)
    if "" in row:
        raise HeadraceError("HR325", f"{name}, line {number}: the key '' is no name of a column")
    return row


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        message = f"the key {twice!r} stands twice in one object"
        raise _WrongError(message)
    return found


def _refuse_constant(text: str) -> NoReturn:
    message = f"{text} is no JSON value"
    raise _WrongError(message)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=Whole, parse_float=Fraction, parse_constant=_refuse_constant
)
