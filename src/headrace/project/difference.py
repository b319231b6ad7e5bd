"""How two environments differ: node by node, and where a node has rows, row by row.

A node that points to the same version on both sides is the same, and nothing of it is read. Rows are read of tables
and feature views only; sources are compared by their batches, models by their metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from headrace.errors import HeadraceError, suggestion
from headrace.features.moments import EVENT_TIME, VISIBLE_AT
from headrace.features.view import FeatureView
from headrace.graph.node import RowsNode
from headrace.plan.reasons import spelled
from headrace.project.explain import in_order
from headrace.project.sides import Side, side
from headrace.sources.source import Source
from headrace.tables.contract import keys
from headrace.tables.table import QUARANTINE, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.graph.node import Node
    from headrace.ports.records import Json, Version
    from headrace.project.workspace import Workspace
    from headrace.tables.comparing import RowsDifference

State = Literal["same", "remade", "changed", "added", "removed"]


@dataclass(frozen=True, slots=True)
class Batches:
    """Batches of a source that came, went away, or have another content."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    def to_json(self) -> Json:
        """Plain data."""
        return {"added": list(self.added), "removed": list(self.removed), "changed": list(self.changed)}


@dataclass(frozen=True, slots=True)
class NodeDifference:
    """One node on both sides.

    `state`: "same" is the same version; "remade" another one that holds the same; "added" and "removed" are on one side
    only. `because` names the parts of the code and the inputs that differ. `set_aside` is how many rows of each side
    broke the contract. `metrics` are those of a model, on both sides.
    """

    node: str
    kind: str
    state: State
    before: Version | None
    after: Version | None
    because: tuple[str, ...] = ()
    rows: RowsDifference | None = None
    set_aside: tuple[int, int] | None = None
    batches: Batches | None = None
    metrics: Mapping[str, tuple[float | None, float | None]] | None = None

    @property
    def differs(self) -> bool:
        """Whether there is a difference in what the node holds."""
        return self.state not in ("same", "remade")

    def to_json(self) -> Json:
        """Plain data."""
        sides = {"before": self.before, "after": self.after}
        metrics = self.metrics
        return {
            "node": self.node,
            "kind": self.kind,
            "state": self.state,
            **{name: None if each is None else each.key for name, each in sides.items()},
            "because": list(self.because),
            "rows": None if self.rows is None else self.rows.to_json(),
            "set_aside": None if self.set_aside is None else dict(zip(sides, self.set_aside, strict=True)),
            "batches": None if self.batches is None else self.batches.to_json(),
            "metrics": None
            if metrics is None
            else {name: dict(zip(sides, pair, strict=True)) for name, pair in metrics.items()},
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """Two sides, and each of their nodes in order of work."""

    before: str
    after: str
    nodes: tuple[NodeDifference, ...]

    @property
    def differs(self) -> bool:
        """Whether there is a difference in what any node holds."""
        return any(each.differs for each in self.nodes)

    def to_json(self) -> Json:
        """Plain data."""
        nodes = [each.to_json() for each in self.nodes]
        return {"before": self.before, "after": self.after, "differs": self.differs, "nodes": nodes}


def difference(
    workspace: Workspace, before: str, after: str, nodes: Sequence[str] = (), *, limit: int = 3
) -> Difference:
    """How what `after` names differs from what `before` names.

    Args:
        workspace: The project.
        before: An environment, `ENV@KEY` for a version that it once had, or the key of a version.
        after: The same of the other side. Where one side is a version of one node, only that node is compared.
        nodes: The nodes to compare; all that one of the sides has if left out.
        limit: How many examples of rows are kept, of each kind.

    Raises:
        HeadraceError: HR609 for an unknown environment, HR837 for an unknown version, HR830 for an unknown node, HR831
            for one that neither side has, HR838 for versions of different nodes.
    """
    sides = side(workspace.ledger, before), side(workspace.ledger, after)
    wanted = _wanted(workspace, sides, nodes)
    versions = {**sides[0].versions, **sides[1].versions}
    found = (
        _compare(workspace, name, sides[0].versions.get(name), sides[1].versions.get(name), limit)
        for name in in_order(versions)
        if name in wanted
    )
    return Difference(sides[0].name, sides[1].name, tuple(found))


def _wanted(workspace: Workspace, sides: tuple[Side, Side], nodes: Sequence[str]) -> set[str]:
    only = {each.only for each in sides if each.only is not None}
    if len(only) > 1:
        first, second = (f"{each.name} is of {each.only}" for each in sides)
        raise HeadraceError("HR838", f"{first}, {second}")
    known = only or {name for each in sides for name in each.versions}
    for name in nodes:
        if name not in known:
            _refuse(workspace, sides, name, known)
    for each in sides:
        for name in only:
            if name not in each.versions:
                raise HeadraceError("HR831", f"{name} has no version in {each.name}")
    return set(nodes) or known


def _refuse(workspace: Workspace, sides: tuple[Side, Side], name: str, known: set[str]) -> None:
    declared = set(workspace.graph.nodes)
    if name in declared:
        raise HeadraceError("HR831", f"{name} has no version to compare in {sides[0].name} and {sides[1].name}")
    raise HeadraceError("HR830", f"there is no node {name!r}", fix=suggestion(name, known | declared))


def _compare(
    workspace: Workspace, name: str, before: Version | None, after: Version | None, limit: int
) -> NodeDifference:
    if before is None or after is None:
        state: State = "added" if before is None else "removed"
        return NodeDifference(name, (before or after).kind, state, before, after)  # type: ignore[union-attr]  # one is there
    if before.key == after.key:
        return NodeDifference(name, after.kind, "same", before, after)
    because = (*_parts_changed(before, after), *_inputs_changed(before, after))
    found = NodeDifference(name, after.kind, "changed", before, after, because)
    if before.kind != after.kind:
        return found
    if _is_alike(before, after):
        return NodeDifference(name, after.kind, "remade", before, after, because)
    node = workspace.graph.nodes.get(name)
    if isinstance(node, RowsNode) and node.kind == after.kind and not isinstance(node, Source):
        return _with_rows(workspace, node, found, limit)
    return NodeDifference(
        name,
        after.kind,
        "changed",
        before,
        after,
        because,
        batches=_batches(before, after) if before.batches or after.batches else None,
        metrics=_metrics(before, after),
    )


def _is_alike(before: Version, after: Version) -> bool:
    """Whether all outputs have the same content, as their digests tell. Versions without outputs tell nothing."""
    then, now = (
        {name: (ref.store, ref.digest) for name, ref in each.manifest.outputs.items()} for each in (before, after)
    )
    return bool(then) and then == now


def _with_rows(workspace: Workspace, node: RowsNode, found: NodeDifference, limit: int) -> NodeDifference:
    from headrace.tables.comparing import compare_rows

    if found.before is None or found.after is None:
        message = "rows are compared of two versions"
        raise ValueError(message)
    then, now = (node.read(each, workspace.stores) for each in (found.before, found.after))
    rows = compare_rows(then, now, _key(node), limit=limit)
    aside = _set_aside(found.before, found.after)
    is_same = not rows and (aside is None or aside[0] == aside[1])
    state: State = "remade" if is_same else "changed"
    return NodeDifference(
        found.node, found.kind, state, found.before, found.after, found.because, rows=rows, set_aside=aside
    )


def _key(node: Node) -> tuple[str, ...]:
    """The columns that tell the rows of a node apart: the key of the contract; whose a feature row is, and when."""
    if isinstance(node, Table):
        return keys(node.contract)
    return (*node.entity, VISIBLE_AT, EVENT_TIME) if isinstance(node, FeatureView) else ()


def _set_aside(before: Version, after: Version) -> tuple[int, int] | None:
    if QUARANTINE not in before.manifest.outputs and QUARANTINE not in after.manifest.outputs:
        return None
    return before.manifest.facts.get("quarantined", 0), after.manifest.facts.get("quarantined", 0)


def _parts_changed(before: Version, after: Version) -> list[str]:
    parts = before.parts.keys() | after.parts.keys()
    return [spelled(each) for each in sorted(parts) if before.parts.get(each) != after.parts.get(each)]


def _inputs_changed(before: Version, after: Version) -> list[str]:
    then, now = dict(before.inputs), dict(after.inputs)
    told = [f"input {name}" for name in sorted(then.keys() | now.keys()) if then.get(name) != now.get(name)]
    return [*told, *(["refreshed"] if before.generation != after.generation else [])]


def _batches(before: Version, after: Version) -> Batches:
    then, now = before.batches, after.batches
    return Batches(
        tuple(sorted(now.keys() - then.keys())),
        tuple(sorted(then.keys() - now.keys())),
        tuple(sorted(name for name in then.keys() & now.keys() if then[name] != now[name])),
    )


def _metrics(before: Version, after: Version) -> dict[str, tuple[float | None, float | None]] | None:
    then, now = (each.manifest.facts.get("metrics") or {} for each in (before, after))
    return {name: (then.get(name), now.get(name)) for name in dict.fromkeys([*then, *now])} or None
