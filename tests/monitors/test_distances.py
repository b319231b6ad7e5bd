"""Distances between counts, against their definitions and against scipy on the raw values."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import accumulate

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]
from scipy.spatial import distance  # type: ignore[import-untyped]

from headrace.monitors.counts import CategoryCounts, NumberCounts
from headrace.monitors.distances import (
    category_cells,
    chi_square,
    jensen_shannon,
    kolmogorov_smirnov,
    kolmogorov_smirnov_limit,
    new_categories,
    number_cells,
    psi,
    volume_ratio,
    wasserstein,
)
from headrace.monitors.profiling import reference_profile, window_profile

PAIRS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12)
VALUES = st.lists(st.floats(-1e3, 1e3) | st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=60)


def counted(values: list[float], window: list[float], bins: int = 5) -> tuple[NumberCounts, NumberCounts]:
    reference = reference_profile(pl.DataFrame({"x": values}), bins=bins)
    found = reference.columns["x"], window_profile(pl.DataFrame({"x": window}), reference).columns["x"]
    assert isinstance(found[0], NumberCounts)
    assert isinstance(found[1], NumberCounts)
    return found[0], found[1]


def sides(pairs: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    one, two = ([pair[side] for pair in pairs] for side in (0, 1))
    assume(sum(one) and sum(two))
    return one, two


@given(PAIRS)
def test_psi_is_symmetric_and_zero_for_equal_shares(pairs: list[tuple[int, int]]) -> None:
    one, two = sides(pairs)
    found = psi(one, two)
    assert found == pytest.approx(psi(two, one), abs=1e-12)
    assert found is not None
    assert 0 <= found < math.inf
    assert psi(one, [3 * count for count in one]) == pytest.approx(0, abs=1e-12)


def test_psi_by_hand() -> None:
    assert psi([50, 50], [75, 25]) == pytest.approx(0.25 * math.log(1.5) - 0.25 * math.log(0.5))
    assert psi([1, 0], [0, 1]) == pytest.approx(2 * (1 - 1e-4) * math.log(1e4))


@given(PAIRS)
def test_jensen_shannon_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    one, two = sides(pairs)
    found = jensen_shannon(one, two)
    assert found is not None
    assert 0 <= found <= 1
    assert found == jensen_shannon(two, one)
    assert found**2 == pytest.approx(distance.jensenshannon(one, two, 2) ** 2, abs=1e-9)
    assert jensen_shannon(one, one) == pytest.approx(0, abs=1e-7)


@given(PAIRS, st.permutations(range(3)))
def test_jensen_shannon_is_a_metric(pairs: list[tuple[int, int]], order: list[int]) -> None:
    one, two = sides(pairs)
    three = [two[(place + order[0]) % len(two)] for place in range(len(two))]
    a, b, c = (jensen_shannon(*each) or 0.0 for each in ((one, two), (two, three), (one, three)))
    assert c <= a + b + 1e-9


@given(VALUES, VALUES)
def test_wasserstein_is_within_its_error_of_the_raw_values(values: list[float], window: list[float]) -> None:
    found = wasserstein(*counted(values, window))
    assert found is not None
    assert abs(found.distance - stats.wasserstein_distance(values, window)) <= found.error + 1e-6


@given(VALUES)
def test_equal_profiles_are_at_no_distance(values: list[float]) -> None:
    reference, window = counted(values, values)
    moved, test = wasserstein(reference, window), kolmogorov_smirnov(reference, window)
    assert moved is not None
    assert test is not None
    assert moved.distance == pytest.approx(0, abs=1e-9)
    assert (test.statistic, test.p_value) == (0, 1)


@given(VALUES, st.floats(1e4, 1e9))
def test_wasserstein_is_exact_beyond_the_edges(values: list[float], away: float) -> None:
    for window in ([each + away for each in values], [each - away for each in values]):
        found = wasserstein(*counted(values, window))
        assert found is not None
        assert abs(found.distance - away) <= found.error + 1e-6 * away


@given(VALUES, VALUES, st.integers(1, 20))
def test_kolmogorov_smirnov_bounds_that_of_the_raw_values(values: list[float], window: list[float], bins: int) -> None:
    assume(len(values) > 1 and len(window) > 1)
    reference, counts = counted(values, window, bins)
    found, limit = kolmogorov_smirnov(reference, counts), kolmogorov_smirnov_limit(reference, counts)
    raw = stats.ks_2samp(values, window, method="asymp")
    assert found is not None
    assert limit is not None
    assert found.statistic <= raw.statistic + 1e-12
    assert raw.statistic <= limit + 1e-12
    assert found.p_value >= raw.pvalue - 1e-9


def test_kolmogorov_smirnov_is_that_of_scipy_where_the_edges_hold_every_value() -> None:
    random = np.random.default_rng(1)
    values, window = (random.integers(0, top, 4_000).astype(float).tolist() for top in (10, 9))
    found = kolmogorov_smirnov(*counted(values, window, 200))
    raw = stats.ks_2samp(values, window, method="asymp")
    assert found is not None
    assert found.statistic == pytest.approx(raw.statistic)
    assert raw.pvalue <= found.p_value <= 2 * raw.pvalue


@pytest.mark.parametrize("statistic", [0.01, 0.02, 0.03, 0.05])
def test_the_limit_of_many_observations_is_near_the_exact_distribution(statistic: float) -> None:
    cells = NumberCounts((0.0, 1.0, 2.0), (2_000, 2_000), 0, 0, (0.0, 0.0), 0, 0, 0, 1.0, 1.0, 0.0, 2.0)
    moved = round(4_000 * statistic)
    window = replace(cells, cells=(2_000 + moved, 2_000 - moved))
    found = kolmogorov_smirnov(cells, window)
    assert found is not None
    assert found.statistic == pytest.approx(statistic)
    exact = stats.kstwo.sf(statistic, 2_000)
    assert exact <= found.p_value <= max(1.2 * exact, exact + 0.03)


def test_kolmogorov_smirnov_rejects_equal_samples_no_more_often_than_it_says() -> None:
    random = np.random.default_rng(2)
    rejected = 0
    for _ in range(200):
        found = kolmogorov_smirnov(*counted(random.normal(size=400).tolist(), random.normal(size=300).tolist(), 20))
        rejected += found is not None and found.p_value < 0.1
    assert rejected <= 30


@given(st.lists(st.tuples(st.integers(20, 500), st.integers(20, 500)), min_size=2, max_size=12))
def test_chi_square_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    one, two = sides(pairs)
    assume(stats.contingency.expected_freq([one, two]).min() >= 5)
    found, theirs = chi_square(one, two), stats.chi2_contingency([one, two], correction=False)
    assert found is not None
    assert found.statistic == pytest.approx(theirs.statistic, abs=1e-9)
    assert found.p_value == pytest.approx(theirs.pvalue, abs=1e-12)


@given(PAIRS)
def test_chi_square_pools_what_is_rare(pairs: list[tuple[int, int]]) -> None:
    found = chi_square(*sides(pairs))
    assert found is not None
    assert 0 <= found.p_value <= 1
    assert 0 <= found.statistic < math.inf
    assert chi_square([1000, 1, 0, 1], [1000, 0, 1, 1]) == chi_square([1000, 2], [1000, 2]), "two pooled, with the rest"


def test_what_cannot_be_compared_is_none() -> None:
    empty, some = counted([], []), counted([1.0], [math.nan, math.inf])
    for pair in (empty, some):
        assert wasserstein(*pair) is None
        assert kolmogorov_smirnov(*pair) is None
        assert kolmogorov_smirnov_limit(*pair) is None
    for distance_of in (psi, jensen_shannon, chi_square):
        assert distance_of([1, 2], [0, 0]) is None
        assert distance_of([0], [1]) is None
    assert volume_ratio(0, 5) is None


def test_volume_is_per_time() -> None:
    assert volume_ratio(1_000, 100) == 0.1
    assert volume_ratio(1_000, 100, scale=10) == 1


def test_new_categories_are_named_unless_there_are_too_many() -> None:
    reference = CategoryCounts({"a": 2}, 1, 0, 0, frozenset("ab"))
    window = CategoryCounts({"a": 1}, 3, 2, 1, frozenset("abcd"))
    assert new_categories(reference, window) == ("c", "d")
    assert category_cells(reference, window) == [1, 1, 2]
    assert new_categories(reference, CategoryCounts({"a": 1}, 3, 2, 1, None)) is None


@given(VALUES, VALUES)
def test_cells_of_a_number_hold_all_its_values(values: list[float], window: list[float]) -> None:
    reference, counts = counted(values, window)
    assert sum(number_cells(counts)) == len(window)
    assert list(accumulate(number_cells(reference)))[-1] == len(values)
