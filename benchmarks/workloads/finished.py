"""The steps that the first run of a project finished: `python -m benchmarks.workloads.finished FOLDER FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from headrace.project.workspace import Workspace


def main() -> None:
    """Write the names of the nodes whose versions the oldest run has recorded, a line for each."""
    folder, file = Path(sys.argv[1]), Path(sys.argv[2])
    with Workspace.open(folder) as workspace:
        first = min(workspace.ledger.runs(), key=lambda run: run.started_at)
        nodes = [version.node for version in workspace.ledger.versions() if version.run == first.id]
    file.write_text("\n".join(nodes), encoding="utf-8")


if __name__ == "__main__":
    main()
