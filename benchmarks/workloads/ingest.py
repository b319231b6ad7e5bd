"""One CSV file to a committed table with a contract: `python -m benchmarks.workloads.ingest CSV FOLDER ANSWER`.

The folder becomes that of a project with the file in it. ANSWER gets the seconds from the start of the apply,
planning included, until the table is published, and how many rows it has.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from headrace.project.workspace import Workspace
from headrace.runtime.observer import Observer

PIPELINE = """\
from datetime import datetime

import polars as pl

from headrace import Contract, Pipeline, column, files

work = Pipeline("work")
raw = work.source("raw", files("data/*.csv"))


class Flight(Contract):
    id: int = column(key=True)
    year: int = column(ge=2013)
    month: int = column(ge=1, le=12)
    day: int = column(ge=1, le=31)
    dep_time: int | None = column(ge=0, le=2400)
    sched_dep_time: int = column(ge=0, le=2400)
    dep_delay: int | None
    arr_time: int | None = column(ge=0, le=2400)
    sched_arr_time: int = column(ge=0, le=2400)
    arr_delay: int | None
    carrier: str = column(min_length=2, max_length=2)
    flight: int = column(gt=0)
    tailnum: str | None
    origin: str = column(isin=["EWR", "JFK", "LGA"])
    dest: str = column(min_length=3, max_length=3)
    air_time: int | None = column(gt=0)
    distance: int = column(gt=0)
    hour: int = column(ge=0, le=24)
    minute: int = column(ge=0, le=59)
    time_hour: datetime


@work.table(raw, contract=Flight)
def flights(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


@work.task()
def warm_up():
    return 0
"""


_MEMORY = "2GiB"


def lay_out(folder: Path, csv: Path, memory: str = _MEMORY) -> None:
    """Write the project into a new folder; the file is linked there."""
    (folder / "data").mkdir(parents=True)
    (folder / "data" / csv.name).symlink_to(csv)
    (folder / "pipeline.py").write_text(PIPELINE, encoding="utf-8")
    settings = f'pipeline = "pipeline:work"\nworkers = 1\nmemory = "{memory}"\n'
    (folder / "headrace.toml").write_text(settings, encoding="utf-8")


def main() -> None:
    """Apply a task, which warms the worker up, and then the rest."""
    csv, folder, file = (Path(each) for each in sys.argv[1:])
    lay_out(folder, csv)
    with Workspace.open(folder) as workspace:
        workspace.apply(workspace.question(only=["warm_up"]), Observer())
        begin = time.perf_counter()
        applied = workspace.apply(workspace.question(), Observer())
        seconds = time.perf_counter() - begin
        if applied.failed or "flights" not in applied.published:
            sys.exit(f"not published: {applied.failed}")
        version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["flights"])
        rows = 0 if version is None else version.rows
    file.write_text(json.dumps({"seconds": seconds, "rows": rows}), encoding="utf-8")


if __name__ == "__main__":
    main()
