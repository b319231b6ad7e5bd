"""What `status` and `why` say, as plain data out of the ledger alone: the user's code is not imported."""

from __future__ import annotations

from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from headrace.endpoints.rollout import is_step
from headrace.errors import HeadraceError, suggestion
from headrace.ports.records import RunState
from headrace.runtime.environments import existing
from headrace.runtime.recovery import crashed
from headrace.sources.admission import acceptance_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Decision, Json, PointerChange, Run, Snapshot, Version
    from headrace.runtime.recovery import Owners


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node of an environment: its version, the hold, the last refusal of a newer version."""

    node: str
    version: Version
    held: str | None = None
    refused: Decision | None = None

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "node": self.node,
            "kind": self.version.kind,
            "key": self.version.key,
            "made_at": self.version.made_at,
            "rows": self.version.rows,
            "run": self.version.run,
            "held": self.held,
            "refused": None if self.refused is None else self.refused.to_json(),
        }


@dataclass(frozen=True, slots=True)
class EnvironmentStatus:
    """One environment: its nodes in order of work, and the runs that are at work on it, or whose process is gone.

    `ended` is the latest run that has ended.
    """

    environment: str
    base: str | None
    nodes: tuple[NodeStatus, ...]
    runs: tuple[Run, ...]
    excluded: Mapping[str, frozenset[str]] = field(default_factory=dict)
    crashed: tuple[Run, ...] = ()
    ended: Run | None = None

    @property
    def unobserved(self) -> Mapping[str, Mapping[str, str]]:
        """The sources that the latest run could not observe, each with the error."""
        return {} if self.ended is None else self.ended.summary.get("unobserved", {})

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "environment": self.environment,
            "base": self.base,
            "nodes": [node.to_json() for node in self.nodes],
            "runs": [_run_json(run) for run in self.runs],
            "crashed": [_run_json(run) for run in self.crashed],
            "excluded": {node: sorted(batches) for node, batches in self.excluded.items()},
            "unobserved": {node: dict(error) for node, error in self.unobserved.items()},
        }


def _run_json(run: Run) -> Json:
    return {"run": run.id, "owner": run.owner, "started_at": run.started_at}


def status(ledger: Ledger, owners: Owners, environment: str | None = None) -> list[EnvironmentStatus]:
    """Every environment, or one. Raises HR609 for an unknown one."""
    names = ledger.environments() if environment is None else [existing(ledger, environment).environment]
    return [_status(ledger, owners, ledger.snapshot(name)) for name in names]


def _status(ledger: Ledger, owners: Owners, snapshot: Snapshot) -> EnvironmentStatus:
    live = ledger.live(sorted(set(snapshot.pointers.values())))
    versions = {node: live[key] for node, key in snapshot.pointers.items() if key in live}
    refusals = _refusals(ledger, snapshot)
    nodes = tuple(
        NodeStatus(
            node,
            versions[node],
            snapshot.holds[node].reason if node in snapshot.holds else None,
            refusals.get(node),
        )
        for node in in_order(versions)
    )
    runs = ledger.runs(snapshot.environment, state=RunState.RUNNING)
    gone = tuple(run for run in runs if crashed(run, owners))
    at_work = tuple(run for run in runs if run not in gone)
    latest = ledger.runs(snapshot.environment, limit=len(runs) + 1)
    ended = next((run for run in latest if run.state is not RunState.RUNNING), None)
    return EnvironmentStatus(snapshot.environment, snapshot.base, nodes, at_work, snapshot.excluded, gone, ended)


def in_order(versions: Mapping[str, Version]) -> list[str]:
    """The names of nodes in order of work, as their versions tell it; by name where that leaves it open."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name in sorted(versions):
        sorter.add(name, *(parent for parent, _ in versions[name].inputs if parent in versions))
    return list(sorter.static_order())


def _refusals(ledger: Ledger, snapshot: Snapshot) -> dict[str, Decision]:
    """By node, the last decision against the version that is live, unless a newer one was for its candidate."""
    candidates = [version.key for version in ledger.versions() if version.node in snapshot.pointers]
    last: dict[str, Decision] = {}
    for decision in ledger.decisions(candidates):
        if not is_step(decision) and decision.champion == snapshot.pointers[decision.node] != decision.candidate:
            last[decision.node] = decision
    return {node: decision for node, decision in last.items() if not decision.passed}


@dataclass(frozen=True, slots=True)
class Lineage:
    """A version and what it was made from, down to the sources. A version that was met before comes without inputs."""

    version: Version
    inputs: tuple[Lineage, ...] = ()
    seen_before: bool = False

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "node": self.version.node,
            "kind": self.version.kind,
            "key": self.version.key,
            "made_at": self.version.made_at,
            "rows": self.version.rows,
            "batches": batches(self.version),
            "inputs": [each.to_json() for each in self.inputs],
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an environment has this version of a node."""

    environment: str
    version: Version
    run: Run | None
    pointed: PointerChange | None
    lineage: Lineage
    decisions: Sequence[Decision] = ()

    def to_json(self) -> Json:
        """Plain data."""
        version, pointed = self.version, self.pointed
        return {
            "environment": self.environment,
            "node": version.node,
            "kind": version.kind,
            "key": version.key,
            "fingerprint": version.fingerprint,
            "generation": version.generation,
            "made_at": version.made_at,
            "seconds": version.seconds,
            "run": version.run,
            "rows": version.rows,
            "published": None if pointed is None else {"at": pointed.at, "reason": pointed.reason, "run": pointed.run},
            "code": dict(version.parts),
            "outputs": {name: ref.to_json() for name, ref in version.manifest.outputs.items()},
            "facts": dict(version.manifest.facts),
            "decisions": [decision.to_json() for decision in self.decisions],
            "lineage": self.lineage.to_json(),
        }


def why(ledger: Ledger, environment: str, node: str) -> Explanation:
    """Why an environment has what it has. Raises HR609 (no environment), HR830 (no such node there)."""
    snapshot = existing(ledger, environment)
    key = snapshot.pointers.get(node)
    version = None if key is None else ledger.version(key)
    if version is None:
        hint = suggestion(node, snapshot.pointers)
        raise HeadraceError("HR830", f"{environment} has no node {node!r}", fix=hint)
    moves = [change for change in ledger.history(environment, node) if change.key == version.key]
    return Explanation(
        environment,
        version,
        ledger.run(version.run) if version.run else None,
        moves[-1] if moves else None,
        lineage(ledger, version),
        [*ledger.decisions([version.key]), *_accepted(ledger, version, moves[-1].previous if moves else None)],
    )


def _accepted(ledger: Ledger, version: Version, previous: str | None) -> Sequence[Decision]:
    """What a person accepted of the schema of a source, when this version took the place of the previous one."""
    facts = version.manifest.facts
    if version.inputs or "schemas" not in facts or "batches" not in facts:
        return ()
    before = None if previous is None else ledger.version(previous)
    return ledger.decisions(acceptance_keys(version, before))


def lineage(ledger: Ledger, version: Version, seen: set[str] | None = None) -> Lineage:
    """The tree of what a version was made from."""
    met = set() if seen is None else seen
    if version.key in met:
        return Lineage(version, seen_before=True)
    met.add(version.key)
    found = [ledger.version(key) for _, key in version.inputs]
    return Lineage(version, tuple(lineage(ledger, parent, met) for parent in found if parent is not None))


def batches(version: Version) -> list[Json]:
    """The batches of a source version: id, digest, and rows and bytes where they were recorded.

    Of a version that is made from others, the batches of rows that were mended by hand.
    """
    if version.inputs:
        mended = version.manifest.facts.get("mended", {})
        return [{"id": name, "digest": version.batches[name], "rows": what["rows"]} for name, what in mended.items()]
    recorded = version.manifest.facts.get("batches", {})
    return [
        {"id": name, "digest": digest, **{what: recorded[name][what] for what in ("rows", "bytes") if name in recorded}}
        for name, digest in sorted(version.batches.items())
    ]
