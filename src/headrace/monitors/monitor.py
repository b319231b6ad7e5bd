"""The monitor node: what is watched of an endpoint's answers, and what is done when it is not as it should be."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, TypedDict

from headrace.endpoints.canary import condition_facts, condition_of
from headrace.errors import HeadraceError, suggestion
from headrace.graph.conditions import Champion, Metric, comparisons
from headrace.graph.node import Node
from headrace.monitors.alarm import Limits
from headrace.ports.durations import duration
from headrace.ports.records import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from headrace.endpoints.endpoint import Endpoint
    from headrace.graph.conditions import Comparison, Condition
    from headrace.graph.node import Options
    from headrace.ports.records import Facts
    from headrace.ports.work import Context, Step

REFERENCE: Final = "reference"
"""The output that holds the counts of what the model saw when it was evaluated."""
PREDICTION: Final = "prediction"
"""How the model's answers are named among the columns that are watched."""
PLAIN: Final = ("answers", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "mean_score")
"""What is measured of a window besides distances."""
MEASURES: Final = ("psi", "js", "wasserstein", "p_value", "nulls_change", "outside", "new_categories")
"""How far a column can be said to be from its reference: see `shifts.Shift`."""
_DISTANCE: Final = re.compile(rf"({'|'.join(MEASURES)})\((.+)\)")
_BUDGET: Final = re.compile(r"(\d+)\s*/\s*(hour|day|week)")
_PERIODS: Final = {"hour": 3_600.0, "day": 86_400.0, "week": 604_800.0}


@dataclass(frozen=True, slots=True)
class Reaction:
    """What is done when an alert is raised: `kind` is "retrain" or "rollback", `node` is what it is done to."""

    kind: str
    node: str

    def __str__(self) -> str:
        return f"{self.kind} {self.node}"


def retrain(node: Node) -> Reaction:
    """Make a model again of what has come in since, with what is made from it; its gate decides as ever."""
    return Reaction("retrain", node.name)


def rollback(node: Node) -> Reaction:
    """Go back to the version before, and stay there until released."""
    return Reaction("rollback", node.name)


def drift(column: str, by: str = "psi") -> Metric:
    """How far a column of a window is from what the model was evaluated on: `drift("distance") > 0.25`.

    Args:
        column: An input of the model, or "prediction".
        by: "psi" (population stability index), "js" (Jensen-Shannon distance), "wasserstein" (in the unit of a number),
            "p_value" (of Kolmogorov-Smirnov for numbers, chi-square for texts), "nulls_change" (how much larger the
            share of missing values is), "outside" (share of values that are outside the reference's range, or unknown
            to it) or "new_categories" (how many).
    """
    return Metric(f"{by}({column})")


@dataclass(frozen=True, slots=True)
class Watch:
    """What a monitor does, as it is declared. `over` is seconds, `rows` how many answers a window needs."""

    when: tuple[Comparison, ...]
    then: tuple[Reaction, ...]
    over: float
    rows: int
    limits: Limits

    def to_facts(self) -> Facts:
        """Plain data: a supervisor reads it without the code of the pipeline."""
        limits = self.limits
        return {
            "when": [condition_facts(each) for each in self.when],
            "then": [[each.kind, each.node] for each in self.then],
            "over": self.over,
            "rows": self.rows,
            "limits": [limits.confirm, limits.cooldown, limits.budget, limits.period],
        }

    @classmethod
    def from_facts(cls, facts: Facts) -> Watch:
        """The inverse of `to_facts`."""
        reactions = tuple(Reaction(*each) for each in facts["then"])
        when = tuple(map(condition_of, facts["when"]))
        return cls(when, reactions, facts["over"], facts["rows"], Limits(*facts["limits"]))


class WatchSettings(TypedDict, total=False):
    """How a monitor watches, beside its conditions.

    `over` is the window: the answers of so long until now ("1d"). `rows` is how many answers it needs (200). `confirm`
    looks in a row must tell the same before an alert is raised or cleared (1). `cooldown` lies between two actions at
    least ("6h"), and `budget` says how many there may be in an hour, a day or a week ("4/day"; None: any number).
    """

    over: str | timedelta
    rows: int
    confirm: int
    cooldown: str | timedelta
    budget: str | None


def watch_of(
    when: Condition | Iterable[Condition], then: Reaction | Iterable[Reaction], settings: WatchSettings
) -> Watch:
    """A declaration, checked as far as it can be without the model.

    Raises:
        HeadraceError: HR980 for a condition that cannot be watched, HR981 for a budget that cannot be read, HR110 for a
            duration that cannot be.
    """
    found = comparisons(when)
    for each in found:
        name, distance = each.metric.name, _DISTANCE.fullmatch(each.metric.name)
        if isinstance(each.bound, Champion) or each.metric.column is not None:
            raise HeadraceError("HR980", f"{each} compares with a champion or by slices")
        if distance is None and name not in PLAIN:
            raise HeadraceError("HR980", f"{each} watches {name!r}", fix=suggestion(name, PLAIN))
    if not found:
        raise HeadraceError("HR980", "there is no condition")
    reactions = (then,) if isinstance(then, Reaction) else tuple(then)
    over = duration(settings.get("over", "1d")).total_seconds()
    return Watch(found, reactions, over, settings.get("rows", 200), _limits(settings))


def _limits(settings: WatchSettings) -> Limits:
    confirm = max(1, settings.get("confirm", 1))
    cooldown = duration(settings.get("cooldown", "6h")).total_seconds()
    budget = settings.get("budget", "4/day")
    if budget is None:
        return Limits(confirm, cooldown)
    read = _BUDGET.fullmatch(budget)
    if read is None:
        raise HeadraceError("HR981", f"the budget {budget!r}")
    return Limits(confirm, cooldown, int(read[1]), _PERIODS[read[2]])


class Monitor(Node):
    """Watches the answers of an endpoint. A version holds what its model saw when it was evaluated, to compare with."""

    kind: ClassVar[str] = "monitor"
    verb: ClassVar[str] = "take the reference"

    def __init__(self, name: str, endpoint: Endpoint, watch: Watch, options: Options | None = None) -> None:
        super().__init__(name, (endpoint, *endpoint.inputs), options)
        self.watch = watch

    def settings(self) -> Mapping[str, object]:
        """All of the declaration: a supervisor reads it from the version."""
        return {"watch": self.watch.to_facts()}

    def consequences(self) -> Sequence[str]:
        """What is watched."""
        then = "".join(f"; then {reaction}" for reaction in self.watch.then)
        return (f"watches {' & '.join(map(str, self.watch.when))}{then}",)

    def make(self, step: Step, context: Context) -> Manifest:
        """Count what the model saw when it was evaluated. Raises HR982 for a column that is no input of the model."""
        from headrace.models.gate import SCORE, read_holdout
        from headrace.monitors.profiling import reference_profile

        endpoint, model = (context.versions[each.name] for each in self.inputs)
        rows = read_holdout(model, context.stores)
        inputs = [each["name"] for each in model.manifest.facts["inputs"]]
        for each in self.watch.when:
            distance = _DISTANCE.fullmatch(each.metric.name)
            if distance is not None and distance[2] not in (*inputs, PREDICTION):
                hint = suggestion(distance[2], [*inputs, PREDICTION])
                raise HeadraceError("HR982", f"{self.name} watches {distance[2]!r}", fix=hint)
        profile = reference_profile(rows.select(*inputs, rows[SCORE].alias(PREDICTION)))
        content = json.dumps(profile.to_json(), separators=(",", ":")).encode()
        context.log(f"counted {len(inputs) + 1} columns of {rows.height} held-out rows")
        facts: Facts = {
            **self.settings(),
            "endpoint": endpoint.node,
            "model": model.key,
            "inputs": model.manifest.facts["inputs"],
            "rows": rows.height,
        }
        return Manifest(step.key, {REFERENCE: context.stores.artefacts.put(content, ".json")}, facts)
