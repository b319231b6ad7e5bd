"""Profiles of frames: what is counted of their columns, in pieces of bounded size.

A frame is profiled piece by piece, so many columns and so many rows at a time, and the profiles of the pieces are
merged. So memory is bounded by the size of a piece, however many rows and columns there are: a scan of files is read in
groups of columns, each of them in batches of rows.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from headrace.monitors.category_tally import is_category, tally_categories, top_categories
from headrace.monitors.counts import CategoryCounts, NumberCounts, Profile
from headrace.monitors.number_tally import finite, is_number, number_of, tally_numbers
from headrace.monitors.sketches import Distinct, Quantiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from headrace.monitors.counts import Counts

BINS: Final = 20
TOP: Final = 200
SAMPLE: Final = 100_000
"""Rows of a reference that its edges are taken from, evenly spread. The counts are of all rows."""
GROUP: Final = 50
"""How many columns are counted at a time."""
BATCH: Final = 250_000
"""How many rows of what is not in memory are counted at a time."""


def reference_profile(
    frame: pl.DataFrame | pl.LazyFrame, bins: int = BINS, top: int = TOP, *, sketches: bool = True
) -> Profile:
    """The profile of a reference, whose cells the profiles of windows are counted in.

    Numbers (dates and times as well, in microseconds) are counted between `bins` quantiles from the smallest value to
    the largest. Text and booleans are counted by value, the `top` most frequent ones each. A column of another type,
    such as a list, is left out; `profiled` tells which are not. With `sketches`, quantiles and the number of different
    values are kept as well, of the reference and of what is compared with it; that takes longer than counting.

    A lazy frame is run several times.
    """
    lazy = frame.lazy()
    schema = lazy.collect_schema()
    names = profiled(schema)
    rows = int(lazy.select(pl.len()).collect(engine="streaming").item())
    kinds: dict[str, Counts] = {}
    for group in _groups([name for name in names if is_number(schema[name])]):
        edges = _edges(lazy.select(number_of(name, schema) for name in group), rows, bins)
        kinds.update({name: nothing_counted(each, sketches=sketches) for name, each in edges.items()})
    counted = window_profile(frame, Profile(rows, kinds)).columns
    categories = [name for name in names if name not in kinds]
    tops = top_categories(lazy, categories, top, sketches=sketches)
    return Profile(rows, {name: counted[name] if name in counted else tops[name] for name in names})


def window_profile(frame: pl.DataFrame | pl.LazyFrame, reference: Profile) -> Profile:
    """The profile of a window in the cells of its reference. Profiles of the same reference can be merged.

    A column that the window lacks counts as null in every row, and so does a number that is not one in the window.
    Columns that the reference does not have are left out. Sketches are kept of a column of whose reference they are.

    A lazy frame is run once for each 50 columns.
    """
    rows: int | None = None
    found: dict[str, Counts] = {}
    for group in _groups(list(reference.columns)) or [[]]:
        part = Profile(reference.rows, {name: reference.columns[name] for name in group})
        counted = batches_profile(_batches(frame, group), part)
        if rows is not None and counted.rows != rows:
            message = f"a lazy frame gave {rows} rows and then {counted.rows}: it must give the same each time"
            raise ValueError(message)
        rows = counted.rows
        found.update(counted.columns)
    return Profile(rows or 0, found)


def batches_profile(batches: Iterable[pl.DataFrame], reference: Profile) -> Profile:
    """The profile of a window that comes in batches of rows, which are let go one by one."""
    counted = (_counted(each, reference) for each in batches)
    first = next(counted, None)
    return _counted(pl.DataFrame(), reference) if first is None else reduce(Profile.merge, counted, first)


def profiled(schema: Mapping[str, pl.DataType]) -> tuple[str, ...]:
    """The columns that a profile is made of: numbers, dates and times, text and booleans."""
    return tuple(name for name, dtype in schema.items() if is_number(dtype) or is_category(dtype))


def _groups(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + GROUP] for start in range(0, len(names), GROUP)]


def _batches(frame: pl.DataFrame | pl.LazyFrame, names: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Those columns of a frame that there are. What is in memory is one batch."""
    if isinstance(frame, pl.DataFrame):
        yield frame
        return
    present = [name for name in frame.collect_schema() if name in set(names)]
    if present:
        yield from frame.select(present).collect_batches(chunk_size=BATCH, maintain_order=True, engine="streaming")
    else:
        yield pl.DataFrame(height=int(frame.select(pl.len()).collect(engine="streaming").item()))


def _counted(frame: pl.DataFrame, reference: Profile) -> Profile:
    """The profile of a batch."""
    kinds = reference.columns
    numbers = {name: each for name, each in kinds.items() if isinstance(each, NumberCounts)}
    categories = {name: each for name, each in kinds.items() if isinstance(each, CategoryCounts)}
    tallied = tally_numbers(frame, numbers)
    sketched = _sketched(frame, {name: tallied[name] for name, each in numbers.items() if each.distinct is not None})
    found: dict[str, Counts] = {**tallied, **sketched, **tally_categories(frame, categories)}
    return Profile(frame.height, {name: found[name] for name in kinds})


def _sketched(frame: pl.DataFrame, counted: Mapping[str, NumberCounts]) -> dict[str, NumberCounts]:
    """Numbers with their sketches. NumPy lets other threads work while it sorts and mixes."""

    def sketched(name: str) -> NumberCounts:
        fit = frame.select(finite(number_of(name, frame.schema)).alias("-"))["-"].drop_nulls().to_numpy()
        return replace(counted[name], quantiles=Quantiles.of(fit), distinct=Distinct.of_numbers(fit))

    with ThreadPoolExecutor(pl.thread_pool_size()) as threads:
        return dict(zip(counted, threads.map(sketched, counted), strict=True))


def nothing_counted(edges: tuple[float, ...], *, sketches: bool) -> NumberCounts:
    """The counts of a number on these edges before any row."""
    nothing = np.empty(0)
    wanted = (Quantiles.of(nothing), Distinct.of_numbers(nothing)) if sketches else (None, None)
    cells = (0,) * max(0, len(edges) - 1)
    return NumberCounts(edges, cells, 0, 0, (0.0, 0.0), 0, 0, 0, 0.0, 0.0, None, None, *wanted)


def _edges(numbers: pl.LazyFrame, rows: int, bins: int) -> dict[str, tuple[float, ...]]:
    """The edges of each number: its smallest value, the quantiles of a sample, its largest value.

    Where a share of 1 / `bins` or more is the smallest value, it is a cell by itself: the first two edges are equal.
    """
    names = numbers.collect_schema().names()
    fit = numbers.select(finite(pl.col(name)).alias(name) for name in names)
    sample = fit.gather_every(max(1, rows // SAMPLE)).collect(engine="streaming")
    levels = [step / bins for step in range(1, bins)]
    inner = sample.select(pl.all().quantile(levels, interpolation="nearest")).row(0, named=True)
    ends = fit.select(pl.all().min().name.suffix("<"), pl.all().max().name.suffix(">"))
    told = ends.collect(engine="streaming").row(0, named=True)
    return {name: _joined(told[f"{name}<"], inner[name], told[f"{name}>"]) for name in names}


def _joined(low: float | None, inner: Iterable[float | None], high: float | None) -> tuple[float, ...]:
    if low is None or high is None:
        return ()
    return (low, *sorted({*(each for each in inner if each is not None), high}))
