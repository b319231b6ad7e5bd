"""What a replay found: each policy by week, what it cost, and how the policies compare."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from headrace.monitors.intervals import Estimate, mean_of
from headrace.monitors.policies import LOWER_IS_BETTER
from headrace.monitors.quality import labelled, quality
from headrace.ports.durations import spell
from headrace.project.replay_life import FAILED, MADE, REFUSED
from headrace.project.replay_world import NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from headrace.monitors.policies import Policy
    from headrace.monitors.quality import Part
    from headrace.ports.records import Json
    from headrace.project.replay_life import Lived, Retraining
    from headrace.project.replay_traffic import Event
    from headrace.project.replay_world import World

WEEK: Final = timedelta(days=7)
_USUAL: Final = {"classification": "roc_auc", "regression": "rmse"}


@dataclass(frozen=True, slots=True)
class Week:
    """The answers that were given from `start` to `end`, and their quality by all labels that came until the end."""

    start: datetime
    end: datetime
    part: Part

    def to_json(self) -> Json:
        """Plain data."""
        return {"start": self.start.isoformat(), "end": self.end.isoformat(), **self.part.to_json()}


@dataclass(frozen=True, slots=True)
class Compared:
    """A policy against another one on the same questions: the mean difference of the metric by week, and its interval.

    `better` of `weeks` weeks were better.
    """

    against: str
    difference: Estimate
    better: int
    weeks: int

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "against": self.against,
            "difference": self.difference.to_json(),
            "better": self.better,
            "weeks": self.weeks,
        }


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """What came of one policy."""

    policy: Policy
    whole: Part
    weeks: tuple[Week, ...]
    retrainings: tuple[Retraining, ...]
    events: tuple[Event, ...]
    errors: int
    compared: Compared | None
    state: str

    def count(self, outcome: str) -> int:
        """How many retrainings, the first model left out, ended in this way."""
        return sum(each.outcome == outcome for each in self.retrainings[1:])

    def happened(self, kind: str) -> int:
        """How many events of a kind there were."""
        return sum(each.kind == kind for each in self.events)

    @property
    def seconds(self) -> float:
        """What making models took, in seconds: the first one, and those that were refused, as well."""
        return sum(each.seconds for each in self.retrainings)

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "policy": self.policy.name,
            "retrains": str(self.policy),
            "whole": self.whole.to_json(),
            "weeks": [each.to_json() for each in self.weeks],
            "made": self.count(MADE),
            "refused": self.count(REFUSED),
            "failed": self.count(FAILED),
            "seconds": round(self.seconds, 3),
            "alerts": self.happened("raised"),
            "withheld": self.happened("withheld"),
            "errors": self.errors,
            "compared": None if self.compared is None else self.compared.to_json(),
            "retrainings": [each.to_json() for each in self.retrainings],
            "events": [
                {"at": each.at.isoformat(), "kind": each.kind, "about": each.about, "text": each.text}
                for each in self.events
            ],
            "state": self.state,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """A whole replay. `spent` is what was really spent on making models: what policies share was made once."""

    environment: str
    endpoint: str
    span: tuple[datetime, datetime, datetime]
    every: timedelta
    seed: int
    metric: str
    questions: int
    monitors: Mapping[str, str]
    policies: tuple[PolicyReport, ...]
    notes: tuple[str, ...]

    @property
    def spent(self) -> float:
        """Seconds of making models, each counted once."""
        return sum({one.key: one.seconds for each in self.policies for one in each.retrainings}.values())

    @property
    def models(self) -> int:
        """How many different models were made."""
        return len({one.key for each in self.policies for one in each.retrainings})

    def to_json(self) -> Json:
        """Plain data."""
        start, first, end = self.span
        return {
            "environment": self.environment,
            "endpoint": self.endpoint,
            "from": start.isoformat(),
            "first_model": first.isoformat(),
            "until": end.isoformat(),
            "every": spell(self.every),
            "seed": self.seed,
            "metric": self.metric,
            "questions": self.questions,
            "monitors": dict(self.monitors),
            "models": self.models,
            "seconds": round(self.spent, 3),
            "policies": [each.to_json() for each in self.policies],
            "notes": list(self.notes),
        }


def report_of(environment: str, world: World, options: tuple[timedelta, int], found: Sequence[Lived]) -> Report:
    """Measure every policy by week, and compare each with the first one."""
    metric = _metric(world, found[0].task)
    weeks = [_weeks(world, each) for each in found]
    policies = [
        PolicyReport(
            policy=each.policy,
            whole=_part(world, each, (world.span.first, world.span.end)),
            weeks=own,
            retrainings=each.retrainings,
            events=each.events,
            errors=int((np.isnan(each.score) & (each.by >= 0)).sum()),
            compared=None if each is found[0] else _compared(metric, (found[0].policy.name, weeks[0]), own),
            state=each.state,
        )
        for each, own in zip(found, weeks, strict=True)
    ]
    return Report(
        environment=environment,
        endpoint=world.endpoint.name,
        span=(world.span.start, world.span.first, world.span.end),
        every=options[0],
        seed=options[1],
        metric=metric,
        questions=len(world.at),
        monitors={each.name: _spelled(world, each.name) for each in world.monitors},
        policies=tuple(policies),
        notes=world.notes,
    )


def better(metric: str, difference: float) -> bool:
    """Whether a metric that differs by this is better."""
    return difference < 0 if metric in LOWER_IS_BETTER else difference > 0


def worst(policy: PolicyReport, metric: str) -> float | None:
    """The metric of a policy's worst whole week."""
    whole = [each for each in policy.weeks if each.end - each.start == WEEK]
    found = [value for each in whole if (value := value_of(each.part, metric).value) is not None]
    return (max if metric in LOWER_IS_BETTER else min)(found, default=None)


def value_of(part: Part, metric: str) -> Estimate:
    """What was measured; without a value where nothing could be."""
    return part.metrics.get(metric, Estimate(None))


def _metric(world: World, task: str) -> str:
    """The metric that policies are compared by: the first one of the gate that is of the task, else the usual one."""
    from headrace.models.metrics import CLASSIFICATION, REGRESSION

    known = CLASSIFICATION if task == "classification" else REGRESSION
    gate = [each.metric.name for each in world.model.spec.gate if each.metric.name in known]
    return gate[0] if gate else _USUAL[task]


def _spelled(world: World, name: str) -> str:
    watch = next(each.watch for each in world.monitors if each.name == name)
    when = " & ".join(
        f"{each.metric} {each.operator} {each.bound}".replace("champion", "its evaluation") for each in watch.when
    )
    cooldown = spell(timedelta(seconds=watch.limits.cooldown))
    budget = "" if watch.limits.budget is None else f", at most {watch.limits.budget} a {_period(watch.limits.period)}"
    return f"{when} over {watch.span}; acts every {cooldown} at most{budget}"


def _period(seconds: float) -> str:
    return {3_600.0: "hour", 86_400.0: "day", 604_800.0: "week"}.get(seconds, spell(timedelta(seconds=seconds)))


def _weeks(world: World, lived: Lived) -> tuple[Week, ...]:
    found, start = [], world.span.first
    while start < world.span.end:
        end = min(start + WEEK, world.span.end)
        found.append(Week(start, end, _part(world, lived, (start, end))))
        start = end
    return tuple(found)


def _part(world: World, lived: Lived, window: tuple[datetime, datetime]) -> Part:
    """The quality of the answers of a window, by what is known at the end of the period."""
    low, high = world.rows(*window)
    rows = world.questions[low:high].select(NAMES.key, NAMES.at, NAMES.label, NAMES.known_at)
    answers = rows.select(NAMES.key, NAMES.at, pl.Series(NAMES.score, lived.score[low:high]))
    known = labelled(answers, rows, window, world.span.end, NAMES)
    return quality(known, task=lived.task, names=NAMES).overall


def _compared(metric: str, other: tuple[str, Sequence[Week]], own: Sequence[Week]) -> Compared:
    """Week by week on the same questions. The interval is that of the mean of the weeks' differences."""
    name, theirs = other
    pairs = [
        (value_of(one.part, metric).value, value_of(two.part, metric).value)
        for one, two in zip(own, theirs, strict=True)
    ]
    found = [one - two for one, two in pairs if one is not None and two is not None]
    return Compared(name, mean_of(np.array(found)), sum(better(metric, each) for each in found), len(found))
