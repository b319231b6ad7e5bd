"""Drift of 50 columns of a window of 1,000,000 rows against its reference.

The floor is one pass that is written by hand and counts the same histograms and nulls, the values outside included: no
moments, no ranges, no check for numbers that are not finite, no distances. Beside it stand what one would write first,
Polars' own histograms, and what is done besides counting: sketches, comparing, and the profile of the reference.
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
Edges = dict[str, tuple[float, ...]]

ROWS = 1_000_000
COLUMNS = 50
WORK = f"drift, {COLUMNS} columns x 1M rows"

_TURNS = 7
"""The floor and ours take so many turns in a round, the middle one counts: they take as long as a hiccup."""


def run(_options: Options) -> list[Result]:
    """Each way, after a first time that is not counted: the pools of threads have to be started."""
    before, now = frame(0), frame(1)
    reference = reference_profile(before, sketches=False)
    edges = {name: each.edges for name, each in reference.columns.items() if isinstance(each, NumberCounts)}
    (by_hand, cells), (profile, window) = _in_turns(lambda: summed(now, edges), lambda: window_profile(now, reference))
    _refuse_unlike(window, cells, edges)
    histogram, _ = _timed(lambda: histograms(now, edges))
    told, _ = _timed(lambda: compare(reference, window))
    both, _ = _timed(lambda: _from_rows(before, now))
    sketched = reference_profile(before)
    sketches, _ = _timed(lambda: window_profile(now, sketched))
    return [
        Result(WORK, "by hand, sums", 1000 * by_hand, "ms", floor=True, note="the same histograms, nothing else"),
        Result(WORK, "by hand, hist", 1000 * histogram, "ms"),
        Result(WORK, "headrace, profile", 1000 * profile, "ms", target="1.5 x floor", note="with moments and ranges"),
        Result(WORK, "headrace, and sketches", 1000 * sketches, "ms", note="with quantiles and distinct counts"),
        Result(WORK, "headrace, compare", 1000 * told, "ms", note="of two profiles"),
        Result(WORK, "headrace, from raw rows", 1000 * both, "ms", note="with the profile of the reference"),
    ]


def frame(seed: int) -> pl.DataFrame:
    """Normal numbers, whose mean moves a little with the seed."""
    random = np.random.default_rng(seed)
    return pl.DataFrame({f"c{number}": random.normal(seed / 100, 1, ROWS) for number in range(COLUMNS)})


def summed(window: pl.DataFrame, edges: Edges) -> tuple[int, ...]:
    """For each column, how many values are below the first edge, at most the second, the third, and so on, or null."""
    sums = []
    for name, each in edges.items():
        column = pl.col(name)
        sums.append((column < each[0]).sum().alias(f"{name} below"))
        sums += [(column <= edge).sum().alias(f"{name} {edge}") for edge in each[1:]]
        sums.append(column.null_count().alias(f"{name} null"))
    return window.lazy().select(sums).collect(engine="streaming").row(0)


def histograms(window: pl.DataFrame, edges: Edges) -> pl.DataFrame:
    """The same with `Expr.hist`."""
    columns = [pl.col(name).hist(list(each)).implode().alias(name) for name, each in edges.items()]
    return window.lazy().select(columns).collect()


def _from_rows(before: pl.DataFrame, now: pl.DataFrame) -> object:
    reference = reference_profile(before, sketches=False)
    return compare(reference, window_profile(now, reference))


def _in_turns(
    one: Callable[[], tuple[int, ...]], two: Callable[[], Profile]
) -> tuple[tuple[float, tuple[int, ...]], tuple[float, Profile]]:
    """The middle of the times that each takes, and what it finds."""
    first, second = one(), two()
    times = [(_timed(one)[0], _timed(two)[0]) for _ in range(_TURNS)]
    middle = [sorted(each)[_TURNS // 2] for each in zip(*times, strict=True)]
    return (middle[0], first), (middle[1], second)


def _timed(work: Callable[[], Found]) -> tuple[float, Found]:
    begin = time.perf_counter()
    found = work()
    return time.perf_counter() - begin, found


def _refuse_unlike(window: Profile, cells: tuple[int, ...], edges: Edges) -> None:
    """What is compared must be the same work."""
    row = iter(cells)
    for name, each in edges.items():
        below, *up_to, nulls = (next(row) for _ in range(len(each) + 1))
        counts = window.columns[name]
        told = [more - less for less, more in zip([below, *up_to], up_to, strict=False)]
        if not isinstance(counts, NumberCounts) or (counts.below, *counts.cells, counts.nulls) != (below, *told, nulls):
            raise BenchError(f"the counts of {name} by hand are others than those of Headrace")
