"""The year of flights replayed under all four policies on two cores; then once more, with nothing left to make.

Fails where the second time comes to another state than the first: versions, decisions, pointers or answers.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.startup import lay_out
from benchmarks.support.children import run as run_command
from benchmarks.support.figures import BenchError, Result
from benchmarks.support.ours import COMMAND, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.support.figures import Options

CORES = 2
POLICIES = ("none", "weekly", "drift", "quality")
_WORK = f"a year, {len(POLICIES)} policies, {CORES} cores"
_TIMEOUT = 1800.0


def run(options: Options) -> list[Result]:
    """Replay from nothing, then again. The project is laid out and applied in the first round only."""
    project = options.scratch / "flights"
    if not project.exists():
        lay_out(project)
    shutil.rmtree(project / ".headrace" / "replay", ignore_errors=True)
    with _few_cores():
        first, report = _replay(project)
        again, same = _replay(project)
    states = [[each["state"] for each in found["policies"]] for found in (report, same)]
    if states[0] != states[1]:
        raise BenchError("two replays of the same history came to different states")
    asked = sum(1 + each["made"] + each["refused"] + each["failed"] for each in report["policies"])
    note = f"{report['models']} models for {asked} asked for"
    return [
        Result(_WORK, "headrace replay", first, "s", target="< 300 s", note=note),
        Result(_WORK, "of that, making models", report["seconds"], "s"),
        Result(_WORK, "headrace replay, once more", again, "s"),
    ]


def _replay(project: Path) -> tuple[float, Any]:
    """Seconds from start to end of the command, and its report."""
    out = project.with_suffix(".replay.json")
    words = [each for policy in POLICIES for each in ("--policy", policy)]
    period = ["--from", "2013-01-01", "--to", "2013-12-31"]
    command = [COMMAND, "--project", str(project), "replay", *period, *words, "--json", "--quiet"]
    out.unlink(missing_ok=True)
    begin = time.perf_counter()
    run_command(command, environment(), out, _TIMEOUT)
    seconds = time.perf_counter() - begin
    return seconds, json.loads(out.read_text(encoding="utf-8"))


@contextmanager
def _few_cores() -> Iterator[None]:
    """Let this process, and what it starts, run on few cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:CORES])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
