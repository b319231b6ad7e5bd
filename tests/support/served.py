"""A project with an endpoint: orders, how a shop did lately, and a model that looks that up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.projects import ORDERS, Project

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDPOINT = """

from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline as Pipe, make_pipeline
from sklearn.preprocessing import StandardScaler

from headrace import TrainingSet, champion, mean, metric, time_split


class Returned(Contract):
    order_id: int = column(key=True)
    shop: str
    amount: float
    at: datetime = column(event_time=True)
    returned: bool


@shop.table(orders, contract=Returned)
def returns(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select("order_id", "shop", "amount", "at", (pl.col("amount") % 10 > 4).alias("returned"))


class ShopHistory(Features, of=returns, entity="shop", delay="5m"):
    orders_30d: int = count(over="30d")
    amount_30d: float = mean("amount", over="30d")


@shop.model(
    returns,
    label="returned",
    features=[ShopHistory],
    inputs=["amount"],
    split=time_split(holdout="20d"),
    gate=[metric("accuracy") >= 0],
)
def model(data: TrainingSet) -> Pipe:
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(C=1.0)).fit(data.X, data.y)


scores = shop.endpoint("scores", model)
"""


def served_project(folder: Path, rollout: str | None = None) -> Project:
    """A project with a year of orders, a few of them each day, and everything applied to prod.

    `rollout` is how new versions of its endpoint take over, as it is declared.
    """
    declared = "" if rollout is None else f", rollout={rollout}"
    code = ENDPOINT.replace('"scores", model', f'"scores", model{declared}')
    project = Project(folder / "shop", ORDERS + "from headrace import canary\n" + code)
    project.write_batch("01", range(300))
    applied = project.apply()
    assert not applied.failed, applied.failed
    return project


@contextmanager
def serving(project: Project, *options: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`headrace serve prod` of the project: its address, and the process."""
    command = [str(Path(sys.executable).with_name("headrace")), "serve", "prod", "--port", "0", *options]
    process = subprocess.Popen(
        command, cwd=project.folder, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        said = ""
        while not (found := re.search(r"on (https?://\S+)", said)):
            line = process.stderr.readline()
            assert line, f"it ended: {said}"
            said += line
        yield found.group(1), process
    finally:
        process.terminate()
        process.communicate()
