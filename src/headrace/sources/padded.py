"""Texts that begin with a zero as `00123` does: a parser takes them for numbers, and a number does not keep them.

Nearly no file has them in columns of numbers: what has to be quick is to see that there are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from headrace.sources.options import Dialect
    from headrace.sources.records import Records

_STRETCH = 2**17
"""Bytes that are looked at once: few enough to stay in the cache."""
_OVERLAP = 64
_NEWLINE, _MINUS, _ZERO, _TEN = 10, 45, 48, 10


def suspects(lines: Records, dialect: Dialect, numbers: Collection[str]) -> list[str]:
    """Which of the columns that were parsed as numbers may hold such texts."""
    if not numbers:
        return []
    if lines.starts is not None:
        return list(numbers) if _anywhere(lines.text.content, dialect) else []
    data = np.frombuffer(lines.text.content, np.uint8)
    separator = ord(dialect.separator)
    before = _before(data, separator)
    if not before.size:
        return []
    ends = np.flatnonzero((data == separator) | (data == _NEWLINE))
    cells = np.searchsorted(ends, before) + 1
    width = len(lines.names)
    columns = {lines.names[at] for at in np.unique(cells[cells >= width] % width)}
    return [name for name in numbers if name in columns]


def _before(data: NDArray[np.uint8], separator: int) -> NDArray[np.int64]:
    """Where the bytes stand that such texts follow, if each line of the text is a record."""
    found = [np.zeros(0, np.int64)]
    room = [np.empty(_STRETCH + 2, np.bool_) for _ in range(3)]  # asked for once: that is most of what it costs
    for at in range(0, len(data) - 2, _STRETCH):
        hits = _candidates(data[at : at + _STRETCH + 2], separator, room)
        if hits.any():
            found.append(at + np.flatnonzero(hits))
    before: NDArray[np.int64] = np.concatenate(found)
    ends, first, second, third = (data[np.minimum(before + more, len(data) - 1)] for more in range(4))
    signed = (first <= _MINUS) & (second == _ZERO) & _digits(third)
    signed &= (first != separator) & (first != _NEWLINE)
    padded = np.where(first == _ZERO, _digits(second), signed)
    padded &= (ends == separator) | (ends == _NEWLINE)
    return np.compress(padded, before)


def _candidates(part: NDArray[np.uint8], separator: int, room: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """What may end a field, with a zero and what may be a digit behind it, or what may be a sign and a zero."""
    before, first, second = part[:-2], part[1:-1], part[2:]
    zeros, hits, other = room[0][: len(part)], room[1][: len(first)], room[2][: len(first)]
    np.equal(part, _ZERO, out=zeros)
    np.greater_equal(second, _ZERO, out=hits)
    hits &= zeros[1:-1]
    np.less_equal(first, _MINUS, out=other)
    other &= zeros[2:]
    hits |= other
    np.less(before, _MINUS, out=other)  # a comma, a newline, a tab
    if separator >= _MINUS:
        other |= before == separator
    hits &= other
    return hits


def _digits(data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = data - np.uint8(_ZERO) < _TEN
    return found


def _anywhere(content: bytes, dialect: Dialect) -> bool:
    """Whether any field of a text begins as such a text does, in quotation marks or not."""
    separator, quote = (rf"\x{{{ord(each):x}}}" if each else "" for each in (dialect.separator, dialect.quote))
    begins = rf"[{separator}\n]{quote}{'?' if quote else ''}[ \t]*[+-]?0\d"
    parts = [content[at : at + _STRETCH + _OVERLAP] for at in range(0, len(content), _STRETCH)]
    texts = pl.Series([part.decode(errors="replace") for part in parts], dtype=pl.String)
    return bool(texts.str.contains(begins).any())
