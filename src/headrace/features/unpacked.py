"""The view that a generation was packed from, by what the generation says of itself: the user's code is not needed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from headrace.features.aggregates import AGGREGATES
from headrace.features.join import ViewRows, in_order

if TYPE_CHECKING:
    import polars as pl

    from headrace.features.aggregates import Aggregate
    from headrace.features.packed import Header


def aggregates_of(header: Header) -> dict[str, Aggregate]:
    """The features by name, as they were declared when the generation was filled."""
    found = {}
    for each in header.features:
        column = None if each.column is None else header.columns[each.column].name
        over = None if each.over is None else timedelta(microseconds=each.over)
        found[each.name] = AGGREGATES[each.word](column, over)
    return found


def unpacked(header: Header, rows: pl.LazyFrame) -> ViewRows:
    """Rows of the definition of the generation, in memory and in order, looked up by the names of the entity."""
    entity = tuple(name for name, _ in header.entity)
    view = ViewRows(header.view, rows, entity, entity, aggregates_of(header))
    return ViewRows(header.view, in_order(view), entity, entity, view.features)
