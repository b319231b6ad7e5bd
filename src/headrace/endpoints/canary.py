"""How a new version of an endpoint takes over, as it is declared: `canary(5, 25, 100, bake="10m")`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from headrace.errors import HeadraceError, suggestion
from headrace.graph.conditions import Champion, Comparison, Condition, Metric, comparisons
from headrace.ports.durations import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from headrace.ports.records import Facts, Json

METRICS: Final = ("answers", "error_share", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "mean_score")
"""What is measured of a version while it answers, over the present stage."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A declared roll-out. Made by `canary`.

    `shares` are the percentages of the requests that the new version gets, stage by stage; `bake` and `shadow` are
    seconds, `answers` how many answers a stage needs.
    """

    shares: tuple[int, ...]
    bake: float
    shadow: float
    answers: int
    abort_if: tuple[Comparison, ...]

    def to_facts(self) -> Facts:
        """Plain data: a server reads it without the code of the pipeline."""
        return {
            "shares": list(self.shares),
            "bake": self.bake,
            "shadow": self.shadow,
            "answers": self.answers,
            "abort_if": [condition_facts(each) for each in self.abort_if],
        }

    @classmethod
    def from_facts(cls, facts: Facts) -> Canary:
        """The inverse of `to_facts`."""
        conditions = tuple(map(condition_of, facts["abort_if"]))
        return cls(tuple(facts["shares"]), facts["bake"], facts["shadow"], facts["answers"], conditions)


def canary(
    *shares: int,
    bake: str | timedelta = "10m",
    shadow: str | timedelta = "0s",
    answers: int = 100,
    abort_if: Condition | Iterable[Condition] | None = None,
) -> Canary:
    """Let a new version of an endpoint answer a growing share of the requests, and return to the old one by itself.

    Args:
        *shares: Percentages of the requests, growing; the last one is 100, and is added where it is left out. A record
            goes by its entity, which keeps its version for as long as the shares grow.
        bake: How long each stage lasts at least, such as "10m".
        shadow: How long the new version is asked besides, before it answers anybody; nobody sees what it says.
        answers: How many answers the new version must have given in a stage before the next one begins, and before
            `abort_if` is judged.
        abort_if: Conditions on what is measured of the new version in the present stage; where one of them holds, the
            old version takes over again and the endpoint is held. `champion` is the old version. The metrics are
            answers, error_share, mean_ms, p50_ms, p95_ms, p99_ms (milliseconds until an answer) and mean_score.
            Left out, it is an error_share of more than a hundredth above the old version's.

    Raises:
        HeadraceError: HR940 for shares that do not grow from 1 to 100, HR941 for a metric that is not measured,
            HR110 for a duration that cannot be read.

    Example:
        >>> canary(5, 25, bake="10m", abort_if=[metric("p99_ms") > 50]).shares
        (5, 25, 100)
    """
    all_shares = shares if shares and shares[-1] == _ALL else (*shares, _ALL)
    whole = all(type(share) is int for share in shares)
    if not whole or any(before >= after for before, after in pairwise((0, *all_shares))):
        raise HeadraceError("HR940", f"the shares are {', '.join(map(str, shares))}")
    if type(answers) is not int or answers < 0:
        raise HeadraceError("HR940", f"answers is {answers!r}")
    conditions = _DEFAULT if abort_if is None else comparisons(abort_if)
    for each in conditions:
        if each.metric.name not in METRICS or each.metric.column is not None:
            raise HeadraceError("HR941", f"{each.metric} of an endpoint", fix=suggestion(each.metric.name, METRICS))
    return Canary(
        all_shares, duration(bake).total_seconds(), duration(shadow).total_seconds(), answers, tuple(conditions)
    )


_ALL: Final = 100
_DEFAULT: Final = (Comparison(Metric("error_share"), ">", Champion(0.01)),)


def condition_facts(condition: Comparison) -> Json:
    """A condition as plain data."""
    bound: Json = condition.bound
    if isinstance(bound, Champion):
        bound = {"champion": bound.offset, **({} if bound.factor == 1 else {"factor": bound.factor})}
    column = {} if condition.metric.column is None else {"column": condition.metric.column}
    return {"metric": condition.metric.name, **column, "operator": condition.operator, "bound": bound}


def condition_of(facts: Mapping[str, Json]) -> Comparison:
    """The inverse of `condition_facts`."""
    bound = facts["bound"]
    metric = Metric(facts["metric"], facts.get("column"))
    if isinstance(bound, dict):
        bound = Champion(bound["champion"], bound.get("factor", 1.0))
    return Comparison(metric, facts["operator"], bound)
