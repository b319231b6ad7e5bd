"""Moves of pointers that compute nothing: promotion, rollback with its holds, release, exclusion of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError, suggestion
from headrace.ports.failpoints import failpoint
from headrace.ports.ledger import Exclude, MovePointers, Promote, Rebase, Release
from headrace.ports.own import is_own
from headrace.ports.records import PointerMove

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.graph.graph import Graph
    from headrace.ports.ledger import Item, Ledger
    from headrace.ports.records import PointerChange, Snapshot


@dataclass(frozen=True, slots=True)
class Moved:
    """What a promotion, a rollback or a rebase did."""

    environment: str
    moves: tuple[PointerMove, ...]
    reason: str


def existing(ledger: Ledger, environment: str) -> Snapshot:
    """The snapshot of an environment that must exist (HR609)."""
    snapshot = ledger.snapshot(environment)
    if not snapshot.exists:
        hint = suggestion(environment, ledger.environments())
        raise HeadraceError(
            "HR609",
            f"there is no environment {environment!r}",
            fix=f"{hint}{'' if hint.endswith(('?', '.')) else '.'} `headrace apply {environment}` creates it.",
        )
    return snapshot


def promote(graph: Graph, ledger: Ledger, source: str, target: str) -> Moved:
    """Make the target point to what the source changed since it began, in one transaction.

    Three-way: a node moves only if the target still points to what the source started from. What an environment
    answered is its own, and stays. Raises HR710 when the target moved on, HR711 when a gated version has not passed
    its gate against the present one, HR712 when nothing changed.
    """
    ours, theirs = existing(ledger, source), existing(ledger, target)
    moves = promotion(ours, theirs)
    if not moves:
        raise HeadraceError("HR712", f"{source} points to nothing that {target} does not point to already")
    _refuse_undecided(graph, ledger, moves, source)
    write(ledger, Promote(source, target, moves))
    return Moved(target, tuple(moves), f"promoted from {source}")


def promotion(source: Snapshot, target: Snapshot) -> list[PointerMove]:
    """The moves that a promotion makes. Pure. Raises HR710 with the nodes that moved in both."""
    names = sorted(name for name in source.pointers.keys() | source.started.keys() if not is_own(name))
    changed = [name for name in names if source.pointers.get(name) != source.started.get(name)]
    moves: list[PointerMove] = []
    conflicts: list[PointerMove] = []
    for name in changed:
        before, wanted, present = source.started.get(name), source.pointers.get(name), target.pointers.get(name)
        if present == wanted:
            continue
        (moves if present == before else conflicts).append(PointerMove(name, present, wanted))
    if conflicts:
        listed = ", ".join(move.node for move in conflicts)
        raise HeadraceError(
            "HR710",
            f"{target.environment} moved on since {source.environment} began: {listed}",
            fix=f"Rebase and try again: headrace apply {source.environment} --rebase",
        )
    return moves


def _refuse_undecided(graph: Graph, ledger: Ledger, moves: Sequence[PointerMove], source: str) -> None:
    """Publishing needs decisions; promotion makes none, so each gated version must have passed already."""
    gated = [move for move in moves if move.key is not None and move.node in graph.nodes and graph[move.node].gated]
    keys = [key for move in gated for key in (move.key, move.expected) if key is not None]
    live = ledger.live(keys)
    needed: dict[str, Sequence[str]] = {}
    for move in gated:
        candidate = live.get(move.key or "")
        champion = live.get(move.expected) if move.expected is not None else None
        needed[move.node] = ("",) if candidate is None else graph[move.node].decision_keys(candidate, champion)
    keys += [key for wanted in needed.values() for key in wanted]
    decided = {decision.key: decision.passed for decision in ledger.decisions(keys)}
    for move in gated:
        if needed[move.node] and not next((decided[key] for key in needed[move.node] if key in decided), False):
            raise HeadraceError(
                "HR711",
                f"{move.node} has not passed its gate against what would be replaced",
                fix=f"Let the gate decide, then promote: headrace apply {source} --rebase",
            )


def rebase(ledger: Ledger, source: str, target: str) -> Moved:
    """Make the target's present pointers the start of the source; what the source had not changed follows them."""
    ours, theirs = existing(ledger, source), existing(ledger, target)
    names = sorted(ours.pointers.keys() | theirs.pointers.keys())
    unchanged = [name for name in names if ours.pointers.get(name) == ours.started.get(name)]
    moves = [
        PointerMove(name, ours.pointers.get(name), theirs.pointers.get(name))
        for name in unchanged
        if ours.pointers.get(name) != theirs.pointers.get(name)
    ]
    write(ledger, Rebase(source, dict(theirs.pointers), moves))
    return Moved(source, tuple(moves), f"rebased on {target}")


def roll_back(graph: Graph, ledger: Ledger, environment: str, node: str, to: str | None = None) -> Moved:
    """Move a node and everything made from it back to where they stood, and hold them there.

    Without `to`, to the moment before the node last moved; with `to` (a key, or the beginning of one), to the moment
    when the node last pointed to it. Raises HR713 when there is no such moment.
    """
    snapshot = existing(ledger, environment)
    names = (graph[node].name, *graph.descendants(node))
    before = earlier(ledger.history(environment), snapshot, node, to)
    moves = [
        PointerMove(name, snapshot.pointers.get(name), before.get(name))
        for name in names
        if snapshot.pointers.get(name) != before.get(name)
    ]
    kept = [PointerMove(name, key, key) for name in names if (key := before.get(name)) == snapshot.pointers.get(name)]
    _require_live(ledger, moves)
    reason = f"rolled back with {node}"
    write(ledger, MovePointers(environment, [*moves, *kept], reason, force=True, hold=reason))
    return Moved(environment, tuple(moves), reason)


def earlier(
    history: Sequence[PointerChange], snapshot: Snapshot, node: str, to: str | None
) -> Mapping[str, str | None]:
    """The pointers of an environment at the moment that a rollback returns to. Pure; undoes changes from the newest."""
    pointers: dict[str, str | None] = dict(snapshot.pointers)
    present = pointers.get(node)
    for entry in sorted({change.entry for change in history}, reverse=True):
        for change in history:
            if change.entry == entry:
                pointers[change.node] = change.previous
        reached = pointers.get(node)
        if reached is not None and (reached.startswith(to) if to is not None else reached != present):
            return pointers
    wanted = f"version {to}" if to is not None else "an earlier version"
    raise HeadraceError("HR713", f"{node} never pointed to {wanted} in {snapshot.environment}")


def _require_live(ledger: Ledger, moves: Sequence[PointerMove]) -> None:
    keys = [move.key for move in moves if move.key is not None]
    live = ledger.live(keys)
    for move in moves:
        if move.key is not None and move.key not in live:
            raise HeadraceError("HR714", f"version {move.key[:12]} of {move.node} was collected")


def release(graph: Graph, ledger: Ledger, environment: str, node: str) -> tuple[str, ...]:
    """Let a held node and everything made from it advance again. Raises HR715 when none of them is held."""
    snapshot = existing(ledger, environment)
    names = [name for name in (graph[node].name, *graph.descendants(node)) if name in snapshot.holds]
    if not names:
        raise HeadraceError("HR715", f"{node} is not held in {environment}")
    write(ledger, Release(environment, names))
    return tuple(names)


def exclude(graph: Graph, ledger: Ledger, environment: str, source: str, batches: frozenset[str]) -> tuple[str, ...]:
    """Leave batches of a source out of an environment, and release what was held because of them."""
    snapshot = existing(ledger, environment)
    pointer = snapshot.pointers.get(graph[source].name)
    version = None if pointer is None else ledger.version(pointer)
    seen = set() if version is None else set(version.batches)
    seen |= {batch for other in ledger.versions(source) for batch in other.batches}
    for batch in sorted(batches - seen):
        hint = suggestion(batch, seen)
        raise HeadraceError("HR716", f"{source} never held a batch {batch!r}", fix=hint)
    held = [name for name in (source, *graph.descendants(source)) if name in snapshot.holds]
    items: list[Item] = [Exclude(environment, source, batches)]
    if held:
        items.append(Release(environment, held))
    write(ledger, *items)
    return tuple(held)


def write(ledger: Ledger, *items: Item) -> None:
    """Write items about pointers; raises what the first of them was refused for."""
    failpoint("publish.move.before")
    for answer in ledger.write(*items):
        answer.get()
    failpoint("publish.move.after")
