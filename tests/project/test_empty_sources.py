"""A source that is empty on the first day: what is made from it is empty as well, and fills when rows come."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from tests.support.projects import Project

if TYPE_CHECKING:
    from pathlib import Path

CODE = '''
"""Orders out of a database."""

import polars as pl
from datetime import datetime

from headrace import Contract, Features, Pipeline, column, count, mean
from headrace.sources import database

shop = Pipeline("shop")
raw = shop.source("raw", database("crm", table="orders"CURSOR))


class Order(Contract):
    order_id: int = column(key=True)
    shop: str
    amount: float = column(ge=0)
    at: datetime = column(event_time=True, known_at=True)


@shop.table(raw, contract=Order, INCREMENTAL)
def orders(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


@shop.table(orders)
def by_shop(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.group_by("shop").agg(pl.len().alias("orders"), pl.col("amount").sum()).sort("shop")


@shop.features
class ShopHistory(Features, of=orders, entity="shop", delay="0s"):
    n: int = count(over="7d")
    average: float | None = mean("amount", over="7d")
'''


@pytest.mark.parametrize("cursor", ["", ', cursor="order_id"'])
@pytest.mark.parametrize("more", ["", "incremental=True", "incremental=True, upsert=True", 'partition_by="month"'])
def test_a_table_that_is_empty_on_the_first_day(tmp_path: Path, cursor: str, more: str) -> None:
    project = Project(tmp_path / "shop", CODE.replace("CURSOR", cursor).replace("INCREMENTAL", more))
    place = tmp_path / "crm.db"
    settings = project.folder / "headrace.toml"
    settings.write_text(settings.read_text() + f'[databases]\ncrm = "sqlite:{place}"\n')
    connection = sqlite3.connect(place)
    connection.execute("CREATE TABLE orders (order_id INTEGER, shop TEXT, amount REAL, at TIMESTAMP)")
    connection.commit()
    applied = project.apply()
    assert not applied.failed
    assert set(applied.published) == {"raw", "orders", "by_shop", "ShopHistory"}
    assert project.rows("orders") == project.rows("by_shop") == []
    assert not project.plan().to_do
    connection.executemany(
        "INSERT INTO orders VALUES (?, ?, ?, ?)",
        [(n, "a", float(n), f"2024-01-0{n} 00:00:00") for n in (1, 2)],
    )
    connection.commit()
    assert not project.apply().failed
    assert project.ids() == [1, 2]
    assert project.rows("by_shop") == [("a", 2, 3.0)]
    if not cursor:
        connection.execute("DELETE FROM orders")
        connection.commit()
        project.apply()
        assert project.ids() == [1, 2]
    connection.close()
