"""How a roll-out is declared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import canary, champion, metric
from headrace.endpoints.canary import METRICS, Canary
from headrace.endpoints.endpoint import Endpoint
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from headrace.graph.conditions import Condition
    from headrace.models.model import Model

SHARES = st.sets(st.integers(1, 99)).map(sorted)
CONDITIONS = st.builds(
    lambda name, bound, offset, above: (
        metric(name) > (champion + bound if offset else bound) if above else metric(name) <= bound
    ),
    st.sampled_from(METRICS),
    st.floats(-1e6, 1e6),
    st.booleans(),
    st.booleans(),
)


@given(shares=SHARES, bake=st.integers(0, 10**6), answers=st.integers(0, 10**6), conditions=st.lists(CONDITIONS))
def test_a_server_reads_what_was_declared(
    shares: list[int], bake: int, answers: int, conditions: list[Condition]
) -> None:
    declared = canary(*shares, bake=f"{bake}s", shadow="2m", answers=answers, abort_if=conditions)
    assert Canary.from_facts(json.loads(json.dumps(declared.to_facts()))) == declared
    assert declared.shares == (*shares, 100)


def test_what_is_left_out() -> None:
    declared = canary()
    assert (declared.shares, declared.bake, declared.shadow, declared.answers) == ((100,), 600.0, 0.0, 100)
    assert list(map(str, declared.abort_if)) == ["error_share > champion + 0.01"]
    assert canary(abort_if=[]).abort_if == ()
    assert canary(5, 100).shares == (5, 100)


@pytest.mark.parametrize("shares", [(0,), (5, 5), (25, 5), (101,), (5, 100, 100), (-1, 5), (2.5,), (True,), ("5",)])
def test_shares_that_do_not_grow(shares: tuple[int, ...]) -> None:
    with pytest.raises(HeadraceError, match="HR940"):
        canary(*shares)


@pytest.mark.parametrize("answers", [-1, 2.5, None, True])
def test_a_number_of_answers_that_is_none(answers: int) -> None:
    with pytest.raises(HeadraceError, match="HR940"):
        canary(answers=answers)


def test_a_metric_that_is_not_measured() -> None:
    with pytest.raises(HeadraceError, match="HR941") as refused:
        canary(abort_if=[metric("p99") > 50])
    assert "p99_ms" in refused.value.fix
    with pytest.raises(HeadraceError, match="HR941"):
        canary(abort_if=metric("p99_ms").by("origin") > 50)


def test_a_duration_that_cannot_be_read() -> None:
    with pytest.raises(HeadraceError, match="HR110"):
        canary(bake="soon")


def test_a_plan_says_what_follows() -> None:
    model = cast("Model", None)  # nobody asks it anything here
    plain, careful = (Endpoint("scores", model, (), rollout=each) for each in (None, canary(5, shadow="1m")))
    assert list(plain.consequences()) == []
    assert list(careful.consequences()) == ["takes over by shadow, 5 %, 100 %"]
    assert plain.settings() == {}  # so that its versions are those that it always had


def test_an_endpoint_says_what_an_unseen_category_is() -> None:
    model = cast("Model", None)
    assert Endpoint("scores", model, (), unknown="refuse").settings() == {"unknown": "refuse"}
    with pytest.raises(HeadraceError, match="HR933") as caught:
        Endpoint("scores", model, (), unknown="refused")
    assert "refuse" in caught.value.fix
