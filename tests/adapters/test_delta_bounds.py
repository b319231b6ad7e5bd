"""Readers of Delta pass over the files that hold no row that is asked for, and over no other one."""

from __future__ import annotations

import json
import math
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from headrace.adapters.delta import DeltaTableStore
from headrace.adapters.delta_bounds import COLUMNS, statistics
from headrace.ports.stores import Change
from headrace.testing.stores import key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.ports.records import Ref

SCHEMA: dict[str, Any] = {
    "number": pl.Int64,
    "text": pl.String,
    "moment": pl.Datetime("us", "UTC"),
    "naive": pl.Datetime("us"),
    "day": pl.Date,
    "real": pl.Float64,
}
DAYS = st.dates(date(1, 1, 1), date(9999, 12, 31))
ROW = st.fixed_dictionaries(
    {
        "number": st.none() | st.integers(-(2**63), 2**63 - 1),
        "text": st.none() | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=90),
        "moment": st.none() | st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        "naive": st.none() | st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001
        "day": st.none() | DAYS,
        "real": st.none() | st.floats(),
    }
)


def written(folder: Path, *frames: pl.DataFrame) -> Ref:
    """A table of one file for each frame."""
    pieces = [frame.height for frame in frames]
    return DeltaTableStore(folder).write(key_of(1), "t", pl.concat(frames), change=Change((), pieces))


def months(count: int) -> list[pl.DataFrame]:
    return [
        pl.DataFrame(
            {
                "number": [month * 10, month * 10 + 1],
                "text": [f"month {month}", None],
                "moment": [datetime(2026, month, day, 5, 6, 7, 89, tzinfo=UTC) for day in (1, 28)],
                "naive": [datetime(2026, month, day, 5, 6, 7, 89) for day in (1, 28)],  # noqa: DTZ001
                "day": [date(2026, month, 1), date(2026, month, 28)],
                "real": [math.nan, float(month)],
            },
            schema=SCHEMA,
        )
        for month in range(1, count + 1)
    ]


ASKED: list[tuple[str, Any]] = [
    ("number", 40),
    ("moment", datetime(2026, 4, 1, tzinfo=UTC)),
    ("naive", datetime(2026, 4, 1)),  # noqa: DTZ001
    ("day", date(2026, 4, 1)),
    ("text", "month 4"),
]


@pytest.mark.parametrize(("column", "least"), ASKED)
def test_other_files_are_not_even_opened(tmp_path: Path, column: str, least: Any) -> None:  # noqa: ANN401 - of any column
    frames = months(4)
    ref = written(tmp_path, *frames)
    store = DeltaTableStore(tmp_path)
    for name in store.files(ref)[:3]:
        Path(name).write_bytes(b"no Parquet")
    expected = frames[3].filter(pl.col(column) >= least)
    assert expected.height
    found = pl.scan_delta(str(tmp_path / ref.path)).filter(pl.col(column) >= least).collect()
    assert_frame_equal(found, expected)
    data = DeltaTable(str(tmp_path / ref.path)).to_pyarrow_dataset()
    assert_frame_equal(pl.DataFrame(data.to_table(filter=pc.field(column) >= least)), expected)


@settings(max_examples=10, deadline=None)
@given(parts=st.lists(st.lists(ROW, min_size=1, max_size=4), min_size=1, max_size=4), row=ROW)
def test_no_row_is_passed_over(parts: list[list[dict[str, Any]]], row: dict[str, Any]) -> None:
    frames = [pl.DataFrame(part, schema=SCHEMA) for part in parts]
    with tempfile.TemporaryDirectory() as name:
        ref = written(Path(name), *frames)
        kept = pl.concat(frames)
        comparisons: list[Callable[[pl.Expr, Any], pl.Expr]] = [pl.Expr.eq, pl.Expr.ge, pl.Expr.le]
        asked = [(of, column) for of in (row, parts[-1][0]) for column in SCHEMA]
        conditions = [
            compare(pl.col(column), pl.lit(of[column], SCHEMA[column]))
            for of, column in asked
            for compare in comparisons
            if of[column] is not None
        ]
        conditions += [pl.col(column).is_null() for column in SCHEMA] + [pl.col("real").is_nan()]
        queries = [pl.scan_delta(str(Path(name) / ref.path)).filter(condition) for condition in conditions]
        for condition, found in zip(conditions, pl.collect_all(queries), strict=True):
            assert_frame_equal(found, kept.filter(condition))


def test_what_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rows = pl.DataFrame(
        {
            "number": [3, 1, None],
            "nothing": pl.Series([None] * 3, dtype=pl.Int64),
            "moment": [datetime(1969, 12, 31, 23, 59, 59, 999999), datetime(2026, 1, 1), None],  # noqa: DTZ001
            "within": [datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)] * 3,
            "flag": [True, False, None],
            "list": [[1], [2], [3]],
            "a.b": ["x", "y", "z"],
            "real": [1.0, None, math.nan],
        }
    )
    rows.write_parquet(path, row_group_size=1)
    assert json.loads(statistics(path, 3)) == {
        "numRecords": 3,
        "minValues": {
            "number": 1,
            "moment": "1969-12-31T23:59:59.999",
            "within": "2026-01-01T00:00:00.000Z",
            "a.b": "x",
        },
        "maxValues": {
            "number": 3,
            "moment": "2026-01-01T00:00:00.000",
            "within": "2026-01-01T00:00:00.001Z",
            "a.b": "z",
        },
        "nullCount": {"number": 1, "nothing": 3, "moment": 1, "within": 0, "flag": 1, "a.b": 0, "real": 1},
    }
    pl.DataFrame({"n": []}, schema={"n": pl.Int64}).write_parquet(path)
    assert json.loads(statistics(path, 0)) == {"numRecords": 0, "minValues": {}, "maxValues": {}, "nullCount": {"n": 0}}


def test_moments_beyond_the_calendar_have_no_bounds(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"far": pl.Series([2**62]).cast(pl.Datetime("us"))}).write_parquet(path)
    assert json.loads(statistics(path, 1))["minValues"] == {}


def test_the_first_columns_are_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({f"c{number}": [number] for number in range(40)}).write_parquet(path)
    assert list(json.loads(statistics(path, 1))["maxValues"]) == [f"c{number}" for number in range(COLUMNS)]
