"""Rows as records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.ledger.chain import decoded
from headrace.ports.records import (
    Attempt,
    AttemptState,
    Decision,
    Hold,
    Lease,
    PointerChange,
    Run,
    RunState,
    Signal,
    Snapshot,
    Version,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.ports.pieces import Fetch
    from headrace.ports.records import Facts

Row = tuple[Any, ...]


def version_of(row: Row, fetch: Fetch) -> Version:
    """A version, from (body, ...); `fetch` finds its pieces."""
    return Version.from_json(decoded(row[0]), fetch)


def decision_of(row: Row) -> Decision:
    """A decision, from (body, ...)."""
    return Decision.from_json(decoded(row[0]))


def run_of(row: Row) -> Run:
    """A run, from (id, environment, owner, state, started_at, ended_at, summary)."""
    name, environment, owner, state, started_at, ended_at, summary = row
    return Run(name, environment, owner, RunState(state), started_at, ended_at, decoded(summary))


def run_facts(run: Run) -> Facts:
    """A run as plain data."""
    return {
        "id": run.id,
        "environment": run.environment,
        "owner": run.owner,
        "state": run.state.value,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "summary": run.summary,
    }


def attempt_of(row: Row) -> Attempt:
    """An attempt, from (run, node, key, number, state, started_at, ended_at, error)."""
    run, node, key, number, state, started_at, ended_at, error = row
    failure = None if error is None else decoded(error)
    return Attempt(run, node, key, number, AttemptState(state), started_at, ended_at, failure)


def lease_of(row: Row) -> Lease:
    """A lease, from (environment, node, owner, run, fence, since)."""
    return Lease(*row)


def signal_of(row: Row) -> Signal:
    """A signal, from (id, kind, subject, body, at)."""
    number, kind, subject, body, at = row
    return Signal(number, kind, subject, decoded(body), at)


def change_of(row: Row) -> PointerChange:
    """A pointer change, from (entry, environment, node, previous, key, reason, run, at)."""
    return PointerChange(*row)


def snapshot_of(environment: str, ask: Callable[[str], Sequence[Row]]) -> Snapshot:
    """An environment, from what the named queries about it answer."""
    found = ask("environment")
    if not found:
        return Snapshot(environment, exists=False)
    excluded: dict[str, set[str]] = {}
    for node, batch in ask("exclusions"):
        excluded.setdefault(node, set()).add(batch)
    return Snapshot(
        environment,
        pointers=dict(ask("pointers")),
        base=found[0][0],
        started=dict(ask("starts")),
        holds={node: Hold(node, reason, since) for node, reason, since in ask("holds")},
        excluded={node: frozenset(batches) for node, batches in excluded.items()},
    )
