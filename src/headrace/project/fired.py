"""What the ledger keeps of a trigger: from when on it counts, each time that it fired, and what came of that.

Records are decisions. The n-th record of a trigger stands under a name that follows from n, and there is none without
the one before it, so that the newest is found in a few questions, however many there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headrace.ports.canonical import digest_of
from headrace.ports.records import Decision
from headrace.runtime.triggers import Mark

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from headrace.ports.ledger import Ledger
    from headrace.runtime.triggers import Fire, Trigger

_SCHEME = 1
_WAYS = 32
_DECLARED, _FIRED, _SETTLED = "declared", "fired", "settled"

NOTHING_NEW = "nothing new to learn from"
"""What came of a fire that changed nothing."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a trigger, of an environment: that it was declared so, or that it fired.

    `cause` is how it was declared then; `outcome` is what came of a fire, None until something did, `run` the run.
    """

    environment: str
    trigger: str
    number: int
    key: str
    cause: str
    mark: Mark
    reason: str
    at: str
    fired: bool
    outcome: str | None = None
    run: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it fired, and nothing has come of it yet."""
        return self.fired and self.outcome is None


def newest(ledger: Ledger, environment: str, trigger: str) -> Record | None:
    """The newest record of a trigger; None where there is none yet."""
    powers = [1 << exponent for exponent in range(_WAYS)]
    found = _there(ledger, environment, trigger, powers)
    if not found:
        return None
    low, high = max(found), 2 * max(found)  # it is there, it is not
    while high - low > 1:
        step = -(-(high - low) // _WAYS)
        probes = range(low + step, high, step)
        found = _there(ledger, environment, trigger, probes)
        low, high = max(found, default=low), min((each for each in probes if each not in found), default=high)
    return _records(ledger, environment, trigger, [low])[0]


def latest(ledger: Ledger, environment: str, trigger: str, count: int) -> list[Record]:
    """The latest records of a trigger, newest first."""
    last = newest(ledger, environment, trigger)
    if last is None:
        return []
    numbers = range(max(1, last.number - count + 1), last.number + 1)
    return sorted(_records(ledger, environment, trigger, numbers), key=lambda each: -each.number)


def declaration(environment: str, trigger: Trigger, mark: Mark, number: int, at: datetime) -> Decision:
    """The record that a trigger counts from this mark on."""
    key = digest_of([_DECLARED, _SCHEME, environment, trigger.name, number])
    record = Record(
        environment, trigger.name, number, key, str(trigger.cause), mark, "declared", _text(at), fired=False
    )
    return _decision(record, trigger.target, {})


def firing(environment: str, fire: Fire, number: int) -> Decision:
    """The record of a fire, under its key."""
    trigger = fire.trigger
    cause, at = str(trigger.cause), _text(fire.at)
    record = Record(environment, trigger.name, number, fire.key, cause, fire.mark, fire.reason, at, fired=True)
    return _decision(record, trigger.target, {"evidence": dict(fire.evidence)})


def settlement(record: Record, target: str, outcome: str, run: str | None, at: datetime) -> Decision:
    """The record of what came of a fire."""
    return Decision(
        key=digest_of([_SETTLED, _SCHEME, record.key]),
        node=target,
        candidate=_subject(record.environment, record.trigger, record.number),
        champion=None,
        passed=True,
        outcomes=(),
        facts={"kind": _SETTLED, "trigger": [record.environment, record.trigger], "fire": record.key, "is": outcome},
        run=run or "",
        made_at=_text(at),
    )


def record_of(decision: Decision) -> Record:
    """A declaration or a fire, read back."""
    facts = decision.facts
    environment, trigger = facts["trigger"]
    return Record(
        environment,
        trigger,
        facts["number"],
        decision.key,
        facts["cause"],
        Mark.from_facts(facts["mark"]),
        facts["reason"],
        decision.made_at,
        facts["kind"] == _FIRED,
    )


def _decision(record: Record, target: str, more: dict[str, object]) -> Decision:
    return Decision(
        key=record.key,
        node=target,
        candidate=_subject(record.environment, record.trigger, record.number),
        champion=None,
        passed=True,
        outcomes=(),
        facts={
            "kind": _FIRED if record.fired else _DECLARED,
            "trigger": [record.environment, record.trigger],
            "number": record.number,
            "cause": record.cause,
            "mark": dict(record.mark.to_facts()),
            "reason": record.reason,
            **more,
        },
        made_at=record.at,
    )


def _subject(environment: str, trigger: str, number: int) -> str:
    return digest_of(["trigger", _SCHEME, environment, trigger, number])


def _there(ledger: Ledger, environment: str, trigger: str, numbers: Iterable[int]) -> set[int]:
    """Which of these records there are."""
    subjects = {_subject(environment, trigger, number): number for number in numbers}
    return {subjects[each.candidate] for each in ledger.decisions(list(subjects))}


def _records(ledger: Ledger, environment: str, trigger: str, numbers: Iterable[int]) -> list[Record]:
    """These records, with what came of the fires among them."""
    decisions = ledger.decisions([_subject(environment, trigger, number) for number in numbers])
    settled = {each.facts["fire"]: each for each in decisions if each.facts["kind"] == _SETTLED}
    return [_with_outcome(record_of(each), settled) for each in decisions if each.facts["kind"] != _SETTLED]


def _with_outcome(record: Record, settled: dict[str, Decision]) -> Record:
    found = settled.get(record.key)
    if found is None:
        return record
    return replace(record, outcome=found.facts["is"], run=found.run)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
