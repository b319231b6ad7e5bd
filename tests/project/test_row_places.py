"""File and line of all rows that were set aside, whatever the function of the table does."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Contract, Pipeline, column, files
from headrace.project import row_places
from headrace.tables import locating
from headrace.tables.locating import located
from tests.cli.commands import inside
from tests.support.projects import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from headrace.tables.table import Table

CODE = """
import polars as pl

from headrace import Contract, Pipeline, column, files

shop = Pipeline("shop")
raw = shop.source("raw", files("data/*.csv"))
cities = shop.source("cities", files("other/*.csv"))


class Order(Contract):
    order_id: int = column(key=True)
    shop: str
    amount: float = column(ge=0)


class Placed(Contract):
    order_id: int = column(key=True)
    city: str = column(isin=("Bern",))


class Sum(Contract):
    shop: str = column(key=True)
    amount: float = column(ge=100)


@shop.table(raw, contract=Order, incremental={incremental})
def orders(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows{filtered}.with_columns(pl.col("amount").cast(pl.Float64) * 2)


@shop.table(orders, cities, contract=Placed)
def placed(rows: pl.LazyFrame, cities: pl.LazyFrame) -> pl.LazyFrame:
    return rows.join(cities, on="shop", maintain_order="left").select("order_id", "city")


@shop.table(orders, contract=Sum)
def by_shop(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.group_by("shop", maintain_order=True).agg(pl.col("amount").sum())
"""
FILTERED = '.filter(pl.col("shop") != "z")'


def project(folder: Path, *, incremental: bool = True, filtered: str = FILTERED) -> Project:
    made = Project(folder / "shop", CODE.replace("{incremental}", str(incremental)).replace("{filtered}", filtered))
    (made.folder / "other").mkdir()
    (made.folder / "other" / "cities.csv").write_text("shop,city\nb,Bern\na,Aarau\n")
    header = "order_id,shop,amount\n"
    (made.folder / "data" / "01.csv").write_text(header + "1,a,-1\n2,z,2\n\n3,b,3\n4,b,-5\n3,b,3\n")
    (made.folder / "data" / "02.csv").write_text(header + "5,b,-5\n6,b,500\n3,b,3\n")
    made.apply()
    return made


def places(made: Project, node: str) -> list[tuple[str, str]]:
    text = inside(made.folder, "quarantine", node, "--format", "csv").out
    key = "shop" if node == "by_shop" else "order_id"
    return [(row[key], row["_place"]) for row in csv.DictReader(io.StringIO(text))]


@pytest.mark.parametrize("incremental", [True, False], ids=["incremental", "whole"])
@pytest.mark.parametrize("filtered", [FILTERED, ""], ids=["filtered", "in step"])
def test_file_and_line_of_each_row(tmp_path: Path, *, incremental: bool, filtered: str) -> None:
    made = project(tmp_path, incremental=incremental, filtered=filtered)
    assert sorted(places(made, "orders")) == [
        ("1", "data/01.csv, line 2"),
        ("3", "data/01.csv, line 7"),
        ("3", "data/02.csv, line 4"),
        ("4", "data/01.csv, line 6"),
        ("5", "data/02.csv, line 2"),
    ]


def test_through_another_table_and_not_through_a_sum(tmp_path: Path) -> None:
    made = project(tmp_path)
    (made.folder / "other" / "cities.csv").write_text("shop,city\nb,Bern\nc,Chur\n")
    (made.folder / "data" / "03.csv").write_text("order_id,shop,amount\n7,c,10\n8,c,11\n")
    made.apply()
    assert sorted(places(made, "placed")) == [("7", "data/03.csv, line 2"), ("8", "data/03.csv, line 3")]
    assert places(made, "by_shop") == [("c", "")]


def test_only_the_rows_that_are_shown_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = project(tmp_path)
    looked: list[int] = []

    def counting(table: Table, rows: pl.DataFrame, inputs: Sequence[pl.DataFrame]) -> list[int | None]:
        looked.append(rows.height)
        return located(table, rows, inputs)

    monkeypatch.setattr(row_places, "located", counting)
    told = inside(made.folder, "quarantine", "orders", "--limit", "2").out
    assert (sum(looked), "data/01.csv, line 2" in told, "data/02.csv" in told) == (2, True, False)
    inside(made.folder, "quarantine", "orders", "--limit", "0")
    assert sum(looked) == 2
    first = inside(made.folder, "quarantine", "orders", "--json", "--limit", "1").data["first"]
    assert [row["_place"] for row in first] == ["data/01.csv, line 2"]


def test_what_is_too_large_or_gone_has_its_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = project(tmp_path)
    text = (made.folder / "data" / "01.csv").read_text()
    (made.folder / "data" / "01.csv").write_text(text + "\n")
    assert ("4", "data/01.csv, row 4") in places(made, "orders")
    monkeypatch.setattr(row_places, "LARGEST", 2)
    assert {place for _, place in places(made, "orders")} == {"data/01.csv", "data/02.csv"}


def test_of_many_rows_only_so_many_are_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locating, "SEARCHED", 2)
    rows = pl.DataFrame({"n": [1, 2, 3, 4]})
    assert located(table_of(lambda rows: rows.filter(pl.col("n") > 1)), rows[1:], [rows]) == [1, 2, None]
    assert located(table_of(lambda rows: rows), rows[1:], [rows]) == [1, 2, 3]


def table_of(function: Callable[[pl.LazyFrame], pl.LazyFrame]) -> Table:
    class Any(Contract):
        n: int | None = column(ge=0)

    def made(rows: pl.LazyFrame) -> pl.LazyFrame:
        return function(rows)

    pipeline = Pipeline("any")
    return pipeline.table(pipeline.source("raw", files("*.csv")), contract=Any)(made)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.integers(0, 6), min_size=1, max_size=24), st.data())
def test_each_place_makes_its_row(values: list[int | None], data: st.DataObject) -> None:
    function = data.draw(
        st.sampled_from(
            [
                lambda rows: rows,
                lambda rows: rows.filter(pl.col("n").fill_null(9) != 3),
                lambda rows: rows.sort("n"),
                lambda rows: rows.with_columns(pl.col("n") // 2),
                lambda rows: pl.concat([rows, rows.filter(pl.col("n") == 1)]),
            ]
        )
    )
    given_rows = pl.DataFrame({"n": values}, schema={"n": pl.Int64})
    made = function(given_rows.lazy()).collect()
    chosen = data.draw(st.lists(st.booleans(), min_size=made.height, max_size=made.height))
    wanted = made.filter(pl.Series(chosen, dtype=pl.Boolean))
    found = located(table_of(function), wanted, [given_rows])
    for row, place in zip(wanted["n"], found, strict=True):
        assert place is not None
        assert row in function(given_rows[place].lazy()).collect()["n"].to_list()
    often = {place: found.count(place) for place in found}
    assert all(count == 1 or values[place or 0] == 1 for place, count in often.items())
