"""The floor: one SQLite transaction with fsync for each step, inline, and nothing else.

A step is a call of a function that does nothing; that it is done is one row, committed in WAL mode with
synchronous=FULL before the next step begins. No orchestrator that survives a loss of power can be faster on one
connection without group commit.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.support.figures import per_step

if TYPE_CHECKING:
    from benchmarks.support.figures import Options, Result


def run(options: Options) -> list[Result]:
    """One chain and one fan-out with its join."""
    works = {"chain": options.chain, "fan-out": options.fan + 1}
    return [
        replace(per_step(work, "floor", _seconds(steps, options.scratch), steps), floor=True)
        for work, steps in works.items()
    ]


def _seconds(steps: int, scratch: Path) -> float:
    """How long it takes to run and to record this many steps. Making the database is not counted."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder, closing(_database(Path(folder))) as connection:
        begin = time.perf_counter()
        for number in range(steps):
            output = _step(number)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO step (number, output) VALUES (?, ?)", (number, output))
            connection.execute("COMMIT")
        return time.perf_counter() - begin


def _database(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "floor.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE step (number INTEGER PRIMARY KEY, output INTEGER NOT NULL)")
    return connection


def _step(number: int) -> int:
    return number
