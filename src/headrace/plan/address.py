"""Which key each node should have, given the code, what the sources hold, and what is held, refused or unknown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.graph.keys import Coded, version_key
from headrace.plan.marks import KEPT, carried
from headrace.ports.mappings import changed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.graph.graph import Graph
    from headrace.graph.node import Node
    from headrace.ports.records import Observation, Snapshot, Version


@dataclass(frozen=True, slots=True)
class Address:
    """The version that a node should have.

    `key` names it (None: it cannot be named, because an input was refused and has no earlier version). `effective` is
    what the nodes made from this one take: the same key, or the present pointer where the node is held or refused.

    A node with an `error` cannot be observed; one that is made from such nodes `waits_for` them.
    Both keep the present pointer: what the node should be is not known.
    """

    node: str
    key: str | None
    effective: str | None
    inputs: tuple[tuple[str, str], ...] = ()
    batches: Mapping[str, str] = field(default_factory=dict)
    generation: int = 0
    observation: Observation | None = None
    error: HeadraceError | None = None
    waits_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the keys follow from: fingerprints, observations, the environment, and nodes whose generation is raised.

    `unobserved` are the nodes that could not be observed, each with what went wrong.
    Of nodes in `forward`, rows stay that earlier code made; `marks` states the marks of batches, by node, instead of
    those that follow from the versions that the environment points to.
    """

    coded: Mapping[str, Coded]
    snapshot: Snapshot
    pointed: Mapping[str, Version]
    observations: Mapping[str, Observation] = field(default_factory=dict)
    unobserved: Mapping[str, HeadraceError] = field(default_factory=dict)
    refresh: frozenset[str] = frozenset()
    forward: frozenset[str] = frozenset()
    marks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def addresses(graph: Graph, wanted: Wanted, refused: frozenset[str] = frozenset()) -> dict[str, Address]:
    """The address of every node, in order of work. Nodes in `refused` keep their candidate's key to themselves."""
    found: dict[str, Address] = {}
    for node in graph:
        if node.name in wanted.snapshot.holds:
            found[node.name] = _held(node, wanted)
            continue
        observation, error = _observation(node, wanted)
        waits_for = _waits_for(node, found)
        if error is not None or waits_for:
            found[node.name] = replace(_held(node, wanted), error=error, waits_for=waits_for)
        else:
            found[node.name] = _address(node, wanted, found, refused, observation)
    return found


def _waits_for(node: Node, found: Mapping[str, Address]) -> tuple[str, ...]:
    """The nodes that cannot be observed and that this one is made from, however far away. What is held hides them."""
    names: dict[str, None] = {}
    for parent in node.inputs:
        address = found[parent.name]
        names.update(dict.fromkeys(address.waits_for))
        if address.error is not None:
            names[parent.name] = None
    return tuple(names)


def _held(node: Node, wanted: Wanted) -> Address:
    pointer = wanted.snapshot.pointers.get(node.name)
    version = wanted.pointed.get(node.name)
    if version is None:
        return Address(node.name, pointer, pointer)
    return Address(node.name, pointer, pointer, version.inputs, version.batches, version.generation)


def _address(
    node: Node,
    wanted: Wanted,
    found: Mapping[str, Address],
    refused: frozenset[str],
    observation: Observation | None,
) -> Address:
    pointer = wanted.snapshot.pointers.get(node.name)
    taken = [(parent.name, found[parent.name].effective) for parent in node.inputs]
    inputs = tuple((name, key) for name, key in taken if key is not None)
    if len(inputs) < len(taken):
        return Address(node.name, None, pointer)
    generation = _generation(node.name, wanted)
    observed = None if observation is None else observation.identity()
    keys = [key for _, key in inputs]
    plain = node.batches({name: found[name].batches for name, _ in inputs})
    marks = _marks(node, plain, wanted, generation)
    if observed and (node.name in wanted.forward or node.name in wanted.marks):
        _refuse_mixed(node.name, observed, marks)
    coded = wanted.coded[node.name]
    key = version_key(node, coded, keys, observed=observed, generation=generation, marks=marks)
    marked = {batch: f"{plain[batch]}{mark}" for batch, mark in marks.items()}
    batches = changed(plain, {**marked, **(observed or {})}) if plain else observed or {}
    effective = pointer if node.name in refused else key
    return Address(node.name, key, effective, inputs, batches, generation, observation)


def _marks(node: Node, plain: Mapping[str, str], wanted: Wanted, generation: int) -> dict[str, str]:
    """What the present code has not simply made of the batches: as stated, or as the present version has it."""
    name = node.name
    stated = wanted.marks.get(name)
    if stated is not None:
        return {batch: mark for batch, mark in stated.items() if mark and batch in plain}
    pointed = wanted.pointed.get(name)
    if name in wanted.forward and not node.goes_forward:
        raise HeadraceError("HR485", f"{name} does not grow with the batches of a source")
    if not node.goes_forward or pointed is None or pointed.generation != generation:
        return {}
    moved = pointed.fingerprint != wanted.coded[name].fingerprint
    return {} if moved and name not in wanted.forward else carried(plain, pointed, moved=moved)


def _refuse_mixed(name: str, observed: Mapping[str, str], marks: Mapping[str, str]) -> None:
    """Raise HR486 where rows are asked to stay that earlier code made, in a table with batches of its own."""
    kept = sum(mark.startswith(KEPT) for mark in marks.values())
    if kept:
        what = f"the rows of {kept} batches are to stay, and rows were mended by hand ({min(observed)})"
        raise HeadraceError("HR486", f"{name}: {what}")


def _generation(name: str, wanted: Wanted) -> int:
    pointed = wanted.pointed.get(name)
    present = pointed.generation if pointed is not None else 0
    return present + 1 if name in wanted.refresh else present


def _observation(node: Node, wanted: Wanted) -> tuple[Observation | None, HeadraceError | None]:
    """What to make a version of, or why that cannot be told: it could not be observed, or not be settled."""
    error, observation = wanted.unobserved.get(node.name), wanted.observations.get(node.name)
    if error is not None or observation is None:
        return None, error
    excluded = wanted.snapshot.excluded.get(node.name, frozenset())
    try:
        settled = node.settled(observation, wanted.pointed.get(node.name), excluded).without(excluded)
    except HeadraceError as refusal:
        return None, refusal
    return (settled if settled.batches or not node.inputs else None), None
