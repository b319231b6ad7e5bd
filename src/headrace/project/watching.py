"""Whoever looks after the roll-outs of a server: it measures, takes the steps that are due, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.endpoints.rollout import Action, Watched, next_step
from headrace.errors import HeadraceError
from headrace.project.rollouts import Answering, answering, complete, settle, take

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.endpoints.lanes import Counts
    from headrace.endpoints.rollout import Standing
    from headrace.ports.clock import Clock
    from headrace.ports.ledger import Ledger

_LOOK = 0.5
"""Seconds between two looks at what was measured."""
_RACES = ("HR602", "HR944")
"""Somebody else was first: the next look sees what they did."""


class RolloutWatch:
    """Advances and ends the roll-outs of one environment. `count` tells what was counted of an endpoint's version."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        environment: str,
        count: Callable[[str, str], Counts],
        say: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._environment = environment
        self._count = count
        self._say = say
        self._seen: int | None = None
        self._found: Mapping[str, Answering] = {}
        self._before: dict[tuple[str, int, int, str], Counts] = {}
        self._due = 0.0

    def look(self) -> None:
        """Take the steps that are due. What somebody else did meanwhile is no error."""
        now = self._clock.monotonic()
        if now < self._due:
            return
        self._due = now + _LOOK
        try:
            self._refresh()
            for found in self._found.values():
                if found.standing is not None:
                    self._go_on(found.standing)
        except HeadraceError as error:
            self._seen = None
            if error.code not in _RACES:
                self._say(f"Roll-outs wait: {error.code} {error.what}")

    def _refresh(self) -> None:
        """Read the ledger where it has moved."""
        counter = self._ledger.change_counter()
        if counter == self._seen:
            return
        snapshot = self._ledger.snapshot(self._environment)
        self._found = answering(self._ledger, snapshot)
        for found in self._found.values():
            settle(self._ledger, snapshot, found)
            if found.standing is not None:
                complete(self._ledger, found.standing)
        self._seen = counter

    def _go_on(self, standing: Standing) -> None:
        proposed = next_step(standing, self._clock.now(), self._watched(standing))
        if proposed is None:
            return
        reached = take(self._ledger, self._clock, standing, proposed)
        self._seen = None
        self._say(_told(standing, reached))

    def _watched(self, standing: Standing) -> Watched:
        """What both versions did since the stage began, or since this server did."""
        subject = standing.subject
        found = []
        for version in (subject.candidate, subject.settled):
            counts = self._count(subject.endpoint, version)
            place = (subject.endpoint, subject.published.entry, standing.stage, version)
            found.append(counts.since(self._before.setdefault(place, counts)))
        broken = "it cannot be loaded" if self._count(subject.endpoint, subject.candidate).unloaded else None
        return Watched(found[0].measured(), found[1].measured(), broken)


def _told(before: Standing, reached: Standing) -> str:
    name, step = before.subject.endpoint, reached.steps[-1]
    if reached.ended is Action.FINISH:
        return f"{name}: {before.subject.candidate[:12]} answers everything now ({step.reason})"
    if reached.ended is Action.ABORT:
        return f"{name}: back to {before.subject.settled[:12]}, and held there: {step.reason}"
    return f"{name}: {before.current} -> {reached.current} of {before.subject.candidate[:12]} ({step.reason})"
