"""The same mischief with every kind of file: each is refused with a code, or keeps every value."""

from __future__ import annotations

import hashlib
import io
import math
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.adapters.artefacts import FileArtefactStore
from headrace.errors import HeadraceError
from headrace.ports.records import Batch
from headrace.sources import landing
from headrace.sources.files import files
from headrace.sources.landing import Arrival, land
from headrace.sources.source import Source
from tests.sources.making import MAKERS, arrow_orc, parsed, refused, workbook
from tests.tables.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path

KINDS = sorted(MAKERS)
TYPED = ("parquet", "orc", "avro")
FRAME = pl.DataFrame({"n": range(200), "s": [f"text {n}" for n in range(200)]})
CODES = {f"HR{number}" for number in (*range(304, 312), 316, 317, *range(323, 331))}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_file_comes_back(kind: str) -> None:
    assert parsed(f"f.{kind}", MAKERS[kind](FRAME)).equals(FRAME)


def test_new_changed_and_unchanged_files(tmp_path: Path, kind: str) -> None:
    shop = Workshop(tmp_path)
    source = Source("raw", files(f"data/*.{kind}"))
    shop.write(f"data/a.{kind}", MAKERS[kind](FRAME.head(2)))
    shop.write(f"data/b.{kind}", MAKERS[kind](FRAME.slice(2, 1)))
    first = shop.land(source)
    again = shop.land(source)
    assert (again.key, again.manifest.facts["new_rows"]) == (first.key, 0)
    shop.write(f"data/a.{kind}", MAKERS[kind](FRAME.slice(5, 1)))
    assert shop.rows(source, shop.land(source))["n"].to_list() == [5, 2]
    (tmp_path / f"data/b.{kind}").unlink()
    assert shop.rows(source, shop.land(source))["n"].to_list() == [5]


def test_an_empty_file(kind: str) -> None:
    error = refused(f"f.{kind}", b"")
    assert (error.code, error.what) == ("HR304", f"f.{kind} is empty (0 bytes)")


def test_white_space_alone(kind: str) -> None:
    assert refused(f"f.{kind}", b" \n\n").code == ("HR304" if kind in ("csv", "ndjson") else "HR311")


def test_a_csv_file_that_ends_in_the_middle_of_a_line() -> None:
    assert refused("f.csv", "a,b\n1,2\n3").what == "f.csv, line 3: 1 fields where the header has 2"
    assert refused("f.csv", 'a,b\n1,2\n3,"x').code == "HR317"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "csv"])
@pytest.mark.parametrize("left", [0.1, 0.5, 0.9])
def test_a_truncated_file(kind: str, left: float) -> None:
    whole = MAKERS[kind](FRAME)
    error = refused(f"f.{kind}", whole[: int(len(whole) * left) - 3])
    assert error.code == ("HR324" if kind == "ndjson" else "HR311")


def test_garbage(kind: str) -> None:
    assert refused(f"f.{kind}", b"\x93garbage\n" * 20).code == ("HR308" if kind in ("csv", "ndjson") else "HR311")


def test_utf_16_that_was_not_declared(kind: str) -> None:
    content = '{"a":1}\n'.encode("utf-16")
    assert refused(f"f.{kind}", content).code == ("HR308" if kind in ("csv", "ndjson") else "HR311")


@pytest.mark.parametrize(("kind", "text"), [("csv", "a,b\n1,2\n"), ("ndjson", '{"a":1,"b":2}\n')])
def test_a_byte_order_mark(kind: str, text: str) -> None:
    assert parsed(f"f.{kind}", "\ufeff" + text).to_dicts() == [{"a": 1, "b": 2}]


@pytest.mark.parametrize(
    ("kind", "text"), [("csv", "a,b\r\n1,2\n3,4\r\n5,6"), ("ndjson", '{"a":1,"b":2}\r\n{"a":3,"b":4}\n{"a":5,"b":6}')]
)
def test_mixed_line_ends(kind: str, text: str) -> None:
    assert parsed(f"f.{kind}", text).rows() == [(1, 2), (3, 4), (5, 6)]


@pytest.mark.parametrize(
    ("kind", "text", "code"),
    [
        ("csv", "a,b\n1,2\n3,4\r5,6\n", "HR311"),
        ("csv", "a\n1\r2\n", "HR311"),
        ("ndjson", '{"a":1}\r{"a":2}\n', "HR324"),
    ],
)
def test_a_carriage_return_alone(kind: str, text: str, code: str) -> None:
    error = refused(f"f.{kind}", text)
    assert error.code == code
    assert f"f.{kind}, line " in error.what


def test_a_carriage_return_in_quotes_is_text() -> None:
    assert parsed("f.csv", 'a,b\n"x\ry",1\n').rows() == [("x\ry", 1)]


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet", "orc", "avro"])
def test_a_very_long_line_keeps_its_value(kind: str) -> None:
    frame = pl.DataFrame({"n": [1, 2], "s": ["x" * 20_000_000, "y"]})
    assert parsed(f"f.{kind}", MAKERS[kind](frame)).equals(frame)


def test_a_header_longer_than_any_name() -> None:
    assert refused("f.csv", "x" * 200_000 + ",b\n1,2\n").code == "HR311"


def test_a_column_without_any_value(kind: str) -> None:
    frame = pl.DataFrame({"n": [1, 2], "e": pl.Series([None, None], dtype=pl.String)})
    assert parsed(f"f.{kind}", MAKERS[kind](frame)).schema == {"n": pl.Int64(), "e": pl.Null()}


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_whole_numbers_beyond_64_bits(kind: str) -> None:
    frame = pl.DataFrame({"n": pl.Series([1, 2**64], dtype=pl.Int128)})
    error = refused(f"f.{kind}", MAKERS[kind](frame))
    assert error.code == "HR316"
    assert "schema={'n': pl.String}" in error.fix
    assert refused(f"f.{kind}", MAKERS[kind](frame), {"n": int}).code == "HR311"
    assert parsed(f"f.{kind}", MAKERS[kind](frame), {"n": str})["n"].to_list() == ["1", str(2**64)]


@pytest.mark.parametrize("kind", ["csv", *TYPED])
def test_nan_and_infinity_stay_what_they_are(kind: str) -> None:
    frame = pl.DataFrame({"x": [1.5, math.nan, math.inf, -math.inf]})
    assert parsed(f"f.{kind}", MAKERS[kind](frame)).equals(frame)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("n,m\n1.5,1\n1e999,2\n", "f.csv, line 3: '1e999' in column 'n' is more than a float keeps"),
        (
            "n,m\n1.5,1\n9007199254740993,2\n",
            "f.csv, line 3: '9007199254740993' in column 'n' is more than a float keeps",
        ),
        (
            "n,m\n1.5,1\n9007199254740993.0,2\n",
            "f.csv, line 3: '9007199254740993.0' in column 'n' is more than a float keeps",
        ),
        (
            "n,m\n1.5,1\n9007199254740993.5,2\n",
            "f.csv, line 3: '9007199254740993.5' in column 'n' is more than a float keeps",
        ),
    ],
)
def test_a_number_that_no_float_holds(text: str, said: str) -> None:
    for schema in (None, {"n": float}):
        error = refused("f.csv", text, schema)
        assert (error.code, error.what) == ("HR330", said)
    assert parsed("f.csv", "n,m\n1.5,1\n9007199254740994,1\ninf,2\n")["n"].to_list() == [1.5, 2.0**53 + 2, math.inf]


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet"])
def test_two_columns_of_one_name(kind: str) -> None:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), file)
    content = {"csv": b"a,a\n1,2\n", "ndjson": b'{"a":1,"a":2}\n', "parquet": file.getvalue()}[kind]
    error = refused(f"f.{kind}", content)
    assert error.code == ("HR324" if kind == "ndjson" else "HR309")
    assert "'a'" in error.what


@pytest.mark.parametrize("text", ["2013-02-30", "10000-01-01", "0000-01-01", "2013-13-01", "2013-01-01T25:00:00"])
def test_a_text_that_is_no_date_stays_a_text(text: str) -> None:
    for kind, content in (("csv", f"d,n\n{text},1\n"), ("ndjson", f'{{"d":"{text}"}}\n')):
        assert parsed(f"f.{kind}", content)["d"].to_list() == [text]
        for declared in (pl.Date, pl.Datetime):
            assert refused(f"f.{kind}", content, {"d": declared}).code == "HR311"


@pytest.mark.parametrize(
    ("kind", "numbers", "type_"),
    [
        ("parquet", [2**30, 1], pl.Date),
        ("avro", [-(2**30), 1], pl.Date),
        ("orc", [2**30, 1], pl.Date),
        ("parquet", [2**60, 1], pl.Datetime("ms")),
        ("parquet", [2**62, 1], pl.Datetime("us")),
        ("parquet", [-(2**62), 1], pl.Datetime("us", "Europe/Berlin")),
        ("avro", [2**60, 1], pl.Datetime("ms")),
        ("orc", [2**62, 1], pl.Datetime("us")),
    ],
)
def test_a_time_beyond_the_year_9999(kind: str, numbers: list[int], type_: pl.DataType) -> None:
    physical = pl.Int32 if type_ == pl.Date else pl.Int64
    frame = pl.DataFrame({"t": pl.Series(numbers, dtype=physical).cast(type_)})
    unreadable = kind == "orc" and type_ != pl.Date  # Arrow itself refuses it
    assert refused(f"f.{kind}", MAKERS[kind](frame)).code == ("HR311" if unreadable else "HR316")


def test_the_first_and_the_last_moment() -> None:
    days = pl.Series([-719_162, 2_932_896], dtype=pl.Int32).cast(pl.Date)
    frame = pl.DataFrame({"d": days, "t": days.cast(pl.Datetime("us", "UTC"))})
    assert parsed("f.parquet", MAKERS["parquet"](frame)).equals(frame)


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_a_line_of_100_megabytes(tmp_path: Path, kind: str) -> None:
    shop = Workshop(tmp_path)
    shop.write(f"data/a.{kind}", MAKERS[kind](pl.DataFrame({"n": [1, 2], "s": ["x" * 100_000_000, "y"]})))
    source = Source("raw", files(f"data/*.{kind}"))
    rows = source.read(shop.land(source), shop.stores).select("n", pl.col("s").str.len_bytes()).collect()
    assert rows.rows() == [(1, 100_000_000), (2, 1)]


@pytest.mark.parametrize("kind", TYPED)
def test_a_value_that_does_not_fit_its_declared_type(kind: str) -> None:
    error = refused(f"f.{kind}", MAKERS[kind](FRAME), {"s": int})
    assert (error.code, error.what) == ("HR311", f"f.{kind}, row 1: 'text 0' in column 's' is no Int64")


NOON = datetime(2024, 1, 2, 12)  # noqa: DTZ001 - a time without a zone


@pytest.mark.parametrize(
    ("values", "declared", "said"),
    [
        ([1.0, 1.5], int, "row 2: 1.5 in column 'a' is no Int64"),
        ([1.0, math.nan], int, "row 2: nan in column 'a' is no Int64"),
        ([1, 300], pl.Int8, "row 2: 300 in column 'a' is no Int8"),
        ([1, 2**53 + 1], float, "row 2: '9007199254740993' in column 'a' is more than a float keeps"),
        ([1, 2**24 + 1], pl.Float32, "row 2: '16777217' in column 'a' is more than a float keeps"),
        ([0, 5], bool, "row 2: 5 in column 'a' is no Boolean"),
        ([date(2024, 1, 2), NOON], date, "row 2: 2024-01-02 12:00:00 in column 'a' is no Date"),
        ([1.25, 1.005], pl.Decimal(9, 2), "row 2: '1.005' in column 'a' is no Decimal"),
        ([Decimal("1.250"), Decimal("1.005")], pl.Decimal(9, 2), "row 2: 1.005 in column 'a' is no Decimal"),
        ([Decimal("1.0"), Decimal("1.5")], int, "row 2: 1.5 in column 'a' is no Int64"),
        (["1", "1e999"], float, "row 2: '1e999' in column 'a' is more than a float keeps"),
        (["2024-01-02", "02/01/2024"], date, "row 2: '02/01/2024' in column 'a' is no Date"),
    ],
)
def test_a_typed_value_that_its_declared_type_would_change(values: list[object], declared: object, said: str) -> None:
    error = refused("f.parquet", MAKERS["parquet"](pl.DataFrame({"a": values}, strict=False)), {"a": declared})
    assert error.code in ("HR311", "HR330")
    assert error.what.startswith(f"f.parquet, {said}")


@pytest.mark.parametrize(
    ("values", "declared", "expected"),
    [
        ([1.0, None], int, [1, None]),
        ([1, 2], float, [1.0, 2.0]),
        ([0, 1], bool, [False, True]),
        ([Decimal("1.500")], pl.Decimal(9, 2), [Decimal("1.50")]),
        ([1.005], pl.Decimal(9, 3), [Decimal("1.005")]),
        ([NOON.replace(hour=0)], date, [date(2024, 1, 2)]),
        (["2024-01-02"], date, [date(2024, 1, 2)]),
        (["true"], bool, [True]),
        ([1, 2], str, ["1", "2"]),
    ],
)
def test_a_typed_value_that_its_declared_type_holds(values: list[object], declared: object, expected: object) -> None:
    content = MAKERS["parquet"](pl.DataFrame({"a": values}))
    assert parsed("f.parquet", content, {"a": declared})["a"].to_list() == expected


@pytest.mark.parametrize("values", [[1_700_000_000_000], [1.5]])
def test_a_number_is_no_time(values: list[object]) -> None:
    error = refused("f.parquet", MAKERS["parquet"](pl.DataFrame({"a": values})), {"a": datetime})
    assert error.code == "HR311"
    assert "and schema= declares Datetime" in error.what


def test_a_fraction_of_a_microsecond_is_not_cut_off() -> None:
    table = pa.table({"a": pa.array([1], pa.timestamp("ns"))})
    assert refused("f.parquet", arrow_parquet(table), {"a": datetime}).code == "HR311"


def test_a_row_of_a_later_piece_is_counted_from_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "_LEAST", 1)
    content = MAKERS["parquet"](pl.DataFrame({"a": [1.0] * 500 + [1.5]}))
    seen = Batch("f.parquet", hashlib.sha256(content).hexdigest(), len(content))
    arrival = Arrival(seen, lambda: io.BytesIO(content), files("*.parquet", schema={"a": int}), 64 * 100)
    with pytest.raises(HeadraceError, match="row 501"):
        land(arrival, FileArtefactStore(tmp_path / "store"))


def test_a_time_of_the_old_type_beyond_its_years() -> None:
    table = pa.table({"a": pa.array([datetime(9999, 12, 31)], pa.timestamp("us"))})  # noqa: DTZ001 - it has no zone
    error = refused("f.parquet", arrow_parquet(table, use_deprecated_int96_timestamps=True))
    assert (error.code, "INT96" in error.fix) == ("HR316", True)


def arrow_parquet(table: pa.Table, **options: bool) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def test_what_polars_stumbles_over(capfd: pytest.CaptureFixture[str]) -> None:
    long = pa.table({"d": pa.array([Decimal(10**40)], pa.decimal256(50, 2))})
    error = refused("f.parquet", arrow_parquet(long))
    assert (error.code, error.what) == ("HR316", "f.parquet: column 'd' is of type decimal256(50, 2)")
    assert "panicked" not in capfd.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_in_a_column_without_a_name(kind: str) -> None:
    if kind == "avro":
        return  # its names are never empty
    made = {
        "csv": b",a\n0,1\n",
        "ndjson": b'{"":0,"a":1}\n',
        "parquet": arrow_parquet(pa.table({"": [0], "a": [1]})),
        "orc": arrow_orc(pl.DataFrame({"x": [0], "a": [1]}).rename({"x": ""})),
        "xlsx": workbook({"s": [[None, "a"], [0, 1]]}),
    }
    assert refused(f"f.{kind}", made[kind]).code == "HR325"


def test_a_missing_column(kind: str) -> None:
    assert refused(f"f.{kind}", MAKERS[kind](FRAME), {"m": int}).code == "HR310"


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_no_damage_goes_without_a_code(kind: str, changes: list[tuple[int, int]]) -> None:
    content = bytearray(MAKERS[kind](FRAME.head(20)))
    for place, value in changes:
        content[place % len(content)] = value
    try:
        parsed(f"f.{kind}", bytes(content))
    except HeadraceError as error:
        assert error.code in CODES  # noqa: PT017 - damage may also leave a readable file
