"""An incremental table promises f(A + B) = f(A) + f(B): `check` tries it on a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.tables.additive import SAMPLE, refuse_dependent
from headrace.tables.table import Table
from tests.tables.workshop import Workshop, csv_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(-5, 5)), min_size=1, max_size=12)


def frame(rows: list[tuple[int, int | None]]) -> pl.LazyFrame:
    return pl.LazyFrame(rows, schema={"k": pl.Int64, "v": pl.Int64}, orient="row")


def doubled(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.filter(pl.col("v") != 0).with_columns(twice=pl.col("v") * 2, tags=pl.concat_list("k", "v"))


def numbered(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_row_index("n")


def once(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.unique("k")


def filled(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.col("v").fill_null(pl.col("v").mean()))


def typed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(big=pl.lit(1, pl.Int64 if rows.height > 2 else pl.Int8))


@given(ROWS, ROWS)
def test_row_by_row_is_never_refused(first: list[tuple[int, int | None]], second: list[tuple[int, int | None]]) -> None:
    refuse_dependent("t", doubled, "lazy", [frame(first), frame(second)])


@pytest.mark.parametrize(
    ("function", "kind", "told"),
    [
        (numbered, "lazy", "t makes 4 rows of 2 and 2 rows apart, and other ones together: see n"),
        (once, "lazy", "t makes 4 rows of 2 and 2 rows apart, and 3 of them together"),
        (filled, "lazy", "t makes 4 rows of 2 and 2 rows apart, and other ones together: see v"),
        (typed, "eager", "big (Int8) for one part"),
    ],
)
def test_rows_that_depend_on_each_other_are_refused(
    function: Callable[[pl.LazyFrame], pl.LazyFrame], kind: str, told: str
) -> None:
    batches = [frame([(1, 1), (2, None)]), frame([(2, 7), (3, 9)])]
    with pytest.raises(HeadraceError, match="HR417") as refused:
        refuse_dependent("t", function, kind, batches)
    assert told in refused.value.what
    assert "f(A + B) = f(A) + f(B)" in str(refused.value)


def test_one_batch_is_taken_in_halves() -> None:
    with pytest.raises(HeadraceError, match="HR417"):
        refuse_dependent("t", numbered, "lazy", [frame([(1, 1), (2, 2)])])
    refuse_dependent("t", numbered, "lazy", [frame([(1, 1)])])  # there is nothing to compare


def test_no_more_than_a_sample_is_looked_at() -> None:
    seen = []

    def watched(rows: pl.DataFrame) -> pl.DataFrame:
        seen.append(rows.height)
        return rows

    many = frame([(n, n) for n in range(3 * SAMPLE)])
    refuse_dependent("t", watched, "eager", [many, many])
    assert seen == [2 * SAMPLE, SAMPLE, SAMPLE]


def test_the_node_tells(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    shop.write("data/1.csv", "k,v\n1,1\n1,2\n")
    shop.write("data/2.csv", "k,v\n1,3\n")
    source = csv_source()
    version = shop.land(source)
    [problem] = Table("t", [source], once, incremental=True).check_sample({source.name: version}, shop.stores)
    assert problem.code == "HR417"
    assert not Table("t", [source], doubled, incremental=True).check_sample({source.name: version}, shop.stores)
    assert not Table("t", [source], once).check_sample({source.name: version}, shop.stores)
