"""Airflow with the LocalExecutor on PostgreSQL, timed from the trigger until its database says that the run succeeded.

Airflow's own defaults hold for every pause and every limit. It is slow, so it gets fewer steps than the others; the
figure is the mean of a step all the same. A run of two steps has gone through before.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rivals.airflow.service import Airflow, running
from benchmarks.support import venvs
from benchmarks.support.children import wait_for
from benchmarks.support.figures import BenchError, per_step
from benchmarks.support.web import call

if TYPE_CHECKING:
    from benchmarks.support.figures import Options, Result

CHAIN, FAN = 20, 50
"""At most so many steps."""

_RUN_TIMEOUT = 300.0


def run(options: Options) -> list[Result]:
    """Start everything with an empty database, run both works, end everything."""
    chain, fan = min(CHAIN, options.chain), min(FAN, options.fan)
    sizes = {"BENCH_CHAIN": str(chain), "BENCH_FAN": str(fan)}
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder, running(Path(folder), sizes) as airflow:
        _seconds(airflow, "warm_up", 2)
        results = [
            per_step("chain", "airflow", _seconds(airflow, "chain", chain), chain),
            per_step("fan-out", "airflow", _seconds(airflow, "fan_out", fan + 1), fan + 1),
        ]
    note = f"Airflow {venvs.version('airflow', 'apache-airflow')}"
    return [replace(result, note=note) for result in results]


def _seconds(airflow: Airflow, dag: str, steps: int) -> float:
    """From the trigger until the database says that the run is over.

    Raises:
        BenchError: The run failed, or did not end in time.
    """
    begin = time.perf_counter()
    call(f"{airflow.url}/api/v2/dags/{dag}/dagRuns", airflow.token, {"logical_date": None})
    wait_for(f"Airflow's run of {dag}", lambda: _state(airflow, dag) in _OVER, airflow.scheduler, _RUN_TIMEOUT)
    seconds = time.perf_counter() - begin
    done = airflow.database.execute(
        "SELECT count(*) FROM task_instance WHERE dag_id = %s AND state = 'success'", [dag]
    ).fetchone()
    if done != (steps,) or _state(airflow, dag) != "success":
        raise BenchError(f"Airflow's run of {dag} ended as {_state(airflow, dag)}: {done} of {steps} steps")
    return seconds


_OVER = ("success", "failed")


def _state(airflow: Airflow, dag: str) -> str | None:
    row = airflow.database.execute("SELECT state FROM dag_run WHERE dag_id = %s", [dag]).fetchone()
    return None if row is None else str(row[0])
