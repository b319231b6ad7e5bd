"""Drift of 1,000 columns of a window of 10,000,000 rows against its reference: 80 GB of numbers, in bounded memory.

The window is read from Parquet files of 250,000 rows of random numbers. There is one such file on the disk, under
forty names, so that it takes 2 GB there: each name is read, unpacked and counted like a file of its own, but from the
page cache after the first. The work is done in a process of its own, whose largest resident set is what is told.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.support.children import run as run_command
from benchmarks.support.figures import Result
from benchmarks.support.ours import environment
from headrace.monitors.profiling import reference_profile, window_profile
from headrace.monitors.shifts import compare

if TYPE_CHECKING:
    from benchmarks.support.figures import Options

COLUMNS = 1_000
FILES = 40
ROWS = 250_000
WORK = f"drift, {COLUMNS:,} columns x {FILES * ROWS // 1_000_000}M rows"

_GROUP_ROWS = 50_000
_REFERENCE_ROWS = 20_000
_TIMEOUT = 1_800.0


def run(options: Options) -> list[Result]:
    """Once."""
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        folder, answer = Path(name), Path(name) / "answer.json"
        _write(folder)
        argv = [sys.executable, "-m", "benchmarks.drift_wide", str(folder), str(answer)]
        run_command(argv, environment(), folder / "said.log", _TIMEOUT)
        found = json.loads(answer.read_text(encoding="utf-8"))
    return [
        Result(WORK, "headrace", found["seconds"], "s", note="Parquet, 2 GB read forty times"),
        Result(
            f"{WORK}, memory",
            "headrace",
            found["peak"] / 1024,
            "MiB",
            note=f"{found['before'] / 1024:.0f} of it before",
        ),
    ]


def _write(folder: Path) -> None:
    """One file of random numbers, and its other names. It is written in pieces, so that this process stays small."""
    random = np.random.default_rng(1)
    parts = []
    for number in range(ROWS // _GROUP_ROWS):
        parts.append(folder / f"part{number}")
        _frame(random, _GROUP_ROWS).write_parquet(parts[-1], compression="uncompressed")
    first = folder / "rows0.parquet"
    pl.scan_parquet(parts).sink_parquet(first, row_group_size=_GROUP_ROWS, compression="zstd")
    for number in range(1, FILES):
        (folder / f"rows{number}.parquet").hardlink_to(first)
    for part in parts:
        part.unlink()


def _frame(random: np.random.Generator, rows: int) -> pl.DataFrame:
    return pl.DataFrame({f"c{each}": random.normal(size=rows) for each in range(COLUMNS)})


def main() -> None:
    """The profile of the window and its comparison, in a process of its own: `drift_wide FOLDER ANSWER`."""
    folder, answer = map(Path, sys.argv[1:])
    files = [folder / f"rows{number}.parquet" for number in range(FILES)]
    reference = reference_profile(_frame(np.random.default_rng(0), _REFERENCE_ROWS), sketches=False)
    before = _peak()
    begin = time.perf_counter()
    window = window_profile(pl.scan_parquet(files), reference)
    found = compare(reference, window)
    seconds = time.perf_counter() - begin
    if found.rows != FILES * ROWS or len(found.columns) != COLUMNS:
        sys.exit(f"{found.rows} rows of {len(found.columns)} columns were compared")
    answer.write_text(json.dumps({"seconds": seconds, "peak": _peak(), "before": before}), encoding="utf-8")


def _peak() -> int:
    """The largest resident set that this program ever had, in KiB. That of `getrusage` counts its parent's as well."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
