"""Questions about runs against a loop that answers each by itself."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from headrace.features.runs import extremes, smaller

runs = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=20)


def bounds(asked: list[tuple[int, int]], size: int) -> tuple[list[int], list[int]]:
    pairs = [sorted((first % (size + 1), last % (size + 1))) for first, last in asked]
    return [low for low, _ in pairs], [high for _, high in pairs]


@given(arrays.arrays(np.int64, st.integers(0, 200)), runs)
def test_extremes_of_runs(values: np.ndarray, asked: list[tuple[int, int]]) -> None:
    low, high = bounds(asked, len(values))
    for pick, plain in ((np.minimum, min), (np.maximum, max)):
        found = extremes(values, np.array(low, dtype=np.int64), np.array(high, dtype=np.int64), pick)
        for answer, first, last in zip(found.tolist(), low, high, strict=True):
            assert first == last or answer == plain(values[first:last].tolist())


@given(
    arrays.arrays(np.uint32, st.integers(0, 200), elements=st.integers(0, 40) | st.integers(0, 2**20)), runs, st.data()
)
def test_smaller_values_of_runs(values: np.ndarray, asked: list[tuple[int, int]], data: st.DataObject) -> None:
    low, high = bounds(asked, len(values))
    bound = data.draw(st.lists(st.integers(0, 50), min_size=len(low), max_size=len(low)))
    found = smaller(values, *(np.array(each, dtype=np.int64) for each in (low, high, bound)))
    expected = [int((values[first:last] < most).sum()) for first, last, most in zip(low, high, bound, strict=True)]
    assert found.tolist() == expected
