"""Rows entity by entity, also where entities meet in a few hashes, against what Python says."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.features.grouping import Prints, entity_by_entity, found_among, together

if TYPE_CHECKING:
    from collections.abc import Sequence

names = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", None]), st.none() | st.integers(0, 3)), max_size=40)
bits = st.sampled_from([0, 1, 3, 64])
"""How much of the first hash is left; without any, only the second one tells entities apart."""


def frame(entities: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    columns = {"who": [who for who, _ in entities], "till": [till for _, till in entities]}
    return pl.DataFrame(columns, schema={"who": pl.String(), "till": pl.Int64()})


def prints(entities: pl.DataFrame, left: int = 64) -> Prints:
    """Fingerprints of which the first hash has lost its lower bits."""
    found = Prints.of(entities)
    return Prints(found.first & np.uint64(2**64 - 2 ** (64 - left)), found.second)


@given(names, bits)
def test_rows_stand_entity_by_entity_in_their_order(entities: list[tuple[Any, ...]], left: int) -> None:
    found = entity_by_entity(prints(frame(entities), left))
    runs = [run.tolist() for run in np.split(found.order, found.starts) if len(run)]
    wanted: dict[tuple[Any, ...], list[int]] = {}
    for place, entity in enumerate(entities):
        wanted.setdefault(entity, []).append(place)
    assert sorted(runs) == sorted(wanted.values())
    assert found.numbers.tolist() == np.repeat(range(len(runs)), list(map(len, runs))).tolist()
    assert found.entities.first.tolist() == sorted(found.entities.first.tolist())


@given(names, names, bits)
def test_entities_are_found(asked: list[tuple[Any, ...]], there: list[tuple[Any, ...]], left: int) -> None:
    theirs = entity_by_entity(prints(frame(there), left))
    distinct = [there[place] for place in theirs.order[theirs.starts]]
    numbers = found_among(prints(frame(asked), left), theirs.entities).tolist()
    assert numbers == [distinct.index(each) if each in distinct else -1 for each in asked]


@given(names)
def test_those_of_an_entity_are_put_together(entities: list[tuple[Any, ...]]) -> None:
    """Among so few, the upper bits of two hashes are never the same."""
    order = together(prints(frame(entities))).tolist()
    assert sorted(order) == list(range(len(entities)))
    runs = [entity for entity, _ in itertools.groupby(entities[place] for place in order)]
    assert len(runs) == len(set(entities))


def test_numbers_that_are_equal_are_one_entity() -> None:
    values = pl.DataFrame({"who": [0.0, math.nan, -0.0, -math.nan, None, None]})
    found = entity_by_entity(prints(values))
    runs = [run.tolist() for run in np.split(found.order, found.starts) if len(run)]
    assert sorted(runs) == [[0, 2], [1, 3], [4, 5]]


def test_rows_in_many_pieces_are_numbered_as_one() -> None:
    pieces = pl.concat([frame([("a", 1), ("b", 1)]), frame([("a", 1)])], rechunk=False)
    assert pieces.n_chunks() == 2
    found = entity_by_entity(prints(pieces))
    assert [len(part) for part in (found.order, found.starts)] == [3, 2]


def test_the_order_of_columns_and_nulls_tell_entities_apart() -> None:
    entities = frame([("a", None), (None, None), ("b", 1), ("a", 1)])
    turned = pl.DataFrame({"one": ["a", "b"], "other": ["b", "a"]})
    for each in (entities, turned):
        assert len(entity_by_entity(prints(each)).starts) == each.height


@pytest.mark.parametrize("kind", ["Int64", "String", "Float64", "Date", "Binary"])
def test_both_hashes_are_different_ones(kind: str) -> None:
    """Entities whose first hashes share so many bits share as many of the second by chance alone."""
    numbers = pl.Series("who", range(100_000), dtype=pl.Int32)
    texts = numbers.cast(pl.String)
    both = prints((texts.cast(pl.Binary) if kind == "Binary" else numbers.cast(getattr(pl, kind))).to_frame())
    upper = np.uint64(48)
    pairs = [len(both) - len(np.unique(each >> upper)) for each in (both.first, both.second)]
    together = np.unique((both.first >> upper << np.uint64(16)) | both.second >> upper)
    assert min(pairs) > 30_000
    assert len(both) - len(together) < 10
