"""Headrace: a plan of 1,000 nodes of which none has changed, in CPU time of the planning process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.support.figures import Result
from benchmarks.support.ours import answer_of
from benchmarks.workloads.projects import lay_out, layers

if TYPE_CHECKING:
    from benchmarks.support.figures import Options

_DEPTH, _WIDTH = 10, 100
_TARGET = "< 100 ms"


def run(options: Options) -> list[Result]:
    """Ten layers of a hundred tasks, each made from two of the layer above; applied once, then planned."""
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        project = Path(folder) / "project"
        lay_out(project, layers(_DEPTH, _WIDTH))
        nodes = _DEPTH * _WIDTH + 1  # with the task that is beside the others
        load, first, again = map(float, answer_of("benchmarks.workloads.plan", project, nodes).split())
    work = "plan of 1,000"
    return [
        Result(work, "headrace, in a new process", 1000 * first, "ms CPU", target=_TARGET),
        Result(work, "headrace, once more", 1000 * again, "ms CPU", target=_TARGET),
        Result("load of 1,000", "headrace: import, fingerprints", 1000 * load, "ms CPU"),
    ]
