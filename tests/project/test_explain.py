"""`status` and `why` as plain data, out of a ledger of dictionaries."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from headrace.errors import HeadraceError
from headrace.ports.records import Decision, Hold, Manifest, Outcome, PointerChange, Run, RunState, Snapshot, Version
from headrace.project.explain import batches, in_order, lineage, status, why

if TYPE_CHECKING:
    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Facts
    from headrace.runtime.recovery import Owners


def version(key: str, node: str, *inputs: tuple[str, str], facts: Facts | None = None, **more: object) -> Version:
    manifest = Manifest(key, facts=facts or {})
    return Version(key, node, "table", "f", inputs, manifest, **more)  # type: ignore[arg-type]


RECORDED = {"a.csv": {"rows": 3, "bytes": 9, "schema": {"x": "Int64"}}}
RAW = version("r1", "raw", batches={"a.csv": "d1"}, facts={"batches": RECORDED})
CLEAN = version("c1", "clean", ("raw", "r1"), run="run1", made_at="2024-01-01T00:00:00+00:00")
MODEL = version("m1", "model", ("clean", "c1"), ("raw", "r1"))
BETTER = version("m2", "model", ("clean", "c1"), ("raw", "r1"))
OWNERS = cast("Owners", SimpleNamespace(alive=lambda _: True))
RUN = Run("run1", "prod", "o", RunState.DONE, "2024-01-01T00:00:00+00:00")


def decision(candidate: str, champion: str | None, *, passed: bool) -> Decision:
    outcomes = (Outcome("a >= 1", passed, "0"),)
    return Decision(f"{candidate} {champion}", "model", candidate, champion, passed, outcomes)


def ledger(*decisions: Decision, holds: dict[str, Hold] | None = None) -> Ledger:
    known = {each.key: each for each in (RAW, CLEAN, MODEL, BETTER)}
    pointers = {"model": "m1", "clean": "c1", "raw": "r1"}
    change = PointerChange(4, "prod", "clean", None, "c1", "apply", "run1", "2024-01-01T00:00:01+00:00")

    def snapshot(name: str) -> Snapshot:
        return Snapshot(name, pointers, holds=holds or {}, exists=name == "prod")

    return cast(
        "Ledger",
        SimpleNamespace(
            snapshot=snapshot,
            environments=lambda: ["prod"],
            version=known.get,
            live=lambda keys: {key: known[key] for key in keys},
            versions=lambda: list(known.values()),
            decisions=lambda keys: [each for each in decisions if each.candidate in keys],
            history=lambda _, node: [change] if node == "clean" else [],
            run=lambda run: RUN if run == "run1" else None,
            runs=lambda _, state=None, limit=50: [RUN][:limit] if state in (None, RUN.state) else [],
        ),
    )


def test_nodes_stand_in_order_of_work() -> None:
    assert in_order({"model": MODEL, "clean": CLEAN, "raw": RAW}) == ["raw", "clean", "model"]
    assert in_order({}) == []


def test_a_refusal_is_told_until_a_newer_candidate_passes() -> None:
    no, yes = decision("m2", "m1", passed=False), decision("m2", "m1", passed=True)
    [found] = status(ledger(no), OWNERS)
    assert [node.refused for node in found.nodes] == [None, None, no]
    [found] = status(ledger(no, yes), OWNERS)
    assert [node.refused for node in found.nodes] == [None, None, None]
    [found] = status(ledger(decision("m2", "m0", passed=False)), OWNERS)
    assert [node.refused for node in found.nodes] == [None, None, None]


def test_holds_are_told() -> None:
    [found] = status(ledger(holds={"model": Hold("model", "rolled back", "")}), OWNERS)
    assert [node.held for node in found.nodes] == [None, None, "rolled back"]
    assert found.to_json()["nodes"][2]["held"] == "rolled back"


def test_an_unknown_environment() -> None:
    with pytest.raises(HeadraceError, match="HR609"):
        status(ledger(), OWNERS, "prd")


def test_why_tells_run_and_publication() -> None:
    found = why(ledger(), "prod", "clean")
    assert found.run == RUN
    assert found.pointed is not None
    assert found.to_json()["published"] == {"at": found.pointed.at, "reason": "apply", "run": "run1"}


def test_why_of_an_unknown_node_has_a_hint() -> None:
    with pytest.raises(HeadraceError) as raised:
        why(ledger(), "prod", "modl")
    assert raised.value.fix == "Did you mean 'model'?"


def test_lineage_goes_down_to_the_sources_and_says_what_it_met_before() -> None:
    tree = lineage(ledger(), MODEL)
    clean, raw = tree.inputs
    assert [each.version.node for each in clean.inputs] == ["raw"]
    assert raw.seen_before
    assert not raw.inputs
    assert tree.to_json()["inputs"][0]["inputs"][0]["batches"] == batches(RAW)


def test_batches_are_those_of_sources_with_what_was_recorded_of_them() -> None:
    assert batches(RAW) == [{"id": "a.csv", "digest": "d1", "rows": 3, "bytes": 9}]
    assert batches(CLEAN) == []
    assert batches(version("x", "raw", batches={"b.csv": "d2"})) == [{"id": "b.csv", "digest": "d2"}]
