"""Fires the triggers of an environment: each time for all that has come up since the last, and for nothing twice.

A fire is recorded in the ledger, together with the signals that it consumes, before its apply is asked for; what came
of it is recorded after. Whoever takes over finds a fire of which nothing has come yet, and asks for its apply again:
what that finds made already, it does not make again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headrace.ports.failpoints import failpoint
from headrace.ports.ledger import AddDecision, ConsumeSignal
from headrace.project.fired import NOTHING_NEW, declaration, firing, newest, record_of, settlement
from headrace.project.pacing import Pacing
from headrace.runtime.schedule import Cron, Every
from headrace.runtime.triggers import (
    BY_HAND,
    EVENT,
    Known,
    Mark,
    NewData,
    Published,
    covered,
    fires,
    subject_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from typing import Protocol

    from headrace.ports.records import PointerChange, Signal
    from headrace.project.applying import Ended, Then
    from headrace.project.fired import Record
    from headrace.project.workspace import Workspace
    from headrace.runtime.triggers import Fire, Trigger

    class Asks(Protocol):
        """Has an environment applied: `Applying.ask`."""

        def __call__(self, reason: str, only: frozenset[str], then: Then, /) -> None:
            """As soon as can be: only these nodes; `then` is told how it ended."""


@dataclass(slots=True)
class _Standing:
    """Where one trigger stands: its newest record, and whether the apply of that is asked for and has not ended."""

    record: Record
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class _End:
    """How the apply of a fire ended; `nodes` are those that it was to bring up to date."""

    trigger: Trigger
    record: Record
    how: Ended
    nodes: frozenset[str]

    def outcome(self) -> str:
        """What came of it, in words."""
        made, published = self.how.of("made"), self.how.of("published")
        refused = self.how.of("refused") | self.how.of("refused_before")
        found = [(made, "made"), (published - made, "published"), (refused, "refused")]
        told = [f"{what} {', '.join(sorted(names & self.nodes))}" for names, what in found if names & self.nodes]
        return "; ".join(told) or NOTHING_NEW


class Firing:
    """The triggers of one environment, looked at again and again by its one supervisor."""

    def __init__(self, workspace: Workspace, environment: str, ask: Asks, say: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._environment = environment
        self._ask = ask
        self._say = say
        self._standing: dict[str, _Standing] = {}
        self._moves = _Moves(workspace, environment)
        self._counter: int | None = None
        self._observed: Mapping[str, str] = {}
        self._next: datetime | None = None
        self._again = True
        self._ended: list[_End] = []
        self.triggers: tuple[Trigger, ...] = ()
        """Those that were declared at the last look. May be read by any thread."""

    def look(self, observed: Mapping[str, str]) -> None:
        """Fire what is due. `observed` are digests of what sources hold, as far as they could be looked at."""
        while self._ended:
            self._settle(self._ended[0])
            del self._ended[0]
        self.load()
        now = self._workspace.clock.now()
        counter = self._workspace.ledger.change_counter()
        is_time = self._next is not None and now >= self._next
        if not (self._again or is_time or counter != self._counter or observed != self._observed):
            return
        self._counter, self._observed, self._again = counter, observed, True
        self._look(now)
        self._again = False  # after an error, all of it is looked at again

    def load(self) -> None:
        """Take up what is declared now. Raises what importing the pipeline raises."""
        triggers = self._workspace.pipeline.triggers
        if triggers != self.triggers:
            self.triggers, self._again = triggers, True

    def _look(self, now: datetime) -> None:
        for trigger in self.triggers:
            self._take_up(trigger, now)
        free = [each for each in self.triggers if each.name in self._standing and not self._standing[each.name].is_busy]
        known = self._known(free)
        late = covered(known)
        if late:
            self._workspace.ledger.write(*map(ConsumeSignal, late))
        for fire in fires(free, known, now):
            self._fire(fire)
        schedules = [each.cause for each in self.triggers if isinstance(each.cause, Every | Cron)]
        self._next = min((each.next_after(now) for each in schedules), default=None)

    def _take_up(self, trigger: Trigger, now: datetime) -> None:
        """Go on where a trigger was left; one that is new, or declared otherwise than before, counts from now on."""
        standing = self._standing.get(trigger.name)
        if standing is None:
            record = newest(self._workspace.ledger, self._environment, trigger.name)
            standing = None if record is None else _Standing(record)
            if standing is not None:
                self._standing[trigger.name] = standing
                if standing.record.is_open:
                    self._start(trigger, standing.record, f"again: {standing.record.reason}")
        if standing is None or (standing.record.cause != str(trigger.cause) and not standing.is_busy):
            self._declare(trigger, standing, now)

    def _declare(self, trigger: Trigger, standing: _Standing | None, now: datetime) -> None:
        mark, number = (Mark(), 1) if standing is None else (standing.record.mark, standing.record.number + 1)
        if isinstance(trigger.cause, NewData):
            if trigger.cause.source not in self._observed:
                return
            mark = replace(mark, digest=self._observed[trigger.cause.source])
        entry = self._moves.newest(trigger.cause.nodes) if isinstance(trigger.cause, Published) else mark.entry
        mark = replace(mark, scheduled=now, entry=entry)
        self._write(trigger.name, AddDecision(declaration(self._environment, trigger, mark, number, now)))

    def _fire(self, fire: Fire) -> None:
        name = fire.trigger.name
        number = self._standing[name].record.number + 1
        record = AddDecision(firing(self._environment, fire, number))
        failpoint("fire.record.before")
        self._write(name, record, *map(ConsumeSignal, fire.signals))
        failpoint("fire.record.after")
        self._start(fire.trigger, self._standing[name].record, fire.reason)

    def _write(self, name: str, record: AddDecision, *signals: ConsumeSignal) -> None:
        """Write a record, and take the signals that it covers: durable together."""
        answer, *_ = self._workspace.ledger.write(record, *signals)
        self._standing[name] = _Standing(record_of(answer.get()))

    def _start(self, trigger: Trigger, record: Record, reason: str) -> None:
        """Ask for the apply of a fire. It ends well, or it is tried again: then what comes up meanwhile fires anew."""
        self._standing[trigger.name].is_busy = True
        pacing = Pacing.of(self._workspace.pipeline, self._workspace.graph)
        made = pacing.made_with(trigger.target)

        def then(ended: Ended) -> None:
            self._ended.append(_End(trigger, record, ended, frozenset(pacing.graph.ancestors(made))))

        self._ask(f"{trigger.name} ({reason})", made, then)

    def _settle(self, end: _End) -> None:
        """Record what came of a fire. Nothing is recorded of a failure: its apply is tried again."""
        standing = self._standing[end.trigger.name]
        if end.how.good:
            outcome, run, now = end.outcome(), end.how.run, self._workspace.clock.now()
            failpoint("fire.settle.before")
            self._workspace.ledger.write(AddDecision(settlement(end.record, end.trigger.target, outcome, run, now)))
            failpoint("fire.settle.after")
            self._say(f"{end.trigger.name}: {outcome}")
            if standing.record.key == end.record.key:
                standing.record = replace(end.record, outcome=outcome, run=run or "")
        standing.is_busy = False
        self._again = True

    def _known(self, triggers: Sequence[Trigger]) -> Known:
        """What there is to know for these triggers."""
        marks = {each.name: self._standing[each.name].record.mark for each in triggers}
        signals = signals_for(self._workspace, self._environment, triggers)
        lowest = min((mark.entry for mark in marks.values()), default=0)
        watched = {node for each in triggers if isinstance(each.cause, Published) for node in each.cause.nodes}
        changes = [each for each in self._moves.since(watched) if each.entry > lowest]
        return Known(self._environment, marks, self._observed, changes, signals)


class _Moves:
    """Pointer moves of watched nodes. The history of a node is read when its pointer has moved, not at each look."""

    def __init__(self, workspace: Workspace, environment: str) -> None:
        self._workspace = workspace
        self._environment = environment
        self._pointers: dict[str, str | None] = {}
        self._moves: dict[str, Sequence[PointerChange]] = {}

    def since(self, nodes: set[str]) -> list[PointerChange]:
        """All moves of these nodes."""
        if nodes:
            pointers = self._workspace.ledger.snapshot(self._environment).pointers
            for node in nodes:
                now = pointers.get(node)
                if node not in self._moves or self._pointers[node] != now:
                    self._moves[node] = self._workspace.ledger.history(self._environment, node)
                    self._pointers[node] = now
        return [move for node in sorted(nodes) for move in self._moves[node]]

    def newest(self, nodes: Sequence[str]) -> int:
        """The entry of the newest move of these nodes; 0 where there is none."""
        return max((move.entry for move in self.since(set(nodes))), default=0)


def signals_for(workspace: Workspace, environment: str, triggers: Sequence[Trigger]) -> list[Signal]:
    """The signals that wait for these triggers."""
    subjects = [subject_of(environment, trigger.name) for trigger in triggers]
    return [
        each for subject in subjects for kind in (EVENT, BY_HAND) for each in workspace.ledger.signals(kind, subject)
    ]
