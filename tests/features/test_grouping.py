"""Rows entity by entity, also where all entities meet in a few hashes, against what Python says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.features import grouping
from headrace.features.grouping import entity_by_entity, numbered

if TYPE_CHECKING:
    from collections.abc import Sequence

names = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", None]), st.none() | st.integers(0, 3)), max_size=40)
bits = st.sampled_from([0, 1, 3, 64])
"""How much of a hash is left; without any, all entities are alike to it."""


def frame(entities: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    columns = {"who": [who for who, _ in entities], "till": [till for _, till in entities]}
    return pl.DataFrame(columns, schema={"who": pl.String(), "till": pl.Int64()})


def poor(left: int) -> pytest.MonkeyPatch:
    """Hashes of which only the upper bits are left."""
    patch, good = pytest.MonkeyPatch(), grouping.hashed
    lost = pl.lit(2**64 - 2 ** (64 - left), dtype=pl.UInt64())
    patch.setattr(grouping, "hashed", lambda entity: good(entity) & lost)
    return patch


@given(names, bits)
def test_rows_stand_entity_by_entity_in_their_order(entities: list[tuple[Any, ...]], left: int) -> None:
    patch = poor(left)
    order, starts = entity_by_entity(frame(entities))
    patch.undo()
    runs = [run.tolist() for run in np.split(order, starts) if len(run)]
    wanted: dict[tuple[Any, ...], list[int]] = {}
    for place, entity in enumerate(entities):
        wanted.setdefault(entity, []).append(place)
    assert sorted(runs) == sorted(wanted.values())


@given(names, names, bits)
def test_entities_are_found_by_name(asked: list[tuple[Any, ...]], there: list[tuple[Any, ...]], left: int) -> None:
    distinct = list(dict.fromkeys(there))
    patch = poor(left)
    found = numbered(frame(asked), frame(distinct)).tolist()
    patch.undo()
    assert found == [distinct.index(each) if each in distinct and None not in each else -1 for each in asked]


def test_numbers_that_are_equal_are_one_entity() -> None:
    values = pl.DataFrame({"who": [0.0, math.nan, -0.0, -math.nan, None, None]})
    order, starts = entity_by_entity(values)
    runs = [run.tolist() for run in np.split(order, starts) if len(run)]
    assert sorted(runs) == [[0, 2], [1, 3], [4, 5]]
    assert numbered(values, values[order[starts]]).tolist().count(-1) == 2


def test_rows_in_many_pieces_are_numbered_as_one() -> None:
    pieces = pl.concat([frame([("a", 1), ("b", 1)]), frame([("a", 1)])], rechunk=False)
    assert pieces.n_chunks() == 2
    order, starts = entity_by_entity(pieces)
    assert [len(part) for part in (order, starts)] == [3, 2]
    assert numbered(pieces, pieces[order[starts]]).tolist() in ([0, 1, 0], [1, 0, 1])
