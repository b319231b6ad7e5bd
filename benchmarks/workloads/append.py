"""Appends of 1,000 rows, each applied by the real runtime.

    python -m benchmarks.workloads.append FOLDER COMMITS FILE [--from SAVED]

FOLDER is a project, which goes on until it has so many commits; it is made where there is none, with `--from` as a copy
of a saved one. FILE gets the seconds of each apply of this run in order: observe, plan, land, check the contract,
append, record, publish. After every 64 commits the apply also compacts. One process, one worker, both warm.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from headrace.project.workspace import Workspace
from headrace.runtime.observer import Observer

ROWS = 1_000
_PIPELINE = """\
from datetime import datetime

import polars as pl

from headrace import Contract, Pipeline, column, files

work = Pipeline("work")
raw = work.source("raw", files("data/*.csv"))


class Event(Contract):
    id: int = column(key=True)
    at: datetime = column(event_time=True)
    shop: str = column(isin=["a", "b", "c"])
    amount: float = column(ge=0)


@work.table(raw, contract=Event, incremental=True)
def events(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows
"""


def _arrive(folder: Path, number: int) -> None:
    first = number * ROWS
    lines = [f"{n},2024-01-{1 + n % 28:02}T00:00:00Z,{'abc'[n % 3]},{n % 97}.5" for n in range(first, first + ROWS)]
    text = "\n".join(["id,at,shop,amount", *lines])
    (folder / "data" / f"{number:06}.csv").write_text(text + "\n", encoding="utf-8")


def commits_of(folder: Path) -> int:
    """How many commits a project of this workload has."""
    return len(list((folder / "data").glob("*.csv")))


def main() -> None:
    """Make the project, or go on with it, and apply it as often as there are commits to measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("commits", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--from", dest="saved", type=Path)
    given = parser.parse_args()
    folder, file = given.folder, given.file
    if given.saved is not None:
        shutil.copytree(given.saved, folder)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.py").write_text(_PIPELINE, encoding="utf-8")
    (folder / "headrace.toml").write_text('pipeline = "pipeline:work"\nworkers = 1\n', encoding="utf-8")
    seconds = []
    with Workspace.open(folder) as workspace:
        for number in range(commits_of(folder), given.commits):
            _arrive(folder, number)
            begin = time.perf_counter()
            applied = workspace.apply(workspace.question(), Observer())
            seconds.append(time.perf_counter() - begin)
            if applied.failed or "events" not in applied.published:
                sys.exit(f"commit {number} was not published: {applied.failed}")
    file.write_text(json.dumps(seconds), encoding="utf-8")


if __name__ == "__main__":
    main()
