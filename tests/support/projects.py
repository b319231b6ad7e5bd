"""Small real projects in a folder: files, a pipeline module, a ledger, worker processes."""

from __future__ import annotations

import itertools
import shutil
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.project.workspace import Workspace
from headrace.runtime.observer import Observer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from headrace.plan.plan import Plan
    from headrace.runtime.applied import Applied

ORDERS = '''
"""Orders from files, cleaned, counted by shop, and a model of what comes back."""

from datetime import datetime

import polars as pl

from headrace import Contract, Features, Options, Pipeline, column, count, files

shop = Pipeline("shop")
raw = shop.source("raw", files("data/*.csv"))

FACTOR = 1


class Order(Contract):
    order_id: int = column(key=True)
    shop: str
    amount: float = column(ge=0)
    at: datetime = column(event_time=True)


@shop.table(raw, contract=Order, incremental=True)
def orders(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.col("amount").cast(pl.Float64) * FACTOR)


@shop.table(orders)
def by_shop(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.group_by("shop").agg(pl.len().alias("orders"), pl.col("amount").sum()).sort("shop")
'''

MODEL = """

from sklearn.linear_model import LogisticRegression

from headrace import TrainingSet, champion, metric, time_split

THRESHOLD = 0.5


class Returned(Contract):
    order_id: int = column(key=True)
    amount: float
    at: datetime = column(event_time=True)
    returned: bool


@shop.table(orders, contract=Returned)
def returns(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select("order_id", "amount", "at", (pl.col("amount") % 10 > 4).alias("returned"))


@shop.model(
    returns,
    label="returned",
    inputs=["amount"],
    split=time_split(holdout="20d"),
    gate=[metric("accuracy") >= THRESHOLD],
)
def model(data: TrainingSet) -> LogisticRegression:
    return LogisticRegression().fit(data.X, data.y)
"""

SETTINGS = 'pipeline = "{module}:shop"\nworkers = 2\n'

_counter = itertools.count()


@dataclass
class Recorder(Observer):
    """Keeps what an apply said."""

    lines: list[str] = field(default_factory=list)

    def step_started(self, node: str, attempt: int) -> None:
        self.lines.append(f"started {node} {attempt}")

    def step_retried(self, node: str, error: object, seconds: float) -> None:  # noqa: ARG002
        self.lines.append(f"retried {node} {seconds}")

    def step_waits(self, node: str, lease: object, owner: str) -> None:  # noqa: ARG002
        self.lines.append(f"waits {node} for {owner}")

    def took_over(self, run: str, owner: str) -> None:  # noqa: ARG002
        self.lines.append(f"took over {run}")


class Project:
    """One project. Its module has a name of its own, so that several can be imported by one test process."""

    def __init__(self, folder: Path, code: str = ORDERS) -> None:
        self.folder = folder
        self.module = f"shop_{next(_counter)}"
        (folder / "data").mkdir(parents=True)
        (folder / "headrace.toml").write_text(SETTINGS.format(module=self.module))
        self.write_code(code)

    def copied(self, folder: Path) -> Project:
        """The same project with all that it has made, in another folder."""
        shutil.copytree(self.folder, folder)
        other = copy(self)
        other.folder = folder
        return other

    def write_code(self, code: str) -> None:
        self.code = code
        (self.folder / f"{self.module}.py").write_text(code)

    def edit(self, before: str, after: str) -> None:
        assert before in self.code
        self.write_code(self.code.replace(before, after))

    def write_batch(self, name: str, numbers: Iterable[int], *, shop: str = "a") -> None:
        """A file of orders, one for each number: its id, its amount, and its day."""
        rows = [f"{n},{shop},{n},2024-{1 + n // 28 % 12:02d}-{1 + n % 28:02d}T00:00:00" for n in numbers]
        (self.folder / "data" / f"{name}.csv").write_text("\n".join(["order_id,shop,amount,at", *rows, ""]))

    @contextmanager
    def opened(self) -> Iterator[Workspace]:
        workspace = Workspace.open(self.folder)
        workspace.reload()
        try:
            yield workspace
        finally:
            workspace.close()

    def plan(self, environment: str | None = None) -> Plan:
        with self.opened() as workspace:
            return workspace.plan(workspace.question(environment))

    def apply(self, environment: str | None = None, observer: Observer | None = None) -> Applied:
        with self.opened() as workspace:
            return workspace.apply(workspace.question(environment), observer or Observer())

    def rows(self, node: str, environment: str = "prod") -> list[tuple[object, ...]]:
        """The rows of a table, sorted."""
        with self.opened() as workspace:
            key = workspace.ledger.snapshot(environment).pointers[node]
            version = workspace.ledger.version(key)
            assert version is not None
            table = workspace.graph[node]
            return sorted(table.read(version, workspace.stores).collect().rows())  # type: ignore[attr-defined]

    def ids(self, environment: str = "prod") -> list[int]:
        """The ids of the orders that an environment sees."""
        return [int(str(row[0])) for row in self.rows("orders", environment)]
