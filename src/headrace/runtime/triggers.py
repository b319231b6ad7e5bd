"""What is due: declared triggers against what the ledger knows. Pure.

A `Fire` asks for one run of one trigger, whatever number of signals, publishes and scheduled times led to it. It
carries `mark`: how far the trigger has come when it has fired. The supervisor

1. records the fire durably under its key (the first record of a key wins),
2. starts the run under that key,
3. consumes the signals that the fire names (`covered` finds those that it did not live to consume).

Marks come from recorded fires, so that a supervisor killed between any two of these steps neither fires twice for the
same evidence nor loses any. Signals bear ever growing numbers, and a fire takes all that wait for its trigger: the
highest number says it all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from headrace.errors import HeadraceError
from headrace.ports.canonical import digest_of
from headrace.ports.ledger import SendSignal
from headrace.runtime.schedule import Cron, Due, Every, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headrace.graph.node import Node
    from headrace.ports.records import Facts, Observation, PointerChange, Signal

EVENT: Final = "event"
"""The kind of a signal that came from outside."""

BY_HAND: Final = "by hand"
"""The kind of a signal that a person sent."""

_NAME = re.compile(r"[\w.-]{1,200}")


class Declared(Protocol):
    """A node, or a class of features."""

    @property
    def __headrace_node__(self) -> str:
        """The name of the node."""


@dataclass(frozen=True, slots=True)
class NewData:
    """Fires when a source holds other batches than it did when the trigger last fired."""

    source: str

    def __str__(self) -> str:
        return f"new data at {self.source}"


@dataclass(frozen=True, slots=True)
class Published:
    """Fires when one of these nodes has been published: its pointer moved to a version."""

    nodes: tuple[str, ...]

    def __str__(self) -> str:
        return "publish of " + " or ".join(self.nodes)


@dataclass(frozen=True, slots=True)
class Event:
    """Fires when an event of this type comes from outside."""

    type: str

    def __str__(self) -> str:
        return f"event {self.type}"


@dataclass(frozen=True, slots=True)
class ByHand:
    """Fires when a person says so, and only then; every other trigger can be fired by hand as well."""

    def __str__(self) -> str:
        return "by hand"


Cause: TypeAlias = Schedule | NewData | Published | Event | ByHand


def published(*nodes: Declared) -> Published:
    """When one of these nodes has been published: `pipeline.trigger(report, on=published(orders))`."""
    return Published(tuple(node.__headrace_node__ for node in nodes))


def new_data(source: Declared) -> NewData:
    """When a source holds something new: `pipeline.trigger(orders, on=new_data(raw_orders))`."""
    return NewData(source.__headrace_node__)


def event(type: str) -> Event:  # noqa: A002 - what CloudEvents call it
    """When an event of this type comes in, at the address of `headrace up`: `on=event("com.example.refresh")`."""
    return Event(type)


def by_hand() -> ByHand:
    """When somebody calls `headrace trigger`, and only then; every other trigger can be fired by hand as well."""
    return ByHand()


@dataclass(frozen=True, slots=True)
class Trigger:
    """A declared trigger: its name, the node that is made when it fires, and what makes it fire."""

    name: str
    target: str
    cause: Cause

    def __str__(self) -> str:
        return f"{self.name}: {self.target} on {self.cause}"


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a trigger has come: what it has fired for. It is kept with each recorded fire.

    `fires` counts them. `scheduled` is the time of its schedule that it fired for last; `digest` is what its source
    held; `entry` and `signal` are the numbers of the last ledger entry and of the last signal that it has seen to.
    """

    fires: int = 0
    scheduled: datetime | None = None
    digest: str | None = None
    entry: int = 0
    signal: int = 0

    def to_facts(self) -> Facts:
        """Plain data."""
        return {
            "fires": self.fires,
            "scheduled": None if self.scheduled is None else self.scheduled.isoformat(),
            "digest": self.digest,
            "entry": self.entry,
            "signal": self.signal,
        }

    @classmethod
    def from_facts(cls, facts: Facts) -> Mark:
        """The inverse of `to_facts`."""
        at = facts["scheduled"]
        scheduled = None if at is None else datetime.fromisoformat(at)
        return cls(facts["fires"], scheduled, facts["digest"], facts["entry"], facts["signal"])


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger and the sources say about one environment.

    `marks` are those of the newest recorded fire of each trigger, by its name; `observed` is the digest of what each
    source holds (see `observed_digest`); `changes` are pointer changes, those after the lowest mark at least; `signals`
    are those that nobody has consumed.
    """

    environment: str
    marks: Mapping[str, Mark] = field(default_factory=dict)
    observed: Mapping[str, str] = field(default_factory=dict)
    changes: Sequence[PointerChange] = ()
    signals: Sequence[Signal] = ()


@dataclass(frozen=True, slots=True)
class Fire:
    """One trigger fires: why, when, for what, and how far it has come thereby.

    `key` follows from the environment, the trigger, its mark so far and the evidence, not from the time: it is the same
    however often the same evidence is looked at.
    """

    trigger: Trigger
    reason: str
    at: datetime
    evidence: Facts
    mark: Mark
    key: str

    @property
    def signals(self) -> tuple[int, ...]:
        """The numbers of the signals to consume once the fire is recorded."""
        return tuple(self.evidence.get("signals", ()))


@dataclass(frozen=True, slots=True)
class _Finding:
    """One cause that holds: its reason, its share of the evidence, and what it changes of the mark."""

    reason: str
    evidence: Facts
    mark: Facts


def declared(node: Declared, cause: Cause, name: str | None, nodes: Mapping[str, Node]) -> Trigger:
    """A trigger as it is declared on a pipeline of these nodes. Raises HR948 for what it cannot be."""
    target = _known(node, nodes, "node")
    if isinstance(cause, NewData):
        _known(_Named(cause.source), nodes, "source")
        if nodes[cause.source].inputs:
            raise HeadraceError("HR948", f"{cause.source} is no source", fix=f"Use on=published({cause.source}).")
    elif isinstance(cause, Published):
        for each in cause.nodes:
            _known(_Named(each), nodes, "node")
    elif not isinstance(cause, Every | Cron | Event | ByHand):
        raise HeadraceError("HR948", f"{target} cannot be made on {cause!r}")
    name = f"{target}-{_suffix(cause)}" if name is None else name
    if not _NAME.fullmatch(name):
        raise HeadraceError("HR948", f"{name!r} is no name of a trigger", fix="Use letters, digits, _, - and dots.")
    return Trigger(name, target, cause)


@dataclass(frozen=True, slots=True)
class _Named:
    """A node of which only the name is known."""

    __headrace_node__: str


def _known(node: Declared, nodes: Mapping[str, Node], what: str) -> str:
    name: object = getattr(node, "__headrace_node__", None)
    if not isinstance(name, str) or name not in nodes:
        raise HeadraceError("HR948", f"{name or node!r} is no {what} of this pipeline")
    return name


def _suffix(cause: Cause) -> str:
    """What a trigger is called after, besides its node."""
    if isinstance(cause, Every | Cron):
        return "schedule"
    if isinstance(cause, ByHand):
        return "by-hand"
    names = (
        cause.nodes if isinstance(cause, Published) else (cause.source if isinstance(cause, NewData) else cause.type,)
    )
    return "-".join(["on", *names])


def fires(triggers: Sequence[Trigger], known: Known, now: datetime) -> list[Fire]:
    """What is due, sorted by the name of the trigger; at most one fire for each. Errors as for `checked`."""
    due = (_fire(trigger, known, now) for trigger in sorted(checked(triggers), key=lambda trigger: trigger.name))
    return [fire for fire in due if fire is not None]


def checked(triggers: Sequence[Trigger]) -> Sequence[Trigger]:
    """The triggers themselves. Raises HR965 for two of one name, HR966 for one that waits for its own target."""
    names: set[str] = set()
    for trigger in triggers:
        if trigger.name in names:
            raise HeadraceError("HR965", f"two triggers are named {trigger.name!r}")
        if isinstance(trigger.cause, Published) and trigger.target in trigger.cause.nodes:
            raise HeadraceError("HR966", f"the trigger {trigger.name!r} makes {trigger.target!r} and waits for it")
        names.add(trigger.name)
    return triggers


def subject_of(environment: str, trigger: str) -> str:
    """Whom a signal is for: a trigger of one environment."""
    return f"{environment}:{trigger}"


def asked_by_hand(environment: str, trigger: Trigger, body: Facts) -> SendSignal:
    """The signal that fires a trigger by hand; `body` says who asks and why."""
    return SendSignal(BY_HAND, subject_of(environment, trigger.name), body)


def signals_of(environment: str, triggers: Iterable[Trigger], kind: str, body: Facts) -> list[SendSignal]:
    """The signals of an event of this type: one for each trigger that waits for it, to be written in one call."""
    waiting = (each.name for each in triggers if isinstance(each.cause, Event) and each.cause.type == kind)
    return [SendSignal(EVENT, subject_of(environment, name), body) for name in sorted(waiting)]


def covered(known: Known) -> list[int]:
    """Signals that a recorded fire has seen to and that still wait to be consumed, in order."""
    seen = {subject_of(known.environment, name): mark.signal for name, mark in known.marks.items()}
    return sorted(each.id for each in known.signals if _addressed(each) and each.id <= seen.get(each.subject, 0))


def observed_digest(observation: Observation) -> str:
    """What a source holds, as one digest: another one for any batch that is new, changed or gone."""
    return digest_of(observation.identity())


def _addressed(signal: Signal) -> bool:
    return signal.kind in (EVENT, BY_HAND)


def _mark(known: Known, name: str) -> Mark:
    return known.marks.get(name, Mark())


def _fire(trigger: Trigger, known: Known, now: datetime) -> Fire | None:
    """Everything that speaks for one trigger, in one fire."""
    mark = _mark(known, trigger.name)
    found = [each for each in (_of_cause(trigger, known, mark, now), _of_signals(trigger, known, mark)) if each]
    if not found:
        return None
    evidence: dict[str, object] = {}
    changes: dict[str, object] = {}
    for each in found:
        evidence |= each.evidence
        changes |= each.mark
    facts = {**mark.to_facts(), **changes, "fires": mark.fires + 1}
    key = digest_of(("fire", known.environment, trigger.name, mark.to_facts(), evidence))
    reason = "; ".join(each.reason for each in found)
    return Fire(trigger, reason, now, evidence, Mark.from_facts(facts), key)


def _of_cause(trigger: Trigger, known: Known, mark: Mark, now: datetime) -> _Finding | None:
    """Whether the trigger's own cause holds. Events and orders by hand come as signals."""
    cause = trigger.cause
    if isinstance(cause, Every | Cron):
        due = cause.due(mark.scheduled, now)
        return None if due is None else _of_schedule(due)
    if isinstance(cause, NewData):
        return _of_data(cause, known, mark)
    if isinstance(cause, Published):
        return _of_publishes(cause, known, mark)
    return None


def _of_schedule(due: Due) -> _Finding:
    at = due.at.isoformat()
    return _Finding(str(due), {"scheduled": at, "missed": due.missed}, {"scheduled": at})


def _of_data(cause: NewData, known: Known, mark: Mark) -> _Finding | None:
    digest = known.observed.get(cause.source)
    if digest is None or digest == mark.digest:
        return None
    reason = f"{'first' if mark.digest is None else 'new'} data at {cause.source}"
    return _Finding(reason, {"source": cause.source, "digest": digest, "before": mark.digest}, {"digest": digest})


def _of_publishes(cause: Published, known: Known, mark: Mark) -> _Finding | None:
    moved = [each for each in known.changes if each.entry > mark.entry and each.key and each.node in cause.nodes]
    if not moved:
        return None
    newest = {each.node: each.key for each in sorted(moved, key=lambda each: each.entry)}
    last = max(each.entry for each in moved)
    times = "" if len(moved) == len(newest) else f", {len(moved)} times in all"
    reason = f"{', '.join(sorted(newest))} published{times}"
    return _Finding(reason, {"published": dict(sorted(newest.items())), "entry": last}, {"entry": last})


def _of_signals(trigger: Trigger, known: Known, mark: Mark) -> _Finding | None:
    subject = subject_of(known.environment, trigger.name)
    waiting = [each for each in known.signals if each.subject == subject and _addressed(each)]
    waiting = sorted((each for each in waiting if each.id > mark.signal), key=lambda each: each.id)
    if not waiting:
        return None
    counts = {kind: sum(each.kind == kind for each in waiting) for kind in (EVENT, BY_HAND)}
    asked = {
        EVENT: f"{counts[EVENT]} event" + ("s" if counts[EVENT] > 1 else ""),
        BY_HAND: "asked for by hand" + (f" {counts[BY_HAND]} times" if counts[BY_HAND] > 1 else ""),
    }
    reason = "; ".join(text for kind, text in asked.items() if counts[kind])
    return _Finding(reason, {"signals": [each.id for each in waiting]}, {"signal": waiting[-1].id})
