"""What categories count: one grouping for each.

A category of which the reference has more different values than are remembered (`SEEN`) is grouped by the values that
are told apart only, so that its size does not matter.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from headrace.monitors.counts import SEEN, CategoryCounts
from headrace.monitors.sketches import Distinct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def is_category(dtype: pl.DataType) -> bool:
    """Whether a column is profiled as a category."""
    return dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)


def tally_categories(frame: pl.DataFrame, kinds: Mapping[str, CategoryCounts]) -> dict[str, CategoryCounts]:
    """Count categories by the values of their reference. A column that the frame lacks counts as null."""
    queries = [_groups(frame.lazy(), frame.columns, name, kind) for name, kind in kinds.items()]
    told = pl.collect_all(queries, engine="streaming") if queries else []
    found = {name: _window(groups, kind) for (name, kind), groups in zip(kinds.items(), told, strict=True)}
    for name, kind in kinds.items():
        if kind.distinct is not None and kind.seen is None and name in frame.columns:
            values = frame[name].cast(pl.String).unique().drop_nulls()
            found[name] = replace(found[name], distinct=Distinct.of_texts(values))
    return found


def top_categories(frame: pl.LazyFrame, names: Sequence[str], top: int, *, sketches: bool) -> dict[str, CategoryCounts]:
    """Count categories by their own `top` most frequent values, of equally frequent ones the first by alphabet."""
    told = {name: _groups(frame, names, name, None).collect(engine="streaming") for name in names}
    return {name: _reference(groups, top, sketches=sketches) for name, groups in told.items()}


def _groups(frame: pl.LazyFrame, present: Sequence[str], name: str, kind: CategoryCounts | None) -> pl.LazyFrame:
    """How often each value occurs: `value`, `missing`, `count`.

    Values that are not told apart, because the reference has too many, are one group: without a value, not missing.
    """
    text = pl.col(name).cast(pl.String)
    told = text if kind is None or kind.seen is not None else pl.when(text.is_in(list(kind.top))).then(text)
    if name not in present:
        text = told = pl.lit(None, pl.String)
    groups = frame.with_columns(told.alias("value"), text.is_null().alias("missing"))
    return groups.group_by("value", "missing").agg(pl.len().alias("count"))


def _window(groups: pl.DataFrame, kind: CategoryCounts) -> CategoryCounts:
    values = groups.filter(~pl.col("missing"))
    counted = dict(values.filter(pl.col("value").is_in(list(kind.top))).select("value", "count").iter_rows())
    top = {value: counted.get(value, 0) for value in kind.top}
    nulls, rows = _nulls(groups), int(groups["count"].sum())
    others = rows - nulls - sum(top.values())
    if kind.seen is None:
        return CategoryCounts(top, others, 0, nulls, None, _distinct(values, wanted=kind.distinct is not None))
    unseen = int(values.filter(~pl.col("value").is_in(list(kind.seen)))["count"].sum())
    distinct = _distinct(values, wanted=kind.distinct is not None)
    return CategoryCounts(top, others, unseen, nulls, _seen(values), distinct)


def _reference(groups: pl.DataFrame, top: int, *, sketches: bool) -> CategoryCounts:
    values = groups.filter(~pl.col("missing")).sort("count", "value", descending=[True, False])
    frequent = dict(values.head(top).select("value", "count").iter_rows())
    others = int(values["count"].slice(top).sum())
    return CategoryCounts(frequent, others, 0, _nulls(groups), _seen(values), _distinct(values, wanted=sketches))


def _distinct(values: pl.DataFrame, *, wanted: bool) -> Distinct | None:
    return Distinct.of_texts(values["value"].drop_nulls()) if wanted else None


def _nulls(groups: pl.DataFrame) -> int:
    return int(groups.filter("missing")["count"].sum())


def _seen(values: pl.DataFrame) -> frozenset[str] | None:
    return frozenset(values["value"].to_list()) if values.height <= SEEN else None
