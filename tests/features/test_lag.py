"""Publish lag, against a simulation that knows when each row was there for the first time."""

from __future__ import annotations

import math
from datetime import timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from headrace.features.lag import Added, Lag, Publish, additions, lag_of, lags
from tests.features.building import MOMENT

MINUTE = 60_000_000
DELAY = timedelta(minutes=5)


def frame(known: list[int]) -> pl.LazyFrame:
    """Rows that were known at these minutes."""
    times = pl.Series("_visible_at", [minute * MINUTE for minute in known], dtype=pl.Int64).cast(MOMENT)
    return pl.DataFrame([times + DELAY]).lazy()


def publish(version: str, at: int, newest: int | None, definition: str = "d") -> Publish:
    """A publish at a minute, whose newest row was known at a minute."""
    return Publish(version, definition, at * MINUTE, None if newest is None else (newest + 5) * MINUTE)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20)), max_size=20),
    st.lists(st.integers(0, 60), min_size=1, max_size=6, unique=True).map(sorted),
)
def test_the_lag_of_a_row_is_how_long_it_took_until_it_was_first_there(
    rows: list[tuple[int, int]], moments: list[int]
) -> None:
    """Rows are known in order, and each reaches the table later; those of the first publish do not count."""
    known = sorted(minute for minute, _ in rows)
    reached = [
        max(minute + wait for minute, (_, wait) in zip(known[: n + 1], rows, strict=False)) for n in range(len(known))
    ]
    there = {at: [minute for minute, when in zip(known, reached, strict=True) if when <= at] for at in moments}
    publishes = [publish(f"v{at}", at, max(there[at], default=None)) for at in moments]
    found = [lags(frame(there[int(each.version[1:])]), each, DELAY).to_list() for each in additions(None, publishes)]
    expected, newest = [], None
    for at in moments:
        fresh = [minute for minute in there[at] if newest is not None and minute > newest]
        if fresh:
            expected.append([(at - minute) * MINUTE for minute in fresh])
        newest = max([*there[at], *([] if newest is None else [newest])], default=None)
    assert [sorted(each) for each in found] == [sorted(each) for each in expected]


def test_history_a_rollback_and_a_new_definition_are_no_lag() -> None:
    moves = [
        publish("v1", 10, 8),
        publish("v2", 20, 8),  # history was filled in
        publish("v3", 30, 25),
        publish("v1", 40, 8),  # rolled back
        publish("v3", 50, 25),  # and forward again
        publish("w1", 60, 58, "another"),
        publish("w2", 70, 69, "another"),
        publish("x1", 80, None, "third"),
        publish("x2", 90, 88, "third"),
        publish("x3", 95, 91, "third"),
    ]
    assert additions(None, moves) == [
        Added("v3", 30 * MINUTE, 13 * MINUTE),
        Added("w2", 70 * MINUTE, 63 * MINUTE),
        Added("x3", 95 * MINUTE, 93 * MINUTE),
    ]
    assert additions(publish("v0", 0, 5), moves)[0] == Added("v1", 10 * MINUTE, 10 * MINUTE)


@given(st.lists(st.lists(st.integers(-100, 10_000), max_size=30), max_size=4))
def test_shares_are_by_nearest_rank(found: list[list[int]]) -> None:
    lag = lag_of("view", DELAY, [pl.Series(each, dtype=pl.Int64) for each in found])
    everything = sorted(value for each in found for value in each)
    if not everything:
        assert lag == Lag("view", DELAY)
        assert (lag.late, lag.problem()) == (False, None)
        return
    assert (lag.rows, lag.publishes) == (len(everything), sum(map(bool, found)))
    at = everything[math.ceil(0.95 * len(everything)) - 1]
    assert lag.most == timedelta(microseconds=at)
    assert lag.longest == timedelta(microseconds=everything[-1])


def test_a_lag_beyond_the_delay_is_a_problem_with_a_remedy() -> None:
    at_the_delay, late = (
        Lag("view", DELAY, 1, 1, most, most, most) for most in (DELAY, DELAY + timedelta(seconds=0.2))
    )
    assert at_the_delay.problem() is None
    problem = late.problem()
    assert problem is not None
    assert problem.code == "HR481"
    assert 'delay="5m1s"' in problem.fix
    assert late.to_json() == {
        "view": "view",
        "publishes": 1,
        "rows": 1,
        "delay": 300.0,
        "usual": 300.2,
        "most": 300.2,
        "longest": 300.2,
        "late": True,
    }
