"""How a CSV file may be written, once that is declared."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.ports.canonical import canonical
from headrace.sources.files import files
from tests.sources.making import parsed, refused

if TYPE_CHECKING:
    from collections.abc import Mapping


def test_a_separator_and_a_quote() -> None:
    frame = parsed("f.csv", "a;b\n1;'x;y'\n2;\"z\"\n", separator=";", quote="'")
    assert frame.rows() == [(1, "x;y"), (2, '"z"')]
    assert parsed("f.csv", "a\tb\n1\tx,y\n", separator="\t").rows() == [(1, "x,y")]


def test_no_quote_at_all() -> None:
    assert parsed("f.csv", 'a,b\n5" disk,"x\n', quote=None).rows() == [('5" disk', '"x')]


def test_a_decimal_comma() -> None:
    text = "n;d;w\n1,5;2,50;1\n2,25;-3;2\n"
    frame = parsed("f.csv", text, separator=";", decimal=",", schema={"d": pl.Decimal(10, 2)})
    assert frame.rows() == [(1.5, Decimal("2.50"), 1), (2.25, Decimal(-3), 2)]


def test_a_point_in_a_file_with_decimal_commas() -> None:
    text = "n;m\n1,5;1\n1.5;2\n"
    assert parsed("f.csv", text, separator=";", decimal=",")["n"].to_list() == ["1,5", "1.5"]
    error = refused("f.csv", text, separator=";", decimal=",", schema={"n": float})
    assert (error.code, error.what) == ("HR311", "f.csv, line 3: '1.5' in column 'n' is no Float64")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
def test_an_encoding(encoding: str) -> None:
    assert parsed("f.csv", "a,b\n1,Zürich\n".encode(encoding), encoding=encoding).rows() == [(1, "Zürich")]


def test_a_byte_order_mark_is_no_text() -> None:
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        frame = parsed("f.csv", "\ufeffa,b\n1,2\n".encode(encoding), encoding=encoding)
        assert frame.columns == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "encoding", "said"),
    [
        (b"a,b\n1,x\n2,\x81\n", "cp1252", "f.csv, line 3: not CP1252"),
        ("a,b\n1,x\n".encode("utf-16-le"), "utf-16", "f.csv: UTF-16 without a byte order mark"),
        ("a,b\n1,x\n".encode("utf-16-le") + b"2", "utf-16-le", "f.csv, line 3: not UTF-16-LE"),
        ("a,b\n1,ü\n".encode("latin-1"), "utf-8", "f.csv, line 2: not UTF-8"),
    ],
)
def test_a_file_in_another_encoding(content: bytes, encoding: str, said: str) -> None:
    error = refused("f.csv", content, encoding=encoding)
    assert (error.code, error.what) == ("HR308", said)


def test_names_for_a_file_that_has_none() -> None:
    frame = parsed("f.csv", "1,x\n2,y\n", header=False, names=["a", 'the "b", here'])
    assert frame.columns == ["a", 'the "b", here']
    assert frame.rows() == [(1, "x"), (2, "y")]
    assert parsed("f.csv", "\n1\n\n", header=False, names=["a"])["a"].to_list() == [None, 1, None]
    assert parsed("f.csv", "\n1,2\n\n", header=False, names=["a", "b"]).rows() == [(1, 2)]


def test_lines_are_counted_as_the_file_has_them() -> None:
    error = refused("f.csv", "1,2\n3\n", header=False, names=["a", "b"])
    assert (error.code, error.what) == ("HR307", "f.csv, line 2: 1 fields where the header has 2")
    text = "# one\na,b\n# two\n1,2\n# three\n3,x\n"
    error = refused("f.csv", text, comment="#", schema={"b": int})
    assert error.what == "f.csv, line 6: 'x' in column 'b' is no Int64"
    text = "# one\n1,2\n# two\n# three\n3,x\n"
    error = refused("f.csv", text, comment="#", header=False, names=["a", "b"], schema={"b": int})
    assert error.what == "f.csv, line 5: 'x' in column 'b' is no Int64"


def test_comments() -> None:
    text = '# it\'s "odd\na,b\n1,x\n#2,y\n3,"two\n# of them"\n# the end'
    assert parsed("f.csv", text, comment="#").rows() == [(1, "x"), (3, "two\n# of them")]
    assert parsed("f.csv", "a,b\n1,#2\n", comment="#").rows() == [(1, "#2")]
    assert parsed("f.csv", "a\n1\n//\n2\n", comment="//")["a"].to_list() == [1, 2]


LINE = st.sampled_from(["1,x", '2,"y\n# z"', "# 3", '# "', "", "#"])


@given(st.lists(LINE, max_size=8))
def test_what_is_wrong_is_found_on_its_line_among_comments(lines: list[str]) -> None:
    text = "\n".join(["a,b", *lines, "7,8,9"])
    wrong = text.count("\n") + 1
    error = refused("f.csv", text, comment="#")
    assert error.what == f"f.csv, line {wrong}: 3 fields where the header has 2"
    fine = "\n".join(["a,b", *(line for line in lines if not line.startswith("#"))])
    assert parsed("f.csv", text.removesuffix("7,8,9"), comment="#").equals(parsed("f.csv", fine))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"separator": ";;"}, "files(separator=';;'): it is one ASCII character"),
        ({"separator": "§"}, "files(separator='§'): it is one ASCII character"),
        ({"separator": '"'}, "another option has the same character"),
        ({"decimal": ","}, "another option has the same character"),
        ({"decimal": ":"}, "it is '.' or ','"),
        ({"encoding": "utf8"}, "did you mean 'utf-8'?"),
        ({"quote": ""}, "it is one ASCII character"),
        ({"comment": ""}, "it is a text without"),
        ({"comment": '"'}, "it is a text without"),
        ({"header": False}, "names are given with header=False, and only then"),
        ({"names": ["a"]}, "names are given with header=False, and only then"),
        ({"header": False, "names": "ab"}, "they are a list of texts"),
        ({"header": False, "names": ["a", "a"]}, "'a' stands there twice"),
        ({"header": False, "names": ["a\nb"]}, "a name has no line end"),
        ({"header": False, "names": ["a,b"], "quote": None}, "holds the separator"),
        ({"seperator": ";"}, "files(seperator=...): did you mean 'separator'?"),
        ({"sheet": "x"}, "files(sheet=...) says nothing about csv files"),
        ({"max_bytes": 0}, "files(max_bytes=0): it is a whole number above 0"),
        ({"max_ratio": True}, "files(max_ratio=True): it is a whole number above 0"),
    ],
)
def test_options_that_do_not_fit(options: Mapping[str, object], said: str) -> None:
    with pytest.raises(HeadraceError, match="HR322") as caught:
        files("*.csv", **options)  # type: ignore[arg-type]
    assert said in caught.value.what


def test_options_of_other_kinds() -> None:
    for pattern in ("*.parquet", "*.ndjson", "*.xlsx", "*.orc", "*.avro"):
        with pytest.raises(HeadraceError, match="HR322"):
            files(pattern, separator=";")
        with pytest.raises(HeadraceError, match="HR322"):
            files(pattern, null_values=["NA"])


def test_only_what_changes_the_rows_changes_the_fingerprint() -> None:
    plain = canonical(files("*.csv").settings())
    usual = files(
        "*.csv", separator=",", quote='"', encoding="utf-8", header=True, decimal=".", comment=None, hive=False
    )
    limited = files("*.csv.gz", max_bytes=10, max_ratio=3)
    assert canonical(usual.settings()) == canonical(limited.settings()) == plain
    others = [
        files("*.csv", separator=";"),
        files("*.csv", quote=None),
        files("*.csv", encoding="cp1252"),
        files("*.csv", header=False, names=["a"]),
        files("*.csv", header=False, names=["b"]),
        files("*.csv", comment="#"),
        files("*.csv", separator=";", decimal=","),
        files("*.csv", hive=True),
        files("*.xlsx", sheet="a"),
    ]
    assert len({plain, *(canonical(each.settings()) for each in others)}) == len(others) + 1


def test_dates_are_recognised_in_any_dialect() -> None:
    frame = parsed("f.csv", "a;b\n2024-01-01;1,0\n", separator=";", decimal=",")
    assert frame.rows() == [(date(2024, 1, 1), 1.0)]
