"""What a change of schema is called, and whether it may go through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.sources.changes import Level, among, changes, check_rule, recorded, stops
from headrace.sources.types import union_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.sources.changes import Column

MOMENT = "Datetime(time_unit='us', time_zone='UTC')"


def schema(*batches: Mapping[str, str], nulls: Sequence[Sequence[str] | None] | None = None) -> dict[str, Column]:
    """The recorded schema of batches called 0.csv, 1.csv and so on, each with the columns that hold a null."""
    holding = nulls or [()] * len(batches)
    facts = {
        "schemas": [dict(batch) for batch in batches],
        "nulls": [list(each or ()) for each in holding],
        "batches": {
            f"{at}.csv": {"schema": at, **({} if holding[at] is None else {"nulls": at})} for at in range(len(batches))
        },
    }
    return recorded(facts)


BASE = schema({"n": "Int64", "s": "String"})


@pytest.mark.parametrize(
    ("after", "level", "said"),
    [
        (schema({"n": "Int64", "s": "String", "x": "Date"}), Level.SAFE, "column x (Date) is new in 0.csv"),
        (
            schema({"n": "Int64", "s": "String"}, {"n": "Int64", "s": "String", "x": "Date"}),
            Level.SAFE,
            "column x (Date) is new in 1.csv",
        ),
        (schema({"s": "String"}), Level.BREAKING, "column n (Int64) is gone"),
        (schema({"n": "Int64", "s": "String"}, {"s": "String"}), Level.BREAKING, "column n (Int64) is gone in 1.csv"),
        (
            schema({"n": "Int64", "s": "String"}, {"nn": "Int32", "s": "String"}),
            Level.BREAKING,
            "column n is gone in 1.csv, and nn is new: renamed?",
        ),
        (schema({"n": "Float64", "s": "String"}), Level.WIDENING, "column n was Int64 and is Float64 in 0.csv"),
        (
            schema({"n": "Int64", "s": "String"}, {"n": "Float64", "s": "String"}),
            Level.WIDENING,
            "column n was Int64 and is Float64 in 1.csv",
        ),
        (schema({"n": "Int32", "s": "String"}), Level.SAFE, "column n was Int64 and is Int32 in 0.csv"),
        (schema({"n": "Null", "s": "String"}), Level.SAFE, "column n was Int64 and is Null in 0.csv"),
        (schema({"n": "String", "s": "String"}), Level.BREAKING, "column n was Int64 and is String in 0.csv"),
        (schema({"n": MOMENT, "s": "String"}), Level.BREAKING, f"column n was Int64 and is {MOMENT} in 0.csv"),
        (
            schema({"n": "Int64", "s": "String"}, nulls=[["n"]]),
            Level.WIDENING,
            "column n holds nulls in 0.csv, for the first time",
        ),
    ],
)
def test_one_change(after: Mapping[str, Column], level: Level, said: str) -> None:
    [change] = changes(BASE, after)
    assert (change.level, str(change)) == (level, said)


def test_a_first_value_is_safe() -> None:
    [change] = changes(schema({"n": "Null"}, nulls=[["n"]]), schema({"n": "Date"}, nulls=[["n"]]))
    assert change.level is Level.SAFE


def test_a_name_that_is_like_no_other_is_no_renaming() -> None:
    found = changes(BASE, schema({"place": "Int64", "s": "String"}))
    assert [(change.what, change.column) for change in found] == [("removed", "n"), ("added", "place")]


def test_a_like_name_of_another_type_is_no_renaming() -> None:
    found = changes(schema({"amount": "Int64"}), schema({"amounts": "Boolean"}))
    assert [change.what for change in found] == ["removed", "added"]


def test_a_column_that_was_lacking_before_may_be_lacking_again() -> None:
    before = schema({"n": "Int64"}, {"n": "Int64", "s": "String"})
    after = schema({"n": "Int64"}, {"n": "Int64", "s": "String"}, {"n": "Int64"})
    assert changes(before, after) == ()


def test_what_was_not_recorded_is_not_told() -> None:
    old = schema({"n": "Int64"}, nulls=[None])
    assert changes(old, schema({"n": "Int64"}, nulls=[["n"]])) == ()
    assert changes(schema({"n": "Int64"}), old) == ()


def test_breaking_changes_come_first() -> None:
    found = changes(BASE, schema({"n": "Float64", "x": "Date"}, nulls=[["n"]]))
    assert [change.level for change in found] == [Level.BREAKING, Level.WIDENING, Level.WIDENING, Level.SAFE]


def test_batches_of_a_first_version() -> None:
    assert among(BASE) == ()
    found = among(schema({"n": "Int64"}, {"n": "Int64", "s": "String"}, {"s": "String"}))
    assert [str(change) for change in found] == [
        "column n (Int64) is gone in 2.csv",
        "column s (String) is new in 1.csv",
    ]


@pytest.mark.parametrize(
    ("rule", "stopped"),
    [("widen", [Level.BREAKING]), ("accept", []), ("fail", [Level.BREAKING, Level.WIDENING, Level.SAFE])],
)
def test_which_changes_need_a_person(rule: str, stopped: list[Level]) -> None:
    found = changes(BASE, schema({"n": "Float64", "x": "Date"}))
    assert [change.level for change in found if stops(change, rule)] == stopped


def test_a_rule_that_there_is_not() -> None:
    assert check_rule("raw", "widen") == "widen"
    with pytest.raises(HeadraceError, match="HR333") as caught:
        check_rule("raw", "accpet")
    assert "'accept'" in caught.value.fix


def _unites(batches: Sequence[Mapping[str, str]]) -> bool:
    try:
        union_schema((str(at), batch) for at, batch in enumerate(batches))
    except HeadraceError:
        return False
    return True


KINDS = ["Int8", "Int64", "UInt8", "UInt64", "Float64", "String", "Boolean", "Date", "Null", MOMENT]
SCHEMAS = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from(KINDS), min_size=1, max_size=4), min_size=1, max_size=4
).filter(_unites)


@given(SCHEMAS)
def test_nothing_changes_against_itself(batches: list[dict[str, str]]) -> None:
    found = schema(*batches)
    assert changes(found, found) == ()


@given(SCHEMAS, SCHEMAS)
def test_each_column_that_differs_is_told(one: list[dict[str, str]], other: list[dict[str, str]]) -> None:
    before, after = schema(*one), schema(*other)
    told = {name for change in changes(before, after) for name in (change.column, change.after)}
    differing = {name for name in before.keys() | after.keys() if name not in before or name not in after}
    differing |= {name for name in before.keys() & after.keys() if before[name].kind != after[name].kind}
    assert differing <= told


@given(SCHEMAS, SCHEMAS)
def test_without_a_breaking_change_every_column_is_read_with_a_type_for_both(
    one: list[dict[str, str]], other: list[dict[str, str]]
) -> None:
    before, after = schema(*one), schema(*other)
    if any(change.level is Level.BREAKING for change in changes(before, after)):
        return
    assert before.keys() <= after.keys()
    assert _unites([*one, *other])
