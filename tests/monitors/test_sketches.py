"""Sketches: their errors, their merges, and that the same values give the same bytes."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.monitors.sketches import DISTINCT_ERROR, RANK_ERROR, Distinct, K, Quantiles

SHARES = [step / 100 for step in range(1, 100)]
VALUES = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=60)
FEW_TEXTS = st.lists(st.text(max_size=5), max_size=60)


def streamed(values: np.ndarray, batch: int) -> Quantiles:
    found = Quantiles.of(values[:batch])
    for start in range(batch, len(values), batch):
        found = found.merge(Quantiles.of(values[start : start + batch]))
    return found


def rank_error(found: Quantiles, values: np.ndarray) -> float:
    told = np.array(found.at(SHARES), dtype=np.float64)
    ordered = np.sort(values)
    low, high = (np.searchsorted(ordered, told, side=side) / len(values) for side in ("left", "right"))
    off = np.maximum(0, np.maximum(low - SHARES, np.array(SHARES) - high))
    return float(off.max())


def test_quantiles_are_as_close_as_is_said() -> None:
    """Of 100 sketches, merged from batches of another size each, in random or ascending order."""
    errors = []
    for seed in range(100):
        random = np.random.default_rng(seed)
        values = random.lognormal(size=int(random.integers(10_000, 30_000)))
        values = np.sort(values) if seed % 2 else values
        errors.append(rank_error(streamed(values, int(random.integers(60, 3_000))), values))
    assert np.quantile(errors, 0.99) <= RANK_ERROR
    assert max(errors) <= 1.5 * RANK_ERROR


def test_a_quantiles_sketch_stays_small() -> None:
    values = np.random.default_rng(1).normal(size=200_000)
    for found in (Quantiles.of(values), streamed(values, 1_000)):
        assert sum(map(len, found.levels)) <= 4 * K
        assert sum(len(each) << level for level, each in enumerate(found.levels)) == found.count == 200_000


@given(VALUES)
def test_few_values_have_exact_quantiles(values: list[float]) -> None:
    found = Quantiles.of(np.array(values, dtype=np.float64)).at([0.0, 0.25, 0.5, 1.0])
    if values:
        expected = np.quantile(values, [0.0, 0.25, 0.5, 1.0], method="inverted_cdf")
        assert found == list(expected)
    else:
        assert found == [None] * 4


@given(VALUES, VALUES, VALUES)
def test_few_values_merge_to_the_sketch_of_all(one: list[float], two: list[float], three: list[float]) -> None:
    a, b, c = (Quantiles.of(np.array(each, dtype=np.float64)) for each in (one, two, three))
    whole = Quantiles.of(np.array(one + two + three, dtype=np.float64))
    if whole.count <= K:
        assert a.merge(b).merge(c) == whole
        assert a.merge(b.merge(c)) == whole
    assert a.merge(b) == b.merge(a)


@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=6), st.integers(0, 9))
def test_merges_count_all_and_are_monotone(sizes: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    parts = [random.normal(size=size) for size in sizes]
    merged = Quantiles.of(np.empty(0))
    for part in parts:
        merged = merged.merge(Quantiles.of(part))
    assert merged.count == sum(sizes) == sum(len(each) << level for level, each in enumerate(merged.levels))
    told = [each for each in merged.at(SHARES) if each is not None]
    assert all(left <= right for left, right in pairwise(told))
    again = Quantiles.of(np.empty(0))
    for part in parts:
        again = again.merge(Quantiles.of(part))
    assert again == merged
    assert hash(again) == hash(merged)


@pytest.mark.parametrize("size", [0, 1, 2, 10, 100, 1_000, 3_000, 10_000, 100_000, 1_000_000])
def test_distinct_counts_are_as_close_as_is_said(size: int) -> None:
    estimate = Distinct.of_numbers(np.arange(size, dtype=np.float64)).estimate
    assert estimate == pytest.approx(size, rel=4 * DISTINCT_ERROR)


def test_distinct_counts_have_the_error_that_is_said() -> None:
    sizes = np.random.default_rng(5).integers(1_000, 50_000, size=100)
    errors = [
        Distinct.of_texts(f"{seed} {n}" for n in range(size)).estimate / size - 1 for seed, size in enumerate(sizes)
    ]
    assert np.sqrt(np.mean(np.square(errors))) <= 1.3 * DISTINCT_ERROR
    assert abs(np.mean(errors)) <= DISTINCT_ERROR / 2


def test_repeated_values_and_both_zeros_count_once() -> None:
    once, often = (Distinct.of_numbers(np.array(values)) for values in ([0.0, 1.5], [0.0, -0.0, 1.5, 1.5, 0.0]))
    assert once == often
    assert round(once.estimate) == 2


@given(FEW_TEXTS, FEW_TEXTS)
def test_distinct_counts_of_parts_merge_to_that_of_all(one: list[str], two: list[str]) -> None:
    a, b, whole = (Distinct.of_texts(each) for each in (one, two, one + two))
    assert a.merge(b) == b.merge(a) == whole
    assert a.merge(a) == a


@given(VALUES, FEW_TEXTS)
def test_sketches_survive_json(values: list[float], texts: list[str]) -> None:
    numbers = np.array(values, dtype=np.float64)
    quantiles, distinct = Quantiles.of(numbers), Distinct.of_texts(texts)
    assert Quantiles.from_json(json.loads(json.dumps(quantiles.to_json()))) == quantiles
    assert Distinct.from_json(json.loads(json.dumps(distinct.to_json()))) == distinct
    assert quantiles != distinct


def test_a_full_distinct_sketch_survives_json() -> None:
    full = Distinct.of_numbers(np.arange(100_000, dtype=np.float64))
    assert "all" in full.to_json()
    assert Distinct.from_json(full.to_json()) == full


def test_the_bytes_are_those_of_every_machine() -> None:
    """A profile that is stored is merged with others years later: the hashes must never change."""
    values = np.array([0.0, 1.0, -1.5, 1e9])
    assert np.flatnonzero(np.frombuffer(Distinct.of_numbers(values).registers, np.uint8)).tolist() == [
        1476,
        2189,
        2267,
        3618,
    ]
    texts = np.frombuffer(Distinct.of_texts(["", "a", "é"]).registers, np.uint8)
    assert np.flatnonzero(texts).tolist() == [753, 756, 2891]
    found = Quantiles.of(np.arange(1_000.0)).at([0.25, 0.5, 0.75])
    assert found == [251.0, 499.0, 747.0]
