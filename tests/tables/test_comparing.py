"""The difference of two tables, against a brute-force oracle that knows nothing of joins."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.tables.comparing import Changed, compare_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.tables.comparing import RowsDifference

COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "k": pl.Float64,
    "s": pl.String,
    "v": pl.Float64,
    "l": pl.List(pl.Float64),
    "r": pl.Struct({"x": pl.Float64}),
}
SCHEMA = pl.Schema(COLUMNS)
NUMBERS = st.sampled_from([None, 0.0, -0.0, 1.0, math.nan, math.inf])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "k": NUMBERS,
            "s": st.sampled_from([None, "", "a"]),
            "v": NUMBERS,
            "l": st.none() | st.lists(NUMBERS, max_size=2),
            "r": st.none() | st.fixed_dictionaries({"x": NUMBERS}),
        }
    ),
    max_size=12,
)


def same(value: object) -> object:
    """Something that equals itself where two values are the same: NaN is NaN, 0 is -0."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0
    if isinstance(value, list):
        return ("list", *map(same, value))
    return ("struct", *map(same, value.values())) if isinstance(value, dict) else value


def whole(rows: Sequence[Mapping[str, object]]) -> Counter[object]:
    return Counter(tuple(same(row[name]) for name in COLUMNS) for row in rows)


def counts(found: RowsDifference) -> tuple[int, int, int, int]:
    return found.added, found.removed, found.changed, found.repeated


def oracle(
    old: Sequence[Mapping[str, object]], new: Sequence[Mapping[str, object]], key: Sequence[str]
) -> tuple[tuple[int, int, int, int], dict[str, int]]:
    """Every pair of rows, one by one."""

    def key_of(row: Mapping[str, object]) -> object:
        return tuple(same(row[name]) for name in key)

    often = [Counter(map(key_of, rows)) for rows in (old, new)]
    again = {each for found in often for each, count in found.items() if count > 1} if key else set(often[0] | often[1])
    apart = [[row for row in rows if key_of(row) in again] for rows in (old, new)]
    alone = [{key_of(row): row for row in rows if key_of(row) not in again} for rows in (old, new)]
    more, less = whole(apart[1]) - whole(apart[0]), whole(apart[0]) - whole(apart[1])
    by_column: Counter[str] = Counter()
    changed = 0
    for each in alone[0].keys() & alone[1].keys():
        one, two = alone[0][each], alone[1][each]
        names = [name for name in one if name not in key and same(one[name]) != same(two[name])]
        by_column.update(names)
        changed += bool(names)
    added = more.total() + len(alone[1].keys() - alone[0].keys())
    removed = less.total() + len(alone[0].keys() - alone[1].keys())
    return (added, removed, changed, sum(map(len, apart)) if key else 0), dict(by_column)


@pytest.mark.parametrize("key", [(), ("k",), ("k", "s")])
@pytest.mark.parametrize("cells", [10_000, 7])
@settings(max_examples=40)
@given(old=ROWS, new=ROWS)
def test_the_oracle_agrees(
    key: tuple[str, ...], cells: int, old: list[dict[str, object]], new: list[dict[str, object]]
) -> None:
    found = compare_rows(pl.LazyFrame(old, SCHEMA), pl.LazyFrame(new, SCHEMA), key, cells=cells)
    assert (counts(found), dict(found.by_column)) == oracle(old, new, key)
    assert (found.before, found.after) == (len(old), len(new))
    assert found.added - found.removed == len(new) - len(old)


@settings(max_examples=20)
@given(rows=ROWS)
def test_a_table_is_the_same_as_itself_in_another_order(rows: list[dict[str, object]]) -> None:
    assert not compare_rows(pl.LazyFrame(rows, SCHEMA), pl.LazyFrame(rows[::-1], SCHEMA), cells=20)


@settings(max_examples=20)
@given(old=ROWS, new=ROWS, key=st.sampled_from([(), ("k",)]))
def test_how_it_is_split_into_parts_changes_nothing(
    old: list[dict[str, object]], new: list[dict[str, object]], key: tuple[str, ...]
) -> None:
    """Not the examples either; of rows that are equal in all that has an order, any may be the first."""
    then, now = (pl.LazyFrame(rows, SCHEMA).select("k", "s", "v") for rows in (old, new))
    one, two = (compare_rows(then, now, key, limit=2, cells=cells) for cells in (10_000, 7))
    examples = [[*map(whole_of, (each.examples_added, each.examples_removed))] for each in (one, two)]
    assert examples[0] == examples[1]
    assert [same(dict(each.key)) for each in one.examples_changed] == [
        same(dict(each.key)) for each in two.examples_changed
    ]
    none = {"examples_added": (), "examples_removed": (), "examples_changed": ()}
    assert replace(one, **none) == replace(two, **none)  # type: ignore[arg-type]


def whole_of(rows: Sequence[Mapping[str, object]]) -> list[object]:
    return [same(dict(row)) for row in rows]


def test_examples_are_the_first_in_the_order_of_the_key() -> None:
    old = pl.LazyFrame({"id": [3, 1, 2, 9], "x": [1, 1, 1, 1], "name": ["c", "a", "b", "z"]})
    new = pl.LazyFrame({"id": [1, 2, 3, 7, 8], "x": [2, 1, 2, 0, 0], "name": ["a", "b", "C", "g", "h"]})
    found = compare_rows(old, new, ["id"], limit=1)
    assert counts(found) == (2, 1, 2, 0)
    assert found.by_column == {"x": 2, "name": 1}
    assert found.examples_changed == (Changed({"id": 1}, {"x": (1, 2)}),)
    assert found.examples_added == ({"id": 7, "x": 0, "name": "g"},)
    assert found.examples_removed == ({"id": 9, "x": 1, "name": "z"},)
    assert compare_rows(old, new, ["id"], limit=0).examples_changed == ()


def test_columns_that_come_go_and_change_their_type() -> None:
    old = pl.LazyFrame({"id": [1, 2], "x": [1, 2], "gone": ["a", "b"], "n": [1, 1]})
    new = pl.LazyFrame({"id": [1, 2], "x": [1.0, 2.0], "come": [True, False], "n": [1, 2]})
    found = compare_rows(old, new, ["id"])
    assert found.schema.to_json() == {
        "added": {"come": "Boolean"},
        "removed": {"gone": "String"},
        "retyped": {"x": {"before": "Int64", "after": "Float64"}},
    }
    assert (found.compared, found.by_column) == (("id", "n"), {"n": 1})
    only = compare_rows(old.select("id", "gone"), new.select("id", "come"), ["id"])
    assert only
    assert counts(only) == (0, 0, 0, 0)


def test_a_key_of_another_type_is_no_key() -> None:
    old, new = pl.LazyFrame({"id": [1, 2], "x": [1, 2]}), pl.LazyFrame({"id": ["1", "2"], "x": [1, 3]})
    found = compare_rows(old, new, ["id"])
    assert (found.key, counts(found)) == ((), (1, 1, 0, 0))


def test_nothing_in_common() -> None:
    found = compare_rows(pl.LazyFrame({"a": [1, 2]}), pl.LazyFrame({"b": [1]}))
    assert counts(found) == (1, 2, 0, 0)
    assert found.examples_added == ()


def test_names_that_the_comparison_uses_itself() -> None:
    names = ["part", "old", "new", "more", "0", "1<", "rows"]
    old = pl.LazyFrame([{name: at for at, name in enumerate(names)}])
    found = compare_rows(old, old.with_columns(more=pl.lit(9, pl.Int64)), ["part", "old"], cells=2)
    assert found.examples_changed == (Changed({"part": 0, "old": 1}, {"more": (3, 9)}),)
    assert found.to_json()["examples"]["changed"] == [
        {"key": {"part": 0, "old": 1}, "values": {"more": {"before": 3, "after": 9}}}
    ]
