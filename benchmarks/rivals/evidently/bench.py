"""Evidently at the work of `benchmarks.drift`: the same numbers, all in memory, PSI alone."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.drift import COLUMNS, ROWS, WORK
from benchmarks.support import venvs
from benchmarks.support.children import inherited
from benchmarks.support.children import run as run_command
from benchmarks.support.figures import BenchError, Result

if TYPE_CHECKING:
    from benchmarks.support.figures import Options

_TIMEOUT = 900.0
_LEAST = 1e-3
"""The means of the two frames differ by a hundredth of a deviation: any larger PSI would be of something else."""


def run(options: Options) -> list[Result]:
    """Once: it takes the better part of a minute."""
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        spec, answer = Path(name) / "spec.json", Path(name) / "answer.json"
        spec.write_text(json.dumps({"columns": COLUMNS, "rows": ROWS}), encoding="utf-8")
        quiet = {**inherited("EVIDENTLY_"), "DO_NOT_TRACK": "1"}
        argv = [str(venvs.python("evidently")), str(venvs.RIVALS / "evidently" / "drift.py"), str(spec), str(answer)]
        run_command(argv, quiet, Path(name) / "said.log", _TIMEOUT)
        found = json.loads(answer.read_text(encoding="utf-8"))
    if not all(0 <= each < _LEAST for each in found["psi"]):
        raise BenchError(f"Evidently told a PSI of {max(found['psi'])}")
    version = venvs.version("evidently", "evidently")
    return [Result(WORK, "evidently", 1000 * found["seconds"], "ms", note=f"{version}, from raw rows, PSI only")]
