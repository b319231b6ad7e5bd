"""Airflow: from the call that creates a run of a DAG to the first line of its task. See `benchmarks.events`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.events import WORK
from benchmarks.rivals.airflow.service import running
from benchmarks.support import venvs
from benchmarks.support.bells import began
from benchmarks.support.children import wait_for
from benchmarks.support.figures import Result
from benchmarks.support.web import call

if TYPE_CHECKING:
    from benchmarks.rivals.airflow.service import Airflow
    from benchmarks.support.bells import Began
    from benchmarks.support.figures import Options

EVENTS = 10

_TIMEOUT = 120.0


def run(options: Options) -> list[Result]:
    """So many runs, one after the other; the first one, which warms up, is not counted."""
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        Path(folder).chmod(0o711)
        pipe = Path(folder) / "pipe"
        sizes = {"BENCH_CHAIN": "1", "BENCH_FAN": "1", "BENCH_PIPE": str(pipe)}
        with began(pipe) as bell, running(Path(folder), sizes) as airflow:
            starts = [_event(airflow, bell) for _ in range(EVENTS + 1)][1:]
    spread = f"{1000 * min(starts):,.0f} to {1000 * max(starts):,.0f} ms"
    note = f"Airflow {venvs.version('airflow', 'apache-airflow')}, {spread}"
    return [Result(WORK, "airflow", 1000 * median(starts), "ms", EVENTS, note=note)]


def _event(airflow: Airflow, bell: Began) -> float:
    """Seconds to the first line of the task; the next one is sent when nothing runs any more."""
    begin = time.perf_counter()
    call(f"{airflow.url}/api/v2/dags/tell/dagRuns", airflow.token, {"logical_date": None})
    seconds = bell.when(_TIMEOUT) - begin
    wait_for("the end of the run", lambda: not _open_runs(airflow), airflow.scheduler, _TIMEOUT)
    return seconds


def _open_runs(airflow: Airflow) -> int:
    row = airflow.database.execute(
        "SELECT count(*) FROM dag_run WHERE dag_id = 'tell' AND state NOT IN ('success', 'failed')"
    ).fetchone()
    return 0 if row is None else int(row[0])
