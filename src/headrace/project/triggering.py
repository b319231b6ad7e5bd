"""The triggers of an environment for people: where each stands, and how to fire one by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError, suggestion
from headrace.project.bell import ring
from headrace.project.fired import latest
from headrace.project.firing import signals_for
from headrace.project.pacing import Pacing
from headrace.project.up import bell_of
from headrace.runtime.environments import existing
from headrace.runtime.schedule import Cron, Every
from headrace.runtime.triggers import ByHand, asked_by_hand

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from headrace.ports.records import Json, Signal
    from headrace.project.fired import Record
    from headrace.project.workspace import Workspace
    from headrace.runtime.triggers import Trigger

_LOOKED_AT = 4
"""Records of a trigger among which its last fire is looked for: the others are changes of its declaration."""


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a trigger stands: what it makes, its last fire, its next time (of a schedule), the signals that wait."""

    trigger: Trigger
    makes: tuple[str, ...]
    last: Record | None
    following: datetime | None
    waiting: tuple[Signal, ...]

    def to_json(self) -> Json:
        """Plain data."""
        last = self.last
        return {
            "name": self.trigger.name,
            "node": self.trigger.target,
            "makes": list(self.makes),
            "on": str(self.trigger.cause),
            "last": last
            and {
                "at": last.at,
                "reason": last.reason,
                "outcome": last.outcome,
                "run": last.run or None,
                "key": last.key,
            },
            "next": self.following and self.following.isoformat(),
            "waiting": [{"kind": each.kind, "at": each.at, "body": dict(each.body)} for each in self.waiting],
        }


def stands(workspace: Workspace, environment: str) -> list[Stand]:
    """Where the triggers of an environment stand, in the order of their names."""
    triggers = sorted(workspace.pipeline.triggers, key=lambda each: each.name)
    return [_stand(workspace, environment, each) for each in triggers]


def fire_by_hand(workspace: Workspace, environment: str, trigger: Trigger, reason: str) -> bool:
    """Leave a signal that fires a trigger once, and wake the supervisor; answers whether there is one.

    Raises HR609 for an unknown environment: the signal would wait for ever.
    """
    if environment != workspace.settings.environment:
        existing(workspace.ledger, environment)
    body = {"reason": reason} if reason else {}
    for answer in workspace.ledger.write(asked_by_hand(environment, trigger, body)):
        answer.get()
    return ring(bell_of(workspace, environment))


def trigger_of(triggers: Sequence[Trigger], name: str) -> Trigger:
    """The trigger of this name, or one that makes the node of this name. Raises HR968."""
    for each in triggers:
        if each.name == name:
            return each
    making = [each for each in triggers if each.target == name]
    if not making:
        known = [*(each.name for each in triggers), *(each.target for each in triggers)]
        raise HeadraceError("HR968", f"there is no trigger {name!r}", fix=suggestion(name, known) if known else None)
    return min(making, key=lambda each: (not isinstance(each.cause, ByHand), each.name))


def _stand(workspace: Workspace, environment: str, trigger: Trigger) -> Stand:
    records = latest(workspace.ledger, environment, trigger.name, _LOOKED_AT)
    cause, now = trigger.cause, workspace.clock.now()
    made = Pacing.of(workspace.pipeline, workspace.graph).made_with(trigger.target)
    return Stand(
        trigger=trigger,
        makes=tuple(name for name in workspace.graph.nodes if name in made),
        last=next((each for each in records if each.fired), None),
        following=cause.next_after(now) if isinstance(cause, Every | Cron) else None,
        waiting=tuple(signals_for(workspace, environment, [trigger])),
    )
