"""Headrace: one new day, one changed day and one removed day of an incremental table, against a rebuild from all days.

A table of 100 days of 10,000 orders (Parquet), with a contract of four rules and a key, kept by month; the same once
more with upserts. Measured is what the step of the table took in its worker, as the ledger has it: function, contract,
keys, writing. It is an error when the grown table does not hold what the rebuild holds.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.support.figures import BenchError, Result
from benchmarks.support.ours import COMMAND, seconds_of

if TYPE_CHECKING:
    from benchmarks.support.figures import Options

DAYS, ROWS = 100, 10_000
_BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
_TARGET = "< 0.2 x"

PIPELINE = """
from datetime import datetime

import polars as pl

from headrace import Contract, Pipeline, column, files

shop = Pipeline("shop")
raw = shop.source("raw", files("data/*.parquet"))


class Order(Contract):
    order_id: int = column(key=True)
    region: str = column(isin=("north", "south", "east", "west"))
    amount: float = column(ge=0, le=1_000_000)
    at: datetime = column(event_time=True)
    changed_at: datetime


@shop.table(raw, contract=Order, incremental=True, partition_by="month"{more})
def orders(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.col("amount") * 2)
"""


def run(options: Options) -> list[Result]:
    """Every kind of change once, each on top of the one before, and the rebuild of what that came to."""
    found = []
    for work, more in (("by month", ""), ("by month, upserts", ', upsert="changed_at"')):
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            found += _measured(Path(folder) / "project", f"1M rows {work}", more)
    return found


def _measured(project: Path, work: str, more: str) -> list[Result]:
    (project / "data").mkdir(parents=True)
    (project / "headrace.toml").write_text('pipeline = "pipeline:shop"\n')
    (project / "pipeline.py").write_text(PIPELINE.replace("{more}", more))
    for day in range(DAYS):
        _write(project, day, first=day * ROWS)
    _apply(project)
    took = {}
    _write(project, DAYS, first=DAYS * ROWS)
    took["a new day"] = _apply(project)
    _write(project, DAYS // 2, first=DAYS // 2 * ROWS, amount=7.0)
    took["a changed day"] = _apply(project)
    (project / "data" / f"day{DAYS // 3:04}.parquet").unlink()
    took["a removed day"] = _apply(project)
    if more:
        _write(project, DAYS + 1, first=(DAYS - 5) * ROWS, amount=9.0)  # each row is newer than one of five days ago
        took["a day of updates"] = _apply(project)
    grown = _sums(project)
    rebuilt = _apply(project, "--refresh", "orders")
    if _sums(project) != grown:
        raise BenchError(f"{work}: the grown table holds {grown}, the rebuilt one {_sums(project)}")
    return [
        Result(work, "a rebuild", 1000 * rebuilt, "ms", floor=True),
        *(Result(work, what, 1000 * seconds, "ms", target=_TARGET) for what, seconds in took.items()),
    ]


def _write(project: Path, day: int, *, first: int, amount: float = 5.0) -> None:
    import polars as pl

    number = pl.int_range(0, ROWS, eager=True)
    moment = _BEGIN + timedelta(days=day)
    pl.DataFrame(
        {
            "order_id": number + first,
            "region": pl.Series(["north", "south", "east", "west"] * (ROWS // 4)),
            "amount": number / 10 + amount,
            "at": pl.Series([moment] * ROWS),
            "changed_at": pl.Series([moment] * ROWS),
        }
    ).write_parquet(project / "data" / f"day{day:04}.parquet")


def _apply(project: Path, *more: str) -> float:
    """Seconds of the step of the table."""
    from headrace.project.workspace import Workspace

    seconds_of([COMMAND, "--project", str(project), "apply", *more])
    with Workspace.open(project) as workspace:
        version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["orders"])
    if version is None:
        raise BenchError("the table was not made")
    return version.seconds


def _sums(project: Path) -> tuple[object, ...]:
    """What the table holds, summed up."""
    import polars as pl

    from headrace.project.workspace import Workspace

    with Workspace.open(project) as workspace:
        version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["orders"])
        if version is None:
            raise BenchError("the table was not made")
        rows = workspace.stores.tables.scan(version.manifest.outputs["table"])
        return rows.select(pl.len(), pl.col("order_id").sum(), (pl.col("amount") * 100).round().sum()).collect().row(0)
