"""The work of `benchmarks.rules` by pandera, dataframely, pointblank and Great Expectations."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rules import ROWS, WORK, frame
from benchmarks.support import venvs
from benchmarks.support.children import inherited
from benchmarks.support.children import run as run_command
from benchmarks.support.figures import BenchError, Result

if TYPE_CHECKING:
    from benchmarks.support.figures import Options

_TIMEOUT = 900.0
_TOOLS = {
    "pandera": "pandera",
    "dataframely": "dataframely",
    "pointblank": "pointblank",
    "great_expectations": "great-expectations",
}


def run(options: Options) -> list[Result]:
    """Each once, in a process of its own, on the same file."""
    found = []
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        flights = Path(name) / "flights.parquet"
        frame(ROWS).write_parquet(flights)
        for tool, package in _TOOLS.items():
            answer = Path(name) / f"{tool}.json"
            argv = [str(venvs.python(tool)), str(venvs.RIVALS / tool / "check.py"), str(flights), str(answer)]
            quiet = {**inherited("GX_"), "GX_ANALYTICS_ENABLED": "false", "DISABLE_PANDERA_IMPORT_WARNING": "True"}
            run_command(argv, quiet, Path(name) / f"{tool}.log", _TIMEOUT)
            told = json.loads(answer.read_text(encoding="utf-8"))
            if not told["failed"]:
                raise BenchError(f"{tool} found nothing wrong")
            note = f"{venvs.version(tool, package)}, {told['failed']:,} failures; peak {told['peak']:,.0f} MiB"
            found.append(Result(WORK, tool, 1000 * told["seconds"], "ms", note=note))
    return found
