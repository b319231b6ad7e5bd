"""Texts that begin with a zero as `00123` does: a parser takes them for numbers, and a number does not keep them.

Nearly no file has them in columns of numbers: what has to be quick is to see that there are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection

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
    for at in range(0, len(data) - 2, _STRETCH):
        part = data[at : at + _STRETCH + 2]
        zero = part == _ZERO
        ends = part[:-2] == separator
        ends |= part[:-2] == _NEWLINE
        hits = zero[1:-1] & ends
        hits &= part[2:] >= _ZERO
        ends &= zero[2:]
        ends &= part[1:-1] <= _MINUS  # a sign or a space, and what else stands there in ASCII
        hits |= ends
        if hits.any():
            found.append(at + np.flatnonzero(hits))
    before = np.concatenate(found)
    first, second, third = (data[np.minimum(before + more, len(data) - 1)] for more in (1, 2, 3))
    signed = (first <= _MINUS) & (first != separator) & (first != _NEWLINE) & _digits(third)
    return before[np.where(first == _ZERO, _digits(second), signed)]


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
