"""From addresses and what the ledger knows to steps with reasons. Explaining and applying read the same plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.plan.marks import kept_among, seen
from headrace.plan.reasons import reason
from headrace.ports.own import is_own
from headrace.ports.work import Action, Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.errors import HeadraceError
    from headrace.graph.graph import Graph
    from headrace.graph.node import Node
    from headrace.plan.address import Address, Wanted
    from headrace.ports.records import Decision, Json, Version

ACTIONABLE = frozenset({Action.MAKE, Action.REUSE, Action.DECIDE})


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger says about the wanted keys, read before planning.

    `live` versions by key (wanted ones and champions), `related` live versions by node (to build on, and for the cost),
    `decisions` by decision key, `libraries` the installed versions of libraries by name.
    """

    live: Mapping[str, Version] = field(default_factory=dict)
    related: Mapping[str, Sequence[Version]] = field(default_factory=dict)
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """One step for each node of the environment, in order of work, and remarks for the reader.

    What is made `beside` what the environment has is not published.
    """

    environment: str
    steps: tuple[Step, ...]
    waves: tuple[tuple[str, ...], ...] = ()
    removed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    base: str | None = None
    creates: bool = False
    beside: bool = False

    def step(self, node: str) -> Step:
        """The step of one node."""
        return next(step for step in self.steps if step.node == node)

    @property
    def to_do(self) -> tuple[Step, ...]:
        """The steps that an apply would act on."""
        return tuple(step for step in self.steps if step.action in ACTIONABLE)

    @property
    def unobserved(self) -> dict[str, HeadraceError]:
        """The nodes that could not be observed, each with what went wrong."""
        return {step.node: step.error for step in self.steps if step.error is not None}

    def refuse_unobserved(self, node: str) -> None:
        """Raise why it is not known what a node should be, if it is not: its own error, or of what it is made from."""
        step, unobserved = self.step(node), self.unobserved
        for name in (node, *step.waits_for):
            if name in unobserved:
                raise unobserved[name]

    def count(self, *actions: Action) -> int:
        """How many steps have one of these actions."""
        return sum(step.action in actions for step in self.steps)

    def to_json(self) -> Json:
        """Plain data, for `--json`."""
        return {
            "environment": self.environment,
            "creates": self.creates,
            "base": self.base,
            "steps": [_step_json(step) for step in self.steps],
            "removed": list(self.removed),
            "unobserved": {node: error.to_json() for node, error in self.unobserved.items()},
            "notes": list(self.notes),
            "to_make": self.count(Action.MAKE),
            "reused": self.count(Action.REUSE, Action.KEEP),
        }


def _step_json(step: Step) -> Json:
    return {
        "node": step.node,
        "action": step.action.value,
        "reason": step.reason,
        "details": list(step.details),
        "key": step.key,
        "previous": step.previous,
        "waits_for": list(step.waits_for),
        "inputs": dict(step.inputs),
        "builds_on": None if step.base is None else step.base.key,
        "rows": step.rows,
        "seconds": step.seconds,
    }


def champion_of(name: str, wanted: Wanted) -> str | None:
    """The key that a version would replace: in a branched environment, what a promotion would replace."""
    pointers = wanted.snapshot.started if wanted.snapshot.base else wanted.snapshot.pointers
    return pointers.get(name)


def refusals(graph: Graph, found: Mapping[str, Address], wanted: Wanted, known: Known) -> frozenset[str]:
    """The gated nodes whose wanted version exists and was refused: nothing may be made from it."""
    return frozenset(
        node.name
        for node in graph
        if (decision := decision_of(node, found[node.name].key, wanted, known)) is not None and not decision.passed
    )


def decision_of(node: Node, key: str | None, wanted: Wanted, known: Known) -> Decision | None:
    """What was decided about a live candidate, if anything was."""
    keys = decision_keys_of(node, key, wanted, known)
    return next((known.decisions[each] for each in keys if each in known.decisions), None)


def decision_keys_of(node: Node, key: str | None, wanted: Wanted, known: Known) -> Sequence[str]:
    """The keys of the decisions by which this candidate is published; none where it needs none, or is not made yet."""
    candidate = known.live.get(key) if key is not None else None
    if not node.gated or candidate is None or wanted.snapshot.pointers.get(node.name) == key:
        return ()
    champion = champion_of(node.name, wanted)
    return node.decision_keys(candidate, known.live.get(champion) if champion and champion != key else None)


def make_plan(graph: Graph, found: Mapping[str, Address], wanted: Wanted, known: Known) -> Plan:
    """One step for each node. Pure."""
    steps = tuple(_step(node, found, wanted, known) for node in graph)
    gone = tuple(sorted(name for name in set(wanted.snapshot.pointers) - set(graph.nodes) if not is_own(name)))
    snapshot = wanted.snapshot
    return Plan(
        environment=snapshot.environment,
        steps=steps,
        waves=waves(graph),
        removed=gone,
        notes=(*_library_notes(steps, wanted, known), *_remarks(wanted)),
        base=snapshot.base,
        creates=not snapshot.exists,
    )


def waves(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """Which nodes are published in one transaction: those behind the same gates belong together."""
    gates: dict[str, frozenset[str]] = {}
    for node in graph:
        behind = frozenset[str]().union(*(gates[parent.name] for parent in node.inputs))
        gates[node.name] = behind | {node.name} if node.apart else behind
    grouped: dict[frozenset[str], list[str]] = {}
    for name, behind in gates.items():
        grouped.setdefault(behind, []).append(name)
    return tuple(tuple(names) for _, names in sorted(grouped.items(), key=lambda item: len(item[0])))


def _step(node: Node, found: Mapping[str, Address], wanted: Wanted, known: Known) -> Step:
    address = found[node.name]
    coded = wanted.coded[node.name]
    action, why, details = _standing(node, found, wanted) or _action(node, found, wanted, known)
    if action in (Action.MAKE, Action.DECIDE, Action.REUSE):
        details = [*details, *node.consequences()]
    live = known.related.get(node.name, ())
    made_so = (coded.fingerprint, address.generation)  # a refresh makes all of it again: what is there may be damaged
    same = [version for version in live if (version.fingerprint, version.generation) == made_so]
    if kept_among(address.batches):  # earlier code has made some of it
        earlier = [version for version in live if version.generation == address.generation and version not in same]
        same = [*(seen(version, address.batches, coded.fingerprint) for version in earlier), *same]
    cost = wanted.pointed.get(node.name) or (live[-1] if live else None)
    return Step(
        node=node.name,
        key=address.key or "",
        fingerprint=coded.fingerprint,
        inputs=address.inputs,
        action=action,
        reason=why,
        details=tuple(details),
        error=address.error,
        waits_for=address.waits_for,
        previous=wanted.snapshot.pointers.get(node.name),
        parts=coded.parts,
        batches=address.batches,
        observation=address.observation,
        base=node.base(address.batches, same) if action is Action.MAKE else None,
        generation=address.generation,
        champion=champion_of(node.name, wanted),
        seconds=None if cost is None else cost.seconds,
        rows=None if cost is None else cost.rows,
    )


def _standing(node: Node, found: Mapping[str, Address], wanted: Wanted) -> tuple[Action, str, Sequence[str]] | None:
    """What keeps a node where it is, whatever it should be; None where nothing does."""
    address = found[node.name]
    hold = wanted.snapshot.holds.get(node.name)
    if hold is not None:
        return Action.HELD, f"held: {hold.reason}", ()
    if (error := address.error) is not None:
        return Action.UNOBSERVED, f"cannot be observed: {error.code} {error.what}", error.advice
    missing = [parent.name for parent in node.inputs if found[parent.name].effective is None]
    waits_for = address.waits_for or missing
    return (Action.BLOCKED, f"waits for {', '.join(waits_for)}", ()) if waits_for else None


def _action(
    node: Node, found: Mapping[str, Address], wanted: Wanted, known: Known
) -> tuple[Action, str, Sequence[str]]:
    address = found[node.name]
    if wanted.snapshot.pointers.get(node.name) == address.key:
        return Action.KEEP, "unchanged", ()
    why, details = reason(address, wanted.coded[node.name], wanted.pointed.get(node.name))
    made = known.live.get(address.key or "")
    if made is None:
        return Action.MAKE, why, details
    by = f"made already by run {made.run}"
    if not decision_keys_of(node, address.key, wanted, known) or champion_of(node.name, wanted) == address.key:
        return Action.REUSE, why, [*details, by]
    return _gated_action(decision_of(node, address.key, wanted, known), why, [*details, by])


def _gated_action(decision: Decision | None, why: str, details: list[str]) -> tuple[Action, str, Sequence[str]]:
    """What to do with a version that exists and needs a decision."""
    if decision is None:
        return Action.DECIDE, why, [*details, "its gate has still to compare it with the present one"]
    if not decision.passed:
        return Action.REFUSED, f"refused: {decision.reason}", details
    return Action.REUSE, why, [*details, "it has passed its gate"]


def _remarks(wanted: Wanted) -> tuple[str, ...]:
    """What the versions that an environment points to have to say: a late monitor, a broken rule that warns."""
    pointed = [wanted.pointed[node] for node in sorted(wanted.pointed)]
    warnings = [f"{each.node}: {told}" for each in pointed for told in each.manifest.facts.get("warnings", ())]
    return (*(remark for each in pointed for remark in each.manifest.facts.get("remarks", ())), *warnings)


def _library_notes(steps: Sequence[Step], wanted: Wanted, known: Known) -> tuple[str, ...]:
    """Libraries that differ from those a kept version was made with: worth knowing, no reason to rebuild."""
    moved: dict[str, list[str]] = {}
    for step in steps:
        pointed = wanted.pointed.get(step.node)
        if step.action is not Action.KEEP or pointed is None:
            continue
        for library, before in pointed.manifest.facts.get("libraries", {}).items():
            now = known.libraries.get(library)
            if now is not None and now != before:
                moved.setdefault(f"{library} {before} -> {now}", []).append(step.node)
    return tuple(
        f"{change} since {', '.join(nodes)} was made; kept (rebuild with --refresh {nodes[0]})"
        for change, nodes in sorted(moved.items())
    )
