"""Which columns of a table follow from which columns of its inputs."""

from __future__ import annotations

import polars as pl
import pytest

from headrace.tables.touching import touched

SCHEMA = {"a": "Int64", "b": "String", "c": "Datetime(time_unit='us', time_zone='UTC')"}


def select(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select((pl.col("a") * 2).alias("double"), "b", pl.col("c").dt.hour().alias("hour"))


def filtered(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.filter(pl.col("b") == "x").select("a", "c")


def grouped(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.group_by("b").agg(pl.col("a").sum().alias("sum"), pl.len().alias("rows"))


def eager(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select("a")


@pytest.mark.parametrize(
    ("function", "kind", "columns", "follows"),
    [
        (select, "lazy", {"a"}, {"double"}),
        (select, "lazy", {"c", "b"}, {"b", "hour"}),
        (select, "lazy", {"none"}, set()),
        (filtered, "lazy", {"b"}, {"a", "c"}),
        (grouped, "lazy", {"a"}, {"sum"}),
        (grouped, "lazy", {"b"}, {"b", "sum", "rows"}),
        (eager, "eager", {"b"}, {"a"}),
        (eager, "pandas", {"b"}, {"a"}),
    ],
)
def test_one_input(function: object, kind: str, columns: set[str], follows: set[str]) -> None:
    if kind == "pandas":
        pytest.importorskip("pandas")

        def function(rows: object) -> object:
            return rows[["a"]]  # type: ignore[index]

    assert touched(function, [kind], [(SCHEMA, frozenset(columns))]) == follows  # type: ignore[arg-type]


def test_two_inputs() -> None:
    def joined(one: pl.LazyFrame, other: pl.LazyFrame) -> pl.LazyFrame:
        return one.join(other, on="a").select("b", pl.col("c_right").alias("at"))

    found = touched(joined, ["lazy"] * 2, [(SCHEMA, frozenset("c")), (SCHEMA, frozenset("c"))])
    assert found == {"at"}
    assert touched(joined, ["lazy"] * 2, [(SCHEMA, frozenset()), (SCHEMA, frozenset("a"))]) == {"b", "at"}
