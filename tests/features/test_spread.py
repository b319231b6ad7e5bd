"""Deviations where running sums of floats go wrong."""

from __future__ import annotations

import math
import statistics

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.features.spread import deviation_of, spread_of

FAR = 1_700_000_000.0


def deviations(values: pl.Series, length: int) -> list[float | None]:
    """Of every run of this length, from prefix sums; the same one by one, to the last bit."""
    spread = spread_of(values)
    low = np.arange(len(values) - length + 1)
    found = spread.deviation(low, low + length, np.full(len(low), length)).to_list()
    sums, squares = spread.sums.to_list(), spread.squares.to_list()
    pairs = [(sums[n + length] - sums[n], squares[n + length] - squares[n]) for n in low.tolist()]
    assert found == [deviation_of(length, *pair, spread.unit) for pair in pairs]
    return found


def test_a_small_spread_far_from_zero_is_kept() -> None:
    """The squares of these have 61 bits, and their mean square, in floats, none left for the spread."""
    values = pl.Series([FAR + 0.25 * (place % 3) for place in range(3_000)])
    expected = statistics.stdev(values[:3].to_list())
    assert deviations(values, 3) == [pytest.approx(expected, rel=1e-12)] * 2_998


def test_a_constant_has_no_spread_at_all() -> None:
    assert set(deviations(pl.Series([0.1] * 1_000), 100)) == {0.0}


def test_an_outlier_that_has_left_the_window_leaves_nothing_behind() -> None:
    values = pl.Series([1e9, *([1.0, 2.0] * 500)])
    assert deviations(values, 2)[-1] == pytest.approx(math.sqrt(0.5), rel=1e-6)


@given(st.lists(st.integers(-(2**62), 2**62), min_size=2, max_size=30))
def test_whole_numbers_of_every_size(numbers: list[int]) -> None:
    (found,) = deviations(pl.Series(numbers, dtype=pl.Int64), len(numbers))
    assert found is not None
    assert abs(found - statistics.stdev(numbers)) <= (max(numbers) - min(numbers)) * 2**-49


@given(st.lists(st.booleans(), min_size=2, max_size=30))
def test_true_and_false_are_one_and_zero(flags: list[bool]) -> None:
    (found,) = deviations(pl.Series(flags), len(flags))
    assert found == pytest.approx(statistics.stdev(map(int, flags)), rel=1e-14)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=2, max_size=30))
def test_numbers_of_every_size(numbers: list[float]) -> None:
    (found,) = deviations(pl.Series(numbers), len(numbers))
    assert found is not None
    distance = max(numbers) - min(numbers)
    assert abs(found - statistics.stdev(numbers)) <= distance * 2**-49 + 2**-998
