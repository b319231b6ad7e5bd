"""Headrace: `kill -9` in the middle of a chain, and `headrace apply` again at once.

Measured is the time from the kill to the first step of the second process, beside the time that the same command
takes to its first step in a new project, and a bare Python's start. It is an error when a step that the ledger knew
to be finished at the kill is called again; a step that was in flight may be.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.support.children import child, wait_for
from benchmarks.support.figures import BenchError, Result
from benchmarks.support.ours import COMMAND, answer_of, bare_python, environment, seconds_of
from benchmarks.workloads.projects import EFFECTS, TRY, chain, lay_out

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from benchmarks.support.children import Child
    from benchmarks.support.figures import Options

_WORK = "kill -9"
_TIMEOUT = 120.0
_TARGET = "< 300 ms above bare"
_FIRST, _SECOND = "first", "second"


def run(options: Options) -> list[Result]:
    """One kill, when half of the chain is done."""
    bare = bare_python()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        _warm_up(Path(folder) / "warm")
        project = Path(folder) / "project"
        lay_out(project, chain(options.chain, traced=True))
        fresh, again = _killed_and_resumed(project, options.chain // 2)
        calls_again = _check(project, options.chain)
    return [
        Result(_WORK, "bare Python", 1000 * bare, "ms", floor=True),
        Result(_WORK, "headrace, to 1st step", 1000 * fresh, "ms"),
        Result(_WORK, "headrace, to 1st new step", 1000 * again, "ms", target=_TARGET, note=calls_again),
        Result("kill -9, above bare Python", "headrace", 1000 * (again - bare), "ms", target="< 300 ms"),
        Result("kill -9, above a fresh start", "headrace", 1000 * (again - fresh), "ms", target="< 300 ms"),
    ]


def _warm_up(project: Path) -> None:
    """Apply a project of two steps, so that what is measured finds compiled modules and a filled page cache."""
    lay_out(project, chain(2))
    seconds_of([COMMAND, "--project", str(project), "apply"])


def _killed_and_resumed(project: Path, kill_after: int) -> tuple[float, float]:
    """Seconds to the first step of a fresh apply, and from its kill to the first step of the next one."""
    begin = time.perf_counter()
    with _apply(project, _FIRST) as first:
        wait_for("the first step", lambda: bool(_calls(project, _FIRST)), first, _TIMEOUT, pause=_PAUSE)
        fresh = time.perf_counter() - begin
        wait_for("half of the chain", lambda: len(_calls(project, _FIRST)) >= kill_after, first, _TIMEOUT, pause=_PAUSE)
        begin = time.perf_counter()
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait(_TIMEOUT)
        with _apply(project, _SECOND) as second:
            wait_for("the first new step", lambda: bool(_calls(project, _SECOND)), second, _TIMEOUT, pause=_PAUSE)
            again = time.perf_counter() - begin
            code = second.process.wait(_TIMEOUT)
            if code:
                raise BenchError(f"the second apply ended with {code}\n{second.last_words()}")
    return fresh, again


_PAUSE = 0.001
"""Seconds between two looks at what the steps have left: what is measured takes some hundred times longer."""


def _apply(project: Path, name: str) -> AbstractContextManager[Child]:
    argv = [COMMAND, "--project", str(project), "apply"]
    return child(argv, environment(**{TRY: name}), project.parent / f"{name}.log")


def _calls(project: Path, name: str) -> list[str]:
    """The steps that have been called in one try, in order."""
    effects = project / EFFECTS
    if not effects.exists():
        return []
    lines = [line.split() for line in effects.read_text(encoding="utf-8").splitlines()]
    return [line[0] for line in lines if line[1:] == [name]]


def _check(project: Path, length: int) -> str:
    """Whether every step was called, and no finished one again. Returns how many were called again, in words.

    Raises:
        BenchError: A step is missing, or one that was finished at the kill was called again.
    """
    finished = set(answer_of("benchmarks.workloads.finished", project).split())
    calls = Counter(_calls(project, _FIRST) + _calls(project, _SECOND))
    if len(calls) != length:
        raise BenchError(f"{len(calls)} of {length} steps were called")
    if not finished:
        raise BenchError("nothing was finished when the process was killed")
    again = {step for step, times in calls.items() if times > 1}
    if again & finished:
        raise BenchError(f"finished steps were called again: {', '.join(sorted(again & finished))}")
    return f"{len(finished)} steps finished, 0 of them repeated; {len(again)} in flight called again"
