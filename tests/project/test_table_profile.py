"""The profile of a table, against what Python's own statistics say of the same values."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.cli.output import plain
from headrace.cli.profile_lines import _shown, profile_lines
from headrace.errors import HeadraceError
from headrace.ports.records import Manifest, Version
from headrace.project.profile_page import page
from headrace.project.table_profile import BINS, TableProfile, profile_columns, profile_of
from tests.support.projects import Project

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.project.table_profile import ColumnProfile


def profiled(frame: pl.DataFrame) -> dict[str, ColumnProfile]:
    rows, found = profile_columns(frame.lazy())
    assert rows == frame.height
    assert [each.name for each in found] == frame.columns
    return {each.name: each for each in found}


def numbers_of(column: ColumnProfile) -> Any:  # noqa: ANN401 - values of any column
    assert column.numbers is not None
    return column.numbers


@settings(max_examples=50)
@given(st.lists(st.none() | st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0])))
def test_a_number(values: list[float | None]) -> None:
    column = profiled(pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)}))["x"]
    present = [each for each in values if each is not None]
    known = [each for each in present if math.isfinite(each)]
    assert (column.nulls, column.nans) == (values.count(None), sum(map(math.isnan, present)))
    assert column.infinite == sum(map(math.isinf, present))
    assert column.different == len({each for each in present if not math.isnan(each)})
    if not known:
        assert column.numbers is None
        return
    found = numbers_of(column)
    assert (found.low, found.high) == (min(known), max(known))
    assert found.mean == pytest.approx(fmean(known), abs=1e-6)
    assert found.deviation == pytest.approx(pstdev(known), abs=1e-2, rel=1e-6)
    assert found.quantiles[0.5] == sorted(known)[math.ceil(len(known) / 2) - 1]
    assert sum(each.rows for each in found.histogram) == len(known)
    for at, each in enumerate(found.histogram):
        first = each.low if at == 0 else math.nextafter(each.low, math.inf)
        assert each.rows == sum(first <= value <= each.high for value in known)
    assert len(found.histogram) <= BINS


def test_few_whole_numbers_have_a_bar_each() -> None:
    found = numbers_of(profiled(pl.DataFrame({"x": [3, 1, 3, 5]}))["x"])
    assert [each.rows for each in found.histogram] == [1, 0, 2, 0, 1]
    assert (found.low, found.high) == (1, 5)


def test_whole_numbers_keep_their_exact_ends() -> None:
    found = numbers_of(profiled(pl.DataFrame({"x": [2**53 + 1, 2**62 + 1]}))["x"])
    assert (found.low, found.high) == (2**53 + 1, 2**62 + 1)


def test_times() -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "at": [start, start + timedelta(days=2)],
            "plain": [datetime(2024, 1, 1), datetime(2024, 1, 3)],  # noqa: DTZ001 - a time without a zone
            "day": [date(2024, 1, 1), date(2024, 1, 2)],
            "time": [time(1), time(3)],
            "long": [timedelta(hours=1), timedelta(hours=3)],
        }
    )
    found = {name: numbers_of(each) for name, each in profiled(frame).items()}
    assert found["at"].mean == start + timedelta(days=1)
    assert found["at"].deviation == timedelta(days=1)
    assert found["plain"].mean == datetime(2024, 1, 2)  # noqa: DTZ001
    assert found["day"].mean == datetime(2024, 1, 1, 12)  # noqa: DTZ001
    assert found["day"].quantiles[0.5] == date(2024, 1, 1)
    assert (found["time"].low, found["time"].mean, found["time"].high) == (time(1), time(2), time(3))
    assert found["long"].mean == timedelta(hours=2)


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float64])
def test_the_extremes_are_finite(dtype: type[pl.DataType]) -> None:
    found = profiled(pl.DataFrame({"x": pl.Series([1.5, math.nan, math.inf, -math.inf, -2.0], dtype=dtype)}))["x"]
    assert (numbers_of(found).low, numbers_of(found).high, found.infinite, found.nans) == (-2.0, 1.5, 2, 1)


def test_the_ends_of_time() -> None:
    """Some write them where an end is open."""
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    at = pl.Series([first, datetime(2024, 1, 1, tzinfo=UTC), last], dtype=pl.Datetime("us", "UTC"))
    found = profiled(pl.DataFrame({"at": at, "plain": at.dt.replace_time_zone(None), "day": at.dt.date()}))
    ends = {name: (numbers_of(each).low, numbers_of(each).high) for name, each in found.items()}
    assert ends["at"] == (first, last)
    assert ends["plain"] == (first.replace(tzinfo=None), last.replace(tzinfo=None))
    assert ends["day"] == (date.min, date.max)
    assert [sum(bar.rows for bar in numbers_of(each).histogram) for each in found.values()] == [3, 3, 3]


def test_texts_and_what_has_no_order() -> None:
    frame = pl.DataFrame(
        {
            "s": ["a", "bb", "bb", None],
            "b": [True, True, False, None],
            "d": pl.Series([Decimal("1.5"), Decimal("2.5"), None, None]),
            "l": [[1], [1], None, [2]],
            "n": [None] * 4,
        }
    )
    found = profiled(frame)
    assert (found["s"].top, found["s"].lengths, found["s"].different) == ((("bb", 2), ("a", 1)), (1, 2), 2)
    assert found["b"].top == ((True, 2), (False, 1))
    assert numbers_of(found["d"]).low == Decimal("1.5")
    assert (found["l"].nulls, found["l"].different, found["l"].top) == (1, None, ())
    assert (found["n"].nulls, found["n"].different, found["n"].numbers, found["n"].missing) == (4, 0, None, 1.0)


def test_a_column_without_values_is_not_all_different() -> None:
    frame = pl.DataFrame({"n": pl.Series([None, None], dtype=pl.Int64), "s": ["a", "b"]})
    assert [_shown(each) for each in profiled(frame).values()] == ["", "all different  (1 character)"]


def test_no_rows_and_no_columns() -> None:
    found = profiled(pl.DataFrame(schema={"x": pl.Float64, "s": pl.String, "l": pl.List(pl.Int64)}))
    assert [(each.nulls, each.top, each.numbers, each.lengths) for each in found.values()] == [(0, (), None, None)] * 3
    assert profiled(pl.DataFrame()) == {}


def test_beyond_ten_thousand_different_values_it_is_close() -> None:
    many = 30_000
    frame = pl.DataFrame({"x": [*range(many), *[7] * 5000], "s": [*map(str, range(many)), *["often"] * 5000]})
    for column in profiled(frame).values():
        assert not column.exact
        assert column.different == pytest.approx(many, rel=0.06)
        assert [count for _, count in column.top][:1] in ([5000], [5001])


def test_names_that_the_profile_uses_itself() -> None:
    frame = pl.DataFrame({"0<": [1, 2], "value": [3, 4], "1": [5, 6], "count": ["a", "b"]})
    assert [numbers_of(each).high for each in profiled(frame).values() if each.numbers] == [2, 4, 6]


def test_more_columns_than_are_read_at_a_time() -> None:
    found = profiled(pl.DataFrame({f"x{at}": [at, at] for at in range(120)}))
    assert [numbers_of(each).mean for each in found.values()] == [float(at) for at in range(120)]


def test_the_page_is_one_file_that_asks_for_nothing() -> None:
    frame = pl.DataFrame({"<b>x</b>": [1.0, 2.0, math.nan], "s": ["<script>", "<script>", None]})
    version = Version("k" * 64, "orders", "table", "f", (), Manifest("k"), made_at="2024-01-01T00:00:00+00:00")
    rows, found = profile_columns(frame.lazy())
    profile = TableProfile("prod", version, rows, found)
    text = page(profile)
    assert "<script" not in text
    assert "<b>x" not in text
    assert not re.search(r"(src|href)=|url\(", text)
    assert text.count("<svg") == 2
    assert json.dumps(plain(profile.to_json()), allow_nan=False)
    assert profile_lines(profile)[0] == "orders kkkkkkkkkkkk, table, in prod: 3 rows, 2 columns"


def test_the_page_tells_infinite_numbers() -> None:
    version = Version("k" * 64, "orders", "table", "f", (), Manifest("k"), made_at="2024-01-01T00:00:00+00:00")
    rows, found = profile_columns(pl.LazyFrame({"x": [1.0, 2.0, math.inf, math.inf, -math.inf]}))
    text = page(TableProfile("prod", version, rows, found))
    assert ">inf<" in text
    assert ">-inf<" in text


def test_of_an_environment(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.write_batch("a", [*range(10), -5])
    project.apply()
    with headrace.open(project=project.folder) as prod:
        assert {each: profile_of(prod, each).rows for each in ("raw", "orders", "by_shop")} == {
            "raw": 11,
            "orders": 10,
            "by_shop": 1,
        }
        with pytest.raises(HeadraceError, match="HR830"):
            profile_of(prod, "ordrs")
