"""Headrace: the same chain and fan-out, applied by the real runtime with four worker processes.

Timed in the applying process, from the start of the apply (planning included) until every step is recorded and
published. The process is warm, as those of the rivals are: one task has been applied in it before.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.support.figures import per_step
from benchmarks.support.ours import answer_of
from benchmarks.workloads.projects import chain, fan_out, lay_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.support.figures import Options, Result

_TARGET = "2 x floor"


def run(options: Options) -> list[Result]:
    """One chain and one fan-out with its join, each in a new project."""
    works = {"chain": chain(options.chain), "fan-out": fan_out(options.fan)}
    return [replace(_measured(work, tasks, options.scratch), target=_TARGET) for work, tasks in works.items()]


def _measured(work: str, tasks: Sequence[str], scratch: Path) -> Result:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        project = Path(folder) / "project"
        lay_out(project, tasks)
        seconds = float(answer_of("benchmarks.workloads.apply", project, len(tasks)))
    return per_step(work, "headrace", seconds, len(tasks))
