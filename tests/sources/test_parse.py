"""What a file becomes, and what is said of a file that cannot be read."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.sources.files import files
from headrace.sources.parse import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ANY = files("*.csv")


class Declared(TypedDict, total=False):
    schema: Mapping[str, Any]
    null_values: Sequence[str]
    separator: str
    quote: str | None


def parsed(text: str | bytes, **declared: Unpack[Declared]) -> pl.DataFrame:
    content = text.encode() if isinstance(text, str) else text
    return parse("f.csv", content, files("*.csv", **declared))


def refused(content: bytes, name: str = "f.csv", **declared: Unpack[Declared]) -> HeadraceError:
    with pytest.raises(HeadraceError) as caught:
        parse(name, content, files("*.csv", **declared))
    assert caught.value.__cause__ is None, "it comes again at each try: a cause would mark it as worth a retry"
    return caught.value


@pytest.mark.parametrize(
    ("values", "expected", "kind"),
    [
        (["1", "-2"], [1, -2], pl.Int64()),
        (["1", "2.5"], [1.0, 2.5], pl.Float64()),
        (["true", "false"], [True, False], pl.Boolean()),
        (["1", "x"], ["1", "x"], pl.String()),
        (["1", ""], [1, None], pl.Int64()),
        (["", ""], [None, None], pl.Null()),
        (["2024-02-29", "2023-01-01"], [date(2024, 2, 29), date(2023, 1, 1)], pl.Date()),
        (["2024-02-29", "2024-02-30"], ["2024-02-29", "2024-02-30"], pl.String()),
        (["29/02/2024", "01/03/2024"], ["29/02/2024", "01/03/2024"], pl.String()),
        (["2024-02-29", "2024-02-29T00:00:00"], ["2024-02-29", "2024-02-29T00:00:00"], pl.String()),
        (["2024-02-29", ""], [date(2024, 2, 29), None], pl.Date()),
        (["2016-12-31T23:59:60Z"], ["2016-12-31T23:59:60Z"], pl.String()),
        (["12", "00123", ""], ["12", "00123", None], pl.String()),
        (["1.5", "00123"], ["1.5", "00123"], pl.String()),
        (["5", "-05"], [5, -5], pl.Int64()),
        (["00"], ["00"], pl.String()),
        (["00.5"], ["00.5"], pl.String()),
        (["007", "9" * 50], ["007", "9" * 50], pl.String()),
        (["00000000000000000000123"], ["00000000000000000000123"], pl.String()),
        (["0", "-0", "10"], [0, 0, 10], pl.Int64()),
        (["0", "0.5", "-0.25"], [0.0, 0.5, -0.25], pl.Float64()),
        (["05:30", "06:30"], ["05:30", "06:30"], pl.String()),
    ],
)
def test_types_are_inferred_from_every_row(values: Sequence[str], expected: list[object], kind: pl.DataType) -> None:
    frame = parsed("a,b\n" + "".join(f"{value},x\n" for value in values))
    assert frame.schema["a"] == kind
    assert frame["a"].to_list() == expected


@pytest.mark.parametrize("place", ["first", "last", "only"])
@pytest.mark.parametrize("options", [{}, {"separator": ";"}, {"separator": "\t", "quote": None}])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_zero_before_a_number_is_seen_wherever_it_stands(place: str, options: dict[str, Any], end: str) -> None:
    mark = options.get("separator", ",")
    rows = {"first": ("z", "1", "x"), "last": ("1", "x", "z"), "only": ("z",)}[place]
    zips = ["12345"] * 500 + ["00123"] + ["54321"] * 500
    for values in (zips, zips[:501], zips[500:]):
        lines = [mark.join(f"c{at}" for at in range(len(rows)))]
        lines += [mark.join(rows).replace("z", value) for value in values]
        for text in (end.join(lines), end.join(lines) + end):
            assert parsed(text, **options).get_column(f"c{rows.index('z')}").to_list() == values


def test_a_zero_before_a_number_is_seen_among_many_zeros() -> None:
    """Columns of single zeros are nearly all that is looked at."""
    rows = ["0,0,0\n"] * 60_000
    assert parsed("a,b,c\n" + "".join(rows)).schema == dict.fromkeys("abc", pl.Int64())
    rows[50_000] = "0,01,0\n"
    frame = parsed("a,b,c\n" + "".join(rows))
    assert frame.schema == {"a": pl.Int64(), "b": pl.String(), "c": pl.Int64()}
    assert frame["b"].value_counts(sort=True).rows() == [("0", 59_999), ("01", 1)]


def test_a_zero_in_quotation_marks_before_a_number() -> None:
    frame = parsed('a,b,c\n"12","x, y",1\n"00123","z",2\n')
    assert frame.schema == {"a": pl.String(), "b": pl.String(), "c": pl.Int64()}
    assert frame["a"].to_list() == ["12", "00123"]


def test_a_text_that_stands_for_no_value_may_begin_with_a_zero() -> None:
    assert parsed("a,b\n1,000\n2,3\n", null_values=("000",))["b"].to_list() == [None, 3]


@pytest.mark.parametrize(("kind", "value"), [(int, 123), (float, 123.0), (pl.Decimal(9, 2), Decimal("123.00"))])
def test_a_declared_number_may_have_zeros_before_it(kind: Any, value: object) -> None:  # noqa: ANN401
    assert parsed("a,b\n00123,x\n-7,y\n", schema={"a": kind})["a"][0] == value
    assert parsed("a,b\n00.5,x\n", schema={"a": float})["a"].to_list() == [0.5]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-02T03:04:05", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-01-02 03:04:05", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-01-02 03:04", datetime(2024, 1, 2, 3, 4, tzinfo=UTC)),
        ("2024-01-02T03:04:05.25", datetime(2024, 1, 2, 3, 4, 5, 250_000, tzinfo=UTC)),
        ("2024-01-02T03:04:05.123456000", datetime(2024, 1, 2, 3, 4, 5, 123_456, tzinfo=UTC)),
        ("2024-01-02T03:04:05Z", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-01-02T03:04:05+02:00", datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2024-01-02T03:04-0130", datetime(2024, 1, 2, 4, 34, tzinfo=UTC)),
    ],
)
def test_moments_are_in_utc(text: str, moment: datetime) -> None:
    expected = [moment, None, datetime(2024, 1, 1, tzinfo=UTC)]
    for frame in (
        parsed(f"a,b\n{text},1\n,2\n2024-01-01T00:00:00Z,3\n"),
        parsed(f"a,b\n{text},1\n,2\n2024-01-01T00:00:00Z,3\n", schema={"a": datetime}),
    ):
        assert frame.schema["a"] == pl.Datetime("us", "UTC")
        assert frame["a"].to_list() == expected


@pytest.mark.parametrize("text", ["2024-01-02T03:04:05.1234567", "2024-13-02T03:04:05", "2024-01-02T25:04:05", "noon"])
def test_what_is_no_moment_to_the_microsecond_stays_text(text: str) -> None:
    frame = parsed(f"a,b\n2024-01-02T03:04:05,1\n{text},1\n")
    assert frame["a"].to_list() == ["2024-01-02T03:04:05", text]


@given(st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), min_size=1, max_size=5))  # noqa: DTZ001 - written without a zone
def test_any_iso_moment_comes_back(moments: list[datetime]) -> None:
    frame = parsed("a,b\n" + "".join(f"{moment.isoformat()},1\n" for moment in moments))
    assert frame["a"].to_list() == [moment.replace(tzinfo=UTC) for moment in moments]


FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@given(
    st.lists(st.tuples(FIELD, FIELD, FIELD), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_any_texts_come_back_from_any_csv(
    rows: list[tuple[str, str, str]], newline: str, quoting: Literal[0, 1]
) -> None:
    # Python 3.11 leaves a carriage return bare when it quotes little; before a line feed it is part of the line end.
    assume(quoting == csv.QUOTE_ALL or not any("\r" in field for row in rows for field in row))
    text = io.StringIO()
    csv.writer(text, lineterminator=newline, quoting=quoting).writerows([("a", "b", "c"), *rows])
    frame = parsed(text.getvalue(), schema=dict.fromkeys("abc", pl.String))
    assert frame.rows() == [tuple(field or None for field in row) for row in rows]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("\ufeffa,b\n1,2\n", [(1, 2)]),
        ("a,b\r\n1,2\r\n", [(1, 2)]),
        ("\n\na,b\n1,2\n", [(1, 2)]),
        ("a,b\n1,2\n\n\n3,4\n\n", [(1, 2), (3, 4)]),
        ("a,b\r\n1,2\r\n\r\n3,4", [(1, 2), (3, 4)]),
        ('a,b\n"x\ny","1,""2"""\n', [("x\ny", '1,"2"')]),
        ('"a","b"\n"",2\n', [(None, 2)]),
        ("a\n1\n\n2\n", [(1,), (None,), (2,)]),
        (",a\n,1\n", [(1,)]),
        ("a,b\n", []),
        ("a,b", []),
    ],
)
def test_forms_of_csv(text: str, rows: list[tuple[object, ...]]) -> None:
    assert parsed(text).rows() == rows


def test_a_file_without_rows_has_columns_that_go_with_everything() -> None:
    assert parsed("a,b\n").schema == {"a": pl.Null(), "b": pl.Null()}
    assert parsed("a,b\n", schema={"a": int}).schema == {"a": pl.Int64(), "b": pl.Null()}


def test_texts_that_stand_for_none() -> None:
    frame = parsed("a,b\nNA,x\n1,-\n,NA\n", null_values=["NA", "-"])
    assert frame.rows() == [(None, "x"), (1, None), (None, None)]
    assert parsed("a,b\nNA,x\n").rows() == [("NA", "x")]


def test_declared_types() -> None:
    text = "zip,n,r,t,d\n00501,1,2,TRUE,1.50\n00502,,3.5,false,2\n"
    frame = parsed(text, schema={"zip": str, "n": int, "r": float, "t": bool, "d": pl.Decimal(10, 2)})
    assert frame.rows() == [("00501", 1, 2.0, True, Decimal("1.50")), ("00502", None, 3.5, False, Decimal(2))]


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("a,b\n1,x\n\n2,y\n", int, "f.csv, line 4: 'y' in column 'b' is no Int64"),
        ("a,b\n1,1\n2,1.0\n", int, "f.csv, line 3: '1.0' in column 'b' is no Int64"),
        ('a,b\n"1\n1",1\n2,x\n', float, "f.csv, line 4: 'x' in column 'b' is no Float64"),
        ("a,b\n1,yes\n", bool, "f.csv, line 2: 'yes' in column 'b' is no Boolean"),
        ("a,b\n1,2024-01-01\n2,01.02.2024\n", date, "f.csv, line 3: '01.02.2024' in column 'b' is no Date"),
        ("a,b\n1,2024-01-01\n", datetime, "f.csv, line 2: '2024-01-01' in column 'b' is no Datetime"),
        ("a,b\n1,1.25\n2,1.256\n", pl.Decimal(10, 2), "f.csv, line 3: '1.256' in column 'b' is no Decimal"),
    ],
)
def test_a_value_that_does_not_fit_its_declared_type(text: str, kind: type, said: str) -> None:
    error = refused(text.replace("\n1,x", "\n1,1").encode(), schema={"b": kind})
    assert error.code == "HR311"
    assert error.what.startswith(said)


@pytest.mark.parametrize("text", ["1e-3", "1.23456e1", "1e99", "1e999999999"])
def test_a_decimal_with_an_exponent_loses_no_digit(text: str) -> None:
    assert refused(f"a\n{text}\n".encode(), schema={"a": pl.Decimal(9, 2)}).code == "HR311"


def test_a_decimal_with_an_exponent() -> None:
    assert parsed("a\n1e3\n1.5e1\n25E-2\n", schema={"a": pl.Decimal(9, 2)})["a"].to_list() == [
        Decimal("1000.00"),
        Decimal("15.00"),
        Decimal("0.25"),
    ]


def test_separators_behind_the_last_column() -> None:
    assert parsed("a,b,,\n1,x,,\n2,y,,\n").to_dict(as_series=False) == {"a": [1, 2], "b": ["x", "y"]}


def test_what_a_file_that_is_read_wrongly_seems_to_be() -> None:
    assert "separator=';'" in refused(b"a;b\n1,5;2,5\n").fix
    assert 'encoding="utf-16"' in refused("a,b\n1,2\n".encode("utf-16")).fix
    assert "end in .gz" in refused(gzip.compress(b"a,b\n1,2\n")).fix


def test_a_declared_column_that_is_missing() -> None:
    error = refused(b"distance\n1\n", schema={"distence": int})
    assert error.code == "HR310"
    assert "did you mean 'distance'?" in error.fix


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", "HR304", "f.csv is empty (0 bytes)"),
        (b"\n\r\n", "HR304", "f.csv has no header line"),
        (b"\xef\xbb\xbf", "HR304", "f.csv has no header line"),
        (b"a,b\n1,2\n3\n", "HR307", "f.csv, line 3: 1 fields where the header has 2"),
        (b"a,b\n1,2\n\n3,4,5\n", "HR307", "f.csv, line 4: 3 fields where the header has 2"),
        (b'a,b\n"x\n\ny",2\n3\n', "HR307", "f.csv, line 5: 1 fields where the header has 2"),
        (b"a,b\n1,2\n3,\xff\n", "HR308", "f.csv, line 3: not UTF-8"),
        (b"a,\xff\n1,2\n", "HR308", "f.csv, line 1: not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "HR308", "f.csv, line 1: not UTF-8"),
        (b"a,b,a\n1,2,3\n", "HR309", "f.csv has two columns called 'a'"),
        (b"a,b\r1,2\r", "HR311", "f.csv: its lines end with a carriage return alone"),
        (b"a,b\n1,2\n99999999999999999999,1\n", "HR316", "f.csv, line 3: 99999999999999999999 in column 'a' is beyond"),
        (b"a,b\n1,2\n" + b"9" * 50 + b",1\n", "HR316", f"f.csv, line 3: {'9' * 50} in column 'a' is beyond 64 bits"),
        (b'a,b\r"1",2\r', "HR311", "f.csv: its lines end with a carriage return alone"),
        (b"a,b,\n1,2,\n1,2,3\n", "HR325", "f.csv, line 3: 3 in column 3, which has no name"),
        (b"a,,\n1,,x\n", "HR325", "f.csv, line 2: 'x' in column 3, which has no name"),
        (b'a,b\n"x,1\n2,3\n', "HR317", "f.csv, line 2: a quotation mark that is never closed"),
        (b'a,b\n1,2\n5" disk,3\n', "HR317", "f.csv, line 3: a quotation mark inside of a field"),
        (b'a,b\n1,"x"y\n', "HR317", "f.csv, line 2: a quotation mark inside of a field"),
    ],
)
def test_broken_csv(content: bytes, code: str, said: str) -> None:
    error = refused(content)
    assert error.code == code
    assert error.what.startswith(said)
    compressed = refused(gzip.compress(content), "f.csv.gz")
    assert compressed.code == code
    assert (
        compressed.what.replace("f.csv.gz", "f.csv").partition(" (0 bytes")[0] == error.what.partition(" (0 bytes")[0]
    )


def test_a_gzipped_file() -> None:
    frame = parse("f.csv.gz", gzip.compress(b"\xef\xbb\xbfa,b\n1,2\n") + gzip.compress(b"3,4\n"), ANY)
    assert frame.rows() == [(1, 2), (3, 4)]


@pytest.mark.parametrize("left", [0.2, 0.5, 0.99])
def test_a_truncated_gzip_file(left: float) -> None:
    whole = gzip.compress("\n".join(["a,b", *(f"{n},{n * n}" for n in range(5000))]).encode())
    assert refused(whole[: int(len(whole) * left)], "f.csv.gz").code == "HR305"


def test_no_gzip_file() -> None:
    whole = gzip.compress(b"a,b\n1,2\n")
    wrong_sum = whole[:-8] + bytes(4) + whole[-4:]
    damaged = whole[:12] + b"\xff\xff\xff" + whole[15:]
    for content in (b"a,b\n1,2\n", wrong_sum, damaged, whole + b"more"):
        assert refused(content, "f.csv.gz").code == "HR306"


def parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def test_a_parquet_file_keeps_its_values() -> None:
    moments = [datetime(2024, 1, 1, tzinfo=UTC), None]
    frame = pl.DataFrame(
        {
            "whole": pl.Series([1, 2], dtype=pl.Int32),
            "kind": pl.Series(["x", "y"], dtype=pl.Categorical),
            "naive": pl.Series([moments[0].replace(tzinfo=None), None], dtype=pl.Datetime("ns")),  # type: ignore[union-attr]
            "zoned": pl.Series(moments, dtype=pl.Datetime("ms", "UTC")).dt.convert_time_zone("Asia/Tokyo"),
            "none": pl.Series([None, None], dtype=pl.Float64),
            "price": [Decimal("1.50"), Decimal("2.25")],
            "day": [date(2024, 1, 1), None],
        }
    )
    found = parse("f.parquet", parquet(frame), files("*.parquet", schema={"whole": int}))
    utc = pl.Datetime("us", "UTC")
    assert found.schema["whole"] == pl.Int64()
    assert (found.schema["kind"], found.schema["naive"], found.schema["zoned"]) == (pl.String(), utc, utc)
    assert found["naive"].to_list() == found["zoned"].to_list() == moments
    assert found.schema["none"] == pl.Null()
    assert found.select("whole", "kind", "price", "day").rows() == frame.select("whole", "kind", "price", "day").rows()


def test_a_parquet_file_with_what_cannot_be_landed() -> None:
    fine = pl.Series([1], dtype=pl.Int64).cast(pl.Datetime("ns"))
    for column in (pl.Series([[1]]), pl.Series([{"a": 1}]), fine, pl.Series([b"x"]), pl.Series([1]).cast(pl.Duration)):
        error = refused(parquet(pl.DataFrame({"x": column})), "f.parquet")
        assert error.code == "HR316"
        assert "f.parquet: column 'x'" in error.what


def test_a_damaged_parquet_file() -> None:
    whole = parquet(pl.DataFrame({"a": range(1000), "b": [f"text {n}" for n in range(1000)]}))
    for content in (b"garbage" * 20, whole[:100], whole[:-1], whole[200:]):
        assert refused(content, "f.parquet").code == "HR311"
    assert refused(b"", "f.parquet").code == "HR304"


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_no_damage_to_a_parquet_file_ends_the_process(changes: list[tuple[int, int]]) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(50)), "b": ["x", None] * 25}), file, write_page_checksum=True)
    content = bytearray(file.getvalue())
    for place, value in changes:
        content[place % len(content)] = value
    try:
        parse("f.parquet", bytes(content), ANY)
    except HeadraceError as error:
        assert error.code in ("HR311", "HR316")  # noqa: PT017 - damage may also leave a readable file
