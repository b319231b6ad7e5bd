"""The state machine of a roll-out: whatever is measured, asked for and killed, it keeps its laws."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.endpoints.canary import canary
from headrace.endpoints.rollout import (
    PERSON,
    Action,
    Proposed,
    Standing,
    Subject,
    Watched,
    asked_for,
    decision_of,
    next_step,
    stages,
    standing_of,
)
from headrace.errors import HeadraceError
from headrace.graph.conditions import Measured, champion, metric
from headrace.ports.records import Decision, PointerChange

if TYPE_CHECKING:
    import random

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = canary(5, 25, bake="10m", shadow="1m", answers=50, abort_if=[metric("p99_ms") > 50])
SUBJECT = Subject("prod", "scores", "A", PointerChange(7, "prod", "scores", "A", "B", "", "run", BEGAN.isoformat()))


def measured(answers: float, p99: float | None = 10.0) -> Measured:
    return Measured({"answers": answers, "p99_ms": p99, "error_share": 0.0})


def watched(answers: float = 50, p99: float | None = 10.0, *, broken: str | None = None) -> Watched:
    return Watched(measured(answers, p99), measured(9_999), broken)


def begun(decisions: list[Decision] | None = None) -> Standing:
    return standing_of(SUBJECT, PLAN, decisions or [])


def after(*steps: Proposed) -> Standing:
    """Where a roll-out stands after some steps, a minute between them."""
    decisions: list[Decision] = []
    for number, step in enumerate(steps):
        decisions.append(decision_of(begun(decisions), step, (BEGAN + timedelta(minutes=number + 1)).isoformat()))
    return begun(decisions)


def advanced(times: int) -> Standing:
    return after(*[Proposed(Action.ADVANCE, "", PERSON)] * times)


def test_stages() -> None:
    assert [str(stage) for stage in stages(PLAN)] == ["shadow", "5 %", "25 %", "100 %"]
    assert [stage.seconds for stage in stages(PLAN)] == [60, 600, 600, 600]
    assert [advanced(n).share for n in range(4)] == [0, 5, 25, 100]
    assert [advanced(n).shadowed for n in range(4)] == [True, False, False, False]


@pytest.mark.parametrize(
    ("seconds", "answers", "action"),
    [(60, 50, Action.ADVANCE), (59.9, 50, None), (60, 49, None), (1e9, 0, None), (1e9, 50, Action.ADVANCE)],
)
def test_a_stage_ends_when_it_has_baked_and_answered(seconds: float, answers: float, action: Action | None) -> None:
    found = next_step(begun(), BEGAN + timedelta(seconds=seconds), watched(answers))
    assert (None if found is None else found.action) is action


def test_the_last_stage_bakes_too_and_then_it_is_finished() -> None:
    last = advanced(3)
    assert next_step(last, last.since + timedelta(seconds=599), watched()) is None
    found = next_step(last, last.since + timedelta(seconds=600), watched())
    assert found is not None
    assert found.action is Action.FINISH
    assert after(*[Proposed(Action.ADVANCE, "", PERSON)] * 3, found).share == 100


def test_a_condition_that_holds_aborts_at_once() -> None:
    found = next_step(begun(), BEGAN, watched(p99=50.1))
    assert found is not None
    assert (found.action, found.reason) == (Action.ABORT, "p99_ms > 50 (50.1)")
    [outcome] = found.outcomes
    assert (outcome.condition, outcome.passed) == ("not p99_ms > 50", False)
    aborted = after(found)
    assert (aborted.share, aborted.shadowed, aborted.ended) == (0, False, Action.ABORT)


def test_too_few_answers_judge_nothing() -> None:
    assert next_step(begun(), BEGAN, watched(49, p99=1000.0)) is None


def test_a_version_that_cannot_answer_is_aborted_without_an_answer() -> None:
    found = next_step(begun(), BEGAN, watched(0, None, broken="it cannot be loaded"))
    assert found is not None
    assert found.action is Action.ABORT
    assert "cannot be loaded" in found.reason


def test_the_champion_is_the_settled_version() -> None:
    plan = canary(answers=1, abort_if=[metric("p99_ms") > champion + 5])
    standing = standing_of(SUBJECT, plan, [])
    for settled, aborts in ((10.0, True), (16.0, False)):
        seen = Watched(measured(1, 20.0), measured(1, settled))
        found = next_step(standing, BEGAN, seen)
        assert (found is not None and found.action is Action.ABORT) is aborts


def test_a_held_one_stays_but_aborts() -> None:
    held = after(asked_for(begun(), Action.HOLD))
    assert held.held
    late = BEGAN + timedelta(days=9)
    assert next_step(held, late, watched()) is None
    aborted = next_step(held, late, watched(p99=51.0))
    assert aborted is not None
    assert aborted.action is Action.ABORT
    resumed = after(asked_for(begun(), Action.HOLD), asked_for(held, Action.RESUME))
    found = next_step(resumed, late, watched())
    assert found is not None
    assert found.action is Action.ADVANCE
    by_hand = after(asked_for(begun(), Action.HOLD), asked_for(held, Action.ADVANCE))
    assert (by_hand.stage, by_hand.held) == (1, False)


@pytest.mark.parametrize(
    ("standing", "action"),
    [
        (begun(), Action.RESUME),
        (after(Proposed(Action.HOLD, "", PERSON)), Action.HOLD),
        *((after(Proposed(Action.ABORT, "", PERSON)), action) for action in Action if action is not Action.FINISH),
    ],
)
def test_a_step_that_cannot_be(standing: Standing, action: Action) -> None:
    with pytest.raises(HeadraceError, match="HR943"):
        asked_for(standing, action)


def test_decisions_of_others_are_passed_over() -> None:
    """Of an earlier roll-out of the same version, of another environment, of a gate."""
    others = [
        Subject("prod", "scores", "A", PointerChange(3, "prod", "scores", "A", "B", "", "", BEGAN.isoformat())),
        Subject("dev", "scores", "A", SUBJECT.published),
    ]
    step = Proposed(Action.ABORT, "", PERSON)
    decisions = [decision_of(standing_of(each, PLAN, []), step, BEGAN.isoformat()) for each in others]
    gate = Decision("k", "model", "B", None, passed=True, outcomes=())
    assert begun([*decisions, gate]) == begun()


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([None, *Action]),
        st.floats(0, 2000),
        st.integers(0, 120),
        st.sampled_from([None, 10.0, 60.0]),
        st.booleans(),
    ),
    max_size=30,
)


@given(events=EVENTS, seed=st.randoms())
def test_laws(events: list[tuple[Action | None, float, int, float | None, bool]], seed: random.Random) -> None:
    """Servers look, people ask, two of them at once: stages in order, shares that only grow, an end that is final."""
    decisions: dict[str, Decision] = {}
    now = BEGAN
    standing = begun()
    for action, seconds, answers, p99, twice in events:
        now += timedelta(seconds=seconds)
        proposed = _proposed(standing, action, now, watched(answers, p99))
        if proposed is None:
            continue
        for offered in (proposed, Proposed(Action.ABORT, "a rival", PERSON)) if twice else (proposed,):
            decision = decision_of(standing, offered, now.isoformat())
            decisions.setdefault(decision.key, decision)  # the ledger keeps the first one
        shuffled = list(decisions.values())
        seed.shuffle(shuffled)
        reached = begun(shuffled)
        assert reached == begun(list(decisions.values()))
        assert len(reached.steps) == len(standing.steps) + 1
        assert reached.stage - standing.stage == (reached.steps[-1].action is Action.ADVANCE)
        assert reached.share >= standing.share or reached.ended is Action.ABORT
        if action is None:
            assert not (standing.held and reached.stage > standing.stage)
            waited = now - standing.since >= timedelta(seconds=standing.current.seconds)
            assert reached.ended is Action.ABORT or (waited and answers >= PLAN.answers)
        standing = reached
    if standing.ended is not None:
        assert next_step(standing, now + timedelta(days=99), watched(10**6)) is None


def _proposed(standing: Standing, action: Action | None, now: datetime, seen: Watched) -> Proposed | None:
    """What a server does by itself (no action), or what a person asks for, where that can be."""
    if action is None:
        return next_step(standing, now, seen)
    try:
        return asked_for(standing, action) if action is not Action.FINISH else None
    except HeadraceError:
        return None
