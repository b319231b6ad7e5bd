"""Dagster in one process: `execute_in_process` with an instance whose run and event storage is SQLite on disk.

Outputs go to files, so that a run could be taken up again from them; steps run one after the other. The process is
warm: a job of two steps has run in it before.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rivals.scripts import measured
from benchmarks.support import venvs
from benchmarks.support.children import inherited
from benchmarks.support.figures import per_step

if TYPE_CHECKING:
    from benchmarks.support.figures import Options, Result

_TIMEOUT = 900.0
_SETTINGS = """\
telemetry:
  enabled: false
"""


def run(options: Options) -> list[Result]:
    """Run both works with an empty instance."""
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        home = Path(folder)
        (home / "dagster.yaml").write_text(_SETTINGS, encoding="utf-8")
        env = {**inherited("DAGSTER_"), "DAGSTER_HOME": folder}
        seconds = measured("dagster", options, home, env, _TIMEOUT)
    steps = {"chain": options.chain, "fan-out": options.fan + 1}
    note = f"Dagster {venvs.version('dagster', 'dagster')}"
    return [replace(per_step(work, "dagster", seconds[work], steps[work]), note=note) for work in steps]
