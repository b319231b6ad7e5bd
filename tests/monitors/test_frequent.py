"""The most frequent values of a column, against counting all of them."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.monitors.frequent import Frequent

TEXTS = st.lists(st.lists(st.sampled_from([None, *"aaaabbcdefgh"]), max_size=20), max_size=5)


def counted(batches: list[list[str | None]], most: int) -> tuple[Frequent, Counter[str], pl.LazyFrame]:
    found = Frequent(pl.String(), most)
    for batch in batches:
        found.add(pl.Series(batch, dtype=pl.String))
    values = [value for batch in batches for value in batch]
    column = pl.LazyFrame({"x": pl.Series(values, dtype=pl.String)})
    return found, Counter(value for value in values if value is not None), column


@given(TEXTS)
def test_few_values_are_counted_exactly(batches: list[list[str | None]]) -> None:
    found, truth, _ = counted(batches, 100)
    assert found.different == len(truth)
    assert found.top(3) == sorted(truth.items(), key=lambda each: (-each[1], each[0]))[:3]


@given(TEXTS, st.integers(1, 6))
def test_of_many_those_that_are_told_are_the_most_frequent_ones(batches: list[list[str | None]], most: int) -> None:
    found, truth, column = counted(batches, most)
    told = dict(found.top(100, column))
    assert found.error <= truth.total() / (most + 1)
    assert len(found.kept) <= most
    assert all(truth[str(value)] == count for value, count in told.items())
    if found.error:
        assert found.different is None
        assert set(told) == {value for value, count in truth.items() if count > found.error}
    else:
        assert told == dict(truth)


def test_where_all_are_rare_none_is_told() -> None:
    found = Frequent(pl.Int64(), 10)
    values = pl.Series(range(1000))
    found.add(values)
    assert found.top(5, values.to_frame().lazy()) == []


def test_too_many_values_cannot_be_told_without_the_column() -> None:
    found = Frequent(pl.Int64(), 2)
    found.add(pl.Series([1, 2, 3]))
    with pytest.raises(ValueError, match="the column is needed"):
        found.top(1)
