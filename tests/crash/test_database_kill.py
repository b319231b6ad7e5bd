"""A database is landed exactly, whoever is killed meanwhile: at each durable step, with rows that come and change."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import polars as pl
import psycopg
import pytest

from headrace.project.workspace import Workspace
from tests.cli.commands import HEADRACE, surroundings
from tests.postgres_server import PostgresServer, new_database, postgres_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["new_database", "postgres_server"]

PIPELINE = """
import polars as pl

from headrace import Contract, Pipeline, column
from headrace.sources import database

shop = Pipeline("shop")
orders = shop.source("orders", database("crm", table="orders", cursor="version", overlap=3, key="order_id"))


class Order(Contract):
    order_id: int = column(key=True)
    amount: int = column(ge=0)
    version: int


@shop.table(orders, contract=Order, incremental=True, upsert="version")
def kept(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select("order_id", "amount", "version")
"""
STEPS = (
    *("artefact.write", "artefact.rename", "manifest.rename", "step.make"),
    *("ledger.commit", "publish.move", "table.commit", "table.sync"),
)
POINTS = ("before:1", "after:1", "before:2")
"""Where in a step the applies are killed, one after the other; rows come and change between them."""


def changes(number: int) -> list[str]:
    """What happens to the orders before an apply: new ones, a changed one, one that was committed late."""
    at = 20 * number
    came = [(10 * number + each, each, at + 2 * each) for each in range(6)]
    new = [f"INSERT INTO orders VALUES {row}" for row in (*came, (1000 + number, 7, at + 9))]  # noqa: S608 - the same
    return [*new, f"UPDATE orders SET amount = 99, version = {at + 11} WHERE order_id = {number}"]  # noqa: S608 - numbers


class Shop:
    """A project on a database."""

    def __init__(self, folder: Path, url: str, run: Callable[[list[str]], list[tuple[int, ...]]]) -> None:
        self.folder = folder
        self.run = run
        folder.mkdir(exist_ok=True)
        (folder / "headrace.toml").write_text(
            f'pipeline = "shop_killed:shop"\nworkers = 1\n[databases]\ncrm = "{url}"\n'
        )
        (folder / "shop_killed.py").write_text(PIPELINE)
        self.run(["CREATE TABLE orders (order_id INTEGER, amount INTEGER, version INTEGER)"])

    def apply(self, failpoint: str = "") -> int:
        environment = {**surroundings(), **({"HEADRACE_FAILPOINT": failpoint} if failpoint else {})}
        command = [*HEADRACE, "apply"]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
        return done.returncode

    def check(self) -> None:
        """The table is what the database holds, and no row was landed twice."""
        with Workspace.open(self.folder) as workspace:
            pointers = workspace.ledger.snapshot("prod").pointers
            source, table = (workspace.ledger.version(pointers[name]) for name in ("orders", "kept"))
            assert source is not None
            assert table is not None
            landed = pl.concat(
                pl.read_parquet(workspace.stores.artefacts.path(ref)) for ref in source.manifest.outputs.values()
            )
            rows = workspace.stores.tables.scan(table.manifest.outputs["table"]).collect()
            assert not workspace.plan(workspace.question()).to_do
        assert sorted(rows.rows()) == sorted(self.run(["SELECT order_id, amount, version FROM orders"]))
        assert not landed.is_duplicated().any()
        assert landed.height == source.manifest.facts["rows"]


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    folder = tmp_path / "shop"
    if request.param == "sqlite":

        def run(statements: list[str]) -> list[tuple[int, ...]]:
            with closing(sqlite3.connect(tmp_path / "crm.db")) as connection, connection:
                return [connection.execute(statement).fetchall() for statement in statements][-1]

        return Shop(folder, f"sqlite:{tmp_path / 'crm.db'}", run)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.new_database()

    def ask(statements: list[str]) -> list[tuple[int, ...]]:
        with psycopg.connect(url, autocommit=True) as connection:
            found = [connection.execute(statement.encode()) for statement in statements][-1]
            return found.fetchall() if found.description else []

    return Shop(folder, url, ask)


@pytest.mark.parametrize("step", STEPS)
def test_a_database_is_landed_once(shop: Shop, step: str) -> None:
    ended = []
    for number, point in enumerate(POINTS):
        shop.run(changes(number))
        ended.append(shop.apply(f"{step}.{point}"))
    assert ended[:2] == [-signal.SIGKILL, -signal.SIGKILL], f"{step} was never passed"
    assert shop.apply() == 0
    shop.check()
