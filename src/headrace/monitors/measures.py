"""What can be watched, by name: the metrics of a monitor's conditions, and what each of them is measured on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from headrace.errors import HeadraceError, suggestion
from headrace.graph.conditions import Champion, Metric
from headrace.models.metrics import CLASSIFICATION, METRICS
from headrace.ports.durations import duration, spell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.graph.conditions import Bound, Comparison
    from headrace.graph.node import RowsNode

PREDICTION: Final = "prediction"
"""How the model's answers are named among the columns that are watched."""
ANY: Final = "*"
"""Stands for whichever column is the furthest from its reference."""
WASSERSTEIN: Final = "wasserstein"
P_VALUE: Final = "p_value"
MEASURES: Final = ("psi", "js", WASSERSTEIN, P_VALUE, "nulls_change", "outside", "new_categories")
"""How far a column can be said to be from its reference: see `shifts.Shift`."""
PLAIN: Final = ("answers", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "mean_score")
"""What is measured of a window of answers besides distances."""
LABELLED: Final = "labelled"
REQUESTS: Final = ("errors", "failures")
"""What is measured of the requests of a window."""
RUN_SECONDS: Final = "run_seconds"
ROWS: Final = "rows"
QUALITY: Final = tuple(name for name in METRICS if name != ROWS)
"""What is measured of answers whose labels are known."""
ESTIMATED: Final = tuple(name for name in CLASSIFICATION if name not in (ROWS, "average_precision"))
"""What can be estimated before any label is known."""
_CALLED: Final = re.compile(r"([a-z_]+)\((.+)\)")


class Family(StrEnum):
    """What a metric is measured on. Those with a text need `rows` of it in a window before they tell anything."""

    ANSWERS = "answers"
    LABELS = "labels"
    SETTLED = "answers that are old enough to have labels"
    REQUESTS = "requests"
    AGE = "age"
    RUNS = "runs"

    @property
    def counted(self) -> bool:
        """Whether it takes some rows to tell anything."""
        return self not in (Family.AGE, Family.RUNS)


@dataclass(frozen=True, slots=True)
class Age(Metric):
    """How long ago the newest row of a node was known, in seconds. Compared with a duration: `freshness(x) > "2h"`.

    `place` is the output of the node's versions, and the column that says when a row was known.
    """

    place: tuple[str, str] = ("", "")

    def __lt__(self, bound: Bound | str | timedelta) -> Comparison:
        return Metric.__lt__(self, _seconds(bound))

    def __le__(self, bound: Bound | str | timedelta) -> Comparison:
        return Metric.__le__(self, _seconds(bound))

    def __gt__(self, bound: Bound | str | timedelta) -> Comparison:
        return Metric.__gt__(self, _seconds(bound))

    def __ge__(self, bound: Bound | str | timedelta) -> Comparison:
        return Metric.__ge__(self, _seconds(bound))


def _seconds(bound: Bound | str | timedelta) -> Bound:
    return duration(bound).total_seconds() if isinstance(bound, (str, timedelta)) else bound


def drift(column: str | None = None, by: str = "psi") -> Metric:
    """How far a column of a window is from what the model was evaluated on: `drift("distance") > 0.25`.

    Args:
        column: An input of the model, or "prediction"; left out, whichever of these is the furthest away.
        by: "psi" (population stability index), "js" (Jensen-Shannon distance), "wasserstein" (in the unit of a number),
            "p_value" (of Kolmogorov-Smirnov for numbers, chi-square for texts), "nulls_change" (how much larger the
            share of missing values is), "outside" (share of values that are outside the reference's range, or unknown
            to it) or "new_categories" (how many). Of any column, `drift(by="p_value") < 0.01` is corrected for their
            number: at most 1 % of the columns that it accuses are accused falsely. "wasserstein" needs a column.
    """
    return Metric(f"{by}({ANY if column is None else column})")


def estimated(name: str) -> Metric:
    """A metric of a classifier as its scores tell before any label is known: `estimated("roc_auc") < 0.6`.

    By confidence-based performance estimation, which is right as far as the scores are calibrated; see
    `monitors.estimation`. The metrics are accuracy, base_rate, brier, log_loss and roc_auc.
    """
    return Metric(f"estimated({name})")


def freshness(node: RowsNode) -> Age:
    """How long ago the newest row of a table or a feature view was known, by the clock: `freshness(orders) > "2h"`.

    Of a table it is the column that its contract marks as `known_at`, else as `event_time`; of a feature view the
    moment from which the row could be seen. Rows from the future do not count. Raises HR987 for any other node.
    """
    from headrace.features.moments import VISIBLE_AT
    from headrace.features.view import Features, FeatureView
    from headrace.tables.contract import marked
    from headrace.tables.table import TABLE, Table

    found: object = node.__view__ if isinstance(node, type) and issubclass(node, Features) else node
    name = f"freshness({getattr(found, 'name', found)})"
    if isinstance(found, FeatureView):
        return Age(name, place=("features", VISIBLE_AT))
    if isinstance(found, Table):
        column = marked(found.contract, "known_at") or marked(found.contract, "event_time")
        if column is not None:
            return Age(name, place=(TABLE, column))
    raise HeadraceError("HR987", f"{name} of {type(found).__name__}")


def family_of(name: str) -> Family | None:
    """What a metric is measured on; None for a name that nothing is measured under."""
    called = _CALLED.fullmatch(name)
    if called is not None:
        if called[1] in MEASURES or (called[1] == "estimated" and called[2] in ESTIMATED):
            return Family.ANSWERS
        return Family.AGE if called[1] == "freshness" else None
    return _FAMILIES.get(name)


def column_of(name: str) -> str | None:
    """The column that a distance is of."""
    called = _CALLED.fullmatch(name)
    return called[2] if called is not None and called[1] in MEASURES else None


def measure_of(name: str) -> str | None:
    """Which distance of a column a metric is."""
    called = _CALLED.fullmatch(name)
    return called[1] if called is not None and called[1] in MEASURES else None


def estimate_of(name: str) -> str | None:
    """The metric that an estimate is of."""
    called = _CALLED.fullmatch(name)
    return called[2] if called is not None and called[1] == "estimated" else None


def node_of(name: str) -> str | None:
    """The node whose age a metric is."""
    called = _CALLED.fullmatch(name)
    return called[2] if called is not None and called[1] == "freshness" else None


def has_slices(name: str) -> bool:
    """Whether a metric is measured by slices as well."""
    return name in QUALITY or estimate_of(name) is not None


def spelled(condition: Comparison) -> str:
    """A condition as people read it: an age is compared with a duration."""
    if node_of(condition.metric.name) is None or isinstance(condition.bound, Champion):
        return str(condition)
    return f"{condition.metric} {condition.operator} {spell(timedelta(seconds=condition.bound))}"


def check(condition: Comparison) -> None:
    """Refuse with HR980 what no monitor can watch."""
    name = condition.metric.name
    if isinstance(condition.bound, Champion):
        raise HeadraceError("HR980", f"{condition} compares with a champion")
    if family_of(name) is None or (node_of(name) is not None and not isinstance(condition.metric, Age)):
        raise HeadraceError("HR980", f"{condition} watches {name!r}", fix=suggestion(name, _FAMILIES))
    if name == f"{WASSERSTEIN}({ANY})":
        raise HeadraceError("HR980", f"{condition} compares distances in different units", fix="Name the column.")
    if condition.metric.column is not None and not has_slices(name):
        raise HeadraceError("HR980", f"{condition} is of slices")


_FAMILIES: Final[Mapping[str, Family]] = {
    **dict.fromkeys(PLAIN, Family.ANSWERS),
    **dict.fromkeys(QUALITY, Family.LABELS),
    LABELLED: Family.SETTLED,
    **dict.fromkeys(REQUESTS, Family.REQUESTS),
    RUN_SECONDS: Family.RUNS,
}
