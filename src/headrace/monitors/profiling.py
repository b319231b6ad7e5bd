"""Profiles of frames: one pass for the numbers, one grouping for each category, both on Polars' streaming engine.

A histogram is counted as how many values are at most e, for each edge e: plain sums that Polars computes batch by
batch, all columns in one `select`. That is several times as fast as its histogram, which looks up each value, and needs
no more memory than a batch, however many rows there are. A category with more different values than are remembered
(`SEEN`) is grouped by the values that are told apart only, so that its size does not matter either.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import polars as pl

from headrace.monitors.counts import (
    HUGE,
    SEEN,
    CategoryCounts,
    NumberCounts,
    Profile,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headrace.monitors.counts import Counts

BINS: Final = 20
TOP: Final = 200
SAMPLE: Final = 100_000
"""Rows of a reference that its edges are taken from, evenly spread. The counts are of all rows."""

_ROWS: Final = "rows"


def reference_profile(frame: pl.DataFrame | pl.LazyFrame, bins: int = BINS, top: int = TOP) -> Profile:
    """The profile of a reference, whose cells the profiles of windows are counted in.

    Numbers (dates and times as well, in microseconds) are counted between `bins` quantiles from the smallest value to
    the largest. Text and booleans are counted by value, the `top` most frequent ones each. A column of another type,
    such as a list, is left out; `profiled` tells which are not.
    """
    lazy = frame.lazy()
    schema = lazy.collect_schema()
    numbers = [name for name in schema if is_number(schema[name])]
    kinds: dict[str, Counts] = dict.fromkeys(profiled(schema), _NOTHING)
    edges = _edges(lazy.select(_number(name, schema) for name in numbers), bins)
    kinds.update({name: _empty(each) for name, each in edges.items()})
    return _counted(lazy, schema, kinds, top)


def window_profile(frame: pl.DataFrame | pl.LazyFrame, reference: Profile) -> Profile:
    """The profile of a window in the cells of its reference. Profiles of the same reference can be merged.

    A column that the window lacks counts as null in every row, and so does a number that is not one in the window.
    Columns that the reference does not have are left out.
    """
    lazy = frame.lazy()
    return _counted(lazy, lazy.collect_schema(), reference.columns, None)


def profiled(schema: Mapping[str, pl.DataType]) -> tuple[str, ...]:
    """The columns that a profile is made of: numbers, dates and times, text and booleans."""
    return tuple(name for name, dtype in schema.items() if is_number(dtype) or _is_category(dtype))


def is_number(dtype: pl.DataType) -> bool:
    """Whether a column is profiled as a number. A column of nulls only is one."""
    return dtype.is_numeric() or dtype.is_temporal() or dtype == pl.Null


_NOTHING: Final = CategoryCounts({}, 0, 0, 0, frozenset())


def _is_category(dtype: pl.DataType) -> bool:
    return dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)


def _empty(edges: tuple[float, ...]) -> NumberCounts:
    return NumberCounts(edges, (0,) * max(0, len(edges) - 1), 0, 0, (0.0, 0.0), 0, 0, 0, 0.0, 0.0, None, None)


def _number(name: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """A column as floats, times in microseconds; nulls where it is missing or no number."""
    dtype = schema.get(name)
    column = pl.col(name)
    if dtype is None or not is_number(dtype):
        return pl.lit(None, pl.Float64).alias(name)
    if isinstance(dtype, pl.Datetime):
        column = column.dt.epoch("us")
    elif isinstance(dtype, pl.Duration):
        column = column.dt.total_microseconds()
    elif dtype == pl.Date:
        column = column.cast(pl.Datetime("us")).dt.epoch("us")
    elif dtype == pl.Time:
        column = column.cast(pl.Int64) // 1_000
    return column.cast(pl.Float64)


def _finite(number: pl.Expr) -> pl.Expr:
    """The finite values; null for all others. A comparison with NaN is true for none that is bounded from above."""
    return pl.when(number.abs() <= HUGE).then(number)


def _edges(numbers: pl.LazyFrame, bins: int) -> dict[str, tuple[float, ...]]:
    """The edges of each number: its smallest value, the quantiles of a sample, its largest value.

    Where a share of 1 / `bins` or more is the smallest value, it is a cell by itself: the first two edges are equal.
    """
    names = numbers.collect_schema().names()
    if not names:
        return {}
    finite = numbers.select(_finite(pl.col(name)).alias(name) for name in names)
    rows: int = numbers.select(pl.len()).collect(engine="streaming").item()
    sample = finite.gather_every(max(1, rows // SAMPLE)).collect(engine="streaming")
    levels = [step / bins for step in range(1, bins)]
    inner = sample.select(pl.all().quantile(levels, interpolation="nearest")).row(0, named=True)
    ends = finite.select(pl.all().min().name.suffix("<"), pl.all().max().name.suffix(">"))
    told = ends.collect(engine="streaming").row(0, named=True)
    return {name: _joined(told[f"{name}<"], inner[name], told[f"{name}>"]) for name in names}


def _joined(low: float | None, inner: Iterable[float | None], high: float | None) -> tuple[float, ...]:
    if low is None or high is None:
        return ()
    return (low, *sorted({*(each for each in inner if each is not None), high}))


def _counted(
    lazy: pl.LazyFrame, schema: Mapping[str, pl.DataType], kinds: Mapping[str, Counts], top: int | None
) -> Profile:
    """Count a frame in the given cells, or, for the categories of a reference, its `top` values."""
    numbers = {name: each for name, each in kinds.items() if isinstance(each, NumberCounts)}
    categories = {name: each for name, each in kinds.items() if isinstance(each, CategoryCounts)}
    queries = [_number_query(lazy, schema, numbers)]
    queries += [_category_query(lazy, schema, name, kind if top is None else None) for name, kind in categories.items()]
    first, *rest = pl.collect_all(queries, engine="streaming")
    told = first.row(0, named=True)
    found: dict[str, Counts] = {name: _read(told, place, each) for place, (name, each) in enumerate(numbers.items())}
    for (name, kind), groups in zip(categories.items(), rest, strict=True):
        found[name] = _window_category(groups, kind) if top is None else _reference_category(groups, top)
    return Profile(told[_ROWS], {name: found[name] for name in kinds})


def _number_query(
    lazy: pl.LazyFrame, schema: Mapping[str, pl.DataType], numbers: Mapping[str, NumberCounts]
) -> pl.LazyFrame:
    """One row that holds what is counted of all numbers. Column 3 is called "3": names may hold anything."""
    columns = [_number(name, schema).alias(str(place)) for place, name in enumerate(numbers)]
    sums = [each for place, counts in enumerate(numbers.values()) for each in _sums(str(place), counts.edges)]
    finite = [_finite(pl.col(str(place))).alias(f"{place}f") for place in range(len(columns))]
    return lazy.with_columns(columns).with_columns(finite).select(pl.len().alias(_ROWS), *sums)


def _sums(place: str, edges: tuple[float, ...]) -> list[pl.Expr]:
    """What is counted of a number. Comparisons are of the column as it is, which is faster; `_read` corrects them."""
    number, finite = pl.col(place), pl.col(f"{place}f")
    return [
        number.null_count().alias(f"{place}:nulls"),
        number.is_nan().sum().alias(f"{place}:nans"),
        finite.count().alias(f"{place}:values"),
        finite.mean().alias(f"{place}:mean"),
        finite.var(ddof=0).alias(f"{place}:var"),
        finite.min().alias(f"{place}:low"),
        finite.max().alias(f"{place}:high"),
        (number < -HUGE).sum().alias(f"{place}:low infinite"),
        *((number < edge).sum().alias(f"{place}:below") for edge in edges[:1]),
        *(pl.when(finite < edge).then(edge - finite).sum().alias(f"{place}:under") for edge in edges[:1]),
        *(pl.when(finite > edge).then(finite - edge).sum().alias(f"{place}:over") for edge in edges[-1:]),
        *((number <= edge).sum().alias(f"{place}:{i}") for i, edge in enumerate(edges[1:])),
    ]


def _read(told: Mapping[str, float], place: int, kind: NumberCounts) -> NumberCounts:
    """The counts of a number from the row of sums: differences of what is at most one edge and at most the next."""
    values, nulls, nans = (int(told[f"{place}:{name}"]) for name in ("values", "nulls", "nans"))
    lowest = int(told[f"{place}:low infinite"])
    below = int(told.get(f"{place}:below", lowest)) - lowest
    up_to = [below, *(int(told[f"{place}:{i}"]) - lowest for i in range(len(kind.cells)))]
    return NumberCounts(
        edges=kind.edges,
        cells=tuple(more - less for less, more in pairwise(up_to)),
        below=below,
        above=values - up_to[-1],
        beyond=(told.get(f"{place}:under", 0.0), told.get(f"{place}:over", 0.0)),
        nulls=nulls,
        nans=nans,
        infinite=int(told[_ROWS]) - values - nulls - nans,
        mean=told[f"{place}:mean"] if values else 0.0,
        m2=told[f"{place}:var"] * values if values else 0.0,
        low=told[f"{place}:low"],
        high=told[f"{place}:high"],
    )


def _category_query(
    lazy: pl.LazyFrame, schema: Mapping[str, pl.DataType], name: str, kind: CategoryCounts | None
) -> pl.LazyFrame:
    """How often each value occurs: `value`, `missing`, `count`.

    Values that are not told apart, because the reference has too many, are one group: without a value, not missing.
    """
    text = pl.col(name).cast(pl.String)
    told = text if kind is None or kind.seen is not None else pl.when(text.is_in(list(kind.top))).then(text)
    if name not in schema:
        text = told = pl.lit(None, pl.String)
    groups = lazy.with_columns(told.alias("value"), text.is_null().alias("missing")).group_by("value", "missing")
    return groups.agg(pl.len().alias("count"))


def _window_category(groups: pl.DataFrame, kind: CategoryCounts) -> CategoryCounts:
    """The counts of a window, on the values of its reference."""
    values = groups.filter(~pl.col("missing"))
    counted = dict(values.filter(pl.col("value").is_in(list(kind.top))).select("value", "count").iter_rows())
    top = {value: counted.get(value, 0) for value in kind.top}
    nulls, rows = _nulls(groups), int(groups["count"].sum())
    others = rows - nulls - sum(top.values())
    if kind.seen is None:
        return CategoryCounts(top, others, 0, nulls, None)
    unseen = int(values.filter(~pl.col("value").is_in(list(kind.seen)))["count"].sum())
    return CategoryCounts(top, others, unseen, nulls, _seen(values))


def _reference_category(groups: pl.DataFrame, top: int) -> CategoryCounts:
    """The counts of a reference: its `top` most frequent values, of equally frequent ones the first by alphabet."""
    values = groups.filter(~pl.col("missing")).sort("count", "value", descending=[True, False])
    frequent = dict(values.head(top).select("value", "count").iter_rows())
    return CategoryCounts(frequent, int(values["count"].slice(top).sum()), 0, _nulls(groups), _seen(values))


def _nulls(groups: pl.DataFrame) -> int:
    return int(groups.filter("missing")["count"].sum())


def _seen(values: pl.DataFrame) -> frozenset[str] | None:
    return frozenset(values["value"].to_list()) if values.height <= SEEN else None
