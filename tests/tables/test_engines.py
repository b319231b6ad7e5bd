"""A contract asked of frames of other libraries says what the pass of a pipeline says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.tables import check, col, rows, rule
from headrace.tables.contract import Contract, column
from headrace.tables.quarantine import split
from headrace.tables.table import Table
from tests.tables.workshop import csv_source

if TYPE_CHECKING:
    from collections.abc import Callable

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


class Trip(Contract):
    """Each kind of rule on each type."""

    k: int = column(key=True)
    word: str = column(isin=("ab", "é"), min_length=2)
    code: str | None = column(matches="[a-c]+", max_length=2)
    whole: int | None = column(gt=-2, le=2)
    real: float = column(ge=0, lt=2.5, on_breach="warn")
    maybe: float | None = column(gt=0)
    flag: bool | None = column(isin=(True,))
    day: date | None = column(ge=date(2024, 1, 1))
    left: datetime = column(event_time=True, le=MOMENT + timedelta(days=1))
    arrived: datetime | None
    after = rule(col("arrived") >= col("left"))
    quick = rule((col("arrived") - col("left") <= timedelta(hours=30)) | col("flag"))
    ratio = rule(col("real") / col("whole") < 1)
    enough = rule(rows() >= 1)


SCHEMA: dict[str, Any] = {
    "k": pl.Int64(),
    "word": pl.String(),
    "code": pl.String(),
    "whole": pl.Int64(),
    "real": pl.Float64(),
    "maybe": pl.Float64(),
    "flag": pl.Boolean(),
    "day": pl.Date(),
    "left": pl.Datetime("us", "UTC"),
    "arrived": pl.Datetime("us", "UTC"),
}
TIMES = st.one_of(st.none(), st.integers(0, 2).map(lambda days: MOMENT + timedelta(days=days)))
FLOATS = st.one_of(st.none(), st.sampled_from([0.0, 1.5, -1.0, 2.5, float("nan")]))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "k": st.one_of(st.integers(0, 3), st.none()),
            "word": st.sampled_from(["ab", "é", "x", None]),
            "code": st.sampled_from(["a", "abc", "x", "a\n", "", None]),
            "whole": st.one_of(st.integers(-3, 3), st.none()),
            "real": FLOATS,
            "maybe": FLOATS,
            "flag": st.one_of(st.booleans(), st.none()),
            "day": st.one_of(st.none(), st.sampled_from([date(2023, 12, 31), date(2024, 1, 1)])),
            "left": TIMES,
            "arrived": TIMES,
        }
    ),
    min_size=1,
    max_size=10,
)


def as_duckdb(frame: pl.DataFrame) -> object:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("given", frame.to_arrow())
    return connection.sql("SELECT * FROM given")


def as_duckdb_without_zones(frame: pl.DataFrame) -> object:
    return as_duckdb(frame.with_columns(pl.col("left", "arrived").dt.replace_time_zone(None)))


LIBRARIES: dict[str, Callable[[pl.DataFrame], object]] = {
    "polars": lambda frame: frame,
    "pandas": lambda frame: frame.to_pandas(),
    "pyarrow": lambda frame: frame.to_arrow(),
    "polars, lazily": lambda frame: frame.lazy(),
    "duckdb": as_duckdb,
    "duckdb without zones": as_duckdb_without_zones,
}


@pytest.mark.parametrize("library", LIBRARIES)
@settings(max_examples=8, deadline=None)
@given(ROWS)
def test_every_library_counts_the_same(library: str, given_rows: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(given_rows, schema=SCHEMA)
    expected = split(frame, Trip, table="t")
    found = check(Trip, LIBRARIES[library](frame))
    assert found.counts == dict(sorted(expected.counts.items()))
    assert found.rows == frame.height
    assert found.passed == (not expected.counts)
    assert found.unasked == ("enough: rows >= 1",)
    assert _height(found.broken) == expected.quarantined.height


def _height(frame: Any) -> int:  # noqa: ANN401 - of any library
    if isinstance(frame, pl.LazyFrame):
        return frame.collect().height
    return frame.to_arrow_table().num_rows if isinstance(frame, duckdb.DuckDBPyRelation) else len(frame)


class Order(Contract):
    order_id: int = column(key=True)
    amount: float | None = column(ge=0)
    code: str | None = column(unique=True)


def test_the_broken_rows_are_those_of_the_frame() -> None:
    frame = pd.DataFrame(
        {"order_id": [1, 2, 2, 4, 5], "amount": [5.0, -1.0, 3.0, None, 1.0], "code": ["a", "b", None, "c", "a"]},
        index=[10, 20, 30, 40, 50],
    )
    found = check(Order, frame)
    assert found.counts == {"amount >= 0": 1, "code is unique": 1}
    assert list(found.broken.index) == [20, 50]
    assert not found.passed
    assert check(Order, frame.loc[[10, 40]]).passed


def test_a_whole_number_that_is_missing_makes_floats_of_a_pandas_column() -> None:
    class Counted(Contract):
        n: int | None = column(ge=2)

    assert check(Counted, pd.DataFrame({"n": [1, None, 3]})).counts == {"n >= 2": 1}
    with pytest.raises(HeadraceError, match="HR407"):
        check(Counted, pd.DataFrame({"n": [1.5, None, 3]}))


class Airport(Contract):
    code: str = column(key=True)


def test_references_are_asked_where_their_table_is_given() -> None:
    airports = Table("airports", [csv_source()], lambda found: found, contract=Airport)

    class Leg(Contract):
        origin: str | None = column(references=airports)

    frame = pl.DataFrame({"origin": ["JFK", "XXX", None]})
    assert check(Leg, frame).unasked == ("origin is in airports",)
    codes = pl.DataFrame({"code": ["JFK"]})
    for each in (frame, as_duckdb(frame)):
        found = check(Leg, each, origin=codes)
        assert (found.counts, found.unasked) == ({"origin is in airports": 1}, ())
    with pytest.raises(HeadraceError, match="HR439"):
        check(Leg, frame, orgin=codes)


@pytest.mark.parametrize("make", [lambda frame: frame, as_duckdb])
def test_columns_that_do_not_fit(make: Callable[[pl.DataFrame], object]) -> None:
    good = pl.DataFrame({"order_id": [1], "amount": [1.0], "code": ["a"]})
    for frame, code in (
        (good.drop("amount"), "HR406"),
        (good.with_columns(pl.lit("x").alias("amount")), "HR407"),
        (good.with_columns(more=1), "HR408"),
    ):
        with pytest.raises(HeadraceError) as caught:
            check(Order, make(frame))
        assert caught.value.code == code


def test_what_is_no_frame() -> None:
    with pytest.raises(HeadraceError, match="HR438") as caught:
        check(Order, [1, 2])
    assert caught.value.what == "builtins.list"
