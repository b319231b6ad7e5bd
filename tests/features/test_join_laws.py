"""The join against the rules worked out row by row, on rows of every awkward kind."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from headrace.features.join import point_in_time
from tests.features import oracle
from tests.features.building import OVERS, VALUES, aggregates, joined, labels, newest_of, table, windows_of
from tests.features.oracle import MINUTE, START, Entity, Row

# Few moments and few entities, so that ties, exact boundaries and doubles are common.
moments = st.integers(0, 15).map(lambda minutes: START + minutes * MINUTE)
entities = st.sampled_from([("a", "x")] * 5 + [("a", "y"), ("b", "x"), (None, "x")])
delays = st.sampled_from([timedelta(0), MINUTE, timedelta(minutes=4)])
ttls = st.sampled_from([None, MINUTE, timedelta(minutes=5)])
reals = st.one_of(
    st.none(),
    st.sampled_from([math.nan, math.inf, -math.inf, 0.1, -0.0, 1e300, -1e300, 1e-300, 5e-324, 3.0]),
    st.floats(min_value=-1e6, max_value=1e6),
)
values = st.fixed_dictionaries(
    {
        "whole": st.none() | st.integers(-(2**55), 2**55) | st.integers(-3, 3),
        "real": reals,
        "flag": st.none() | st.booleans(),
        "text": st.none() | st.sampled_from(["p", "q"]),
    }
)
rows_of_a_table = st.lists(st.builds(Row, entities, st.none() | moments, st.none() | moments, values), max_size=20)
asked_of = st.lists(st.tuples(entities, st.none() | moments), max_size=10)


def same(found: object, expected: object) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        return found == expected or (math.isnan(found) and math.isnan(expected))
    return found == expected


@given(rows_of_a_table, asked_of, delays)
def test_windows_are_what_the_rules_say(rows: list[Row], asked: list[tuple[Entity, Any]], delay: timedelta) -> None:
    found = joined(labels(asked), windows_of(table(rows), delay, aggregates()))
    visible = oracle.seen(rows, delay)
    for (entity, cutoff), row in zip(asked, found, strict=True):
        for word, over in OVERS.items():
            inside = oracle.window(visible, entity, cutoff, over)
            assert row[f"count_{word}"] == oracle.count(inside)
            for name in ("whole", "flag"):
                assert row[f"total_{name}_{word}"] == oracle.total(inside, name)
            for name in VALUES:
                assert same(row[f"latest_{name}_{word}"], oracle.latest(inside, name))
                assert row[f"distinct_{name}_{word}"] == oracle.distinct(inside, name)
            assert oracle.near(row[f"total_real_{word}"], oracle.total(inside, "real"), rows, "real")
            for name in ("whole", "real", "flag"):
                assert oracle.near(row[f"mean_{name}_{word}"], oracle.mean(inside, name), rows, name)
                assert oracle.near_spread(row[f"std_{name}_{word}"], oracle.std(inside, name), rows, name)
                assert same(row[f"smallest_{name}_{word}"], oracle.smallest(inside, name))
                assert same(row[f"largest_{name}_{word}"], oracle.largest(inside, name))


@given(rows_of_a_table, asked_of, delays)
def test_it_does_not_matter_which_rows_are_left_out_before(
    rows: list[Row], asked: list[tuple[Entity, Any]], delay: timedelta
) -> None:
    """A deviation keeps all rows in the join; without one, only those are that some window may reach."""
    features, kinds = aggregates(), table([]).schema
    all_rows = joined(labels(asked), windows_of(table(rows), delay, features))
    for over in OVERS.values():
        few = {
            name: each
            for name, each in features.items()
            if each.over == over and not (each.column and each.scaled(kinds[each.column]))
        }
        assert {each.word for each in few.values()} > {"count", "total", "mean", "latest", "distinct", "smallest"}
        some_rows = joined(labels(asked), windows_of(table(rows), delay, few))
        for one, other in zip(all_rows, some_rows, strict=True):
            assert all(same(other[name], one[name]) for name in few)


@given(rows_of_a_table, asked_of, delays, ttls)
def test_the_newest_row_is_what_the_rules_say(
    rows: list[Row], asked: list[tuple[Entity, Any]], delay: timedelta, ttl: timedelta | None
) -> None:
    found = joined(labels(asked), newest_of(table(rows), delay, ttl))
    visible = oracle.seen(rows, delay)
    for (entity, cutoff), row in zip(asked, found, strict=True):
        inside = oracle.window(visible, entity, cutoff, ttl)
        for name in VALUES:
            expected = oracle.newest(inside, name)
            not_a_number = isinstance(expected, float) and math.isnan(expected)
            assert same(row[f"now_{name}"], None if not_a_number else expected)


@given(st.lists(st.builds(Row, entities, st.none() | moments, st.none(), values), max_size=20), asked_of, delays)
def test_without_a_known_at_column_the_event_time_stands_in(
    rows: list[Row], asked: list[tuple[Entity, Any]], delay: timedelta
) -> None:
    frame = table(rows).drop("known")
    found = joined(labels(asked), newest_of(frame, delay, None, known_at=None))
    visible = oracle.seen([replace(row, known_at=row.event_time) for row in rows], delay)
    for (entity, cutoff), row in zip(asked, found, strict=True):
        assert row["now_text"] == oracle.newest(oracle.window(visible, entity, cutoff, None), "text")


@given(rows_of_a_table, rows_of_a_table, st.lists(entities, max_size=6), moments, delays)
def test_what_becomes_visible_at_the_cutoff_or_later_changes_nothing(
    rows: list[Row], later: list[Row], asked: list[Entity], cutoff: datetime, delay: timedelta
) -> None:
    """Whatever happened, and however much of it: only what was visible strictly before the cut-off counts."""
    visible = [row for row in rows if row.known_at is not None and row.known_at + delay < cutoff]
    hidden = [
        row if row.known_at is None or row.known_at + delay >= cutoff else replace(row, known_at=cutoff)
        for row in later
    ]
    frame = labels([(entity, cutoff) for entity in asked])
    before, after = (
        joined(frame, windows_of(table(each), delay, exact()), newest_of(table(each), delay, None))
        for each in (visible, hidden[::2] + visible + hidden[1::2])
    )
    assert before == after


def exact() -> dict[str, Any]:
    """The aggregates whose value does not depend on the unit that a column of floats is counted in; nan is unequal."""
    return {name: each for name, each in aggregates().items() if "real" not in name}


@given(rows_of_a_table, asked_of, st.integers(0, 99), delays)
def test_the_order_of_rows_and_of_labels_does_not_matter(
    rows: list[Row], asked: list[tuple[Entity, Any]], seed: int, delay: timedelta
) -> None:
    """Where event times tell rows apart: each row happened in a second of its own."""
    apart = [replace(row, event_time=START + place * timedelta(seconds=1)) for place, row in enumerate(rows)]
    mixed = random.Random(seed).sample(apart, len(apart))  # noqa: S311 - hypothesis chose the seed
    turned = list(reversed(asked))
    features = aggregates()
    straight = point_in_time(labels(asked), [windows_of(table(apart), delay, features)], cutoff="cutoff")
    shuffled = point_in_time(labels(turned), [windows_of(table(mixed), delay, features)], cutoff="cutoff")
    assert straight.drop("number").equals(shuffled.drop("number").reverse())


@given(rows_of_a_table, asked_of)
def test_a_window_and_a_ttl_mean_the_same(rows: list[Row], asked: list[tuple[Entity, Any]]) -> None:
    """A row counts in a window of five minutes as long as a row with a ttl of five minutes can be seen."""
    ttl = timedelta(minutes=5)
    features = {"seen": aggregates()["count_all"].__class__(None, ttl)}
    frame = table(rows).with_columns(pl.lit("there").alias("text"))
    for row in joined(labels(asked), windows_of(frame, MINUTE, features), newest_of(frame, MINUTE, ttl)):
        assert (row["now_text"] == "there") == bool(row["seen"])
