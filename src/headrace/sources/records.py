"""The lines of a CSV file: where each record begins and how many fields it has, checked before anything is parsed.

Polars fills a record that has too few fields with nulls. Here each record must have as many fields as the header has.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIX_RETURNS = "Write the file with newlines, for example with `tr '\\r' '\\n'`."
_NEWLINE, _RETURN, _COMMA, _QUOTE = 10, 13, 44, 34


@dataclass(frozen=True)
class Records:
    """The records of one text. `starts` are offsets in bytes; `header` is the number of the record with the names.

    `blank` marks, for each record after the header, whether its line is empty: such lines are no rows, unless there is
    one column only, where an empty line is an empty field.
    """

    text: bytes
    names: tuple[str, ...]
    starts: NDArray[np.int64]
    header: int
    blank: NDArray[np.bool_]

    def line(self, row: int) -> int:
        """The line of the file, counted from 1, on which a row begins; row 0 follows the header."""
        return _line(self.text, int(self.starts[self.header + 1 + row]))


def records(name: str, text: bytes) -> Records:
    """Find the records of a text.

    Raises:
        HeadraceError: HR304 without a header, HR307 for a ragged record, HR308 where the text is not UTF-8, HR309 for
            two columns of one name, HR311 for lines that end otherwise, HR317 for a quotation mark where none may be.
    """
    _refuse_other_encodings(name, text)
    if not text or text.isspace():
        raise HeadraceError("HR304", f"{name} has no header line")
    data = np.frombuffer(text, np.uint8)
    newline, comma = data == _NEWLINE, data == _COMMA
    if b'"' in text:
        outside = _outside_quotes(name, text, data)
        newline &= outside
        comma &= outside
    ends = np.flatnonzero(newline)
    if not text.endswith(b"\n"):
        ends = np.append(ends, len(text))
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    lengths = ends - starts
    blank = (lengths == 0) | ((lengths == 1) & (data[np.minimum(starts, len(text) - 1)] == _RETURN))
    header = int(np.argmin(blank))
    names = _names(name, text[starts[header] : ends[header]])
    fields = np.add.reduceat(comma.view(np.uint8), starts).astype(np.int64) + 1
    ragged = (fields != len(names)) & ~blank
    ragged[: header + 1] = False
    if ragged.any():
        number = int(np.argmax(ragged))
        found = f"{fields[number]} fields where the header has {len(names)}"
        raise HeadraceError("HR307", f"{name}, line {_line(text, int(starts[number]))}: {found}")
    return Records(text, names, starts, header, blank[header + 1 :])


def _refuse_other_encodings(name: str, text: bytes) -> None:
    try:
        if not text.isascii():
            text.decode()
    except UnicodeDecodeError as error:
        raise HeadraceError("HR308", f"{name}, line {_line(text, error.start)}: not UTF-8") from None


def _outside_quotes(name: str, text: bytes, data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which bytes stand outside of quotation marks; each field that has one is wholly in them."""
    marks = np.flatnonzero(data == _QUOTE)
    opening, closing = marks[::2], marks[1::2]
    before = data[np.maximum(opening - 1, 0)]
    may_open = (opening == 0) | np.isin(before, (_COMMA, _NEWLINE, _QUOTE))
    after = data[np.minimum(closing + 1, len(data) - 1)]
    may_close = (closing == len(data) - 1) | np.isin(after, (_COMMA, _NEWLINE, _RETURN, _QUOTE))
    wrong = np.concatenate((opening[~may_open], closing[~may_close]))
    if wrong.size:
        at = _line(text, int(wrong.min()))
        raise HeadraceError(
            "HR317", f"{name}, line {at}: a quotation mark inside of a field that does not begin with one"
        )
    if len(marks) % 2:
        raise HeadraceError(
            "HR317", f"{name}, line {_line(text, int(marks[-1]))}: a quotation mark that is never closed"
        )
    inside = np.cumsum(data == _QUOTE, dtype=np.uint8)
    inside &= 1
    outside: NDArray[np.bool_] = inside == 0
    return outside


def _names(name: str, line: bytes) -> tuple[str, ...]:
    names, *more = csv.reader(io.StringIO(line.removesuffix(b"\r").decode(), newline=""))
    if more:
        raise HeadraceError("HR311", f"{name}: its lines end with a carriage return alone", fix=_FIX_RETURNS)
    twice = sorted({column for column in names if names.count(column) > 1})
    if twice:
        raise HeadraceError("HR309", f"{name} has two columns called {twice[0]!r}")
    return tuple(names)


def _line(text: bytes, offset: int) -> int:
    return 1 + text.count(b"\n", 0, offset)
