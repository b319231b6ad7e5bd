"""Headrace's own processes, as benchmarks start them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.support.children import inherited, run
from benchmarks.support.figures import BenchError
from benchmarks.support.venvs import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = str(Path(sys.executable).with_name("headrace"))
"""The command line of the environment that the benchmarks run in."""

_TIMEOUT = 300.0


def environment(**more: str) -> dict[str, str]:
    """Our own environment, without settings of Headrace, and with `benchmarks` to be found in any folder."""
    return {**inherited("HEADRACE_"), "PYTHONPATH": str(ROOT), **more}


def answer_of(module: str, project: Path, *arguments: object) -> str:
    """Run a module of `benchmarks.workloads` on a project, and return what it writes into the file named last.

    Raises:
        BenchError: It failed or took too long.
    """
    answer = project.parent / "answer.txt"
    argv = [sys.executable, "-m", module, str(project), *map(str, arguments), str(answer)]
    run(argv, environment(), project.parent / "workload.log", _TIMEOUT)
    return answer.read_text(encoding="utf-8")


def bare_python() -> float:
    """Seconds that the interpreter takes to start, to do nothing, and to end."""
    return seconds_of([sys.executable, "-c", "pass"])


def seconds_of(argv: Sequence[str]) -> float:
    """Seconds that a command takes from start to end. What it prints is dropped.

    Raises:
        BenchError: It failed; the message holds what it said.
    """
    begin = time.perf_counter()
    done = subprocess.run(argv, env=environment(), capture_output=True, check=False, timeout=_TIMEOUT)
    seconds = time.perf_counter() - begin
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise BenchError(f"{' '.join(argv)} ended with {done.returncode}\n{said}")
    return seconds
