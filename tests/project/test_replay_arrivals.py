"""Rows as they arrived: what had become known by a moment, and that a digest of it follows from these rows alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from headrace.project.replay_arrivals import EPOCH, Arriving, micros, moment_at

if TYPE_CHECKING:
    from collections.abc import Sequence

_HOUR = 3_600_000_000
_SOME_DAY = micros(datetime(2024, 2, 28, tzinfo=UTC))

hours = st.lists(st.integers(0, 100), min_size=1, max_size=40)
texts = st.one_of(st.none(), st.text(max_size=20))


def arriving(hour: Sequence[int], text: Sequence[str | None] | None = None) -> Arriving:
    """Rows that arrived so many hours after some day, the first of them on top."""
    rows = pl.DataFrame(
        {
            "n": range(len(hour)),
            "text": text or [None if n % 3 else "x" * (n % 20) for n in range(len(hour))],
            "flag": [None if n % 5 == 0 else n % 2 == 0 for n in range(len(hour))],
        },
        schema={"n": pl.Int64, "text": pl.String, "flag": pl.Boolean},
    )
    return Arriving(rows, np.array([_SOME_DAY + each * _HOUR for each in hour], dtype=np.int64))


@given(hours, st.integers(-5, 105))
def test_what_had_arrived_is_in_the_order_of_the_table(hour: list[int], now: int) -> None:
    found = arriving(hour)
    moment = _SOME_DAY + now * _HOUR
    assert found.until(moment)["n"].to_list() == [n for n, each in enumerate(hour) if each <= now]
    assert found.count(moment) == sum(each <= now for each in hour)


@given(hours, st.integers(0, 100), st.data())
def test_a_digest_does_not_know_what_arrives_later(hour: list[int], now: int, data: st.DataObject) -> None:
    text = data.draw(st.lists(texts, min_size=len(hour), max_size=len(hour)))
    whole = arriving(hour, text)
    kept = [n for n, each in enumerate(hour) if each <= now]
    part = Arriving(whole.rows[kept], np.array([_SOME_DAY + hour[n] * _HOUR for n in kept], dtype=np.int64))
    moment = _SOME_DAY + now * _HOUR
    assert whole.digest(moment) == part.digest(moment)


@given(hours, st.integers(0, 100), st.integers(0, 100))
def test_a_digest_changes_with_each_row_that_arrives_and_with_nothing_else(
    hour: list[int], now: int, later: int
) -> None:
    found = arriving(hour)
    before, after = (_SOME_DAY + each * _HOUR for each in sorted((now, later)))
    same_rows = found.count(before) == found.count(after)
    assert (found.digest(before) == found.digest(after)) == same_rows
    assert found.digest(before) == arriving(hour).digest(before)


def test_a_digest_changes_with_a_value() -> None:
    one, other = arriving([1, 2], ["a", "b"]), arriving([1, 2], ["a", "c"])
    assert one.digest(_SOME_DAY + _HOUR) == other.digest(_SOME_DAY + _HOUR)
    assert one.digest(_SOME_DAY + 2 * _HOUR) != other.digest(_SOME_DAY + 2 * _HOUR)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds
def test_moments_are_microseconds_and_back(moment: datetime) -> None:
    assert moment_at(micros(moment)) == moment
    assert micros(moment.replace(tzinfo=None)) == micros(moment)


def test_the_epoch_is_zero() -> None:
    assert micros(EPOCH) == 0
    assert micros(EPOCH - timedelta(microseconds=1)) == -1
