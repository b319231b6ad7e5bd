"""The point-in-time join of 1M labels on 10M rows with a ttl: `join_asof` of Polars alone, Headrace, and Feast.

All read the same Parquet files, rows sorted by time and labels in no order, and end with a frame in memory, each in a
process of its own. They must come to the same values. Feast joins by its offline store on DuckDB.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from benchmarks.support import venvs
from benchmarks.support.children import inherited
from benchmarks.support.figures import BenchError, Result
from benchmarks.support.measured import measured, tell
from benchmarks.support.ours import environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.support.figures import Options

ROWS, LABELS, ENTITIES = 10_000_000, 1_000_000, 200_000
TTL = timedelta(days=7)
VALUES = ("a", "b")
SMALL = 1_000

_YEAR = 365 * 86_400 * 1_000_000
_TIMEOUT = 580.0


def run(options: Options) -> list[Result]:
    """Once each."""
    folder = options.scratch / "join"
    if not folder.exists():
        _write(folder, options.share)
    size = f"{LABELS * options.share / 1e6:g}M labels on {ROWS * options.share / 1e6:g}M rows"
    ways = {way: _by_us(way, folder) for way in ("join_asof", "headrace")}
    quiet = {**inherited("FEAST_"), "FEAST_USAGE": "False", "IS_TEST": "True"}
    home = folder / "feast"
    home.mkdir(exist_ok=True)
    argv = [str(venvs.python("feast")), str(venvs.RIVALS / "feast" / "join.py"), str(folder)]
    ways["feast"] = measured(argv, quiet, home / "answer.json", _TIMEOUT)
    for way, found in ways.items():
        _refuse_other(way, found, ways["join_asof"])
    notes = {"feast": f"Feast {venvs.version('feast', 'feast')}, DuckDB", "headrace": "", "join_asof": "Polars alone"}
    targets = {"headrace": "1.3 x floor", "feast": "5 x Headrace"}
    return [
        Result(f"join, {size}{what}", way, found[key], unit, floor=way == "join_asof", note=notes[way], target=target)
        for what, key, unit in (("", "seconds", "s"), (", of all cores", "cpu", "s"), (", memory", "peak", "MiB"))
        for way, found in ways.items()
        for target in [targets.get(way, "") if key == "seconds" else ""]
    ]


def _by_us(way: str, folder: Path) -> dict[str, float]:
    argv = [sys.executable, "-m", "benchmarks.join", way, str(folder)]
    return measured(argv, environment(), folder / f"{way}.json", _TIMEOUT)


def _refuse_other(way: str, found: Mapping[str, float], first: Mapping[str, float]) -> None:
    for name in ("rows", *VALUES):
        if abs(found[name] - first[name]) > 1e-9 * abs(first[name]):
            raise BenchError(f"{way} has {found[name]} as the sum of {name}, the floor has {first[name]}")


def _write(folder: Path, share: float) -> None:
    import numpy as np

    folder.mkdir(exist_ok=True)
    if share > SMALL / ROWS:  # and a small one, to warm up with
        _write(folder / "small", SMALL / ROWS)
    random = np.random.default_rng(1)
    rows, labels = int(ROWS * share), int(LABELS * share)
    entities = max(1, int(ENTITIES * share))

    def frame(size: int, time: str) -> pl.DataFrame:
        who = pl.Series(random.integers(0, entities, size)).cast(pl.String)
        when = pl.Series(random.integers(0, _YEAR, size)).cast(pl.Datetime("us", "UTC"))
        return pl.DataFrame({"entity": "customer-" + who, time: when})

    found = frame(rows, "_visible_at").sort("_visible_at")
    found.with_columns(a=random.normal(size=rows), b=random.integers(0, 1_000, rows)).write_parquet(
        folder / "rows.parquet"
    )
    frame(labels, "asked").with_columns(late=random.integers(0, 2, labels)).write_parquet(folder / "labels.parquet")


def by_polars(folder: Path) -> dict[str, float]:
    """`join_asof` as it stands, which wants both sides sorted by time."""
    labels, rows = (pl.read_parquet(folder / f"{name}.parquet") for name in ("labels", "rows"))
    found = labels.sort("asked").join_asof(
        rows,
        left_on="asked",
        right_on="_visible_at",
        by="entity",
        tolerance=TTL,
        allow_exact_matches=False,
        check_sortedness=False,
    )
    return summed(found)


def by_headrace(folder: Path) -> dict[str, float]:
    """The join that models are trained by; labels come out in their order."""
    from headrace.features.aggregates import Newest
    from headrace.features.join import ViewRows, point_in_time

    labels, rows = pl.read_parquet(folder / "labels.parquet"), pl.scan_parquet(folder / "rows.parquet")
    view = ViewRows("view", rows, ("entity",), ("entity",), {name: Newest(name, TTL) for name in VALUES})
    return summed(point_in_time(labels, [view], cutoff="asked"))


def summed(found: pl.DataFrame) -> dict[str, float]:
    """What says that two joins came to the same."""
    return {"rows": float(found.height), **{name: float(found[name].sum()) for name in VALUES}}


WAYS = {"join_asof": by_polars, "headrace": by_headrace}


if __name__ == "__main__":
    WAYS[sys.argv[1]](Path(sys.argv[2], "small"))
    tell(lambda: WAYS[sys.argv[1]](Path(sys.argv[2])), Path(sys.argv[3]))
