"""One sheet of an Excel workbook to a frame. The first row with a value has the names of the columns."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zipfile
import zlib
from datetime import datetime
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

from headrace.errors import HeadraceError, did_you_mean
from headrace.sources.cells import Fraction, Whole, frame_of
from headrace.sources.declared import refuse_missing
from headrace.sources.sheetorder import refuse_disorder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl

    from headrace.sources.spec import FileSpec

_DAMAGED = (
    *(
        ArithmeticError,
        AssertionError,
        AttributeError,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ),
    *(ParseError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""What openpyxl raises for a damaged workbook: it does not check, it stumbles."""
_FORMULA, _ERROR, _TEXT = "f", "e", "str"
"""Data types of a cell; the last one is the stored result of a formula that is a text."""
_ESCAPED = re.compile("_x(00[01][0-9A-Fa-f])_")
"""A character that XML cannot hold, such as the carriage return in a line end."""


def read_xlsx(name: str, content: bytes, spec: FileSpec) -> pl.DataFrame:
    """The rows of a sheet. Rows without any value are no rows; a formula counts as the result that Excel stored.

    Raises:
        HeadraceError: HR304, HR309 to HR311, HR316, HR323, HR325 for a column without a name, HR326 for a cell that
            holds an error, HR327 for a sheet that cannot be found, HR329 without the extra, HR330.
    """
    _check_size(name, content, spec)
    try:
        rows = list(_rows(name, content, spec.sheet))
    except _DAMAGED as error:
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise HeadraceError("HR311", f"{name} is no readable Excel file: {first}") from None
    if not rows:
        raise HeadraceError("HR304", f"{name} has a sheet without any value")
    (number, header), *body = rows
    names = _names(name, number, header)
    columns = {called: [_cell(cells, at) for _, cells in body] for at, called in names.items()}
    _refuse_nameless(name, names, body)
    refuse_missing(name, spec.schema, columns)
    return frame_of(name, columns, spec.schema, lambda row: f"row {body[row][0]}")


def numbers(name: str, content: bytes, sheet: str | None) -> list[int]:
    """The numbers of the rows of a sheet that was read before, in order."""
    return [number for number, _ in _rows(name, content, sheet)][1:]


def _check_size(name: str, content: bytes, spec: FileSpec) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            spec.limits.check(name, len(content), sum(each.file_size for each in archive.infolist()))
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise HeadraceError("HR311", f"{name} is no readable Excel file: {error}") from None


def _rows(name: str, content: bytes, wanted: str | None) -> Iterator[tuple[int, list[object]]]:
    """The rows that have a value, with their numbers.

    The workbook is read twice side by side, for results and for formulas: a formula whose result was never stored
    looks like an empty cell otherwise.
    """
    try:
        import openpyxl
    except ModuleNotFoundError:
        raise HeadraceError("HR329", f"{name} is an Excel file, and openpyxl is not installed") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and extensions; what becomes of a value is checked below
        books = [openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=only) for only in (True, False)]
        try:
            results, formulas = (_sized(book[_sheet(name, _sheets(book), wanted)]) for book in books)
            with results._get_source() as xml:  # noqa: SLF001 - where it lies in the workbook nothing else tells
                refuse_disorder(name, results.title, xml)
            for number, (found, written) in enumerate(zip(results.iter_rows(), formulas.iter_rows(), strict=True), 1):
                cells = [_value(name, *pair) for pair in zip(found, written, strict=True)]
                if any(cell is not None for cell in cells):
                    yield number, cells
        finally:
            for book in books:
                book.close()


def _sheets(book: Any) -> list[str]:  # noqa: ANN401 - openpyxl publishes no types
    """The sheets with cells; a diagram may be a sheet of its own."""
    return [sheet.title for sheet in book.worksheets]


def _sized(sheet: Any) -> Any:  # noqa: ANN401 - the same
    """A sheet that is read as far as it has cells, as Excel does: some programs write a size that is too small."""
    sheet.reset_dimensions()
    return sheet


def _sheet(name: str, known: Sequence[str], wanted: str | None) -> str:
    if wanted is None and len(known) == 1:
        return known[0]
    if wanted is None:
        raise HeadraceError("HR327", f"{name} has the sheets {', '.join(map(repr, known))}, and sheet= names none")
    if wanted not in known:
        fix = f"Correct sheet=: {did_you_mean(wanted, known)}"
        raise HeadraceError("HR327", f"{name} has no sheet {wanted!r}", fix=fix)
    return wanted


def _value(name: str, found: Any, written: Any) -> object:  # noqa: ANN401 - openpyxl publishes no types
    value = found.value
    if found.data_type == _ERROR:
        raise HeadraceError("HR326", f"{name}, cell {found.coordinate}: {value}")
    if value is None and getattr(written, "data_type", None) == _FORMULA and found.data_type != _TEXT:
        what = f"{name}, cell {written.coordinate}: the formula {written.value} has no stored result"
        raise HeadraceError("HR326", what)
    if isinstance(value, bool | datetime):
        return value
    if isinstance(value, int):
        return Whole(value)
    if isinstance(value, float):
        return Fraction(value)
    if isinstance(value, str) and "_x00" in value:
        value = _ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), value)
    return None if value == "" else value


def _names(name: str, number: int, header: Sequence[object]) -> dict[int, str]:
    """The columns by their place; a place without a name is left out."""
    names = {at: str(cell) for at, cell in enumerate(header) if cell is not None}
    called = list(names.values())
    twice = sorted({each for each in called if called.count(each) > 1})
    if twice:
        raise HeadraceError("HR309", f"{name}, row {number} has two columns called {twice[0]!r}")
    return names


def _refuse_nameless(name: str, names: Mapping[int, str], body: Sequence[tuple[int, Sequence[object]]]) -> None:
    from openpyxl.utils import get_column_letter

    for number, cells in body:
        for at, cell in enumerate(cells):
            if cell is not None and at not in names:
                place = f"{get_column_letter(at + 1)}{number}"
                raise HeadraceError("HR325", f"{name}, cell {place}: {cell!s} in a column without a name")


def _cell(cells: Sequence[object], at: int) -> object:
    return cells[at] if at < len(cells) else None
