"""The order of the rows and cells of a sheet, looked at in its XML: a reader that goes on by numbers loses others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 2**20
_ELEMENT = re.compile(rb"<(?:\w+:)?(row|c)((?:[\s/][^<>]*)?)>")
_PLACE = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]*)(\d+)["']""")
_FIX = "Open the workbook in Excel or LibreOffice and save it, or mend the program that wrote it."


def refuse_disorder(name: str, sheet: str, file: BinaryIO) -> None:
    """Raises HR311 where a row, or a cell in a row, comes after one that it has to come before, or has its number."""
    row = column = 0
    for kind, attributes in _elements(file):
        found = _PLACE.search(attributes)
        if kind == b"row":
            number = row + 1 if found is None else int(found[2])
            if number <= row:
                raise _out_of_order(name, sheet, f"row {number} comes after row {row}")
            row, column = number, 0
        elif found is None:
            column += 1
        elif (number := _column(found[1])) <= column:
            raise _out_of_order(name, sheet, f"cell {(found[1] + found[2]).decode()} of row {row} comes too late")
        else:
            column = number


def _out_of_order(name: str, sheet: str, what: str) -> HeadraceError:
    return HeadraceError("HR311", f"{name}, sheet {sheet!r}: {what}", fix=_FIX)


def _elements(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The rows and cells, in the order of the file, each with its attributes."""
    left = b""
    while chunk := file.read(_CHUNK):
        text = left + chunk
        cut = text.rfind(b"<")
        cut = len(text) if text.find(b">", cut) >= 0 else cut
        for found in _ELEMENT.finditer(text, 0, cut):
            yield found[1], found[2]
        left = text[cut:]


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = 26 * number + letter - ord("A") + 1
    return number
