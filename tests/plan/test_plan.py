from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.graph.graph import Graph
from headrace.plan.plan import waves
from headrace.ports.work import Action
from tests.support.planning import Plain, World, chain


def actions(world: World) -> dict[str, Action]:
    return {step.node: step.action for step in world.plan().steps}


def settled(world: World) -> World:
    world.apply(world.plan())
    return world


def test_the_first_plan_makes_everything() -> None:
    world = chain()
    assert set(actions(world).values()) == {Action.MAKE}
    assert {step.reason for step in world.plan().steps} == {"new"}


def test_planning_again_makes_nothing() -> None:
    world = settled(chain())
    assert set(actions(world).values()) == {Action.KEEP}


def test_changed_code_rebuilds_the_node_and_what_is_made_from_it() -> None:
    world = settled(chain())
    world.code["clean"] = "2"
    plan = world.plan()
    assert [(step.node, step.action) for step in plan.to_do] == [
        ("clean", Action.MAKE),
        ("model", Action.MAKE),
        ("report", Action.MAKE),
    ]
    assert plan.step("clean").reason == "code changed"
    assert plan.step("clean").details == ("clean changed",)
    assert plan.step("model").reason == "input changed"
    assert plan.step("model").details == ("made from a new version of clean",)


def test_a_new_batch_is_new_rows_and_builds_on_the_present_version() -> None:
    world = settled(chain())
    before = world.snapshot.pointers["clean"]
    world.batches["rows"]["b.csv"] = "2"
    plan = world.plan()
    assert plan.step("rows").reason == "new rows"
    assert plan.step("rows").details == ("b.csv arrived",)
    base = plan.step("clean").base
    assert base is not None
    assert base.key == before


def test_a_changed_batch_does_not_build_on_the_present_version() -> None:
    world = settled(chain())
    world.batches["rows"]["a.csv"] = "other"
    plan = world.plan()
    assert plan.step("rows").reason == "rows changed"
    assert plan.step("clean").base is None


def test_going_back_to_old_code_makes_nothing() -> None:
    world = settled(chain())
    world.code["clean"] = "2"
    settled(world)
    world.code["clean"] = "1"
    plan = world.plan()
    assert plan.count(Action.MAKE) == 0
    assert plan.step("clean").action is Action.REUSE


def test_a_refused_candidate_is_listed_and_nothing_is_made_from_it() -> None:
    world = settled(chain())
    world.refusing.add("model")
    world.code["model"] = "2"
    settled(world)
    plan = world.plan()
    assert plan.step("model").action is Action.REFUSED
    assert plan.step("model").reason == "refused: score >= 1 (0)"
    assert plan.step("report").action is Action.KEEP
    assert not plan.to_do


def test_a_refused_first_version_blocks_what_waits_for_it() -> None:
    world = chain()
    world.refusing.add("model")
    settled(world)
    plan = world.plan()
    assert plan.step("model").action is Action.REFUSED
    assert plan.step("report").action is Action.BLOCKED
    assert plan.step("report").reason == "waits for model"


def test_a_held_node_stays_while_the_rest_moves_on() -> None:
    world = settled(chain())
    world.hold("model", "report")
    world.batches["rows"]["b.csv"] = "2"
    assert actions(world) == {
        "rows": Action.MAKE,
        "clean": Action.MAKE,
        "model": Action.HELD,
        "report": Action.HELD,
    }


def test_a_node_that_is_no_longer_declared_is_removed() -> None:
    world = settled(chain())
    world.graph = Graph.of([node for node in world.graph if node.name != "report"])
    assert world.plan().removed == ("report",)


def test_what_is_behind_the_same_gates_is_published_together() -> None:
    a, b = Plain("a"), Plain("b")
    first = Plain("first", [a], gated=True)
    second = Plain("second", [b], gated=True)
    both = Plain("both", [first, second])
    after = Plain("after", [first])
    graph = Graph.of([a, b, first, second, both, after])
    assert {frozenset(wave) for wave in waves(graph)} == {
        frozenset({"a", "b"}),
        frozenset({"first", "after"}),
        frozenset({"second"}),
        frozenset({"both"}),
    }


CHANGES = st.one_of(
    st.tuples(st.just("code"), st.sampled_from(["clean", "model", "report"]), st.sampled_from("123")),
    st.tuples(st.just("batch"), st.sampled_from(["a.csv", "b.csv", "c.csv"]), st.sampled_from("123")),
    st.tuples(st.just("refuse"), st.just("model"), st.sampled_from("yn")),
)


@given(st.lists(CHANGES, max_size=8))
def test_whatever_changed_an_applied_plan_leaves_nothing_to_do(changes: list[tuple[str, str, str]]) -> None:
    world = chain()
    for what, name, value in changes:
        if what == "code":
            world.code[name] = value
        elif what == "batch":
            world.batches["rows"][name] = value
        elif value == "y":
            world.refusing.add(name)
        else:
            world.refusing.discard(name)
        settled(world)
        settled(world)
        assert not world.plan().to_do


@given(st.permutations(["a.csv", "b.csv", "c.csv"]))
def test_keys_do_not_depend_on_the_order_of_arrival(order: list[str]) -> None:
    one, other = chain(), chain()
    one.batches["rows"] = dict.fromkeys(["a.csv", "b.csv", "c.csv"], "1")
    other.batches["rows"] = {}
    for name in order:
        other.batches["rows"][name] = "1"
        settled(other)
    settled(one)
    assert one.snapshot.pointers == other.snapshot.pointers


def test_an_unknown_node_is_named_with_a_hint() -> None:
    with pytest.raises(HeadraceError, match="HR104") as caught:
        chain().graph["modle"]
    assert "model" in str(caught.value)
