"""A roll-out as a state machine: its stages, what may happen in each, and what follows from what was measured. Pure.

Where a roll-out stands follows from the ledger alone: the endpoint points to the candidate, another pointer to what is
settled, and each step since is a decision about the candidate. So it goes on wherever a server was killed, and two
servers cannot take the same step twice: the key of a decision names its number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from headrace.errors import HeadraceError
from headrace.graph.conditions import evaluate
from headrace.ports.canonical import digest_of
from headrace.ports.records import Decision, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.endpoints.canary import Canary
    from headrace.graph.conditions import Measured
    from headrace.ports.records import PointerChange

_SCHEME: Final = 1
SERVER: Final = "server"
PERSON: Final = "person"


class Action(StrEnum):
    """What can happen to a roll-out."""

    ADVANCE = "advance"
    HOLD = "hold"
    RESUME = "resume"
    FINISH = "finish"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Stage:
    """How much the candidate answers: `share` percent of the requests. With `shadow`, it is only asked besides.

    `seconds` is how long the stage lasts at least.
    """

    share: int
    seconds: float
    shadow: bool = False

    def __str__(self) -> str:
        return "shadow" if self.shadow else f"{self.share} %"


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that was taken: by whom, when, why, and to which stage it led."""

    action: Action
    stage: int
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Subject:
    """What is rolled out: in which environment, from which version to which one, by which move of the pointer."""

    environment: str
    endpoint: str
    settled: str
    published: PointerChange

    @property
    def candidate(self) -> str:
        """The key of the new version."""
        return self.published.key or ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a roll-out stands. `stage` counts from 0; `since` is when it began; `ended` is how it ended, if it did."""

    subject: Subject
    plan: Canary
    steps: tuple[Taken, ...]
    stage: int
    since: datetime
    held: bool
    ended: Action | None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, in order."""
        return stages(self.plan)

    @property
    def current(self) -> Stage:
        """The present stage."""
        return self.stages[self.stage]

    @property
    def share(self) -> int:
        """The percentage of the requests that the candidate answers."""
        if self.ended is Action.ABORT or (self.ended is None and self.current.shadow):
            return 0
        return 100 if self.ended is Action.FINISH else self.current.share

    @property
    def shadowed(self) -> bool:
        """Whether the candidate is asked besides."""
        return self.ended is None and self.current.shadow


@dataclass(frozen=True, slots=True)
class Watched:
    """What was measured of both versions since the present stage began; `broken` is why the candidate cannot answer."""

    candidate: Measured
    settled: Measured
    broken: str | None = None


@dataclass(frozen=True, slots=True)
class Proposed:
    """A step to be taken."""

    action: Action
    reason: str
    by: str
    outcomes: tuple[Outcome, ...] = ()


def stages(plan: Canary) -> tuple[Stage, ...]:
    """The stages of a declared roll-out."""
    shadow = (Stage(0, plan.shadow, shadow=True),) if plan.shadow else ()
    return (*shadow, *(Stage(share, plan.bake) for share in plan.shares))


def standing_of(subject: Subject, plan: Canary, decisions: Iterable[Decision]) -> Standing:
    """Where a roll-out stands, by the decisions about its candidate; those of other roll-outs are passed over."""
    own = [each for each in decisions if each.facts.get("rollout") == _identity(subject)]
    stage, held, ended = 0, False, None
    since = datetime.fromisoformat(subject.published.at)
    steps: list[Taken] = []
    for each in sorted(own, key=lambda found: found.facts["step"]):
        action, at = Action(each.facts["action"]), datetime.fromisoformat(each.made_at)
        if action is Action.ADVANCE:
            stage, since, held = stage + 1, at, False
        elif action in (Action.HOLD, Action.RESUME):
            held = action is Action.HOLD
        else:
            ended = action
        steps.append(Taken(action, stage, each.facts["reason"], each.facts["by"], at))
    return Standing(subject, plan, tuple(steps), stage, since, held, ended)


def next_step(standing: Standing, now: datetime, watched: Watched) -> Proposed | None:
    """What a server does next, if anything. A held roll-out does not advance, but is aborted where that is due."""
    if standing.ended is not None:
        return None
    if watched.broken is not None:
        return Proposed(Action.ABORT, f"the new version cannot answer: {watched.broken}", SERVER)
    answers = watched.candidate.overall.get("answers") or 0
    if answers < standing.plan.answers:
        return None
    found = evaluate(standing.plan.abort_if, watched.candidate, watched.settled)
    outcomes = tuple(Outcome(f"not {each.condition}", not each.passed, each.seen) for each in found)
    if failed := [each for each in found if each.passed]:
        reason = "; ".join(f"{each.condition} ({each.seen})" for each in failed)
        return Proposed(Action.ABORT, reason, SERVER, outcomes)
    if standing.held or (now - standing.since).total_seconds() < standing.current.seconds:
        return None
    seen = f"{answers:,.0f} answers in {standing.current}"
    last = standing.stage == len(standing.stages) - 1
    return Proposed(Action.FINISH if last else Action.ADVANCE, seen, SERVER, outcomes)


def asked_for(standing: Standing, action: Action) -> Proposed:
    """The step that a person asks for; advancing out of the last stage finishes. Raises HR943 where it cannot be."""
    if standing.ended is not None:
        raise HeadraceError("HR943", f"the roll-out of {standing.subject.endpoint} has ended")
    if action is Action.HOLD and standing.held:
        raise HeadraceError("HR943", f"the roll-out of {standing.subject.endpoint} is held already")
    if action is Action.RESUME and not standing.held:
        raise HeadraceError("HR943", f"the roll-out of {standing.subject.endpoint} is not held")
    last = standing.stage == len(standing.stages) - 1
    finishes = action is Action.ADVANCE and last
    return Proposed(Action.FINISH if finishes else action, "asked for by a person", PERSON)


def decision_of(standing: Standing, proposed: Proposed, at: str) -> Decision:
    """A step as a decision. Its key is that of the step's number: the first one to write it has taken the step."""
    subject = standing.subject
    number = len(standing.steps)
    return Decision(
        key=digest_of(["rollout", _SCHEME, *_identity(subject), number]),
        node=subject.endpoint,
        candidate=subject.candidate,
        champion=subject.settled,
        passed=proposed.action is not Action.ABORT,
        outcomes=proposed.outcomes,
        facts={
            "rollout": _identity(subject),
            "step": number,
            "action": proposed.action.value,
            "stage": str(standing.current),
            "reason": proposed.reason,
            "by": proposed.by,
        },
        run=subject.published.run,
        made_at=at,
    )


def is_step(decision: Decision) -> bool:
    """Whether a decision is a step of a roll-out, rather than that of a gate."""
    return "rollout" in decision.facts


def _identity(subject: Subject) -> list[str | int]:
    """What tells this roll-out from any other one, an earlier one of the same version too."""
    return [subject.environment, subject.endpoint, subject.published.entry]
