"""A 1,000-row append with contract, version and publish: its latency at commit 10, 1,000 and 10,000 of one table.

The median and the 99th percentile are over the commits up to each mark: the last tenth of them, at least nine.
`HEADRACE_BENCH_COMMITS` says where to stop; marks behind it are left out. `HEADRACE_BENCH_FROM` names the folder of a
project that the workload has made before, of which a copy goes on: so the last hundred commits before 10,000 can be
measured alone, when the first 9,900 were made elsewhere. The marks are then those that come, over the commits made.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.support.children import run as run_command
from benchmarks.support.figures import Result
from benchmarks.support.ours import environment
from benchmarks.workloads.append import commits_of

if TYPE_CHECKING:
    from benchmarks.support.figures import Options

MARKS = (10, 1_000, 10_000)
_COMMITS = "HEADRACE_BENCH_COMMITS"
_FROM = "HEADRACE_BENCH_FROM"
_DEFAULT = 1_000
_SECONDS_A_COMMIT = 5.0
_PATIENCE = 600.0
"""Seconds to copy a saved project, and to begin."""


def run(options: Options) -> list[Result]:
    """Once."""
    commits = int(os.environ.get(_COMMITS, _DEFAULT))
    saved = os.environ.get(_FROM)
    begin = commits_of(Path(saved)) if saved else 0
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        answer = Path(name) / "answer.json"
        argv = [sys.executable, "-m", "benchmarks.workloads.append", f"{name}/project", str(commits), str(answer)]
        argv += ["--from", saved] if saved else []
        run_command(argv, environment(), Path(name) / "said.log", _PATIENCE + (commits - begin) * _SECONDS_A_COMMIT)
        seconds = json.loads(answer.read_text(encoding="utf-8"))
    found = []
    for mark in MARKS:
        if begin < mark <= commits:
            first = max(mark - max(9, mark // 10), begin)
            last = sorted(1000 * each for each in seconds[first - begin : mark - begin])
            p99 = last[min(len(last) - 1, round(0.99 * len(last)))]
            work = f"append of 1,000 rows, commit {mark:,}"
            found.append(Result(work, "headrace", median(last), "ms", len(last), note=f"p99 {p99:.0f} ms"))
    return found
