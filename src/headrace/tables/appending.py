"""New batches that were poured, on top of a base: they go behind its rows where no row of the one settles the other.

Rows that share a key with one that is there would have to be settled with it, which takes all such rows at once. So
only the hashes of the new ones are compared with those of the base. Where two are equal the table is made from all
batches, which is poured as well.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from headrace.plan.marks import kept_among
from headrace.ports.mappings import changed, plain
from headrace.tables.breaches import BATCH, RULE
from headrace.tables.making import schema_of
from headrace.tables.picking import numbers
from headrace.tables.seen import hashed
from headrace.tables.upsert import ROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headrace.tables.growing import Before, Grown
    from headrace.tables.shape import Shape

_AT_ONCE = 16_000_000
"""Hashes of new rows that are looked for in one pass over the base."""


def may_be_poured(shape: Shape, before: Before | None, batches: Mapping[str, str]) -> bool:
    """Whether large batches may be poured: not where rows of earlier code are to stay, and might have to be settled."""
    return before is None or not shape.groups or not kept_among(batches)


def appended(made: Grown, before: Before, shape: Shape) -> Grown | None:
    """What was made of new batches alone, with what is left of the base; None where only a rebuild can tell what stays.

    That is where rows share what is to be unique or settled, and where rows may stay instead of those of a batch that
    went away.
    """
    if schema_of(made.clean.rows) != before.facts["schema"]:
        return None
    if shape.groups and (before.gone or any(_shared(made, before, shape, names) for names in shape.groups)):
        return None
    made.clean.less = before.layout.of_batches(before.gone)
    for delta, rows in ((made.aside, before.aside), (made.superseded, before.superseded)):
        if delta is not None and rows is not None and before.gone:
            gone = rows.select(BATCH).with_row_index(ROW).filter(pl.col(BATCH).is_in(sorted(before.gone)))
            delta.less = numbers(gone.collect())
    made.places = before.layout.places(made.layout, math.inf)
    made.layout = before.layout.changed(made.clean.less, made.layout)
    made.sizes = changed(before.facts["batches"], plain(made.sizes), before.gone)  # type: ignore[arg-type, assignment]
    return made


def _shared(made: Grown, before: Before, shape: Shape, names: tuple[str, ...]) -> bool:
    """Whether a new row has values that a row of the base has, of all that could be in the table."""
    there = list(_contenders(before.clean, before.aside, before.superseded, shape))
    aside, older = (None if delta is None else delta.rows.lazy() for delta in (made.aside, made.superseded))
    for new in _hashes(list(_contenders(made.clean.rows.lazy(), aside, older, shape)), names, _AT_ONCE):
        wanted = np.sort(new)
        for hashes in _hashes(there, names, 1):
            places = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
            if (wanted[places] == hashes).any():
                return True
    return False


def _contenders(
    clean: pl.LazyFrame, aside: pl.LazyFrame | None, older: pl.LazyFrame | None, shape: Shape
) -> Iterator[pl.LazyFrame]:
    """The rows that could be in the table: those that are, and those that another one shut out."""
    yield clean
    if older is not None:
        yield older
    rules = [rule.text for rule in shape.rules]
    if aside is not None and rules:
        yield aside.filter(pl.col(RULE).is_in(rules))


def _hashes(frames: list[pl.LazyFrame], names: tuple[str, ...], least: int) -> Iterator[np.ndarray]:
    """The hashes of the values of some columns, at least so many at a time; rows with a null are left out."""
    waiting: list[np.ndarray] = []
    for frame in frames:
        for chunk in frame.select(names).drop_nulls().collect_batches():
            waiting.append(hashed(chunk))
            if sum(map(len, waiting)) >= least:
                yield np.concatenate(waiting)
                waiting = []
    if sum(map(len, waiting)):
        yield np.concatenate(waiting)
