"""A small real project with two sources, files and a database, of which the database can be out of reach."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from tests.support.projects import Project

if TYPE_CHECKING:
    from pathlib import Path

CODE = '''
"""Orders from files, their customers from a database, and who has ordered what."""

import polars as pl

from headrace import Pipeline, files
from headrace.sources import database

shop = Pipeline("shop")
orders = shop.source("orders", files("data/*.csv"))
customers = shop.source("customers", database("crm", table="customers"))


@shop.table(orders, incremental=True)
def daily(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select("order_id", "shop", pl.col("amount").cast(pl.Float64))


@shop.table(customers)
def named(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select("shop", "name")


@shop.table(daily, named)
def both(rows: pl.LazyFrame, names: pl.LazyFrame) -> pl.LazyFrame:
    return rows.join(names, on="shop", how="left")
'''


class TwoSources(Project):
    """The project over a database of SQLite, which can be put away and brought back."""

    def __init__(self, folder: Path, address: str = "sqlite:crm.db") -> None:
        super().__init__(folder, CODE)
        with (folder / "headrace.toml").open("a") as settings:
            settings.write(f'\n[databases]\ncrm = "{address}"\n')

    def customers(self, *names: str) -> None:
        """The customers of the database: shop "a" has the first name, and so on."""
        with closing(sqlite3.connect(self.folder / "crm.db")) as crm:
            crm.execute("CREATE TABLE IF NOT EXISTS customers (shop TEXT, name TEXT)")
            crm.execute("DELETE FROM customers")
            crm.executemany("INSERT INTO customers VALUES (?, ?)", list(zip("abcdef", names, strict=False)))
            crm.commit()

    def lose(self) -> None:
        """The database is gone."""
        (self.folder / "crm.db").rename(self.folder / "away.db")

    def mend(self) -> None:
        """It is back."""
        (self.folder / "away.db").rename(self.folder / "crm.db")
