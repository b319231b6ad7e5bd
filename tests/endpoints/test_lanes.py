"""Which version a request goes to, and what is measured of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.endpoints.lanes import Counts, falls_to, quantile

ENTITIES = st.lists(st.text() | st.integers() | st.floats(allow_nan=False) | st.none() | st.booleans(), min_size=1)
BOUNDS = (0.001, 0.01, 0.1, 1.0, float("inf"))
COUNTS = st.builds(
    lambda answers, failures, rows, scores, total, each: Counts(
        answers, failures, rows, scores, total, 0.0, dict(zip(BOUNDS, np.cumsum(each).tolist(), strict=True))
    ),
    *[st.integers(0, 1000)] * 5,
    st.lists(st.integers(0, 50), min_size=5, max_size=5),
)


@given(entity=ENTITIES, shares=st.lists(st.integers(0, 100), min_size=2, max_size=2).map(sorted), salt=st.text())
def test_an_entity_keeps_its_version_while_the_share_grows(entity: list[object], shares: list[int], salt: str) -> None:
    fewer, more = (falls_to(share, salt, entity) for share in shares)
    assert more or not fewer
    assert falls_to(100, salt, entity)
    assert not falls_to(0, salt, entity)


@pytest.mark.parametrize("share", [5, 25, 60])
def test_the_share_of_entities_is_as_declared(share: int) -> None:
    chosen = {salt: {n for n in range(20_000) if falls_to(share, salt, [f"N{n}", "JFK"])} for salt in ("1", "2")}
    for found in chosen.values():
        assert len(found) / 20_000 == pytest.approx(share / 100, abs=0.012)  # four standard deviations
    both = len(chosen["1"] & chosen["2"]) / 20_000
    assert both == pytest.approx((share / 100) ** 2, abs=0.015)  # another roll-out tries other entities


@given(before=COUNTS, added=COUNTS)
def test_what_was_added_is_what_is_measured(before: Counts, added: Counts) -> None:
    now = Counts(
        before.answers + added.answers,
        before.failures + added.failures,
        before.rows + added.rows,
        before.scores + added.scores,
        before.total + added.total,
        0.0,
        {bound: before.seconds[bound] + added.seconds[bound] for bound in BOUNDS},
    )
    assert now.since(before) == added
    assert now.since(Counts()) == now


def test_metrics() -> None:
    seconds = {0.01: 50.0, 0.1: 100.0, float("inf"): 100.0}
    found = Counts(100, 25, 200, 50.0, 2.0, 0.0, seconds).measured().overall
    assert found == {
        "answers": 125,
        "error_share": 0.2,
        "mean_ms": 20.0,
        "mean_score": 0.25,
        "p50_ms": pytest.approx(10.0),
        "p95_ms": pytest.approx(91.0),
        "p99_ms": pytest.approx(98.2),
    }
    nothing = Counts().measured().overall
    assert [name for name, value in nothing.items() if value is not None] == ["answers"]


@given(seconds=st.lists(st.floats(1e-6, 0.999), min_size=1, max_size=300), share=st.floats(0.01, 1.0))
def test_a_quantile_is_within_the_bounds_of_the_true_one(seconds: list[float], share: float) -> None:
    counts = {bound: float(sum(each <= bound for each in seconds)) for bound in BOUNDS}
    true = float(np.quantile(seconds, share, method="inverted_cdf"))
    low = max((bound for bound in (0.0, *BOUNDS) if bound < true), default=0.0)
    high = min(bound for bound in BOUNDS if bound >= true)
    found = quantile(counts, share)
    assert found is not None
    assert low <= found <= high + 1e-12


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    assert quantile({1.0: 0.0, float("inf"): 5.0}, 0.5) == 1.0
    assert quantile({}, 0.5) is None
    assert quantile({1.0: 0.0, float("inf"): 0.0}, 0.5) is None
