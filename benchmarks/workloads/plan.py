"""Applies a generated project, then plans it unchanged: `python -m benchmarks.workloads.plan FOLDER STEPS FILE`.

The file gets three figures, in seconds of CPU of this process: for loading the project (import, graph, fingerprints),
for the first plan after that, and for one more.
"""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from pathlib import Path

from headrace.ports.work import Action
from headrace.project.workspace import Workspace
from headrace.runtime.observer import Observer


def main() -> None:
    """Apply with one workspace, measure with another one, which has nothing in memory."""
    folder, steps, file = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    with Workspace.open(folder) as workspace:
        workspace.apply(workspace.question(), Observer())
        workspace.reload()
    with Workspace.open(folder) as workspace:
        marks = [time.process_time()]
        workspace.graph.nodes, workspace.coded  # noqa: B018 - computed when first asked for
        marks.append(time.process_time())
        for _ in range(2):
            plan = workspace.plan(workspace.question())
            marks.append(time.process_time())
    unchanged = sum(step.action is Action.KEEP for step in plan.steps)
    if unchanged != steps:
        sys.exit(f"{unchanged} of {steps} nodes are unchanged")
    file.write_text(" ".join(repr(end - begin) for begin, end in pairwise(marks)), encoding="utf-8")


if __name__ == "__main__":
    main()
