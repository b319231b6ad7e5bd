"""One policy lived through: questions answered, labels that come late, monitors that fire, models made again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.monitors.monitor import Monitor
from headrace.monitors.policies import is_due
from headrace.ports.canonical import digest_of
from headrace.ports.work import Action
from headrace.project.replay_arrivals import micros
from headrace.project.replay_traffic import Event, Traffic
from headrace.project.replay_watch import Watching
from headrace.runtime.environments import release

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    import numpy as np
    import numpy.typing as npt

    from headrace.monitors.policies import Policy
    from headrace.plan.plan import Plan
    from headrace.ports.records import Json, Version
    from headrace.project.replay_answers import Scores
    from headrace.project.replay_scratch import Life
    from headrace.project.replay_world import World
    from headrace.runtime.applied import Applied

MADE, REFUSED, FAILED, UNCHANGED = "made", "refused", "failed", "unchanged"


@dataclass(frozen=True, slots=True)
class Retraining:
    """A model that was to be made again. `seconds` is what making it took, whichever policy made it first.

    `outcome` is "made" (it passed its gate), "refused" (by its gate), "failed", or "unchanged": nothing new had come.
    """

    at: datetime
    reason: str
    outcome: str
    told: str
    key: str
    seconds: float

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "at": self.at.isoformat(),
            "reason": self.reason,
            "outcome": self.outcome,
            "told": self.told,
            "version": self.key,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Lived:
    """What came of a policy. `score` and `by` are by question: see `Traffic`. `state` digests all of its ledger."""

    policy: Policy
    score: npt.NDArray[np.float64]
    by: npt.NDArray[np.int32]
    models: tuple[str, ...]
    retrainings: tuple[Retraining, ...]
    events: tuple[Event, ...]
    task: str
    state: str


class Living:
    """Lives one policy through, from the first model to the end of the period."""

    def __init__(self, world: World, life: Life, policy: Policy, scores: Scores) -> None:
        self._world = world
        self._life = life
        self._policy = policy
        self._traffic = Traffic(world, life, scores)
        acts = frozenset[str]() if policy.on is None else world.acting[policy.on]
        self._watching = Watching(world, life, self._traffic, acts)
        self._retrainings: list[Retraining] = []

    def live(self, every: timedelta, progress: Callable[[datetime], None]) -> Lived:
        """All of it. Raises HR998 where no first model can be published."""
        first, end, clock = self._world.span.first, self._world.span.end, self._life.clock
        self._begin()
        since = clock.now()
        while clock.now() < end:
            self._traffic.answer(min(clock.now() + every, end))
            now = clock.now()
            progress(now)
            if now < end:
                reasons = [str(self._policy)] if is_due(self._policy, first, since, now) else []
                reasons += self._watching.look()
                since = now
                if reasons:
                    self._retrain("; ".join(reasons))
        return self._lived()

    def _begin(self) -> None:
        made = self._retrain("the first model")
        if made.outcome != MADE:
            what = f"the first model, of what was known at {made.at:%Y-%m-%d %H:%M}, was {made.outcome}: {made.told}"
            raise HeadraceError("HR998", what)

    def _retrain(self, reason: str) -> Retraining:
        """Make the model again of what has arrived by now, through its gate, with what is made from it."""
        life, now = self._life, self._life.clock.now()
        self._release()
        self._world.present.now = micros(now)
        plan, applied = life.apply()
        outcome, told = self._outcome(plan, applied)
        done = set(applied.made) | set(applied.adopted)
        seconds = life.cost(step.key for step in plan.steps if step.node in done)
        retraining = Retraining(now, reason, outcome, told, plan.step(self._world.model.name).key, seconds)
        self._retrainings.append(retraining)
        self._traffic.refresh()
        self._traffic.events.append(Event(now, outcome, self._world.model.name, told or reason))
        return retraining

    def _release(self) -> None:
        """Let go of what a rollback or an aborted roll-out held: who asks for a new model, wants it published."""
        life = self._life
        holds = life.ledger.snapshot(life.environment).holds
        for name in sorted(holds):
            if name in life.ledger.snapshot(life.environment).holds:
                release(self._world.graph, life.ledger, life.environment, name)

    def _outcome(self, plan: Plan, applied: Applied) -> tuple[str, str]:
        model = self._world.model.name
        if applied.failed:
            node, error = next(iter(sorted(applied.failed.items())))
            return FAILED, f"{node}: {error['code']} {error['what']}"
        if applied.unobserved:
            name, problem = next(iter(sorted(applied.unobserved.items())))
            return FAILED, f"{name}: {problem.code} {problem.what}"
        if model in applied.refused:
            return REFUSED, applied.refused[model].reason
        step = plan.step(model)
        if step.action is Action.REFUSED:
            return REFUSED, step.reason
        return (MADE, "") if model in applied.published else (UNCHANGED, "nothing new to learn from")

    def _lived(self) -> Lived:
        traffic, life = self._traffic, self._life
        model = life.pointed()[self._world.model.name]
        return Lived(
            policy=self._policy,
            score=traffic.score,
            by=traffic.by,
            models=tuple(traffic.models),
            retrainings=tuple(self._retrainings),
            events=tuple(sorted(traffic.events, key=lambda each: each.at)),
            task=model.manifest.facts["task"],
            state=logical_state(life, traffic),
        )


def logical_state(life: Life, traffic: Traffic) -> str:
    """The digest of what a life has come to: versions, decisions, every move of a pointer, every answer.

    Two replays of the same history with the same options have the same. No part of it is what the clock of the machine
    tells, such as how long a step took, nor the bytes of a monitor's reference: its moments are sums of floats that
    several threads add up, in an order that changes their last bits.
    """
    ledger = life.ledger
    versions = sorted(ledger.versions(), key=lambda each: each.key)
    decisions = sorted(ledger.decisions([each.key for each in versions]), key=lambda each: each.key)
    moves = ledger.history(life.environment)
    told = [
        [(each.node, each.key, _outputs(each)) for each in versions],
        [(each.key, each.node, each.passed, [one.seen for one in each.outcomes], each.made_at) for each in decisions],
        [(each.node, each.previous, each.key, each.at) for each in moves],
        traffic.models,
        traffic.by.tobytes(),
        traffic.score.tobytes(),
    ]
    return digest_of(told)


def _outputs(version: Version) -> list[tuple[str, str]]:
    if version.kind == Monitor.kind:
        return []
    return [(name, ref.digest) for name, ref in sorted(version.manifest.outputs.items())]
