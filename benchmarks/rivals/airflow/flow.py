# mypy: disable-error-code="import-not-found, untyped-decorator"
"""The work in Airflow: three DAGs. Read by Airflow's DAG processor; the sizes stand in the environment."""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import dag, task


@task
def step(number: int) -> int:
    """Do nothing."""
    return number


@task
def join(numbers: list[int]) -> int:
    """Wait for all."""
    return len(list(numbers))


def _chain(length: int) -> None:
    number = step(0)
    for _ in range(1, length):
        number = step(number)


@dag(schedule=None)
def warm_up() -> None:
    """Two steps."""
    _chain(2)


@dag(schedule=None)
def chain() -> None:
    """Steps that each take the output of the one before."""
    _chain(int(os.environ["BENCH_CHAIN"]))


@dag(schedule=None)
def fan_out() -> None:
    """Steps side by side and one that joins them."""
    join(step.expand(number=list(range(int(os.environ["BENCH_FAN"])))))


@task
def begin() -> None:
    """Say so."""
    Path(os.environ["BENCH_PIPE"]).write_text("begun\n", encoding="utf-8")


@dag(schedule=None)
def tell() -> None:
    """One step that says when it begins."""
    begin()


warm_up()
chain()
fan_out()
tell()
