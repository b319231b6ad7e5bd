"""Items about environments: pointers that move by compare-and-set, holds, exclusions.

Each handler looks first and writes after, so that a refusal leaves no trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.errors import suggestion
from headrace.ledger.chain import RefusalError
from headrace.ledger.making import require_lease

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.ledger.transaction import Transaction
    from headrace.ports.ledger import CreateEnvironment, Exclude, MovePointers, Promote, Rebase, Release
    from headrace.ports.records import PointerMove


def create_environment(transaction: Transaction, item: CreateEnvironment) -> bool:
    """Create an environment, with all of its base; answers whether it is new."""
    if transaction.rows("environment", {"environment": item.environment}):
        return False
    if item.base is not None:
        _require_environment(transaction, item.base)
    entry = transaction.append("environment", {"environment": item.environment, "base": item.base})
    values = {"environment": item.environment, "base": item.base, "entry": entry}
    transaction.run("add_environment", values)
    for name in ("copy_pointers", "copy_starts", "copy_holds", "copy_exclusions") if item.base is not None else ():
        transaction.run(name, {"environment": item.environment, "base": item.base})
    return True


def move_pointers(transaction: Transaction, item: MovePointers) -> tuple[str, ...]:
    """Move pointers, all or none; answers the nodes whose pointer changed."""
    for lease in item.leases:
        require_lease(transaction, lease)
    changes = _changes(transaction, item.environment, item.moves, force=item.force)
    holds = sorted({move.node for move in item.moves}) if item.hold is not None else []
    if changes or holds:
        body: dict[str, Any] = {"reason": item.reason, "run": item.run}
        if item.hold is not None:
            body |= {"hold": item.hold, "held": holds}
        _record(transaction, item.environment, changes, body)
    for node in holds:
        values = {"environment": item.environment, "node": node, "reason": item.hold, "since": transaction.at}
        transaction.run("set_hold", values)
    return tuple(change.node for change in changes)


def promote(transaction: Transaction, item: Promote) -> tuple[str, ...]:
    """Move the target's pointers and make them the start of the source; answers the nodes whose pointer changed."""
    _require_environment(transaction, item.source)
    changes = _changes(transaction, item.target, item.moves)
    starts = {move.node: move.key for move in item.moves}
    body = {"reason": f"promoted from {item.source}", "run": item.run, "source": item.source, "starts": starts}
    if item.moves:
        _record(transaction, item.target, changes, body)
    for node, key in starts.items():
        _set(transaction, "start", item.source, node, key)
    return tuple(change.node for change in changes)


def rebase(transaction: Transaction, item: Rebase) -> tuple[str, ...]:
    """Give an environment a new start and move what follows it; answers the nodes whose pointer changed."""
    changes = _changes(transaction, item.environment, item.moves)
    body = {"reason": "rebased", "run": "", "started": item.started}
    _record(transaction, item.environment, changes, body)
    transaction.run("remove_starts", {"environment": item.environment})
    for node, key in item.started.items():
        _set(transaction, "start", item.environment, node, key)
    return tuple(change.node for change in changes)


def release(transaction: Transaction, item: Release) -> tuple[str, ...]:
    """Release nodes; answers those that were held."""
    _require_environment(transaction, item.environment)
    wanted = set(item.nodes)
    held = [node for node in _column(transaction, "holds", item.environment) if node in wanted]
    for node in held:
        transaction.run("remove_hold", {"environment": item.environment, "node": node})
    if held:
        transaction.append("release", {"environment": item.environment, "nodes": held})
    return tuple(held)


def exclude(transaction: Transaction, item: Exclude) -> tuple[str, ...]:
    """Leave batches out or take them in again; answers the batches for which that is a change."""
    _require_environment(transaction, item.environment)
    rows = transaction.rows("exclusions", {"environment": item.environment})
    out = {batch for node, batch in rows if node == item.node}
    batches = sorted(item.batches & out if item.include else item.batches - out)
    for batch in batches:
        values = {"environment": item.environment, "node": item.node, "batch": batch}
        transaction.run("remove_exclusion" if item.include else "add_exclusion", values)
    if batches:
        body = {"environment": item.environment, "node": item.node, "batches": batches, "include": item.include}
        transaction.append("exclude", body)
    return tuple(batches)


@dataclass(frozen=True, slots=True)
class _Change:
    """A pointer that really moves: what it pointed to, and what it will."""

    node: str
    previous: str | None
    key: str | None


def _changes(
    transaction: Transaction, environment: str, moves: Sequence[PointerMove], *, force: bool = False
) -> list[_Change]:
    """The moves that change something. Refuses with HR602, HR604, HR609; reads only."""
    _require_environment(transaction, environment)
    before: dict[str, str | None] = dict(transaction.rows("pointers", {"environment": environment}))
    after = dict(before)
    for move in moves:
        present = after.get(move.node)
        if present not in (move.key, move.expected):
            raise _conflict(environment, move, present)
        after[move.node] = move.key
    changes = [_Change(node, before.get(node), key) for node, key in after.items() if before.get(node) != key]
    if changes and not force:
        _require_not_held(transaction, environment, changes)
    return changes


def _conflict(environment: str, move: PointerMove, present: str | None) -> RefusalError:
    def spell(key: str | None) -> str:
        return "nothing" if key is None else key[:12]

    points = f"{move.node} in {environment} points to {spell(present)}, not to {spell(move.expected)}"
    return RefusalError("HR602", points)


def _require_not_held(transaction: Transaction, environment: str, changes: Sequence[_Change]) -> None:
    held = {node: reason for node, reason, _ in transaction.rows("holds", {"environment": environment})}
    for change in changes:
        if change.node in held:
            message = f"{change.node} is held in {environment}: {held[change.node]}"
            fix = f"Let it advance again: headrace release {change.node}"
            raise RefusalError("HR604", message, fix=fix)


def _record(transaction: Transaction, environment: str, changes: Sequence[_Change], body: Mapping[str, object]) -> None:
    """Append the entry and move the pointers."""
    moves = [[change.node, change.previous, change.key] for change in changes]
    entry = transaction.append("pointers", {"environment": environment, "moves": moves, **body})
    for change in changes:
        _set(transaction, "pointer", environment, change.node, change.key)
    about = {"environment": environment, "entry": entry, "reason": body["reason"], "run": body["run"]}
    for change in changes:
        values = {**about, "node": change.node, "previous": change.previous, "key": change.key}
        transaction.run("add_pointer_change", values)


def _set(transaction: Transaction, what: str, environment: str, node: str, key: str | None) -> None:
    if key is None:
        transaction.run(f"remove_{what}", {"environment": environment, "node": node})
    else:
        transaction.run(f"set_{what}", {"environment": environment, "node": node, "key": key})


def _column(transaction: Transaction, query: str, environment: str) -> list[str]:
    return [row[0] for row in transaction.rows(query, {"environment": environment})]


def _require_environment(transaction: Transaction, environment: str) -> None:
    """Refuse with HR609 an environment that does not exist."""
    if not transaction.rows("environment", {"environment": environment}):
        known = [row[0] for row in transaction.rows("environments")]
        hint = suggestion(environment, known)
        raise RefusalError("HR609", f"there is no environment {environment!r}", fix=hint)
