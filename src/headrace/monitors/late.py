"""How late labels come, and what that means for a monitor that watches quality."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from headrace.errors import HeadraceError
from headrace.features.moments import moment
from headrace.models.metrics import CLASSIFICATION, REGRESSION
from headrace.monitors.measures import LABELLED, QUALITY, estimate_of
from headrace.ports.durations import duration, spell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import polars as pl

    from headrace.graph.conditions import Comparison
    from headrace.monitors.reactions import Reaction
    from headrace.ports.records import Facts, Json

CODE: Final = "HR984"
"""What a plan says of a monitor that reacts late stands under this code."""
SHARE: Final = 0.95
"""The share of the labels that have come when answers count as settled."""
LATE: Final = 3_600.0
"""Seconds from an answer to its label from which on a plan says that a monitor reacts late."""
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_CLASSES: Final = "classification"


def refuse_quality(name: str, when: Iterable[Comparison], labels: Facts | None, task: str) -> None:
    """Refuse what the model of a monitor cannot tell.

    Raises:
        HeadraceError: HR985 where no answer can find its label, HR986 for a metric that is not of the model's task.
    """
    measured = CLASSIFICATION if task == _CLASSES else REGRESSION
    for each in when:
        metric, estimate = each.metric.name, estimate_of(each.metric.name)
        if metric in (*QUALITY, LABELLED) and labels is None:
            raise HeadraceError("HR985", f"{name} watches {metric}")
        if (metric in QUALITY and metric not in measured) or (estimate is not None and task != _CLASSES):
            raise HeadraceError("HR986", f"{name} watches {metric} of a {task}")


def delay_facts(rows: pl.DataFrame, model: Facts, labels: Facts | None) -> Mapping[str, Json] | None:
    """Seconds from when a model is asked to when the label is known, by labelled rows: `median` and `most` (95 %).

    The model is asked `lead` before the event. None where no answer finds its label, or no row tells.
    """
    if labels is None:
        return None
    names = (labels["known_at"], model["event_time"])
    known, event = (moment(name, rows.schema[name], what="the column") for name in names)
    seconds = rows.select((known - event + duration(model["lead"])).dt.total_microseconds() / 1e6).to_series()
    late = seconds.drop_nulls().clip(lower_bound=0.0)
    if late.is_empty():
        return None
    return {"median": late.median(), "most": late.quantile(SHARE, "higher")}


def late_remarks(
    name: str, when: Iterable[Comparison], then: Sequence[Reaction], delay: Mapping[str, Json] | None
) -> list[str]:
    """What a plan says of a monitor whose conditions are known late: one line for each metric."""
    late = dict.fromkeys(each.metric.name for each in when if each.metric.name in QUALITY)
    if delay is None or delay["median"] < LATE:
        return []
    doing = " and ".join(dict.fromkeys(each.kind for each in then)) or "notify"
    why = f"reacts late: its label is known {about(delay['median'])} after the answer"
    return [f"{CODE} {name}: {doing} on {each} {why}" for each in late]


def about(seconds: float) -> str:
    """A time in its largest unit: "about 1 d", "about 1.5 h"."""
    for unit, size in _UNITS:
        if seconds >= size:
            return f"about {seconds / size:.2g} {unit}" if seconds < 10 * size else f"about {seconds / size:.0f} {unit}"
    return "at once"


def settle_of(declared: float | None, delay: Mapping[str, Json] | None) -> float:
    """How many seconds old answers are before their labels are asked for."""
    if declared is not None:
        return declared
    return 0.0 if delay is None else float(delay["most"])


def spelled_settle(seconds: float) -> str:
    """A time as a declaration spells it, to the second."""
    return spell(timedelta(seconds=round(seconds)))
