"""How far a window is from its reference."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy  # type: ignore[import-untyped]

from headrace.monitors.reference import distances, reference_of

NUMBERS = st.lists(st.none() | st.floats(-1e9, 1e9) | st.just(math.nan), min_size=1, max_size=80)
TEXTS = st.lists(st.none() | st.sampled_from(["JFK", "LGA", "EWR", "SWF", ""]), min_size=1, max_size=80)


def frame(numbers: list[float | None], texts: list[str | None]) -> pl.DataFrame:
    rows = min(len(numbers), len(texts))
    data = {"x": pl.Series(numbers[:rows], dtype=pl.Float64), "t": pl.Series(texts[:rows], dtype=pl.String)}
    return pl.DataFrame(data)


def told(reference: pl.DataFrame, window: pl.DataFrame) -> dict[str, float | None]:
    return dict(distances(json.loads(json.dumps(reference_of(reference))), window))


@given(NUMBERS, TEXTS)
def test_a_window_like_its_reference_is_at_no_distance(numbers: list[float | None], texts: list[str | None]) -> None:
    found = told(frame(numbers, texts), frame(numbers, texts))
    assert found.keys() == {f"{name}({column})" for name in ("psi", "js", "nulls", "unseen") for column in ("x", "t")}
    assert all(value == pytest.approx(0, abs=1e-9) for value in found.values())


@given(NUMBERS, TEXTS, NUMBERS, TEXTS)
def test_distances_are_within_their_bounds(
    numbers: list[float | None], texts: list[str | None], others: list[float | None], other_texts: list[str | None]
) -> None:
    found = told(frame(numbers, texts), frame(others, other_texts))
    for name, value in found.items():
        assert value is not None
        assert math.isfinite(value)
        assert value >= (-1 if name.startswith("nulls") else -1e-12)
        assert value <= (math.inf if name.startswith("psi") else 1)


@given(TEXTS, TEXTS)
def test_the_jensen_shannon_distance_is_that_of_its_definition(
    texts: list[str | None], others: list[str | None]
) -> None:
    reference, window = pl.DataFrame({"t": pl.Series(texts, dtype=pl.String)}), pl.DataFrame({"t": others})
    known = [None, *sorted({each for each in texts if each is not None})]
    counts = [[*map(part.count, known), sum(each not in known for each in part)] for part in (texts, others)]
    ours, theirs = (np.array(each) / sum(each) for each in counts)
    middle = (ours + theirs) / 2
    expected = math.sqrt(max(0.0, (entropy(ours, middle, 2) + entropy(theirs, middle, 2)) / 2))
    assert told(reference, window)["js(t)"] == pytest.approx(expected, abs=1e-6)


def test_psi_by_hand() -> None:
    reference = pl.DataFrame({"t": ["a"] * 50 + ["b"] * 50})
    window = pl.DataFrame({"t": ["a"] * 80 + ["b"] * 20})
    expected = (0.8 - 0.5) * math.log(0.8 / 0.5) + (0.2 - 0.5) * math.log(0.2 / 0.5)
    assert told(reference, window)["psi(t)"] == pytest.approx(expected)


def test_a_unit_error_is_far_away_and_another_sample_near() -> None:
    random = np.random.default_rng(1)
    miles = pl.DataFrame({"x": random.gamma(2, 500, 5000)})
    again, kilometres = pl.DataFrame({"x": random.gamma(2, 500, 2000)}), miles * 1.609
    assert told(miles, again)["psi(x)"] == pytest.approx(0, abs=0.02)
    shifted = told(miles, kilometres)["psi(x)"]
    assert shifted is not None
    assert shifted > 0.2


@pytest.mark.parametrize(
    ("values", "nulls", "unseen"),
    [([None] * 4, 1.0, 0.0), ([9.0] * 4, 0.0, 1.0), ([1.0, 2.0, None, math.nan], 0.5, 0.0), ([math.inf] * 4, 1.0, 0.0)],
)
def test_missing_and_unseen_numbers(values: list[float | None], nulls: float, unseen: float) -> None:
    found = told(pl.DataFrame({"x": [1.0, 2.0, 3.0]}), pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)}))
    assert (found["nulls(x)"], found["unseen(x)"]) == (nulls, unseen)


def test_unseen_texts_and_booleans() -> None:
    reference = pl.DataFrame({"t": ["a", "b"], "flag": [True, False]})
    window = pl.DataFrame({"t": ["a", "z", "z", None], "flag": pl.Series([1.0, 1.0, 0.0, None], dtype=pl.Float64)})
    found = told(reference, window)
    assert found["unseen(t)"] == 0.5
    assert (found["unseen(flag)"], found["nulls(flag)"]) == (0.0, 0.25)


def test_an_empty_window_and_a_column_that_is_not_there() -> None:
    reference = pl.DataFrame({"x": [1.0, 2.0]})
    assert set(told(reference, pl.DataFrame({"x": pl.Series([], dtype=pl.Float64)})).values()) == {None}
    found = told(reference, pl.DataFrame({"y": [1.0, 2.0]}))
    assert (found["nulls(x)"], found["js(x)"]) == (1.0, 1.0)


def test_a_constant_and_nothing_but_nulls() -> None:
    for values in ([5.0] * 9, [None] * 9):
        reference = pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)})
        assert told(reference, reference)["psi(x)"] == 0
        found = told(reference, pl.DataFrame({"x": [6.0] * 9}))["psi(x)"]
        assert found is not None
        assert found > 1


def test_of_very_many_texts_the_most_frequent_are_told_apart() -> None:
    reference = pl.DataFrame({"t": [f"N{n}" for n in range(1000)] + ["AA"] * 1000})
    [counts] = reference_of(reference).values()
    assert len(counts["texts"]) == 200
    assert counts["texts"]["AA"] == 1000
    assert counts["others"] == 801
    assert told(reference, pl.DataFrame({"t": ["never seen"] * 9}))["unseen(t)"] == 0.0  # it may be one of the others
