"""A sheet of a workbook: which one, its types, and cells without a value that can be known."""

from __future__ import annotations

import io
import re
import sys
import zipfile
from datetime import UTC, datetime, time, timedelta

import openpyxl
import pytest
from openpyxl.chart import LineChart, Reference

from headrace.errors import HeadraceError
from headrace.sources.sheetorder import refuse_disorder
from tests.sources.making import parsed, refused, workbook


def test_a_sheet_with_types() -> None:
    moment = datetime(2024, 1, 2, 3, 4, 5)  # noqa: DTZ001 - Excel knows no zones
    rows: list[list[object]] = [
        [],
        ["n", "x", "t", "s", "m", "e"],
        [1, 1.5, True, "x", moment, None],
        [],
        [2, 2, False, None, moment, None],
    ]
    frame = parsed("f.xlsx", workbook({"a": rows}))
    utc = moment.replace(tzinfo=UTC)
    assert frame.rows() == [(1, 1.5, True, "x", utc, None), (2, 2.0, False, None, utc, None)]


def test_declared_types() -> None:
    frame = parsed("f.xlsx", workbook({"a": [["zip", "n"], [501, "7"]]}), schema={"zip": str, "n": int})
    assert frame.rows() == [("501", 7)]
    error = refused("f.xlsx", workbook({"a": [["n"], [1], [], [1.5]]}), schema={"n": int})
    assert (error.code, error.what) == ("HR311", "f.xlsx, row 4: '1.5' in column 'n' is no Int64")


def test_a_text_with_zeros_before_a_number_is_a_text() -> None:
    frame = parsed("f.xlsx", workbook({"a": [["zip"], ["00123"], ["90210"]]}))
    assert frame["zip"].to_list() == ["00123", "90210"]


def test_which_sheet() -> None:
    book = workbook({"one": [["n"], [1]], "two": [["n"], [2]]})
    assert parsed("f.xlsx", book, sheet="two")["n"].to_list() == [2]
    error = refused("f.xlsx", book)
    assert (error.code, error.what) == ("HR327", "f.xlsx has the sheets 'one', 'two', and sheet= names none")
    error = refused("f.xlsx", book, sheet="tow")
    assert error.code == "HR327"
    assert "did you mean 'two'?" in error.fix


@pytest.mark.parametrize(
    ("rows", "code", "said"),
    [
        ([], "HR304", "f.xlsx has a sheet without any value"),
        ([["a", "a"], [1, 2]], "HR309", "f.xlsx, row 1 has two columns called 'a'"),
        ([["a"], [1, 2]], "HR325", "f.xlsx, cell B2: 2 in a column without a name"),
        ([["a", None, "b"], [1, 2, 3]], "HR325", "f.xlsx, cell B2: 2 in a column without a name"),
        ([["a"], ["#REF!"]], "HR326", "f.xlsx, cell A2: #REF!"),
        ([["a"], ["=1+1"]], "HR326", "f.xlsx, cell A2: the formula =1+1 has no stored result"),
        ([["a"], [1], ["x"]], "HR311", "f.xlsx, row 3: column 'a' holds a text, 'x', and a number in row 2"),
        ([["a"], [time(1, 2)]], "HR316", "f.xlsx, row 2: column 'a' holds a time of day"),
        ([["a"], [timedelta(hours=30)]], "HR316", "f.xlsx, row 2: column 'a' holds a duration"),
    ],
)
def test_a_wrong_sheet(rows: list[list[object]], code: str, said: str) -> None:
    error = refused("f.xlsx", workbook({"a": rows}))
    assert (error.code, error.what) == (code, said)


def rewritten(book: bytes, old: str, new: str, sheet: int = 1) -> bytes:
    """A workbook with another text in one of its sheets: what other programs write."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as before, zipfile.ZipFile(file, "w") as after:
        for name in before.namelist():
            content = before.read(name).decode()
            if name == f"xl/worksheets/sheet{sheet}.xml":
                content, count = re.subn(old, new, content)
                assert count
            after.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("size", ["A1", "A1:B2", "A1:A3", "A1:Z9"])
def test_a_size_that_is_not_that_of_the_sheet(size: str) -> None:
    book = workbook({"a": [["n", "m"], [1, 2], [3, 4]]})
    assert parsed("f.xlsx", rewritten(book, 'dimension ref="[^"]*"', f'dimension ref="{size}"')).rows() == [
        (1, 2),
        (3, 4),
    ]


@pytest.mark.parametrize(
    ("swapped", "said"),
    [
        (("2", "3"), "row 3 comes after row 3"),
        (("3", "2"), "row 2 comes after row 2"),
        (("4", "1"), "row 1 comes after row 3"),
    ],
)
def test_rows_that_do_not_ascend(swapped: tuple[str, str], said: str) -> None:
    book = workbook({"first": [["n"], [1]], "a": [["n", "m"], [1, 2], [3, 4], [5, 6]]})
    was, now = swapped
    content = rewritten(book, f'<row r="{was}"', f'<row r="{now}"', sheet=2)
    error = refused("f.xlsx", content, sheet="a")
    assert (error.code, error.what) == ("HR311", f"f.xlsx, sheet 'a': {said}")
    assert "save it" in error.fix
    assert parsed("f.xlsx", content, sheet="first").rows() == [(1,)]


def test_cells_that_do_not_ascend() -> None:
    book = workbook({"a": [["n", "m", "o"], [1, 2, 3]]})
    content = rewritten(book, '<c r="C2"', '<c r="A2"')
    assert refused("f.xlsx", content).what == "f.xlsx, sheet 'a': cell A2 of row 2 comes too late"


def test_rows_and_cells_without_numbers() -> None:
    book = workbook({"a": [["n", "m"], [1, 2], [3, 4]]})
    content = rewritten(rewritten(book, '<row r="[0-9]*"', "<row"), '<c r="[A-Z]*[0-9]*"', "<c")
    assert parsed("f.xlsx", content).rows() == [(1, 2), (3, 4)]


def test_a_large_sheet_is_looked_at_in_parts() -> None:
    last = 60_000
    rows = b"".join(b'<row r="%d"><c r="A%d"><v>1</v></c></row>' % (row, row) for row in range(1, last))
    refuse_disorder("f", "a", io.BytesIO(b"<sheetData>" + rows + b"</sheetData>"))
    file = io.BytesIO(b"<sheetData>" + rows + b'<row r="7"/></sheetData>')
    with pytest.raises(HeadraceError, match=f"row 7 comes after row {last - 1}"):
        refuse_disorder("f", "a", file)


@pytest.mark.parametrize("stored", ["<v></v>", "<v/>", ""])
def test_a_formula_with_an_empty_text_as_its_result(stored: str) -> None:
    book = workbook({"a": [["n", "m"], [1, '=""']]})
    text = rewritten(book, r'<c r="B2"[^>]*>(<f>.*?</f>).*?</c>', rf'<c r="B2" t="str">\1{stored}</c>')
    assert parsed("f.xlsx", text).rows() == [(1, None)]


def test_a_carriage_return_in_a_cell() -> None:
    book = workbook({"a": [["s"], ["x_x000D_\ny"]]})
    assert parsed("f.xlsx", book)["s"].to_list() == ["x\r\ny"]


def test_a_diagram_is_no_sheet_of_rows() -> None:
    book = openpyxl.Workbook()
    for row in (["n"], [1]):
        book.active.append(row)
    diagram = LineChart()
    diagram.add_data(Reference(book.active, min_col=1, min_row=1, max_row=2))
    book.create_chartsheet("diagram").add_chart(diagram)
    file = io.BytesIO()
    book.save(file)
    assert parsed("f.xlsx", file.getvalue())["n"].to_list() == [1]


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    book = workbook({"a": [["n"], [1]]})
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    error = refused("f.xlsx", book)
    assert error.code == "HR329"
    assert "headrace[excel]" in error.fix
