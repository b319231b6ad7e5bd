"""Drift of 50 columns of a window of 1,000,000 rows against its reference.

The floor is one pass that is written by hand and only counts the same histograms: no moments, no check for numbers that
are not finite, no distances. A pass of Polars' own histograms stands beside it: what one would write first.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import polars as pl

from benchmarks.support.figures import BenchError, Result
from headrace.monitors.counts import NumberCounts
from headrace.monitors.profiling import reference_profile, window_profile
from headrace.monitors.shifts import compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.support.figures import Options
    from headrace.monitors.counts import Profile

Found = TypeVar("Found")

ROWS = 1_000_000
COLUMNS = 50

_WORK = f"drift, {COLUMNS} columns x 1M rows"


def run(_options: Options) -> list[Result]:
    """Each way once, after a first time that is not counted: the pools of threads have to be started."""
    before, now = frame(0), frame(1)
    reference = reference_profile(before)
    edges = {name: each.edges for name, each in reference.columns.items() if isinstance(each, NumberCounts)}
    compare(reference, window_profile(now.head(1_000), reference))
    by_hand, cells = _timed(lambda: summed(now, edges))
    histogram, _ = _timed(lambda: histograms(now, edges))
    profile, window = _timed(lambda: window_profile(now, reference))
    told, _ = _timed(lambda: compare(reference, window))
    both, _ = _timed(lambda: _from_rows(before, now))
    _refuse_unlike(window, cells)
    return [
        Result(_WORK, "by hand, sums", 1000 * by_hand, "ms", floor=True),
        Result(_WORK, "by hand, hist", 1000 * histogram, "ms"),
        Result(_WORK, "headrace, profile", 1000 * profile, "ms", target="1.5 x floor", note="with moments"),
        Result(_WORK, "headrace, compare", 1000 * told, "ms", note="of two profiles"),
        Result(_WORK, "headrace, from raw rows", 1000 * both, "ms", note="with the profile of the reference"),
    ]


def frame(seed: int) -> pl.DataFrame:
    """Normal numbers, whose mean moves a little with the seed."""
    random = np.random.default_rng(seed)
    return pl.DataFrame({f"c{number}": random.normal(seed / 100, 1, ROWS) for number in range(COLUMNS)})


def summed(window: pl.DataFrame, edges: dict[str, tuple[float, ...]]) -> dict[str, list[int]]:
    """For each column, how many values are at most the second edge, the third, and so on: one streaming `select`."""
    sums = [(pl.col(name) <= edge).sum().alias(f"{name} {edge}") for name, each in edges.items() for edge in each[1:]]
    told = window.lazy().select(sums).collect(engine="streaming").row(0)
    width = len(told) // len(edges)
    return {name: list(told[place * width : (place + 1) * width]) for place, name in enumerate(edges)}


def histograms(window: pl.DataFrame, edges: dict[str, tuple[float, ...]]) -> pl.DataFrame:
    """The same with `Expr.hist`."""
    columns = [pl.col(name).hist(list(each)).implode().alias(name) for name, each in edges.items()]
    return window.lazy().select(columns).collect()


def _from_rows(before: pl.DataFrame, now: pl.DataFrame) -> object:
    reference = reference_profile(before)
    return compare(reference, window_profile(now, reference))


def _timed(work: Callable[[], Found]) -> tuple[float, Found]:
    begin = time.perf_counter()
    found = work()
    return time.perf_counter() - begin, found


def _refuse_unlike(window: Profile, cells: dict[str, list[int]]) -> None:
    """What is compared must be the same work."""
    for name, told in cells.items():
        counts = window.columns[name]
        if not isinstance(counts, NumberCounts) or counts.below + sum(counts.cells) != told[-1]:
            raise BenchError(f"the counts of {name} by hand are others than those of Headrace")
