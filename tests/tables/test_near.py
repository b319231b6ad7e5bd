"""Only what lies between the least and the greatest touched key is read, and nothing that shares a key is missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from headrace.tables.picking import near

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = st.lists(st.tuples(st.none() | st.integers(-5, 5), st.none() | st.integers(0, 5)), max_size=12)


def frame(keys: list[tuple[int | None, int | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "number": pl.Series([number for number, _ in keys], dtype=pl.Int64),
            "text": pl.Series([None if number is None else f"k{number}" for number, _ in keys], dtype=pl.String),
            "real": pl.Series([None if number is None else number / 2 for number, _ in keys], dtype=pl.Float64),
            "at": pl.Series(
                [None if at is None else BEGIN + timedelta(days=at) for _, at in keys], dtype=pl.Datetime("us", "UTC")
            ),
        }
    )


@given(KEYS, KEYS)
def test_nothing_that_shares_a_key_is_missed(
    there: list[tuple[int | None, int | None]], came: list[tuple[int | None, int | None]]
) -> None:
    rows, touched = frame(there).lazy().with_row_index("row"), frame(came).drop_nulls().unique()
    names = touched.columns
    met = near(rows, touched).join(touched.lazy(), on=names, how="semi").collect()
    assert met.equals(rows.join(touched.lazy(), on=names, how="semi").collect())


def test_files_without_such_keys_are_not_read(tmp_path: Path) -> None:
    for number in range(3):
        keys = pl.DataFrame({"key": range(10 * number, 10 * number + 10)})
        keys.write_parquet(tmp_path / f"{number}.parquet")
    rows = pl.scan_parquet(sorted(tmp_path.glob("*.parquet"))).with_row_index("row")
    found = near(rows, pl.DataFrame({"key": [12, 15]}))
    assert found.collect().get_column("row").to_list() == [12, 13, 14, 15]
    assert "SELECTION" in found.explain(), "the scan itself leaves them out"
