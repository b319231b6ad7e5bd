"""The same law in memory, for many more ways: rows that share keys are settled as a rebuild would settle them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.tables.contract import Contract, column
from headrace.tables.growing import Before, Delta, grown
from headrace.tables.making import facts_of
from headrace.tables.partitions import partition_of
from headrace.tables.quarantine import keep_rows
from headrace.tables.shape import Shape
from headrace.tables.upsert import upsert_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Row = tuple[int, int, int | None]


class Item(Contract):
    k: int = column(key=True)
    w: int = column(ge=0)
    v: int | None


class Pair(Contract):
    k: int = column(key=True)
    w: int = column(key=True)
    v: int | None


SHAPES: dict[str, Shape] = {
    "the first": Shape("t", Item),
    "the first of two columns": Shape("t", Pair, partition=partition_of("t", Pair, "w")),
    "the newest": Shape("t", Item, upsert_of("t", Item, "v")),
    "the newest of two columns": Shape("t", Pair, upsert_of("t", Pair, "v"), partition_of("t", Pair, "k")),
}
BATCH = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 1), st.none() | st.integers(0, 2)), max_size=5)
STEPS = st.lists(st.dictionaries(st.sampled_from("abcd"), st.none() | BATCH, min_size=1, max_size=2), max_size=7)
"""In each step, batches that come or change, or (None) go away."""


@dataclass
class Table:
    """The outputs of a version, in memory."""

    facts: Mapping[str, Any]
    batches: dict[str, list[Row]]
    outputs: dict[str, pl.DataFrame | None] = field(default_factory=dict)

    def seen(self) -> dict[str, object]:
        """All that it is, without the way to it."""
        facts = {name: value for name, value in self.facts.items() if name != "layout" and not name.startswith("new_")}
        rows = {name: None if of is None else sorted(map(repr, of.rows())) for name, of in self.outputs.items()}
        return {**facts, **rows}


def made(shape: Shape, wanted: Mapping[str, list[Row]], base: Table | None = None) -> Table:
    """A version of these batches, grown from a base or from nothing."""
    assert shape.contract is not None
    kept = {} if base is None else {batch: of for batch, of in base.batches.items() if wanted.get(batch) == of}
    new = sorted(wanted.keys() - kept.keys())
    schema = {"k": pl.Int64, "w": pl.Int64, "v": pl.Int64}
    splits = [
        keep_rows(pl.DataFrame(wanted[batch], schema=schema, orient="row"), shape.contract, table="t", batch=batch)
        for batch in new
    ]
    before = None
    if base is not None:
        frames = {name: None if rows is None else rows.lazy() for name, rows in base.outputs.items()}
        clean = frames["clean"]
        assert clean is not None
        before = Before(base.facts, clean, frames["aside"], frames["superseded"], frozenset(base.batches.keys() - kept))
    found = grown(splits, new, shape, before)
    assert found is not None, "one key can always be settled"
    deltas = {"clean": found.clean, "aside": found.aside, "superseded": found.superseded}
    placed = {"clean": list(zip(found.pieces, found.places, strict=True)) if found.places else []}
    outputs = {
        name: changed(None if base is None else base.outputs[name], delta, placed.get(name, []))
        if delta is not None
        else None
        for name, delta in deltas.items()
    }
    return Table(facts_of(found, shape, before), dict(wanted), outputs)


def changed(rows: pl.DataFrame | None, delta: Delta, placed: Sequence[tuple[int, int]]) -> pl.DataFrame:
    """What a store makes of it. `placed`: pieces of the new rows, each with how many rows of the base lie before it."""
    assert isinstance(delta.rows, pl.DataFrame)
    if rows is None:
        return delta.rows
    parts, begun, taken = [], 0, 0
    numbered = rows.with_row_index("_n")
    for size, place in placed or [(delta.rows.height, rows.height)]:
        parts += [numbered[begun:place], delta.rows[taken : taken + size]]
        begun, taken = max(begun, place), taken + size
    parts.append(numbered[begun:])
    less = pl.Series(delta.less.tolist(), dtype=pl.UInt32)
    together = pl.concat(parts, how="diagonal").filter(pl.col("_n").is_null() | ~pl.col("_n").is_in(less.implode()))
    return together.drop("_n")


def rows_of(table: Table) -> int:
    clean = table.outputs["clean"]
    return 0 if clean is None else clean.height


@pytest.mark.parametrize("name", SHAPES)
@example(first=[(0, 1, None)], steps=[{"a": [(0, 0, None)]}, {"a": None}])
@example(first=[(1, 0, None)], steps=[{"a": [(0, 0, None)]}, {"a": None}])
@settings(max_examples=40)
@given(first=BATCH, steps=STEPS)
def test_settled_again_or_all_at_once(name: str, first: list[Row], steps: list[dict[str, list[Row] | None]]) -> None:
    shape = SHAPES[name]
    wanted: dict[str, list[Row]] = {"c": first}
    table = made(shape, wanted)
    for step in steps:
        for batch, rows in step.items():
            wanted = {each: of for each, of in wanted.items() if each != batch} | (
                {} if rows is None else {batch: rows}
            )
        if not wanted:
            wanted = {"d": [(0, 0, 0)]}
        table = made(shape, wanted, table)
        assert table.facts["rows"] == rows_of(table)
    assert table.seen() == made(shape, wanted).seen()
