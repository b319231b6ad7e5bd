"""What cannot be observed stays where it is, with what is made from it; the rest is planned as if all were well."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.graph.graph import Graph
from headrace.plan.render import has_changes, render
from headrace.ports.records import Hold
from headrace.ports.work import Action
from headrace.runtime.board import Board, State
from tests.support.planning import Plain, World

if TYPE_CHECKING:
    from headrace.ports.records import Observation, Version

DOWN = HeadraceError("HR341", "database 'crm' does not answer")


def shop() -> World:
    """orders -> daily, customers -> named; both = daily + named; report = both."""
    orders, customers = Plain("orders"), Plain("customers")
    daily, named = Plain("daily", [orders]), Plain("named", [customers])
    both = Plain("both", [daily, named])
    graph = Graph.of([orders, customers, daily, named, both, Plain("report", [both])])
    batches = {"orders": {"1": "a"}, "customers": {"1": "a"}}
    return World(graph, dict.fromkeys(graph.nodes, "1"), batches)


def actions(world: World) -> dict[str, Action]:
    return {step.node: step.action for step in world.plan().steps}


def settled(world: World) -> World:
    world.apply(world.plan())
    return world


def test_one_that_is_down_stays_with_what_is_made_from_it() -> None:
    world = settled(shop())
    before = dict(world.snapshot.pointers)
    for source in ("orders", "customers"):
        world.batches[source]["2"] = "b"
    world.unobserved["customers"] = DOWN
    plan = world.plan()
    assert {step.node: step.action for step in plan.steps} == {
        "orders": Action.MAKE,
        "daily": Action.MAKE,
        "customers": Action.UNOBSERVED,
        "named": Action.BLOCKED,
        "both": Action.BLOCKED,
        "report": Action.BLOCKED,
    }
    assert plan.unobserved == {"customers": DOWN}
    assert plan.step("customers").reason == "cannot be observed: HR341 database 'crm' does not answer"
    assert plan.step("report").reason == "waits for customers"
    world.apply(plan)
    moved = {name for name, key in world.snapshot.pointers.items() if key != before[name]}
    assert moved == {"orders", "daily"}


def test_in_a_new_environment_what_depends_on_it_is_left_out() -> None:
    world = shop()
    world.unobserved["customers"] = DOWN
    settled(world)
    assert world.snapshot.pointers.keys() == {"orders", "daily"}
    assert {step.key for step in world.plan().steps if step.action is Action.BLOCKED} == {""}


def test_new_code_behind_it_waits_as_well() -> None:
    world = settled(shop())
    world.unobserved["customers"] = DOWN
    world.code["both"] = "2"
    assert actions(world)["both"] is Action.BLOCKED
    assert not has_changes(world.plan())


def test_a_node_that_is_held_does_not_wait() -> None:
    world = settled(shop())
    world.hold("named")
    world.unobserved["customers"] = DOWN
    world.batches["orders"]["2"] = "b"
    found = actions(world)
    assert (found["named"], found["both"], found["report"]) == (Action.HELD, Action.MAKE, Action.MAKE)


def test_a_source_that_is_held_is_not_looked_at() -> None:
    world = settled(shop())
    world.hold("customers")
    world.unobserved["customers"] = DOWN
    assert world.plan().unobserved == {}


def test_an_error_of_its_own_is_told_before_what_it_waits_for() -> None:
    world = settled(shop())
    edited = HeadraceError("HR435", "mended/named/1")
    world.unobserved.update(customers=DOWN, named=edited)
    plan = world.plan()
    assert plan.step("named").reason.startswith("cannot be observed: HR435")
    assert plan.step("both").waits_for == ("customers", "named")
    assert plan.unobserved == {"customers": DOWN, "named": edited}


class Strict(Plain):
    """A source whose observation is not always taken."""

    def settled(
        self,
        observation: Observation,
        before: Version | None,  # noqa: ARG002
        excluded: frozenset[str],  # noqa: ARG002
    ) -> Observation:
        if not observation.batches:
            raise HeadraceError("HR331", "raw: a file is gone")
        return observation


def test_an_observation_that_is_not_taken_is_an_error_of_its_source() -> None:
    raw, other = Strict("raw"), Plain("other")
    graph = Graph.of([raw, other, Plain("table", [raw])])
    world = settled(World(graph, dict.fromkeys(graph.nodes, "1"), {"raw": {"1": "a"}, "other": {"1": "a"}}))
    world.batches.update(raw={}, other={"1": "b"})
    assert actions(world) == {"raw": Action.UNOBSERVED, "table": Action.BLOCKED, "other": Action.MAKE}
    assert world.plan().unobserved["raw"].code == "HR331"


def test_who_needs_to_know_what_a_node_should_be_gets_the_error() -> None:
    world = settled(shop())
    world.unobserved["customers"] = DOWN
    plan = world.plan()
    plan.refuse_unobserved("daily")
    for name in ("customers", "report"):
        with pytest.raises(HeadraceError, match="HR341"):
            plan.refuse_unobserved(name)


def test_how_it_reads() -> None:
    world = settled(shop())
    world.unobserved["customers"] = DOWN
    assert render(world.plan(), {}) == [
        "  x customers  cannot be observed: HR341 database 'crm' does not answer",
        f"      why: {DOWN.why}",
        f"      fix: {DOWN.fix}",
        "  x named      waits for customers",
        "  x both       waits for customers",
        "  x report     waits for customers",
        "  = 2 unchanged",
        "Nothing to do: 1 not observed, 3 waiting.",
    ]


def test_as_plain_data() -> None:
    world = settled(shop())
    world.unobserved["customers"] = DOWN
    told = world.plan().to_json()
    assert told["unobserved"] == {"customers": DOWN.to_json()}
    assert {step["node"]: step["waits_for"] for step in told["steps"] if step["waits_for"]} == {
        "named": ["customers"],
        "both": ["customers"],
        "report": ["customers"],
    }


def test_a_run_publishes_nothing_of_it_and_says_what_it_left_out() -> None:
    world = settled(shop())
    world.unobserved["customers"] = DOWN
    world.batches["orders"]["2"] = "b"
    board = Board(world.graph, world.plan())
    assert board.named(State.SKIPPED) == ["named", "both", "report"]
    assert board.ready() == ["orders"]
    for name in ("orders", "daily"):
        board.begin(name)
        board.made(name)
    wave = board.publishable()
    assert wave is not None
    assert {move.node for move in board.moves(wave)} == {"orders", "daily"}


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Some graph, applied once or not, then changed, with some of its sources down and some of its nodes held."""
    nodes: list[Plain] = [Plain(f"source{number}") for number in range(draw(st.integers(1, 3)))]
    batches = {node.name: {"1": "a"} for node in nodes}
    for number in range(draw(st.integers(0, 6))):
        inputs = draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=3, unique=True))
        nodes.append(Plain(f"table{number}", inputs))
    graph = Graph.of(nodes)
    world = World(graph, dict.fromkeys(graph.nodes, "1"), batches)
    if draw(st.booleans()):
        settled(world)
        held = draw(st.sets(st.sampled_from(sorted(graph.nodes)), max_size=2))
        holds = {name: Hold(name, "rolled back", "") for name in held}
        world.snapshot = replace(world.snapshot, holds=holds)
    for name in draw(st.sets(st.sampled_from(sorted(graph.nodes)))):
        world.code[name] = "2"
    for name in draw(st.sets(st.sampled_from(sorted(batches)))):
        world.batches[name]["2"] = "b"
    return world


def down(world: World, names: set[str]) -> World:
    found = deepcopy(world)
    found.unobserved = dict.fromkeys(names, DOWN)
    return found


def affected(world: World) -> dict[str, set[str]]:
    """The nodes that an error reaches, each with the sources that it comes from; a node that is held hides them."""
    reached: dict[str, set[str]] = {}
    for node in world.graph:
        if node.name in world.snapshot.holds:
            continue
        found = {node.name} & world.unobserved.keys()
        for parent in node.inputs:
            found |= reached.get(parent.name, set())
        if found:
            reached[node.name] = found
    return reached


SOURCES = st.sets(st.sampled_from([f"source{number}" for number in range(3)]), min_size=1)


@given(worlds(), SOURCES)
def test_the_rest_is_planned_as_if_nothing_were_wrong(world: World, names: set[str]) -> None:
    broken = down(world, names & world.graph.nodes.keys())
    reached = affected(broken)
    well, ill = world.plan(), broken.plan()
    for before, after in zip(well.steps, ill.steps, strict=True):
        if after.node not in reached:
            assert after == before
            continue
        assert after.action is (Action.UNOBSERVED if after.node in broken.unobserved else Action.BLOCKED)
        assert after.key == (before.previous or "")
        assert reached[after.node] - {after.node} == set(after.waits_for)
    assert (well.waves, well.removed) == (ill.waves, ill.removed)


@given(worlds(), SOURCES)
def test_nothing_that_is_done_follows_from_it_and_once_mended_all_is_as_ever(world: World, names: set[str]) -> None:
    broken = down(world, names & world.graph.nodes.keys())
    reached, before = affected(broken), dict(broken.snapshot.pointers)
    plan = broken.plan()
    assert not {name for step in plan.to_do for name, _ in step.inputs} & reached.keys()
    broken.apply(plan)
    for name in reached:
        assert broken.snapshot.pointers.get(name) == before.get(name)
    assert not broken.plan().to_do
    broken.unobserved = {}
    assert settled(broken).snapshot.pointers == settled(world).snapshot.pointers
