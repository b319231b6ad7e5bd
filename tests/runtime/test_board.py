"""The state machine of a run, against random runs of random graphs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.graph.graph import Graph
from headrace.plan.plan import Plan, waves
from headrace.ports.work import Action, Step
from headrace.runtime.board import Board, State
from tests.support.planning import Plain

LOST = {State.FAILED, State.REFUSED, State.SKIPPED}


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Up to eight nodes, each with some of the earlier ones as inputs; some are gated."""
    nodes: list[Plain] = []
    for number in range(draw(st.integers(1, 8))):
        inputs = draw(st.lists(st.sampled_from(nodes), unique=True, max_size=3)) if nodes else []
        nodes.append(Plain(f"n{number}", inputs, gated=draw(st.booleans())))
    return Graph.of(nodes)


def plan_of(graph: Graph) -> Plan:
    steps = [
        Step(node.name, f"key of {node.name}", "", tuple((p.name, "") for p in node.inputs), Action.MAKE, "new")
        for node in graph
    ]
    return Plan("prod", tuple(steps), waves(graph))


@given(graphs(), st.data())
def test_a_run_ends_and_publishes_just_what_nothing_lost_is_behind(graph: Graph, data: st.DataObject) -> None:
    board = Board(graph, plan_of(graph))
    published: list[str] = []
    while not board.over:
        while (wave := board.publishable()) is not None:
            published += [move.node for move in board.moves(wave)]
            board.published(wave)
        ready = [(board.ready, "make")] * bool(board.ready()) + [(board.decidable, "decide")] * bool(board.decidable())
        if not ready:
            continue
        names, what = data.draw(st.sampled_from(ready))
        name = data.draw(st.sampled_from(names()))
        good = data.draw(st.booleans())
        if what == "decide":
            board.deciding(name)
            board.decided(name, passed=good)
            continue
        assert all(board.states[parent.name] is State.PASSED for parent in graph[name].inputs)
        board.begin(name)
        (board.made if good else board.failed)(name)
    for node in graph:
        behind = {board.states[parent.name] for parent in node.inputs}
        assert (board.states[node.name] is State.SKIPPED) == bool(behind & LOST)
    assert sorted(published) == sorted(name for name, state in board.states.items() if state is State.PASSED)


def test_a_version_that_has_passed_before_is_not_decided_again() -> None:
    graph = Graph.of([Plain("model", gated=True)])
    plan = plan_of(graph)
    board = Board(graph, replace(plan, steps=(replace(plan.steps[0], action=Action.REUSE),)))
    board.made("model")
    assert board.states["model"] is State.PASSED


def test_a_step_ends_once() -> None:
    board = Board(Graph.of([Plain("table")]), plan_of(Graph.of([Plain("table")])))
    board.made("table")
    with pytest.raises(RuntimeError, match="table is passed already"):
        board.made("table")


def test_a_kept_step_needs_no_pointer_move() -> None:
    graph = Graph.of([Plain("table")])
    plan = plan_of(graph)
    board = Board(graph, replace(plan, steps=(replace(plan.steps[0], action=Action.KEEP),)))
    wave = board.publishable()
    assert wave is not None
    assert board.moves(wave) == []
