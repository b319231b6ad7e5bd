"""Retraining policies: when each of them asks for a model, and what keeps it from asking too often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.graph.conditions import Champion, metric
from headrace.monitors.alarm import Kind, Limits, Note, Window
from headrace.monitors.measures import drift, estimated
from headrace.monitors.monitor import watch_of
from headrace.monitors.policies import (
    DEFAULT,
    POLICIES,
    Policy,
    Signal,
    default_watch,
    is_due,
    policies_of,
    respond,
    signal_of,
)

BEGAN = datetime(2013, 1, 29, tzinfo=UTC)
schedules = st.builds(Policy, st.just("own"), st.timedeltas(timedelta(minutes=1), timedelta(days=40)))
moments = st.lists(st.timedeltas(timedelta(), timedelta(days=400)), min_size=1, max_size=60).map(sorted)


def firings(policy: Policy, passed: list[timedelta]) -> list[timedelta]:
    """The looks, so long after the beginning each, at which a policy asks for a model."""
    found, since = [], BEGAN
    for each in passed:
        now = BEGAN + each
        if is_due(policy, BEGAN, since, now):
            found.append(each)
        since = max(since, now)
    return found


@given(schedules, moments)
def test_a_schedule_fires_once_for_each_period_that_a_look_ends(policy: Policy, passed: list[timedelta]) -> None:
    assert policy.every is not None
    numbers = [each // policy.every for each in passed]
    wanted = [each for n, each in enumerate(passed) if numbers[n] > max([0, *numbers[:n]])]
    assert firings(policy, passed) == wanted


@given(schedules, moments, moments)
def test_looking_more_often_never_makes_it_fire_less(
    policy: Policy, passed: list[timedelta], more: list[timedelta]
) -> None:
    assert len(firings(policy, passed)) <= len(firings(policy, sorted([*passed, *more])))


@given(st.sampled_from(["none", "drift", "quality"]), moments)
def test_what_has_no_schedule_never_fires_by_the_clock(name: str, passed: list[timedelta]) -> None:
    assert firings(POLICIES[name], passed) == []


def test_a_week_of_days_fires_on_the_eighth_look() -> None:
    days = [timedelta(days=n) for n in range(16)]
    assert firings(POLICIES["weekly"], days) == [timedelta(days=7), timedelta(days=14)]


def told(windows: list[bool | None], limits: Limits, *, acts: bool) -> list[Note]:
    """What an alarm notes over windows that come once a day."""
    notes: list[Note] = []
    seen: list[Window] = []
    for number, holds in enumerate(windows):
        seen.append(Window(holds, "seen", BEGAN + timedelta(days=number)))
        notes += respond(notes, seen[-limits.confirm :], "m", limits, acts=acts)
    return notes


windows = st.lists(st.sampled_from([True, False, None]), max_size=60)


@given(windows, st.integers(0, 9), st.integers(1, 3), st.integers(1, 4))
def test_between_two_actions_lies_the_cooldown_and_no_budget_is_overspent(
    holds: list[bool | None], days: int, confirm: int, budget: int
) -> None:
    limits = Limits(confirm, days * 86_400.0, budget, 7 * 86_400.0)
    acted = [each.at for each in told(holds, limits, acts=True) if each.kind is Kind.ACTED]
    assert all(later - earlier >= timedelta(days=days) for earlier, later in pairwise(acted))
    for at in acted:
        assert sum(at - timedelta(days=7) < each <= at for each in acted) <= budget


@given(windows, st.integers(1, 3))
def test_alerts_are_told_alike_whether_anything_is_done_or_not(holds: list[bool | None], confirm: int) -> None:
    limits = Limits(confirm, 86_400.0)
    acting, silent = told(holds, limits, acts=True), told(holds, limits, acts=False)
    assert {each.kind for each in silent} <= {Kind.RAISED, Kind.CLEARED}
    assert [each for each in acting if each.kind in (Kind.RAISED, Kind.CLEARED)] == silent


def test_policies_are_known_by_name_each_once_in_order() -> None:
    assert [each.name for each in policies_of(["weekly", "none", "weekly"])] == ["weekly", "none"]
    assert tuple(each.name for each in policies_of([])) == DEFAULT


def test_a_mistyped_policy_is_told_what_may_have_been_meant() -> None:
    with pytest.raises(HeadraceError, match="HR995") as raised:
        policies_of(["weakly"])
    assert "weekly" in raised.value.fix


@pytest.mark.parametrize(
    ("condition", "signal"),
    [
        (drift("distance") > 0.25, Signal.DRIFT),
        (drift("prediction", by="js") > 0.25, Signal.DRIFT),
        (metric("mean_score") > 0.5, Signal.DRIFT),
        (metric("roc_auc") < 0.6, Signal.QUALITY),
        (metric("labelled") < 0.6, Signal.QUALITY),
        (estimated("roc_auc") < 0.6, Signal.QUALITY),
        (metric("p99_ms") > 50, Signal.SERVICE),
        (metric("failures") > 0.1, Signal.SERVICE),
    ],
)
def test_what_a_monitor_looks_at_follows_from_its_conditions(condition: object, signal: Signal) -> None:
    assert signal_of(watch_of(condition, (), {})) is signal  # type: ignore[arg-type]  # mypy joins them to object


def test_a_monitor_that_needs_the_truth_for_one_condition_looks_at_quality() -> None:
    assert signal_of(watch_of([drift("distance") > 0.1, metric("roc_auc") < 0.6], (), {})) is Signal.QUALITY


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("signal", [Signal.DRIFT, Signal.QUALITY])
def test_what_is_watched_by_default_looks_at_what_it_is_for(signal: Signal, task: str) -> None:
    watch = default_watch(signal, task)
    assert signal_of(watch) is signal
    assert watch.limits.cooldown == watch.over == 604_800.0
    assert isinstance(watch.when[0].bound, Champion) == (signal is Signal.QUALITY)


def test_a_policy_says_what_it_does() -> None:
    assert [str(each) for each in POLICIES.values()] == [
        "never",
        "every 1d",
        "every 7d",
        "every 30d",
        "when a monitor of drift asks for it",
        "when a monitor of quality asks for it",
    ]
