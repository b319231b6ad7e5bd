"""Which rows are kept for labels: every one that somebody sees, and few others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from headrace.features import asked as asked_module
from headrace.features.aggregates import Count, Newest
from headrace.features.asked import Asked
from headrace.features.grouping import Prints
from headrace.features.join import ViewRows, point_in_time
from headrace.features.windows import microseconds

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000

# About the epoch, where times in microseconds change their sign.
times = st.integers(-40, 40)
entities = st.sampled_from(["a", "b", "c"])
pairs = st.lists(st.tuples(entities, times), max_size=30)


def frame(rows: list[tuple[str, int]]) -> pl.DataFrame:
    schema = {"who": pl.String(), "at": pl.Int64()}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))


def kept(rows: list[tuple[str, int]], labels: list[tuple[str, int]], over: int | None) -> list[tuple[str, int]]:
    cutoffs = np.array([at for _, at in labels], dtype=np.int64)
    asked = Asked(Prints.of(frame(labels).select("who")).first, cutoffs, over)
    found = frame(rows).filter(asked.rows([pl.col("who")], pl.col("at")))
    return found.with_columns(pl.col("at").to_physical()).rows()


@given(pairs, pairs, st.none() | st.integers(1, 50))
def test_no_row_is_lost_that_a_label_sees(
    rows: list[tuple[str, int]], labels: list[tuple[str, int]], over: int | None
) -> None:
    left = kept(rows, labels, over)
    for who, at in rows:
        if any(who == whose and (over is None or cutoff - over <= at) and at < cutoff for whose, cutoff in labels):
            assert (who, at) in left


def test_few_rows_are_kept_that_nobody_sees() -> None:
    """A window of a day in a year of rows, and one entity of a hundred."""
    rows = [(f"shop {number % 100}", number * DAY // 100) for number in range(36_500)]
    assert 100 <= len(kept(rows, [("shop 7", 100 * DAY)], 100 * DAY)) < 110
    assert 1 <= len(kept(rows, [("shop 7", 100 * DAY)], DAY)) < 5
    assert len(kept(rows, [("shop 7", 100 * DAY)], None)) < 110
    assert kept(rows, [], DAY) == []
    assert kept(rows, [], None) == []


def test_a_table_that_would_be_full_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked_module, "_MOST_BITS", 2)
    rows = [("a", 1), ("b", 5), ("b", 7), ("b", 9)]
    assert kept(rows, [("b", 6), ("b", 9)], 4) == rows[1:3]  # by time alone


def test_a_row_that_is_not_known_yet_is_not_kept() -> None:
    asked = Asked(Prints.of(pl.DataFrame({"who": ["a"]})).first, np.array([5]), None)
    rows = pl.DataFrame({"who": ["a", "a"], "at": pl.Series([None, 3], dtype=pl.Datetime("us", "UTC"))})
    assert rows.filter(asked.rows([pl.col("who")], pl.col("at"))).height == 1


def test_entities_of_other_types_are_found() -> None:
    """As types that are compared: integers of any size, and texts of any kind."""
    at = [EPOCH + timedelta(days=1)] * 2
    rows = pl.DataFrame({"who": ["x", "y"], "till": [1, 2], "_visible_at": at, "value": [3, 4]})
    rows = rows.with_columns(pl.col("who").cast(pl.Categorical), pl.col("till").cast(pl.Int8))
    view = ViewRows("view", rows, ("who", "till"), ("who", "till"), {"v": Newest("value", timedelta(days=2))})
    labels = pl.DataFrame({"who": ["y", "x"], "till": [2, 2], "asked": [at[0] + timedelta(days=1)] * 2})
    assert point_in_time(labels, [view], cutoff="asked")["v"].to_list() == [4, None]


def test_only_what_may_be_seen_is_read(tmp_path: Path) -> None:
    """Parts of a file that lie before all windows, or behind all cut-offs, do not become rows."""
    at = pl.Series(range(1_000)) * DAY
    rows = pl.DataFrame({"who": ["a"] * 1_000, "_visible_at": at.cast(pl.Datetime("us", "UTC"))})
    rows.write_parquet(tmp_path / "rows.parquet", row_group_size=10)
    over = timedelta(days=20)
    view = ViewRows("v", pl.scan_parquet(tmp_path / "rows.parquet"), ("who",), ("who",), {"n": Count(None, over)})
    cutoff = 500 * DAY
    asked = Asked(Prints.of(pl.DataFrame({"who": ["a"]})).first, np.array([cutoff]), microseconds(over))
    seen = view.rows.lazy().filter(asked.rows([pl.col("who")], pl.col("_visible_at"))).collect()
    assert 20 <= seen.height < 40
    labels = pl.DataFrame({"who": ["a"], "asked": [EPOCH + timedelta(days=500)]})
    assert point_in_time(labels, [view], cutoff="asked")["n"].to_list() == [20]
