"""From a row of a table to the file and the line that it came from."""

from __future__ import annotations

import pytest

from headrace.errors import HeadraceError
from headrace.project.row_origin import RowOrigin, why_row
from tests.cli.commands import inside
from tests.support.projects import Project

CODE = """
import polars as pl

from headrace import Contract, Pipeline, column, files

shop = Pipeline("shop")
raw = shop.source("raw", files("data/*.csv"))
shops = shop.source("shops", files("other/*.csv"))


class Order(Contract):
    order_id: int = column(key=True)
    shop: str
    amount: float = column(ge=0)


class Placed(Contract):
    order_id: int = column(key=True)
    city: str


@shop.table(raw, contract=Order, incremental=True)
def orders(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.filter(pl.col("shop") != "z").with_columns(pl.col("amount").cast(pl.Float64) * 2)


@shop.table(orders, shops, contract=Placed)
def placed(rows: pl.LazyFrame, shops: pl.LazyFrame) -> pl.LazyFrame:
    return rows.join(shops, on="shop").select("order_id", "city")


@shop.table(orders)
def by_shop(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.group_by("shop").agg(pl.len().alias("orders"), pl.col("amount").sum())
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("rows") / "shop", CODE)
    (made.folder / "other").mkdir()
    (made.folder / "other" / "shops.csv").write_text("shop,city\nb,Bern\na,Aarau\n")
    header = "order_id,shop,amount\n"
    (made.folder / "data" / "01.csv").write_text(header + "1,a,1\n2,z,2\n\n3,a,3\n4,b,-5\n")
    (made.folder / "data" / "02.csv").write_text(header + "5,b,5\n6,b,5\n")
    assert not made.apply().failed
    return made


def found(project: Project, node: str, row: str) -> RowOrigin:
    with project.opened() as workspace:
        return why_row(workspace, "prod", node, row)


def test_a_row_of_an_incremental_table(project: Project) -> None:
    origin = found(project, "orders", "3")
    [source] = origin.inputs
    assert (origin.row["amount"], origin.place) == (6.0, "data/01.csv")
    assert (source.node, source.place, source.row["amount"]) == ("raw", "data/01.csv, line 5", 3)


def test_a_row_that_was_set_aside(project: Project) -> None:
    origin = found(project, "orders", "4")
    assert (origin.aside, origin.inputs[0].place) == ("amount >= 0: amount = -10.0", "data/01.csv, line 6")


def test_values_are_spelled_as_people_see_them(project: Project) -> None:
    assert found(project, "orders", "amount=-10").row["order_id"] == 4
    assert found(project, "orders", "amount=-1e1").row["order_id"] == 4
    assert found(project, "orders", "amount=6").row["order_id"] == 3


def test_a_key_of_one_text_may_hold_anything(project: Project) -> None:
    keyed = "\n\nclass Named(Contract):\n    name: str = column(key=True)\n    at: datetime\n\n\n"
    keyed += "@shop.table(raw, contract=Named)\ndef named(rows: pl.LazyFrame) -> pl.LazyFrame:\n"
    keyed += '    return rows.select(pl.format("a=={},b", "order_id").alias("name"),'
    keyed += ' pl.datetime(2024, 1, "order_id", 12).alias("at"))\n'
    code = (
        project.code
        if "datetime" in project.code.partition("class")[0]
        else f"from datetime import datetime\n{project.code}"
    )
    project.write_code(code + keyed)
    project.apply()
    assert found(project, "named", "a==3,b").row["name"] == "a==3,b"
    assert found(project, "named", "at=2024-01-03T12:00:00").row["name"] == "a==3,b"
    assert found(project, "named", "at=2024-01-03 12:00:00+00:00").row["name"] == "a==3,b"
    with pytest.raises(HeadraceError, match="HR338"):
        found(project, "named", "at=tomorrow")
    with pytest.raises(HeadraceError, match="no column"):
        found(project, "orders", "amuont=6")


def test_a_row_of_two_inputs_down_to_both_files(project: Project) -> None:
    one, other = found(project, "placed", "order_id=6").inputs
    assert (one.node, one.inputs[0].place) == ("orders", "data/02.csv, line 3")
    assert (other.node, other.place) == ("shops", "other/shops.csv, line 2")


def test_a_row_made_of_many(project: Project) -> None:
    [origin] = found(project, "by_shop", "shop=b").inputs
    assert (origin.node, origin.rows, origin.row) == ("orders", 2, {})


def test_a_row_of_a_source(project: Project) -> None:
    assert found(project, "raw", "order_id=5").place == "data/02.csv, line 2"


def test_a_file_that_changed_since_gives_the_number_of_the_row(project: Project) -> None:
    path = project.folder / "other" / "shops.csv"
    before = path.read_text()
    path.write_text(before + "c,Chur\n")
    assert found(project, "shops", "shop=a").place == "other/shops.csv, row 2"
    path.write_text(before)


@pytest.mark.parametrize(
    ("node", "row", "code"),
    [
        ("orders", "99", "HR338"),
        ("orders", "ordr_id=1", "HR338"),
        ("by_shop", "b", "HR338"),
        ("orders", "1,2", "HR338"),
        ("nothing", "1", "HR830"),
    ],
)
def test_a_row_that_is_not_there(project: Project, node: str, row: str, code: str) -> None:
    with pytest.raises(HeadraceError, match=code):
        found(project, node, row)


def test_what_is_printed(project: Project) -> None:
    told = inside(project.folder, "why", "placed", "--row", "6").out
    assert "the row of raw" in told
    assert "data/02.csv, line 3" in told
    data = inside(project.folder, "why", "orders", "--row", "1", "--json").data
    assert data["inputs"][0]["place"] == "data/01.csv, line 2"


def test_more_rows_that_are_named_so_are_counted(project: Project) -> None:
    assert found(project, "orders", "3").alike == 0
    assert found(project, "orders", "shop=a").alike == 1
    assert found(project, "orders", "shop=b").alike == 2  # one of them is set aside
    told = inside(project.folder, "why", "orders", "--row", "shop=b").out
    assert told.startswith("the first of 3 such rows of orders ")
