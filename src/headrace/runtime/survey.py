"""Looks at the world, so that the planner need not: the environment, the sources, what the ledger knows of the keys."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from headrace.adapters.durable import full_disk_told
from headrace.errors import HeadraceError
from headrace.plan.address import Wanted, addresses
from headrace.plan.plan import Known, Plan, champion_of, decision_keys_of, make_plan, refusals
from headrace.ports.outside import Outlook
from headrace.ports.records import Observation, Snapshot
from headrace.runtime.foresight import with_foresight
from headrace.runtime.libraries import installed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.graph.graph import Graph
    from headrace.graph.keys import Coded
    from headrace.graph.node import Node
    from headrace.plan.address import Address
    from headrace.ports.ledger import Ledger
    from headrace.ports.outside import Outside
    from headrace.ports.records import Version


_RELATED = 8
"""How many versions of a node a plan looks at to find one to build on."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to plan: an environment, with nodes to make again, the base of a new environment, nodes to restrict to.

    Of nodes in `forward`, the rows stay that code had made before it changed; `marks` states, by node and batch, what
    is not simply made by the present code (see `headrace.plan.marks`).
    """

    environment: str
    base: str | None = None
    refresh: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    forward: frozenset[str] = frozenset()
    marks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of the world: observations by node, and the nodes that cannot be observed, each with its error."""

    observations: Mapping[str, Observation]
    unobserved: Mapping[str, HeadraceError]


def survey(graph: Graph, coded: Mapping[str, Coded], ledger: Ledger, question: Question, outside: Outside) -> Plan:
    """Observe, then plan. What cannot be observed stays where it is, and so does what is made from it."""
    wanted_graph = _restricted(graph, question)
    for name in question.refresh | question.forward:
        wanted_graph[name]  # raises for an unknown name, with a hint
    snapshot = _snapshot(ledger, question)
    pointed = _pointed(ledger, snapshot)
    seen = observe(wanted_graph, coded, ledger, snapshot, outside)
    wanted = Wanted(
        coded,
        snapshot,
        pointed,
        seen.observations,
        seen.unobserved,
        question.refresh,
        question.forward,
        question.marks,
    )
    refused: frozenset[str] = frozenset()
    while True:
        found = addresses(wanted_graph, wanted, refused)
        known = _known(wanted_graph, found, wanted, ledger)
        more = refusals(wanted_graph, found, wanted, known)
        if more <= refused:
            plan = with_foresight(make_plan(wanted_graph, found, wanted, known), wanted_graph, pointed, outside)
            return plan if not question.only else _without_removals(plan)
        refused |= more


def observe(graph: Graph, coded: Mapping[str, Coded], ledger: Ledger, snapshot: Snapshot, outside: Outside) -> Seen:
    """What every source holds now; sources that are held are left alone. Several at once.

    An error with a code belongs to its node, and is part of the answer. Any other one is a mistake of the program: it
    is raised.
    """

    def look(node: Node) -> Observation | HeadraceError | None:
        outlook = _outlook(node, coded[node.name].fingerprint, ledger, snapshot, outside)
        try:
            with full_disk_told(node.name):
                return node.observe(outlook)
        except HeadraceError as error:
            return error

    nodes = [node for node in graph if node.name not in snapshot.holds]
    readers = [node for node in nodes if node.observes]
    if not readers:
        return Seen({}, {})
    with ThreadPoolExecutor(max_workers=min(8, len(readers))) as pool:
        found = {node.name: each for node, each in zip(readers, pool.map(look, readers), strict=True)}
    errors = {name: each for name, each in found.items() if isinstance(each, HeadraceError)}
    return Seen({name: each for name, each in found.items() if isinstance(each, Observation)}, errors)


def _outlook(node: Node, fingerprint: str, ledger: Ledger, snapshot: Snapshot, outside: Outside) -> Outlook:
    """The world as a node sees it. What other code made of it is no part of that."""

    def made() -> list[Version]:
        return [version for version in ledger.versions(node.name) if version.fingerprint == fingerprint]

    pointer = snapshot.pointers.get(node.name)
    before = None if pointer is None else ledger.live([pointer]).get(pointer)
    if before is not None and before.fingerprint != fingerprint:
        before = None
    return Outlook(outside, before, snapshot.excluded.get(node.name, frozenset()), made, fingerprint)


def _restricted(graph: Graph, question: Question) -> Graph:
    if not question.only:
        return graph
    names = graph.ancestors(sorted(question.only))
    return type(graph)({name: graph.nodes[name] for name in names})


def _without_removals(plan: Plan) -> Plan:
    return replace(plan, removed=())


def _snapshot(ledger: Ledger, question: Question) -> Snapshot:
    """The environment as it is, or as it would begin: with its base's pointers, as both its own and its start."""
    snapshot = ledger.snapshot(question.environment)
    if snapshot.exists or question.base is None or question.base == question.environment:
        return snapshot
    base = ledger.snapshot(question.base)
    return Snapshot(
        environment=question.environment,
        pointers=base.pointers,
        base=question.base,
        started=base.pointers,
        holds=base.holds,
        excluded=base.excluded,
        exists=False,
    )


def _pointed(ledger: Ledger, snapshot: Snapshot) -> dict[str, Version]:
    live = ledger.live(sorted(set(snapshot.pointers.values())))
    return {name: live[key] for name, key in snapshot.pointers.items() if key in live}


def _known(graph: Graph, found: Mapping[str, Address], wanted: Wanted, ledger: Ledger) -> Known:
    changed = [name for name, address in found.items() if wanted.snapshot.pointers.get(name) != address.key]
    keys = {found[name].key for name in changed}
    keys |= {champion_of(name, wanted) for name in changed}
    live = dict(ledger.live(sorted(key for key in keys if key)))
    live.update({version.key: version for version in wanted.pointed.values()})
    known = Known(live=live)
    about = {name: decision_keys_of(graph[name], found[name].key, wanted, known) for name in changed}
    candidates = {each for name, keys in about.items() if keys for each in (found[name].key or "", *keys)}
    decisions = ledger.decisions(sorted(candidates)) if candidates else ()
    to_make = [name for name in changed if found[name].key not in live]
    packages = {library for name in found for library in wanted.coded[name].libraries}
    return Known(
        live=live,
        related={name: _related(name, wanted, ledger) for name in to_make},
        decisions={decision.key: decision for decision in decisions},
        libraries=installed(packages),
    )


def _related(name: str, wanted: Wanted, ledger: Ledger) -> Sequence[Version]:
    """What a version may be built on: the newest ones of a node, after the one that the environment points to.

    A plan must not read all of a long past; what is built on is a matter of cost, never of what is made.
    """
    newest = ledger.newest_versions(name, _RELATED)
    pointed = wanted.pointed.get(name)
    return newest if pointed is None or pointed in newest else [pointed, *newest]
