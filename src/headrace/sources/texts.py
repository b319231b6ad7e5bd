"""The text of a file as UTF-8, without comments, and with the names that the file itself does not have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from headrace.sources.options import Dialect

_STRETCH = 2**17
"""Bytes that are compared at once: few enough for the answers to stay in the cache."""
_NEWLINE, _ZERO, _TEN = 10, 48, 10
BOM = b"\xef\xbb\xbf"
ORDERS = (b"\xff\xfe", b"\xfe\xff")
FIX_UTF16 = 'It is UTF-16: declare encoding="utf-16" of a CSV file; or convert it with `iconv -f utf-16 -t utf8`.'
_PACKED = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd", ".bz2": b"BZh", ".xz": b"\xfd7zXZ\0"}
FIX_ORDER = 'Declare encoding="utf-16-le" or encoding="utf-16-be", or write the file with a byte order mark.'


@dataclass(frozen=True)
class Text:
    """Bytes in UTF-8 and where they come from: `added` lines stand before the file's own, `dropped` were left out.

    `dropped` are the numbers of lines, ascending. `before` are the lines of the file that come before this part of it.
    """

    content: bytes
    added: int = 0
    dropped: tuple[int, ...] = ()
    before: int = 0

    @cached_property
    def newlines(self) -> int:
        """How many there are, in quotation marks or not."""
        return count(self.content, b"\n")

    def line(self, offset: int) -> int:
        """The line of the file, counted from 1, that holds the byte at an offset."""
        number = 1 + self.content.count(b"\n", 0, offset) - self.added
        for dropped in self.dropped:
            if dropped > number:
                break
            number += 1
        return self.before + max(number, 1)


def count(text: bytes, byte: bytes) -> int:
    """How often a byte occurs: several times as fast as `bytes.count` for one that does often, and without the lock."""
    data, wanted = np.frombuffer(text, np.uint8), ord(byte)
    return sum(int(np.count_nonzero(data[at : at + _STRETCH] == wanted)) for at in range(0, len(text), _STRETCH))


def scanned(text: bytes, separator: str) -> tuple[int, NDArray[np.int64]]:
    """How many separators a text has, and where the bytes stand that texts like 00123 follow, if lines are records.

    Both are found in one go through the text: to fetch it is most of what each of them costs.
    """
    data, mark, count = np.frombuffer(text, np.uint8), ord(separator), 0
    found = [np.zeros(0, np.int64)]
    room = [np.empty(_STRETCH, np.bool_) for _ in range(3)]
    for at in range(0, len(data), _STRETCH):
        part = data[at : at + _STRETCH + 2]
        marks = np.equal(part[:_STRETCH], mark, out=room[0][: len(part[:_STRETCH])])
        count += int(np.count_nonzero(marks))
        before, zero, after = part[:-2], part[1:-1], part[2:]
        hits, other = room[1][: len(before)], room[2][: len(before)]
        np.equal(zero, _ZERO, out=hits)
        np.greater_equal(after, _ZERO, out=other)
        hits &= other
        np.equal(before, _NEWLINE, out=other)
        other |= marks[: len(before)]
        hits &= other
        if hits.any():
            found.append(at + np.flatnonzero(hits))
    places = np.concatenate(found)
    return count, places[data[places + 2] - np.uint8(_ZERO) < _TEN]


def text_of(name: str, content: bytes, dialect: Dialect) -> Text:
    """The text of a CSV file. Raises HR308 where it is not in the declared encoding."""
    plain = utf8(name, content, dialect.encoding)
    dropped: tuple[int, ...] = ()
    if dialect.comment is not None:
        plain, dropped = _without_comments(plain, dialect.comment, dialect.quote)
    if not dialect.header and plain:
        return Text(header_of(dialect) + plain, 1, dropped)
    return Text(plain, 0, dropped)


def utf8(name: str, content: bytes, encoding: str = "utf-8", before: int = 0) -> bytes:
    """Content in UTF-8, without a byte order mark. Raises HR308 where it is not in the encoding.

    `before` is how many lines of the file come before it, less those that it begins with and the file does not.
    """
    if encoding == "utf-8":
        plain = content if before else content.removeprefix(BOM)
        if not plain.isascii():
            _decoded(name, plain, encoding, before)
        return plain
    if encoding == "utf-16" and not content.startswith(ORDERS):
        raise HeadraceError("HR308", f"{name}: UTF-16 without a byte order mark", fix=FIX_ORDER)
    return _decoded(name, content, encoding).removeprefix("\ufeff").encode()


def _decoded(name: str, content: bytes, encoding: str, before: int = 0) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = before + 1 + content[: error.start].decode(encoding, errors="ignore").count("\n")
        fix = None if before else _fix(content)
        raise HeadraceError("HR308", f"{name}, line {line}: not {encoding.upper()}", fix=fix) from None


def _fix(content: bytes) -> str | None:
    """What to do about a file that begins as others do."""
    if content.startswith(ORDERS):
        return FIX_UTF16
    ending = next((ending for ending, magic in _PACKED.items() if content.startswith(magic)), None)
    return None if ending is None else f"It is compressed: let its name end in {ending}, or unpack it."


def _without_comments(text: bytes, comment: str, quote: str | None) -> tuple[bytes, tuple[int, ...]]:
    """The text less the lines that begin with the comment, unless such a line is part of a field in quotes."""
    mark = quote.encode() if quote else None
    kept, dropped = [], []
    begin, number, quotes = 0, 1, 0
    for found in re.finditer(b"^" + re.escape(comment.encode()) + rb"[^\n]*(?:\n|\Z)", text, re.MULTILINE):
        before = text[begin : found.start()]
        number += before.count(b"\n")
        quotes += before.count(mark) if mark else 0
        kept.append(before)
        begin = found.start()
        if quotes % 2 == 0:
            dropped.append(number)
            number += 1
            begin = found.end()
    kept.append(text[begin:])
    return b"".join(kept), tuple(dropped)


def header_of(dialect: Dialect) -> bytes:
    """The line of names that a file without a header gets."""
    quote = dialect.quote or ""
    names = [f"{quote}{name.replace(quote, 2 * quote) if quote else name}{quote}" for name in dialect.names]
    return (dialect.separator.join(names) + "\n").encode()


def last_end(text: bytes, quote: bytes | None) -> int:
    """Where the last whole line ends; 0 where there is none."""
    cut = text.rfind(b"\n") + 1
    if quote is None or quote not in text:
        return cut
    marks = text.count(quote, 0, cut)
    while cut and marks % 2:
        before = text.rfind(b"\n", 0, cut - 1) + 1
        marks -= text.count(quote, before, cut)
        cut = before
    return cut
