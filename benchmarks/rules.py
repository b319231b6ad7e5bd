"""12 rules on 10,000,000 rows in memory: the pass of a contract against one that is written by hand in Polars.

Both answer the same: the clean rows, the broken ones, and how many rows break which rule. Headrace tells of each broken
row what it broke as well, brings the columns to the types of the contract, and makes NaN null.
"""

from __future__ import annotations

import os
import resource
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.support.figures import BenchError, Result
from headrace.tables import col, rule
from headrace.tables.contract import Contract, column
from headrace.tables.quarantine import split

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.support.figures import Options
    from headrace.tables.breaches import Split

ROWS = int(os.environ.get("HEADRACE_BENCH_ROWS", "10000000"))
WORK = f"12 rules, {ROWS / 1e6:g}M rows"
SHARE = 0.001
"""Of each rule but that of the key, one row in a thousand breaks it."""

_TURNS = 5
_BEGIN = datetime(2013, 1, 1, tzinfo=UTC)


class Flight(Contract):
    """Twelve rules: two of the key, nine of single columns, one of two columns."""

    flight_id: int = column(key=True)
    origin: str | None = column(isin=("EWR", "JFK", "LGA"))
    carrier: str | None = column(matches="[A-Z0-9]{2}")
    distance: int | None = column(gt=0, le=5_000)
    delay: float | None = column(ge=-120, lt=2_000)
    tail: str | None = column(min_length=5, max_length=6)
    departed_at: datetime | None = column(ge=_BEGIN)
    arrived_at: datetime | None
    arrives_after_it_leaves = rule(col("arrived_at") >= col("departed_at"))


def run(_options: Options) -> list[Result]:
    """Both in turns; the first time of each is not counted."""
    flights = frame(ROWS)
    counts, found = by_hand(flights)[2], split(flights, Flight, table="flights").counts
    if sorted(counts) != sorted(found.values()):
        raise BenchError(f"by hand {counts}, and by the contract {found}")
    hand, ours = [], []
    for _ in range(_TURNS):
        hand.append(_timed(lambda: by_hand(flights)))
        ours.append(_timed(lambda: split(flights, Flight, table="flights")))
    floor, pass_ = (sorted(each)[_TURNS // 2] for each in (hand, ours))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        Result(WORK, "by hand, Polars", 1000 * floor, "ms", floor=True, note="the same rows and counts, no reasons"),
        Result(WORK, "headrace", 1000 * pass_, "ms", target="1.3 x floor", note=f"with reasons; peak {peak:,.0f} MiB"),
    ]


def frame(rows: int) -> pl.DataFrame:
    """Flights, of which a few break each rule; the same for every tool."""
    random = np.random.default_rng(7)

    def some(good: list[str], bad: str) -> pl.Series:
        codes = random.integers(0, len(good), rows)
        codes[random.random(rows) < SHARE] = len(good)
        return pl.Series(codes.astype(np.int32)).replace_strict(dict(enumerate([*good, bad])), return_dtype=pl.String)

    def broken() -> np.ndarray:
        return random.random(rows) < 2 * SHARE

    usual = random.normal(10, 20, rows).clip(-100, 1_900)
    ids = np.arange(rows, dtype=np.int64)
    ids[1::1_000] = ids[0 : rows - 1 : 1_000][: len(ids[1::1_000])]
    departed = pl.Series((random.integers(0, 365 * 86_400, rows) + 1_356_998_400) * 1_000_000)
    flown = random.integers(1_800, 20_000, rows)
    flown[random.random(rows) < SHARE] = -1
    early = random.random(rows) < SHARE
    return pl.DataFrame(
        {
            "flight_id": ids,
            "origin": some(["EWR", "JFK", "LGA"], "XXX"),
            "carrier": some(["UA", "AA", "B6", "9E", "DL"], "unknown"),
            "distance": np.where(broken(), random.choice([0, 9_000], rows), random.integers(80, 4_999, rows)),
            "delay": np.where(broken(), random.choice([-500.0, 9e9], rows), usual),
            "tail": some(["N14228", "N24211", "N619A", "N804JB"], "N1"),
            "departed_at": pl.select(
                pl.when(pl.Series(early))
                .then(0)
                .otherwise(departed)
                .cast(pl.Datetime("us"))
                .dt.replace_time_zone("UTC")
            ).to_series(),
            "arrived_at": pl.select(
                (departed + pl.Series(flown) * 1_000_000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
            ).to_series(),
        }
    )


def by_hand(flights: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, list[int]]:
    """What one would write: a truth value for each rule, their sums, and two filters."""
    at = pl.col("departed_at")
    rules = flights.select(
        pl.col("flight_id").is_null().alias("0"),
        (~pl.col("origin").is_in(["EWR", "JFK", "LGA"])).alias("1"),
        (~pl.col("carrier").str.contains(r"^[A-Z0-9]{2}$")).alias("2"),
        (pl.col("distance") <= 0).alias("3"),
        (pl.col("distance") > 5_000).alias("4"),
        (pl.col("delay") < -120).alias("5"),
        (pl.col("delay") >= 2_000).alias("6"),
        (pl.col("tail").str.len_chars() < 5).alias("7"),
        (pl.col("tail").str.len_chars() > 6).alias("8"),
        (at < _BEGIN).alias("9"),
        (pl.col("arrived_at") < at).alias("10"),
    )
    bad = rules.select(pl.any_horizontal(pl.all())).to_series().fill_null(value=False)
    clean, broken = flights.filter(~bad), flights.filter(bad)
    first = clean.select(pl.col("flight_id").is_first_distinct()).to_series()
    doubles = len(first) - int(first.sum())
    counts = [int(each) for each in rules.sum().row(0) if each] + ([doubles] if doubles else [])
    return clean.filter(first), pl.concat([broken, clean.filter(~first)]), counts


def _timed(work: Callable[[], tuple[pl.DataFrame, pl.DataFrame, list[int]] | Split]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
