"""Features of the last seven days at each of 30M rows (how many, mean, deviation): Headrace, DuckDB and PySpark.

All read the same Parquet file, sorted by time, each in a process of its own. Headrace and DuckDB end with a frame in
memory; Spark, on all cores of this machine, throws its rows away (`noop`), and its start is not counted. The window
of a row are the rows of its entity in the seven days before it, without those of the same moment.

Then the view is made of a table of all days but the last, and once more with that one: as an incremental update, and
from nothing.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta
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
    from headrace.features.view import FeatureView
    from headrace.ports.records import Version
    from headrace.ports.stores import Stores

ROWS, ENTITIES, DAYS = 30_000_000, 300_000, 365
WEEK = timedelta(days=7)
SUMS = ("rows", "n", "mean", "std")

SMALL = 1_000
_DAY = 86_400 * 1_000_000
_TIMEOUT = 590.0


def run(options: Options) -> list[Result]:
    """Once each."""
    folder = options.scratch / "rolling"
    if not folder.exists():
        _write(folder, options.share)
    size = f"{ROWS * options.share / 1e6:g}M rows"
    ways = {way: _by_us(way, folder) for way in ("duckdb", "headrace")}
    argv = [str(venvs.python("pyspark")), str(venvs.RIVALS / "pyspark" / "rolling.py"), str(folder)]
    home = folder / "pyspark"
    home.mkdir(exist_ok=True)
    ways["pyspark"] = measured(argv, inherited("SPARK_"), home / "answer.json", _TIMEOUT)
    for way, found in ways.items():
        _refuse_other(way, found, ways["duckdb"])
    notes = {"headrace": "", "duckdb": "", "pyspark": f"PySpark {venvs.version('pyspark', 'pyspark')}, its JVM"}
    results = [
        Result(f"7 days, {size}{what}", way, found[key], unit, floor=way == "duckdb", note=notes[way])
        for what, key, unit in (("", "seconds", "s"), (", memory", "peak", "MiB"))
        for way, found in ways.items()
    ]
    update = _by_us("update", folder)
    work = f"one new day of {size}"
    return [
        *results,
        Result(work, "from nothing", update["whole"], "s", floor=True),
        Result(work, "incremental", update["grown"], "s"),
        Result(work, "reading the grown view", update["read_grown"], "s"),
        Result(work, "reading the one made from nothing", update["read_whole"], "s"),
    ]


def _by_us(way: str, folder: Path) -> dict[str, float]:
    argv = [sys.executable, "-m", "benchmarks.rolling", way, str(folder)]
    return measured(argv, environment(), folder / f"{way}.json", _TIMEOUT)


def _refuse_other(way: str, found: Mapping[str, float], first: Mapping[str, float]) -> None:
    for name in SUMS:
        if abs(found[name] - first[name]) > 1e-6 * abs(first[name]):
            raise BenchError(f"{way} has {found[name]} as the sum of {name}, DuckDB has {first[name]}")


def _write(folder: Path, share: float) -> None:
    import numpy as np

    folder.mkdir(exist_ok=True)
    if share > SMALL / ROWS:  # and a small one, to warm up with
        _write(folder / "small", SMALL / ROWS)
    random = np.random.default_rng(1)
    rows, entities = int(ROWS * share), max(1, int(ENTITIES * share))
    at = np.sort(random.integers(0, DAYS * _DAY, rows))
    columns = {"entity": random.integers(0, entities, rows), "sold_at": pl.Series(at).cast(pl.Datetime("us", "UTC"))}
    pl.DataFrame({**columns, "value": random.normal(100, 15, rows)}).write_parquet(folder / "rows.parquet")


def by_headrace(folder: Path) -> dict[str, float]:
    """The rows as their own labels."""
    from headrace.features.aggregates import Count, Mean, Std
    from headrace.features.join import ViewRows, point_in_time

    rows = pl.read_parquet(folder / "rows.parquet")
    features = {"n": Count(None, WEEK), "mean": Mean("value", WEEK), "std": Std("value", WEEK)}
    view = ViewRows("view", rows.lazy().rename({"sold_at": "_visible_at"}), ("entity",), ("entity",), features)
    found = point_in_time(rows.select("entity", "sold_at"), [view], cutoff="sold_at")
    return {"rows": float(found.height), **{name: float(found[name].sum()) for name in features}}


def by_duckdb(folder: Path) -> dict[str, float]:
    """A window function over a range of times."""
    import duckdb

    span = "range between interval 7 days preceding and interval 1 microsecond preceding"
    query = (
        "select entity, sold_at, count(*) over w as n, avg(value) over w as mean, stddev_samp(value) over w as std "  # noqa: S608
        f"from read_parquet('{folder / 'rows.parquet'}') window w as (partition by entity order by sold_at {span})"
    )
    found = pl.DataFrame(duckdb.connect().sql(query).to_arrow_table())
    return {"rows": float(found.height), **{name: float(found[name].sum()) for name in ("n", "mean", "std")}}


def update(folder: Path) -> dict[str, float]:
    """A view of a table to which a day is added."""
    from headrace.adapters.artefacts import FileArtefactStore
    from headrace.adapters.delta import DeltaTableStore
    from headrace.adapters.manifests import FileManifestStore
    from headrace.adapters.online_lmdb import LmdbOnlineStore
    from headrace.ports.records import Manifest, Version
    from headrace.ports.stores import Stores

    stores = Stores(
        DeltaTableStore(folder / "tables"),
        FileArtefactStore(folder / "files"),
        FileManifestStore(folder / "made"),
        LmdbOnlineStore(folder / "online"),
    )
    rows = pl.read_parquet(folder / "rows.parquet").with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    night = rows["sold_at"][0] + timedelta(days=DAYS - 1)
    tables: list[Version] = []
    for number, part in enumerate((rows.filter(pl.col("sold_at") < night), rows.filter(pl.col("sold_at") >= night))):
        base = tables[-1].manifest.outputs["table"] if tables else None
        key = f"{number + 1:064x}"
        manifest = Manifest(key, {"table": stores.tables.write(key, "sales", part, base)})
        stores.manifests.put(manifest)
        tables.append(Version(key, "sales", "table", "", (), manifest))
    del rows
    first, _ = _made(stores, 10, tables[0], None)
    grown, seconds = _made(stores, 11, tables[1], first)
    whole, all_seconds = _made(stores, 12, tables[1], None)
    reads = {}
    for name, version in (("read_grown", grown), ("read_whole", whole)):
        begin = time.perf_counter()
        height = _view().read(version, stores).collect().height
        reads[name] = time.perf_counter() - begin
        if height != whole.rows:
            raise BenchError(f"{height} rows were read, {whole.rows} were made")
    return {"grown": seconds, "whole": all_seconds, **reads}


def _view() -> FeatureView:
    """The view of the table."""
    from headrace import Contract, Features, column, count, files, mean
    from headrace.features import std
    from headrace.sources.source import Source
    from headrace.tables.table import Table

    class Sale(Contract):
        row: int = column(key=True)
        entity: int
        sold_at: datetime = column(event_time=True)
        value: float

    sales = Table("sales", (Source("raw", files("*.csv")),), lambda rows: rows, contract=Sale, incremental=True)

    class Sales(Features, of=sales, entity="entity"):
        n: int = count(over="7d")
        usual: float = mean("value", over="7d")
        spread: float = std("value", over="7d")

    return Sales.__view__


def _made(stores: Stores, number: int, table: Version, base: Version | None) -> tuple[Version, float]:
    """A version of the view, and how long it took."""
    from headrace.ports.records import Version
    from headrace.ports.work import Action, Context, Step

    view, key, inputs = _view(), f"{number:064x}", (("sales", table.key),)
    step = Step(view.name, key, "", inputs, Action.MAKE, "", base=base)
    context = Context(key, 0, Path(), stores, {"sales": table}, lambda _: None, lambda *_: None)
    begin = time.perf_counter()
    manifest = view.make(step, context)
    seconds = time.perf_counter() - begin
    return Version(key, view.name, view.kind, "", inputs, manifest), seconds


WAYS = {"duckdb": by_duckdb, "headrace": by_headrace, "update": update}


if __name__ == "__main__":
    if sys.argv[1] != "update":
        WAYS[sys.argv[1]](Path(sys.argv[2], "small"))
    tell(lambda: WAYS[sys.argv[1]](Path(sys.argv[2])), Path(sys.argv[3]))
