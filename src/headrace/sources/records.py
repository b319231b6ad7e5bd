"""The lines of a CSV file: where each record begins and how many fields it has, checked before anything is parsed.

Polars fills a record that has too few fields with nulls. Here each record must have as many fields as the header has.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from headrace.errors import HeadraceError
from headrace.sources.texts import scanned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headrace.sources.options import Dialect
    from headrace.sources.texts import Text

_FIX_RETURNS = "Write the file with newlines, for example with `tr '\\r' '\\n'`."
_NEWLINE, _RETURN = 10, 13
_SEPARATORS = ";\t|,"


@dataclass(frozen=True)
class Records:
    """The records of one text: `rows` of them follow the one with the names, whose number is `header`.

    `starts` are offsets in bytes; None where each line is a record. `blank` marks, for each record after the header,
    whether its line is empty (None: none is): such lines are no rows, unless there is one column only, where an empty
    line is an empty field.
    """

    text: Text
    names: tuple[str, ...]
    rows: int
    header: int = 0
    starts: NDArray[np.int64] | None = None
    blank: NDArray[np.bool_] | None = None
    padded: NDArray[np.int64] | None = None

    def line(self, row: int) -> int:
        """The line of the file, counted from 1, on which a row begins; row 0 follows the header."""
        if self.starts is None:
            return self.text.before - self.text.added + row + 2
        return self.text.line(int(self.starts[self.header + 1 + row]))


def plain_records(name: str, source: Text, dialect: Dialect) -> Records | None:
    """The records of a text that is as simple as most are; None for one that is to be looked at byte by byte.

    Without quotation marks each line is a record, and it is enough to count: where there are as many separators as that
    many full records have, and no record has too many (which Polars refuses), each has as many as the header.
    """
    text = source.content
    if source.dropped or (dialect.quote is not None and dialect.quote.encode() in text):
        return None
    head = text[: text.find(b"\n") + 1] or text
    if not head.strip() or (b"\r" in text and text.count(b"\r") != text.count(b"\r\n")):
        return None
    names = _names(name, head.removesuffix(b"\n"), dialect)
    rows = source.newlines - text.endswith(b"\n")
    separators, padded = scanned(text, dialect.separator)
    if separators != (len(names) - 1) * (rows + 1):
        return None
    return Records(source, names, rows, padded=padded)


def records(name: str, source: Text, dialect: Dialect) -> Records:
    """Find the records of a text.

    Raises:
        HeadraceError: HR304 without a header, HR307 for a ragged record, HR309 for two columns of one name, HR311 for
            lines that end otherwise, HR317 for a quotation mark where none may be.
    """
    text = source.content
    if not text or not text.strip(b"\r\n \t" if dialect.separator != "\t" else b"\r\n "):
        raise HeadraceError("HR304", f"{name} has no header line")
    data = np.frombuffer(text, np.uint8)
    newline, separator = data == _NEWLINE, data == ord(dialect.separator)
    outside: NDArray[np.bool_] | None = None
    if dialect.quote is not None and dialect.quote.encode() in text:
        outside = _outside_quotes(name, source, data, dialect)
        newline &= outside
        separator &= outside
    ends = np.flatnonzero(newline)
    if not text.endswith(b"\n"):
        ends = np.append(ends, len(text))
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    lengths = ends - starts
    blank = (lengths == 0) | ((lengths == 1) & (data[np.minimum(starts, len(text) - 1)] == _RETURN))
    header = int(np.argmin(blank))
    names = _names(name, text[starts[header] : ends[header]], dialect)
    _refuse_returns(name, source, data, outside)
    fields = np.add.reduceat(separator.view(np.uint8), starts).astype(np.int64) + 1
    ragged = (fields != len(names)) & ~blank
    ragged[: header + 1] = False
    if ragged.any():
        number = int(np.argmax(ragged))
        found = f"{fields[number]} fields where the header has {len(names)}"
        what = f"{name}, line {source.line(int(starts[number]))}: {found}"
        raise HeadraceError("HR307", what, fix=_separated(names))
    blank = blank[header + 1 :]
    return Records(source, names, len(blank), header, starts, blank)


def _refuse_returns(name: str, source: Text, data: NDArray[np.uint8], outside: NDArray[np.bool_] | None) -> None:
    """A carriage return ends a line with a newline behind it; alone it would glue two lines together."""
    if b"\r" not in source.content:
        return
    returns = data == _RETURN
    returns[:-1] &= data[1:] != _NEWLINE
    returns[-1] = False  # a file may end in the middle of its last line end
    if outside is not None:
        returns &= outside
    if returns.any():
        line = source.line(int(np.argmax(returns)))
        raise HeadraceError("HR311", f"{name}, line {line}: a carriage return alone in a line", fix=_FIX_RETURNS)


def _outside_quotes(name: str, source: Text, data: NDArray[np.uint8], dialect: Dialect) -> NDArray[np.bool_]:
    """Which bytes stand outside of quotation marks; each field that has one is wholly in them."""
    quote, separator = ord(dialect.quote or ""), ord(dialect.separator)
    marks = np.flatnonzero(data == quote)
    opening, closing = marks[::2], marks[1::2]
    before = data[np.maximum(opening - 1, 0)]
    may_open = (opening == 0) | np.isin(before, (separator, _NEWLINE, quote))
    after = data[np.minimum(closing + 1, len(data) - 1)]
    may_close = (closing == len(data) - 1) | np.isin(after, (separator, _NEWLINE, _RETURN, quote))
    wrong = np.concatenate((opening[~may_open], closing[~may_close]))
    if wrong.size and source.newlines == source.added and b"\r" in source.content:
        raise HeadraceError("HR311", f"{name}: its lines end with a carriage return alone", fix=_FIX_RETURNS)
    if wrong.size:
        at = source.line(int(wrong.min()))
        raise HeadraceError(
            "HR317", f"{name}, line {at}: a quotation mark inside of a field that does not begin with one"
        )
    if len(marks) % 2:
        raise HeadraceError(
            "HR317", f"{name}, line {source.line(int(marks[-1]))}: a quotation mark that is never closed"
        )
    inside = np.cumsum(data == quote, dtype=np.uint8)
    inside &= 1
    outside: NDArray[np.bool_] = inside == 0
    return outside


def _separated(names: tuple[str, ...]) -> str | None:
    """What to do about a header that is one field, and looks like several."""
    mark = next((mark for mark in _SEPARATORS if mark in names[0]), None) if len(names) == 1 else None
    return None if mark is None else f"Declare the separator: files(..., separator={mark!r})."


def _names(name: str, line: bytes, dialect: Dialect) -> tuple[str, ...]:
    text = io.StringIO(line.removesuffix(b"\r").decode(), newline="")
    quoting: Literal[0, 3] = csv.QUOTE_NONE if dialect.quote is None else csv.QUOTE_MINIMAL
    try:
        names, *more = csv.reader(text, delimiter=dialect.separator, quotechar=dialect.quote, quoting=quoting)
    except csv.Error as error:
        raise HeadraceError("HR311", f"{name}: its header cannot be read: {error}") from None
    if more:
        raise HeadraceError("HR311", f"{name}: its lines end with a carriage return alone", fix=_FIX_RETURNS)
    twice = sorted({column for column in names if column and names.count(column) > 1})
    if twice:
        raise HeadraceError("HR309", f"{name} has two columns called {twice[0]!r}")
    return tuple(names)
