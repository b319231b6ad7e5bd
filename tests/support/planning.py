"""Nodes without behaviour, and a ledger of dictionaries: enough of a world to plan in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.graph.graph import Graph
from headrace.graph.keys import Coded
from headrace.graph.node import Node, nearest
from headrace.plan.address import Wanted, addresses
from headrace.plan.plan import ACTIONABLE, Known, Plan, decision_keys_of, make_plan, refusals
from headrace.ports.canonical import digest_of
from headrace.ports.records import Batch, Decision, Hold, Manifest, Observation, Outcome, Snapshot, Version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.errors import HeadraceError
    from headrace.ports.work import Context, Step


class Plain(Node):
    """A node that is described by its code, a text."""

    kind = "plain"

    def __init__(
        self, name: str, inputs: Sequence[Node] = (), *, gated: bool = False, incremental: bool = False
    ) -> None:
        super().__init__(name, inputs)
        self.gated = self.apart = gated
        self.incremental = incremental

    def batches(self, inputs: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
        return next(iter(inputs.values())) if self.incremental and inputs else {}

    def base(self, wanted: Mapping[str, str], live: Sequence[Version]) -> Version | None:
        return nearest(wanted, live)

    def decision_key(self, candidate: Version, champion: Version | None) -> str:
        return digest_of([candidate.key, None if champion is None else champion.key])

    def make(self, step: Step, context: Context) -> Manifest:
        raise NotImplementedError


@dataclass
class World:
    """What changes between two plans: code by node, batches by source, versions, decisions, the environment.

    `unobserved` are the nodes that cannot be observed.
    """

    graph: Graph
    code: dict[str, str]
    batches: dict[str, dict[str, str]]
    versions: dict[str, Version] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    snapshot: Snapshot = field(default_factory=lambda: Snapshot("prod"))
    refusing: set[str] = field(default_factory=set)
    unobserved: dict[str, HeadraceError] = field(default_factory=dict)

    def wanted(self) -> Wanted:
        coded = {name: Coded(digest_of(text), {name: digest_of(text)}) for name, text in self.code.items()}
        observations = {
            name: Observation(name, tuple(Batch(each, digest, 1) for each, digest in sorted(held.items())))
            for name, held in self.batches.items()
            if name not in self.snapshot.holds and name not in self.unobserved
        }
        pointed = {name: self.versions[key] for name, key in self.snapshot.pointers.items()}
        return Wanted(coded, self.snapshot, pointed, observations, self.unobserved)

    def plan(self) -> Plan:
        wanted, refused = self.wanted(), frozenset[str]()
        related: dict[str, list[Version]] = {}
        for version in self.versions.values():
            related.setdefault(version.node, []).append(version)
        known = Known(self.versions, related, self.decisions)
        while True:
            found = addresses(self.graph, wanted, refused)
            more = refusals(self.graph, found, wanted, known)
            if more <= refused:
                return make_plan(self.graph, found, wanted, known)
            refused |= more

    def apply(self, plan: Plan) -> None:
        """What the runtime would do, without any work: make, decide, publish what passed."""
        lost: set[str] = set()
        pointers = dict(self.snapshot.pointers)
        for step in plan.steps:
            if step.action not in ACTIONABLE or {name for name, _ in step.inputs} & lost:
                lost |= {step.node} if step.action in ACTIONABLE else set()
                continue
            version = Version(
                step.key,
                step.node,
                "plain",
                step.fingerprint,
                step.inputs,
                Manifest(step.key),
                step.parts,
                step.batches,
            )
            self.versions.setdefault(step.key, version)
            if self._passes(step):
                pointers[step.node] = step.key
            else:
                lost.add(step.node)
        self.snapshot = Snapshot(
            "prod", pointers, holds=self.snapshot.holds, excluded=self.snapshot.excluded, base=self.snapshot.base
        )

    def _passes(self, step: Step) -> bool:
        wanted = self.wanted()
        node = self.graph[step.node]
        keys = decision_keys_of(node, step.key, wanted, Known(self.versions))
        if not keys:
            return True
        [key] = keys
        passed = step.node not in self.refusing
        outcomes = (Outcome("score >= 1", passed, "0"),)
        self.decisions.setdefault(key, Decision(key, step.node, step.key, step.champion, passed, outcomes))
        return self.decisions[key].passed

    def hold(self, *names: str) -> None:
        holds = {name: Hold(name, "rolled back", "") for name in names}
        self.snapshot = Snapshot("prod", self.snapshot.pointers, holds=holds)


def chain() -> World:
    """rows -> clean -> model (gated) -> report."""
    rows = Plain("rows")
    clean = Plain("clean", [rows], incremental=True)
    model = Plain("model", [clean], gated=True)
    report = Plain("report", [model])
    graph = Graph.of([rows, clean, model, report])
    return World(graph, dict.fromkeys(graph.nodes, "1"), {"rows": {"a.csv": "1"}})
