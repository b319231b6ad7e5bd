"""The features of 100 entities in one look-up: Headrace's online store (LMDB) and Feast's (SQLite)."""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.serving.records import NAMES
from benchmarks.support import venvs
from benchmarks.support.children import inherited
from benchmarks.support.children import run as run_command
from benchmarks.support.figures import Result
from benchmarks.support.ours import environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.support.figures import Options

ENTITIES = 10_000
ASKED = 100

_CALLS = {"headrace": 500, "feast": 50}
_TIMEOUT = 300.0


def run(options: Options) -> list[Result]:
    """Each with a store of its own, which holds the same values, and in a process of its own."""
    work = f"{ASKED} entities x {len(NAMES)} features"
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        folder = Path(name)
        rows = folder / "rows.parquet"
        _write_rows(rows)
        script = str(venvs.RIVALS / "feast" / "lookup.py")
        quiet = {**inherited("FEAST_"), "FEAST_USAGE": "False", "IS_TEST": "True"}
        feast = _measured("feast", [str(venvs.python("feast")), script], quiet, rows)
        argv = [sys.executable, "-m", "benchmarks.serving.lookup_ours"]
        ours = _measured("headrace", argv, environment(), rows)
    note = f"Feast {venvs.version('feast', 'feast')}, SQLite, as a dictionary"
    return [
        Result(work, "feast", 1000 * feast["random"], "ms", _CALLS["feast"], floor=True, note=note),
        Result(work, "Headrace", 1000 * ours["random"], "ms", _CALLS["headrace"], target="0.05 x floor"),
        Result(work, "Headrace, the same again", 1000 * ours["again"], "ms", _CALLS["headrace"]),
    ]


def _measured(system: str, argv: Sequence[str], env: Mapping[str, str], rows: Path) -> dict[str, float]:
    """Seconds of a call, by what is asked for, as a script measured them in a folder of its own."""
    home = rows.parent / system
    home.mkdir()
    spec, answer = home / "spec.json", home / "answer.json"
    spec.write_text(json.dumps({"asked": ASKED, "calls": _CALLS[system]}), encoding="utf-8")
    run_command([*argv, str(rows), str(spec), str(answer)], env, home / "said.log", _TIMEOUT)
    found: dict[str, float] = json.loads(answer.read_text(encoding="utf-8"))
    return found


def _write_rows(file: Path) -> None:
    """One row of numbers for each entity."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(1)
    at = pl.Series([datetime(2026, 1, 1, tzinfo=UTC)] * ENTITIES, dtype=pl.Datetime("us", "UTC"))
    values = {name: random.normal(size=ENTITIES) for name in NAMES}
    pl.DataFrame({"entity": np.arange(ENTITIES), "at": at, **values}).write_parquet(file)
