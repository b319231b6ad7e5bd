"""What the numbers of a frame in memory count in the cells of their reference: one `select` for all of them.

A histogram is counted as how many values are at most e, for each edge e: plain sums that Polars computes batch by
batch. That is several times as fast as its histogram, which looks up each value.

All else is cheap as long as the values of a column are finite and its mean is not far from zero, in deviations: then
the sum tells that there is no NaN, and the sum of squares tells the variance. A column of which this does not hold is
counted again with everything told apart; where the reference was such a column, at once.

How far values lie outside the edges is asked in a second pass, where more than one does: one alone is the smallest or
the largest value.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Final

import polars as pl

from headrace.monitors.counts import HUGE, NumberCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Told = Mapping[str, float]
    Sums = Callable[[pl.Expr], dict[str, pl.Expr]]

_FAR: Final = 1e4
"""With a mean square of more than this many variances, the difference of the two sums is not exact enough."""


def tally_numbers(frame: pl.DataFrame, kinds: Mapping[str, NumberCounts]) -> dict[str, NumberCounts]:
    """Count numbers in their cells. What a column lacks, or what is no number in the frame, counts as null."""
    quick = {name: each for name, each in kinds.items() if not _is_awkward(each)}
    settled = {
        name: enough
        for name, told in _told(frame, {name: partial(_quick, each.edges) for name, each in quick.items()}).items()
        if (enough := _settled(told, frame.height)) is not None
    }
    beyond = _beyond(frame, settled, kinds)
    found = {name: _read({**told, **beyond[name]}, kinds[name].edges) for name, told in settled.items()}
    left = {name: partial(_careful, each.edges) for name, each in kinds.items() if name not in found}
    for name, told in _told(frame, left).items():
        found[name] = _read(_added_up(told, frame.height), kinds[name].edges)
    return found


def is_number(dtype: pl.DataType) -> bool:
    """Whether a column is profiled as a number. A column of nulls only is one."""
    return dtype.is_numeric() or dtype.is_temporal() or dtype == pl.Null


def number_of(name: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """A column as floats, times in microseconds; nulls where it is missing or no number."""
    dtype = schema.get(name)
    column = pl.col(name)
    if dtype is None or not is_number(dtype):
        return pl.lit(None, pl.Float64).alias(name)
    if dtype == pl.Float64:
        return column
    if isinstance(dtype, pl.Datetime):
        column = column.dt.epoch("us")
    elif isinstance(dtype, pl.Duration):
        column = column.dt.total_microseconds()
    elif dtype == pl.Date:
        column = column.cast(pl.Datetime("us")).dt.epoch("us")
    elif dtype == pl.Time:
        column = column.cast(pl.Int64) // 1_000
    return column.cast(pl.Float64)


def finite(number: pl.Expr) -> pl.Expr:
    """The finite values; null for all others. A comparison with NaN is true for none that is bounded from above."""
    return pl.when(number.abs() <= HUGE).then(number)


def _is_awkward(kind: NumberCounts) -> bool:
    """Whether quick sums of the reference would not have been exact."""
    return bool(kind.nans or kind.infinite) or kind.mean * kind.mean * kind.values > _FAR * kind.m2


def _told(frame: pl.DataFrame, sums: Mapping[str, Sums]) -> dict[str, Told]:
    """The sums of each number, by name of the column and of the sum. Column 3 is called "3": names can be anything."""
    if not sums:
        return {}
    columns = [number_of(name, frame.schema).alias(str(place)) for place, name in enumerate(sums)]
    each = [sums_of(pl.col(str(place))) for place, sums_of in enumerate(sums.values())]
    named = [expression.alias(f"{place}:{name}") for place, own in enumerate(each) for name, expression in own.items()]
    row = iter(frame.lazy().with_columns(columns).select(named).collect(engine="streaming").row(0))
    return {name: {one: next(row) for one in own} for name, own in zip(sums, each, strict=True)}


def _counted(edges: tuple[float, ...], number: pl.Expr, fit: pl.Expr) -> dict[str, pl.Expr]:
    """The histogram and the range. Comparisons are of the column as it is, which is faster; `_read` corrects them."""
    sums = {str(cell): (number <= edge).sum() for cell, edge in enumerate(edges[1:])}
    if edges:
        sums["below"] = (number < edges[0]).sum()
    return sums | {"nulls": number.null_count(), "low": fit.min(), "high": fit.max()}


def _quick(edges: tuple[float, ...], number: pl.Expr) -> dict[str, pl.Expr]:
    """What is summed up of a number whose values are finite."""
    return {**_counted(edges, number, number), "sum": number.sum(), "squares": (number * number).sum()}


def _careful(edges: tuple[float, ...], number: pl.Expr) -> dict[str, pl.Expr]:
    """What is summed up of any number."""
    fit = finite(number)
    return {
        **_counted(edges, number, fit),
        **(_outside(edges, fit, under=True, over=True) if edges else {}),
        "nans": number.is_nan().sum(),
        "values": fit.count(),
        "mean": fit.mean(),
        "var": fit.var(ddof=0),
        "lowest": (number < -HUGE).sum(),
    }


def _outside(edges: tuple[float, ...], fit: pl.Expr, *, under: bool, over: bool) -> dict[str, pl.Expr]:
    """How far finite values lie below the first edge, and above the last one, summed up."""
    sums = {}
    if under:
        sums["under"] = pl.when(fit < edges[0]).then(edges[0] - fit).sum()
    if over:
        sums["over"] = pl.when(fit > edges[-1]).then(fit - edges[-1]).sum()
    return sums


def _beyond(
    frame: pl.DataFrame, settled: Mapping[str, Told], kinds: Mapping[str, NumberCounts]
) -> dict[str, dict[str, float]]:
    """How far values of settled columns lie outside their edges, summed up, on either side."""
    found: dict[str, dict[str, float]] = {}
    left: dict[str, Sums] = {}
    for name, told in settled.items():
        edges = kinds[name].edges
        if not edges:
            found[name] = {}
            continue
        below, above = int(told["below"]), int(told["values"]) - _up_to_last(told, edges)
        found[name] = {
            "under": edges[0] - told["low"] if below == 1 else 0.0,
            "over": told["high"] - edges[-1] if above == 1 else 0.0,
        }
        if below > 1 or above > 1:
            left[name] = partial(_outside, edges, under=below > 1, over=above > 1)
    for name, told in _told(frame, left).items():
        found[name].update(told)
    return found


def _up_to_last(told: Told, edges: tuple[float, ...]) -> int:
    """How many values are at most the last edge; a single edge has the value of the smallest, and no cell."""
    return int(told[str(len(edges) - 2)]) if len(edges) > 1 else int(told["below"])


def _settled(told: Told, rows: int) -> Told | None:
    """Quick sums with all that `_read` needs; None where they are not enough to tell it."""
    values = rows - int(told["nulls"])
    mean = m2 = 0.0
    if values:
        if not isfinite(told["sum"]) or not -HUGE <= told["low"] <= told["high"] <= HUGE:
            return None
        mean = told["sum"] / values
        m2 = told["squares"] - told["sum"] * mean
        if told["squares"] > _FAR * m2:
            return None
    return {**told, "values": values, "nans": 0, "infinite": 0, "lowest": 0, "mean": mean, "m2": m2}


def _added_up(told: Told, rows: int) -> Told:
    """Careful sums with all that `_read` needs."""
    values = int(told["values"])
    infinite = rows - values - int(told["nulls"]) - int(told["nans"])
    moments = {"mean": told["mean"], "m2": told["var"] * values} if values else {"mean": 0.0, "m2": 0.0}
    return {**told, **moments, "infinite": infinite}


def _read(told: Told, edges: tuple[float, ...]) -> NumberCounts:
    """The counts of a number: differences of what is at most one edge and at most the next.

    `lowest` are the values below all edges that count as infinite. On no edges at all, every value is above.
    """
    lowest = int(told["lowest"])
    below = int(told["below"]) - lowest if edges else 0
    up_to = [below, *(int(told[str(cell)]) - lowest for cell in range(len(edges) - 1))]
    return NumberCounts(
        edges=edges,
        cells=tuple(more - less for less, more in pairwise(up_to)),
        below=below,
        above=int(told["values"]) - up_to[-1],
        beyond=(told.get("under", 0.0), told.get("over", 0.0)),
        nulls=int(told["nulls"]),
        nans=int(told["nans"]),
        infinite=int(told["infinite"]),
        mean=told["mean"],
        m2=told["m2"],
        low=told["low"],
        high=told["high"],
    )
