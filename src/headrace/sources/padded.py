"""Texts that begin with a zero as `00123` does: a parser takes them for numbers, and a number does not keep them.

A text with a sign before the zero is a number: nobody calls a thing -05.
Nearly no file has them in columns of numbers: what has to be quick is to see that there are none (`texts.scanned`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection

    from headrace.sources.options import Dialect
    from headrace.sources.records import Records

_STRETCH = 2**17
"""Bytes that are looked at once: few enough to stay in the cache."""
_OVERLAP = 64
_NEWLINE = 10


def suspects(lines: Records, dialect: Dialect, numbers: Collection[str]) -> list[str]:
    """Which of the columns that were parsed as numbers may hold such texts."""
    if not numbers:
        return []
    if lines.padded is None:
        return list(numbers) if _anywhere(lines.text.content, dialect) else []
    if not lines.padded.size:
        return []
    data = np.frombuffer(lines.text.content, np.uint8)
    ends = np.flatnonzero((data == ord(dialect.separator)) | (data == _NEWLINE))
    cells = np.searchsorted(ends, lines.padded) + 1
    width = len(lines.names)
    columns = {lines.names[at] for at in np.unique(cells[cells >= width] % width)}
    return [name for name in numbers if name in columns]


def _anywhere(content: bytes, dialect: Dialect) -> bool:
    """Whether any field of a text begins as such a text does, in quotation marks or not."""
    separator, quote = (rf"\x{{{ord(each):x}}}" if each else "" for each in (dialect.separator, dialect.quote))
    begins = rf"[{separator}\n]{quote}{'?' if quote else ''}[ \t]*0\d"
    parts = [content[at : at + _STRETCH + _OVERLAP] for at in range(0, len(content), _STRETCH)]
    texts = pl.Series([part.decode(errors="replace") for part in parts], dtype=pl.String)
    return bool(texts.str.contains(begins).any())
