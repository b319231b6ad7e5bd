"""Items about work under way: runs, attempts, leases, signals. Attempts and leases are not part of the chain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.ledger.chain import RefusalError, encoded
from headrace.ledger.records import lease_of, run_facts, run_of
from headrace.ports.records import AttemptState, Lease, RunState, Signal

if TYPE_CHECKING:
    from headrace.ledger.transaction import Transaction
    from headrace.ports.ledger import (
        ConsumeSignal,
        DropLease,
        EndAttempt,
        EndRun,
        SendSignal,
        StartAttempt,
        StartRun,
        TakeLease,
    )
    from headrace.ports.records import Attempt, Run

_END_OF_ATTEMPTS = {RunState.CRASHED: AttemptState.CRASHED, RunState.CANCELLED: AttemptState.CANCELLED}


def start_run(transaction: Transaction, item: StartRun) -> Run:
    """Record that a run began; answers the run that the ledger holds under this id."""
    found = transaction.rows("run", {"run": item.run.id})
    if found:
        return run_of(found[0])
    facts = run_facts(item.run)
    summary = encoded(item.run.summary)
    entry = transaction.append("run", facts)
    transaction.run("add_run", {**facts, "summary": summary, "entry": entry})
    return item.run


def end_run(transaction: Transaction, item: EndRun) -> Run:
    """Record how a run ended, unless it has ended; answers the run as it now stands."""
    found = transaction.rows("run", {"run": item.run})
    if not found:
        raise RefusalError("HR610", f"there is no run {item.run!r}")
    run = run_of(found[0])
    if run.ended_at is not None:
        return run
    summary = encoded(item.summary)
    body = {"run": item.run, "state": item.state.value, "summary": item.summary}
    transaction.append("run ended", body)
    values = {"run": item.run, "state": item.state.value, "ended_at": transaction.at}
    transaction.run("end_run", {**values, "summary": summary})
    transaction.run("end_attempts", {**values, "state": _END_OF_ATTEMPTS.get(item.state, AttemptState.FAILED).value})
    transaction.run("drop_leases_of_run", {"run": item.run})
    return replace(run, state=item.state, ended_at=transaction.at, summary=item.summary)


def _attempt_values(attempt: Attempt) -> dict[str, object]:
    return {
        "run": attempt.run,
        "node": attempt.node,
        "number": attempt.number,
        "key": attempt.key,
        "state": attempt.state.value,
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "error": None if attempt.error is None else encoded(attempt.error),
    }


def start_attempt(transaction: Transaction, item: StartAttempt) -> Attempt:
    """Record an attempt, running or over.

    An attempt of this number that is running becomes this one; one that ended stays beside it, as it was.
    """
    values = _attempt_values(item.attempt)
    if not transaction.run("add_first_attempt", values) and not transaction.run("change_attempt", values):
        transaction.run("add_attempt", values)
    return item.attempt


def end_attempt(transaction: Transaction, item: EndAttempt) -> Attempt:
    """Record how an attempt ended; the first end wins."""
    attempt = replace(item.attempt, state=item.state, error=item.error, ended_at=transaction.at)
    values = _attempt_values(attempt)
    if not transaction.run("change_attempt", values):
        transaction.run("add_first_attempt", values)
    return attempt


def take_lease(transaction: Transaction, item: TakeLease) -> Lease:
    """Take a lease that is free, or was of a dead owner; answers it, or the lease of whoever holds it."""
    values = {
        "environment": item.environment,
        "node": item.node,
        "owner": item.owner,
        "run": item.run,
        "since": transaction.at,
        "from_dead": item.from_dead,
    }
    taken = transaction.rows("take_lease", values)
    if taken:
        return Lease(item.environment, item.node, item.owner, item.run, taken[0][0], transaction.at)
    return lease_of(transaction.rows("lease", {"environment": item.environment, "node": item.node})[0])


def drop_lease(transaction: Transaction, item: DropLease) -> bool:
    """Give a lease back; answers whether it was still held."""
    lease = item.lease
    values = {"environment": lease.environment, "node": lease.node, "owner": lease.owner, "fence": lease.fence}
    return transaction.run("drop_lease", values) > 0


def send_signal(transaction: Transaction, item: SendSignal) -> Signal:
    """Leave a message; answers it with its id."""
    number = int(transaction.rows("newest_signal")[0][0]) + 1
    body = encoded(item.body)
    transaction.append("signal", {"id": number, "kind": item.kind, "subject": item.subject, "body": item.body})
    values = {"id": number, "kind": item.kind, "subject": item.subject, "body": body, "at": transaction.at}
    transaction.run("add_signal", values)
    return Signal(number, item.kind, item.subject, item.body, transaction.at)


def consume_signal(transaction: Transaction, item: ConsumeSignal) -> bool:
    """Take a message; answers whether this call took it."""
    if not transaction.run("consume_signal", {"id": item.id}):
        return False
    transaction.append("signal consumed", {"id": item.id})
    return True
