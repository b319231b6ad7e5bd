"""Applies a generated project in this process: `python -m benchmarks.workloads.apply FOLDER STEPS FILE`.

The file gets the seconds from the start of the apply, planning included, until everything is published.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.workloads.projects import WARM_UP
from headrace.project.workspace import Workspace
from headrace.runtime.observer import Observer


def main() -> None:
    """Apply one task, which loads the project and warms the workers up; then apply the rest, and measure that."""
    folder, steps, file = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    with Workspace.open(folder) as workspace:
        workspace.apply(workspace.question(only=[WARM_UP]), Observer())
        begin = time.perf_counter()
        applied = workspace.apply(workspace.question(), Observer())
        seconds = time.perf_counter() - begin
    if len(applied.made) != steps or len(applied.published) != steps:
        sys.exit(
            f"{len(applied.made)} of {steps} steps were made, {len(applied.published)} published: {applied.failed}"
        )
    file.write_text(repr(seconds), encoding="utf-8")


if __name__ == "__main__":
    main()
