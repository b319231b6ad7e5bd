"""Runs whose owner is dead: found at once by the owner's operating-system lock, recorded as crashed, and taken over."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from headrace.ports.ledger import EndRun, StartAttempt
from headrace.ports.records import Attempt, AttemptState, RunState

if TYPE_CHECKING:
    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Run
    from headrace.runtime.observer import Observer


class Owners(Protocol):
    """Who is alive. An owner holds an operating-system lock for as long as its process lives."""

    def alive(self, owner: str) -> bool:
        """Whether the process of this owner lives."""

    def describe(self, owner: str) -> str:
        """The owner as people know it: process, host, since when."""


def crashed(run: Run, owners: Owners) -> bool:
    """Whether the process of a run that has not ended is gone, which the next one that writes will record."""
    return run.state is RunState.RUNNING and not owners.alive(run.owner)


def recover(ledger: Ledger, owners: Owners, observer: Observer) -> list[str]:
    """Record every run whose owner is dead as crashed, with the steps that it was at. Answers the ids of those runs."""
    found = []
    for run in ledger.runs(state=RunState.RUNNING):
        if not crashed(run, owners):
            continue
        tried = Counter(attempt.node for attempt in ledger.attempts(run.id))
        held = [lease for lease in ledger.leases(run.environment) if lease.run == run.id]
        items = [
            StartAttempt(
                Attempt(run.id, each.node, "", tried[each.node] + 1, AttemptState.CRASHED, each.since, each.since)
            )
            for each in held
        ]
        for answer in ledger.write(*items, EndRun(run.id, RunState.CRASHED)):
            answer.get()
        observer.took_over(run.id, run.owner)
        found.append(run.id)
    return found
