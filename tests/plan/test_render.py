"""A plan reads as `docs` promise: a sign, columns, details, the command to go on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.plan.plan import Plan
from headrace.plan.render import has_changes, render, spelled_seconds
from headrace.ports.records import Manifest, Version
from headrace.ports.work import Action, Step
from tests.support.planning import chain

VERBS = {"departures": "rebuild", "CarrierHistory": "rebuild", "lateness": "retrain, gate", "raw_flights": "land"}


def step(node: str, action: Action, reason: str, **more: object) -> Step:
    given: dict[str, object] = {"previous": "0" * 64, **more}
    return Step(node, "1" * 64, "f", (), action, reason, **given)  # type: ignore[arg-type]


def lines(*steps: Step, **more: object) -> list[str]:
    return render(Plan("prod", steps, **more), VERBS)  # type: ignore[arg-type]


def test_columns_details_and_the_command_to_go_on() -> None:
    base = Version("abcdef0123456789", "raw_flights", "source", "f", (), Manifest("k"), batches={"a": "1"})
    assert lines(
        step(
            "raw_flights", Action.MAKE, "new rows", rows=336_776, seconds=0.2, base=base, batches={"a": "1", "b": "2"}
        ),
        step("departures", Action.MAKE, "code changed", rows=336_776, seconds=2.2, details=["clean.late changed"]),
        step("CarrierHistory", Action.MAKE, "input changed", seconds=61.0),
        step("lateness", Action.MAKE, "new", previous=None),
        step("weather", Action.KEEP, "unchanged"),
        step("taxes", Action.REUSE, "code changed", details=["made already by run 3f"]),
    ) == [
        "  ~ raw_flights     new rows       land           336,776 rows    <1 s",
        "      adds 1 of 2 batches to version abcdef012345",
        "  ~ departures      code changed   rebuild        336,776 rows    ~2 s",
        "      clean.late changed",
        "  ~ CarrierHistory  input changed  rebuild                      ~1 min",
        "  + lateness        new            retrain, gate",
        "  = taxes           code changed   reuse",
        "      made already by run 3f",
        "  = 1 unchanged",
        "4 to make, 2 reused. Nothing is changed yet: headrace apply prod",
    ]


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"a": "1", "b": "2", "c": "3"}, "adds 1 of 3 batches to"),
        ({"a": "1", "b": "9"}, "changes 1 of 2 batches in"),
        ({"a": "1"}, "removes 1 of 2 batches in"),
        ({"a": "1", "c": "3"}, "adds 1, removes 1 of 2 batches in"),
    ],
)
def test_what_an_incremental_step_changes(now: dict[str, str], told: str) -> None:
    base = Version("abcdef0123456789", "raw", "source", "f", (), Manifest("k"), batches={"a": "1", "b": "2"})
    assert lines(step("raw", Action.MAKE, "new rows", base=base, batches=now))[1] == (
        f"      {told} version abcdef012345"
    )


def test_what_stands_still_says_why_and_does_not_widen_the_columns() -> None:
    assert lines(
        step("departures", Action.MAKE, "new rows"),
        step("CarrierHistory", Action.HELD, "held: rolled back with departures, a long story"),
        step("lateness", Action.REFUSED, "refused: roc_auc >= 0.65 (0.61)"),
        step("scores", Action.BLOCKED, "waits for lateness"),
    ) == [
        "  ~ departures      new rows  rebuild",
        "  # CarrierHistory  held: rolled back with departures, a long story",
        "  x lateness        refused: roc_auc >= 0.65 (0.61)",
        "  x scores          waits for lateness",
        "1 to make, 1 held, 1 refused, 1 waiting. Nothing is changed yet: headrace apply prod",
    ]


def test_a_decision_that_is_still_to_come() -> None:
    assert lines(step("lateness", Action.DECIDE, "code changed"))[0] == "  ~ lateness  code changed  ask its gate"


def test_nothing_to_do() -> None:
    assert lines(step("departures", Action.KEEP, "unchanged")) == ["Nothing to do."]
    held = step("departures", Action.HELD, "held: rolled back")
    assert lines(held) == ["  # departures  held: rolled back", "Nothing to do: 1 held."]


def test_removed_nodes_and_notes() -> None:
    assert lines(removed=("old",), notes=("polars 2.0 -> 2.1",)) == [
        "  - old  no longer declared  remove",
        "  ! polars 2.0 -> 2.1",
        "1 to remove. Nothing is changed yet: headrace apply prod",
    ]


def test_a_new_environment() -> None:
    plan = Plan("dev", (step("a", Action.KEEP, "unchanged"),), base="prod", creates=True)
    assert render(plan, {}) == [
        "The environment dev does not exist yet: it will begin with what prod has now.",
        "1 reused. Nothing is changed yet: headrace apply dev",
    ]
    assert render(replace(plan, base=None), {})[0] == "The environment dev does not exist yet: apply creates it."


def test_every_unchanged_node_has_a_line_when_asked_for() -> None:
    plan = Plan("prod", (step("a", Action.KEEP, "unchanged"), step("bb", Action.KEEP, "unchanged")))
    assert render(plan, {}, everything=True) == ["  = a   unchanged", "  = bb  unchanged", "Nothing to do."]


def test_the_command_can_carry_options() -> None:
    plan = Plan("prod", (step("a", Action.MAKE, "refresh asked for"),))
    assert render(plan, {}, command="headrace apply prod --refresh a")[-1].endswith("headrace apply prod --refresh a")


@pytest.mark.parametrize(
    ("action", "changes"),
    [(Action.MAKE, True), (Action.REUSE, True), (Action.DECIDE, True), (Action.KEEP, False), (Action.HELD, False)],
)
def test_what_counts_as_a_change(action: Action, changes: bool) -> None:
    assert has_changes(Plan("prod", (step("a", action, ""),))) is changes


def test_a_removed_node_and_a_new_environment_are_changes() -> None:
    assert has_changes(Plan("prod", (), removed=("a",)))
    assert has_changes(Plan("prod", (), creates=True))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "<1 s"), (0.4, "<1 s"), (1.2, "1 s"), (59.4, "59 s"), (60, "1 min"), (3599, "60 min"), (5400, "1.5 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert spelled_seconds(seconds) == text


def test_a_real_plan_of_the_planner_from_new_to_unchanged() -> None:
    world = chain()
    verbs = dict.fromkeys(world.graph.nodes, "rebuild")
    plan = world.plan()
    assert render(plan, verbs)[:2] == ["  + rows    new  rebuild", "  + clean   new  rebuild"]
    world.apply(plan)
    assert render(world.plan(), verbs) == ["Nothing to do."]
    world.code["clean"] = "2"
    assert render(world.plan(), verbs)[:3] == [
        "  ~ clean   code changed   rebuild  <1 s",
        "      clean changed",
        "  ~ model   input changed  rebuild  <1 s",
    ]
