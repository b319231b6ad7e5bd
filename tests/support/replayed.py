"""A project whose labels come days late, and whose world changes halfway: what was returned once is kept later."""

from __future__ import annotations

import csv
import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tests.support.projects import Project

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CODE = '''
"""Orders, and whether they come back: known three days later."""

from datetime import datetime

import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier

from headrace import Contract, Features, Pipeline, TrainingSet, champion, column, count, files, mean, metric, time_split

shop = Pipeline("shop")
raw = shop.source("raw", files("data/*.csv"))


class Order(Contract):
    order_id: int = column(key=True)
    shop: str
    amount: float = column(ge=0)
    at: datetime = column(event_time=True)
    told_at: datetime | None = column(known_at=True)
    returned: bool | None


@shop.table(raw, contract=Order, incremental=True)
def orders(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.col("amount").cast(pl.Float64))


class ShopHistory(Features, of=orders, entity="shop", delay="5m"):
    orders_7d: int = count(over="7d")
    amount_7d: float = mean("amount", over="7d")


@shop.model(
    orders,
    label="returned",
    lead="1h",
    features=[ShopHistory],
    inputs=["shop", "amount"],
    split=time_split(holdout="10d"),
    gate=[metric("roc_auc") >= 0.01, metric("roc_auc") >= champion - 0.05],
)
def model(data: TrainingSet) -> HistGradientBoostingClassifier:
    """The latest orders weigh most."""
    weights = [2.0 ** (8 * n / data.rows) for n in range(data.rows)]
    return HistGradientBoostingClassifier(random_state=data.seed, max_iter=8).fit(data.X, data.y, sample_weight=weights)


scores = shop.endpoint("scores", model)
'''

DAYS = 112
CHANGE = 56
ORDERS_A_DAY = 36


def rows() -> list[list[object]]:
    """Orders of 16 weeks. Until day 56, the dear ones come back; from then on, the cheap ones do."""
    found: list[list[object]] = []
    for n in range(DAYS * ORDERS_A_DAY):
        day, turn = divmod(n, ORDERS_A_DAY)
        at = datetime(2024, 1, 1) + timedelta(days=day, minutes=40 * turn)  # noqa: DTZ001 - as a file has it
        amount = round(50 + 40 * math.sin(n * 2.399), 2)
        dear = amount + 25 * math.sin(n * 7.1) > 50
        told = "" if n % 29 == 0 else (at + timedelta(days=3)).isoformat()
        returned = dear if day < CHANGE else not dear
        found.append(
            [n, "abcdefghijkl"[n % 12], amount, at.isoformat(), told, "" if not told else str(returned).lower()]
        )
    return found


def write_rows(project: Project, name: str, orders: Sequence[Sequence[object]]) -> None:
    """A file of orders."""
    with (project.folder / "data" / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["order_id", "shop", "amount", "at", "told_at", "returned"])
        writer.writerows(orders)


def replayed_project(
    folder: Path, code: str = CODE, *, only: Sequence[Sequence[object]] | None = None, may_fail: bool = False
) -> Project:
    """The project, with all of its orders or only some of them, applied to prod."""
    project = Project(folder / "shop", code)
    write_rows(project, "01", rows() if only is None else only)
    applied = project.apply()
    assert may_fail or not applied.failed, applied.failed
    return project
