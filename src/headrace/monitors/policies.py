"""Retraining policies: when a model is made again, by the clock or because a monitor says so. Pure.

A replay runs the same history under several of them. All of them watch alike; they differ in what they act upon.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from headrace.errors import HeadraceError, suggestion
from headrace.graph.conditions import Champion, Comparison, Metric
from headrace.monitors.alarm import Kind, Limits, react
from headrace.monitors.measures import LABELLED, PREDICTION, QUALITY, column_of, estimate_of
from headrace.monitors.monitor import Watch
from headrace.ports.durations import spell

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headrace.monitors.alarm import Note, Window


class Signal(StrEnum):
    """What a monitor looks at: the inputs and answers, the truth that came later, or how the endpoint serves."""

    DRIFT = "drift"
    QUALITY = "quality"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Policy:
    """When a model is made again: `every` so long, or when a monitor of the kind `on` asks for it; else never."""

    name: str
    every: timedelta | None = None
    on: Signal | None = None

    def __str__(self) -> str:
        if self.every is not None:
            return f"every {spell(self.every)}"
        return "never" if self.on is None else f"when a monitor of {self.on} asks for it"


POLICIES: Final = {
    each.name: each
    for each in (
        Policy("none"),
        Policy("daily", every=timedelta(days=1)),
        Policy("weekly", every=timedelta(days=7)),
        Policy("monthly", every=timedelta(days=30)),
        Policy("drift", on=Signal.DRIFT),
        Policy("quality", on=Signal.QUALITY),
    )
}
DEFAULT: Final = ("none", "weekly", "drift", "quality")
LOWER_IS_BETTER: Final = frozenset({"brier", "log_loss", "mae", "rmse"})
_COUNTED: Final = ("answers", "mean_score")
_WEEK: Final = 604_800.0
_ROWS: Final = 200
_SHIFT: Final = 0.1
_LOSS: Final = 0.02


def policies_of(names: Iterable[str]) -> tuple[Policy, ...]:
    """The policies of these names, each once, in order; the four usual ones without any. Raises HR995."""
    found = tuple(dict.fromkeys(names)) or DEFAULT
    for name in found:
        if name not in POLICIES:
            raise HeadraceError("HR995", f"there is no policy {name!r}", fix=suggestion(name, POLICIES))
    return tuple(POLICIES[name] for name in found)


def is_due(policy: Policy, first: datetime, since: datetime, now: datetime) -> bool:
    """Whether the schedule of a policy, counted from its first model, fires after `since` and not after `now`.

    However many firings lie in between, they are one: there is only one newest state of the data to learn from.
    """
    if policy.every is None or now <= since:
        return False
    return (now - first) // policy.every > (since - first) // policy.every


def signal_of(watch: Watch) -> Signal:
    """What a monitor looks at. One that needs the truth, or its estimate, for any of its conditions: quality."""
    names = [each.metric.name for each in watch.when]
    if any(name in QUALITY or name == LABELLED or estimate_of(name) is not None for name in names):
        return Signal.QUALITY
    drifts = all(column_of(name) is not None or name in _COUNTED for name in names)
    return Signal.DRIFT if drifts else Signal.SERVICE


def default_watch(signal: Signal, task: str) -> Watch:
    """What is watched where the pipeline declares no such monitor, once a week at most.

    Drift: the answers of a week are distributed otherwise than those on the held-out rows of the evaluation. (Inputs
    move with the seasons, mostly without harm.) Quality: the truth of a week's answers is worse than the evaluation
    promised, that of the model or of the first one.
    """
    if signal is Signal.DRIFT:
        condition = Comparison(Metric(f"psi({PREDICTION})"), ">", _SHIFT)
    else:
        condition = Comparison(Metric("roc_auc" if task == "classification" else "r2"), "<", Champion(-_LOSS))
    return Watch(when=(condition,), then=(), over=_WEEK, rows=_ROWS, limits=Limits(cooldown=_WEEK))


def respond(
    notes: Sequence[Note], windows: Sequence[Window], version: str, limits: Limits, *, acts: bool
) -> list[Note]:
    """What the latest windows lead to, as `react` says; where nothing is to be done, an alert is only told."""
    found = react(notes, windows, version, limits)
    return found if acts else [each for each in found if each.kind in (Kind.RAISED, Kind.CLEARED)]
