"""A table that a query makes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

from headrace.errors import HeadraceError
from headrace.ports.canonical import canonical
from headrace.tables.contract import Contract, column
from headrace.tables.sql import SqlTable, run_query
from headrace.tables.table import Table
from tests.tables.workshop import Workshop, csv_source

if TYPE_CHECKING:
    from pathlib import Path


class ByShop(Contract):
    shop: str = column(key=True)
    orders: int = column(gt=1)
    amount: int


def test_a_query_sees_the_inputs_by_name(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    shop.write("data/a.csv", "shop,amount\na,1\na,2\nb,5\n")
    raw = csv_source("raw orders")
    names = Table("names", [raw], lambda rows: rows.select("shop").unique())
    query = (
        'select shop, count(*) as orders, sum(amount) as amount from "raw orders" join names using (shop) group by 1'
    )
    table = SqlTable("by_shop", [raw, names], query, contract=ByShop)
    landed = shop.land(raw)
    version = shop.make(table, {"raw orders": landed, "names": shop.make(names, {"raw orders": landed})})
    assert shop.rows(table, version).rows() == [("a", 2, 3)]
    assert shop.aside(table, version)["_rule"].to_list() == ["orders > 1"]


def test_the_query_is_what_is_made() -> None:
    def settings(query: str) -> bytes:
        return canonical(SqlTable("t", [csv_source()], query).settings())

    assert settings("select 1 as a") == settings("\n  select 1 as a\n")
    assert settings("select 'x  y' as a") != settings("select 'x y' as a")
    assert SqlTable("t", [csv_source()], "select 1").functions() == ()


FRAME = pl.LazyFrame({"n": [1, 2, 3], "ts": [datetime(2024, 1, 1, 23, tzinfo=UTC)] * 3})


def test_a_pivot() -> None:
    found = run_query("pivot (select n, n % 2 as odd from t) on odd using sum(n)", {"t": FRAME}, "node")
    assert found.to_dicts() == [{"0": 2, "1": 4}]


def test_types_come_back() -> None:
    query = "select sum(n) as s, count(*) as c, avg(n) as a, max(ts) as ts, date_trunc('day', max(ts)) as day from t"
    found = run_query(query, {"t": FRAME}, "node")
    utc = pl.Datetime("us", "UTC")
    assert found.schema == {"s": pl.Int64(), "c": pl.Int64(), "a": pl.Float64(), "ts": utc, "day": utc}
    moments = (datetime(2024, 1, 1, 23, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))
    assert found.row(0) == (6, 3, 2.0, *moments)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select * from missing", "missing"),
        ("select m from t", '"m" not found'),
        ("selec 1", "syntax error"),
        ("", "one SELECT"),
        ("select n from t; select n from t", "one SELECT"),
        ("create table x as select 1", "one SELECT"),
        ("select * from read_csv('/etc/passwd')", "disabled"),
        ("select * from FRAME", "FRAME"),
        ("select sum(n) * 9223372036854775807 as s from t", "out of range"),
        ("select n from t where ts < now()", "now() differs"),
        ("select current_date as d", "current_date() differs"),
        ("select current_timestamp as d", "get_current_timestamp() differs"),
        ("select n from t order by random()", "random() differs"),
        ("select uuid() as u", "uuid() differs"),
    ],
)
def test_a_query_that_fails(query: str, said: str) -> None:
    with pytest.raises(HeadraceError, match="HR425") as caught:
        run_query(query, {"t": FRAME}, "node")
    assert caught.value.what.startswith("node: ")
    assert said in caught.value.what
