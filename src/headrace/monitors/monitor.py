"""The monitor node: what is watched of an endpoint's answers, and what is done when it is not as it should be."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final, TypedDict

from headrace.endpoints.canary import condition_facts, condition_of
from headrace.endpoints.endpoint import LABELS, Endpoint, labels_of
from headrace.errors import HeadraceError, suggestion
from headrace.graph.conditions import Comparison, comparisons
from headrace.graph.node import Node
from headrace.monitors.alarm import Limits
from headrace.monitors.late import delay_facts, late_remarks, refuse_quality
from headrace.monitors.measures import ANY, PREDICTION, Age, Family, check, column_of, family_of, spelled
from headrace.monitors.reactions import Reaction
from headrace.ports.durations import duration, spell
from headrace.ports.records import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headrace.graph.conditions import Condition
    from headrace.graph.node import Options, RowsNode
    from headrace.ports.records import Facts, Json
    from headrace.ports.work import Context, Step

REFERENCE: Final = "reference"
"""The output that holds the counts of what the model saw when it was evaluated."""
MOST: Final = 50_000
"""Answers of a window that are looked at: the latest ones."""
ROWS: Final = 200
_CLOCKED: Final = frozenset({Family.AGE, Family.RUNS})
"""What can be watched without answers."""
_BUDGET: Final = re.compile(r"(\d+)\s*/\s*(hour|day|week)")
_PERIODS: Final = {"hour": 3_600.0, "day": 86_400.0, "week": 604_800.0}


@dataclass(frozen=True, slots=True)
class Watch:
    """What a monitor does, as it is declared.

    A window holds what came in `over` seconds, or the `last` so many answers, `over` being infinite then. `rows` is how
    many answers, labels or requests it needs, `settle` how many seconds old answers are before their labels are asked
    for (None: as long as labels usually take).
    """

    when: tuple[Comparison, ...]
    then: tuple[Reaction, ...]
    over: float
    rows: int
    limits: Limits
    settle: float | None = None
    last: int | None = None

    def to_facts(self) -> Facts:
        """Plain data: a supervisor reads it without the code of the pipeline."""
        limits = self.limits
        return {
            "when": [_facts_of(each) for each in self.when],
            "then": [[each.kind, each.node] for each in self.then],
            **({"over": self.over} if self.last is None else {"last": self.last}),
            "rows": self.rows,
            "limits": [limits.confirm, limits.cooldown, limits.budget, limits.period],
            **({} if self.settle is None else {"settle": self.settle}),
        }

    @classmethod
    def from_facts(cls, facts: Facts) -> Watch:
        """The inverse of `to_facts`."""
        reactions = tuple(Reaction(*each) for each in facts["then"])
        when = tuple(map(_condition_of, facts["when"]))
        limits, over, last = Limits(*facts["limits"]), facts.get("over", math.inf), facts.get("last")
        return cls(when, reactions, over, facts["rows"], limits, facts.get("settle"), last)

    @property
    def families(self) -> frozenset[Family]:
        """What the conditions are measured on."""
        return frozenset(found for each in self.when if (found := family_of(each.metric.name)) is not None)

    @property
    def span(self) -> str:
        """The window as people read it."""
        return spell(timedelta(seconds=self.over)) if self.last is None else f"the last {self.last:,} answers"


def _facts_of(condition: Comparison) -> Json:
    metric = condition.metric
    return condition_facts(condition) | ({"place": list(metric.place)} if isinstance(metric, Age) else {})


def _condition_of(facts: Facts) -> Comparison:
    found = condition_of(facts)
    if "place" not in facts:
        return found
    output, column = facts["place"]
    return Comparison(Age(found.metric.name, place=(output, column)), found.operator, found.bound)


class WatchSettings(TypedDict, total=False):
    """How a monitor watches, beside its conditions.

    `over` is the window: the answers of so long until now ("1d"), or so many of them, the last ones (1000; 50,000 at
    most). `rows` is how many answers it needs (200, or all of a window of fewer): with their labels where a condition
    is on quality, and as many requests where one is on errors. `settle` is how old answers are
    before their labels are asked for ("2h"; left out: the time within which 95 % of the labels came that the model was
    evaluated on); quality is told from the answers of the time `over` until then. `confirm` looks in a row must tell
    the same before an alert is raised or cleared (1). `cooldown` lies between two actions at least ("6h"), and `budget`
    says how many there may be in an hour, a day or a week ("4/day"; None: any number).
    """

    over: str | timedelta | int
    rows: int
    settle: str | timedelta
    confirm: int
    cooldown: str | timedelta
    budget: str | None


def watch_of(
    when: Condition | Iterable[Condition], then: Reaction | Iterable[Reaction], settings: WatchSettings
) -> Watch:
    """A declaration, checked as far as it can be without the model.

    Raises:
        HeadraceError: HR980 for a condition that cannot be watched, HR981 for a budget that cannot be read, HR989 for a
            window that cannot be, HR110 for a duration that cannot be.
    """
    found = comparisons(when)
    for each in found:
        check(each)
    if not found:
        raise HeadraceError("HR980", "there is no condition")
    reactions = (then,) if isinstance(then, Reaction) else tuple(then)
    over, last = _window(found, settings.get("over", "1d"))
    rows = settings.get("rows", ROWS if last is None else min(ROWS, last))
    if last is not None and rows > last:
        raise HeadraceError("HR989", f"a window of {last} answers never holds the {rows} rows that it needs")
    settle = duration(settings["settle"]).total_seconds() if "settle" in settings else None
    return Watch(found, reactions, over, rows, _limits(settings), settle, last)


def _window(conditions: Iterable[Comparison], over: str | timedelta | int) -> tuple[float, int | None]:
    """The seconds of a window, or how many answers it holds. Requests and runs are not answers."""
    if not isinstance(over, int):
        return duration(over).total_seconds(), None
    if not 1 <= over <= MOST:
        raise HeadraceError("HR989", f"a window of {over:,} answers")
    for each in conditions:
        if family_of(each.metric.name) in (Family.REQUESTS, Family.RUNS):
            raise HeadraceError("HR989", f"{each} over {over:,} answers")
    return math.inf, over


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
    """Watches the answers of an endpoint, or how fresh a table is and what runs cost, by the clock.

    A version over an endpoint holds what its model saw when it was evaluated, to compare with. One over a table holds
    nothing, and is made once: what it measures is asked of the environment.

    The facts of a version are `watch` (the declaration), `endpoint`, `model` and its `inputs` and `task`, `labels`
    (where they stand, see `endpoint.labels_of`), `delay` (seconds from an answer to its label: `median`, and `most`,
    within which 95 % came), `rows`, and `remarks` (what a plan says of it).
    """

    kind: ClassVar[str] = "monitor"
    verb: ClassVar[str] = "take the reference"
    semantics: ClassVar[int] = 2  # 2: says where labels stand, and how late they come

    def __init__(self, name: str, of: Endpoint | RowsNode, watch: Watch, options: Options | None = None) -> None:
        super().__init__(name, (of, *of.inputs) if isinstance(of, Endpoint) else (), options)
        self.of = of
        self.watch = watch
        self.labels = labels_of(of.model.spec) if isinstance(of, Endpoint) else None
        if not isinstance(of, Endpoint) and watch.families - _CLOCKED:
            wrong = next(each for each in watch.when if family_of(each.metric.name) not in _CLOCKED)
            raise HeadraceError("HR980", f"{name} watches {spelled(wrong)} of {of.name}, which answers nothing")

    def settings(self) -> Mapping[str, object]:
        """All of the declaration: a supervisor reads it from the version."""
        return {"watch": self.watch.to_facts(), **({} if isinstance(self.of, Endpoint) else {"of": self.of.name})}

    def consequences(self) -> Sequence[str]:
        """What is watched, and when quality is known. How late that is, a version tells."""
        then = "".join(f"; then {reaction}" for reaction in self.watch.then)
        told = (f"watches {' & '.join(map(spelled, self.watch.when))}{then}",)
        if Family.LABELS not in self.watch.families or self.labels is None:
            return told
        label, table, known_at = (self.labels[name] for name in ("label", "table", "known_at"))
        return (*told, f"quality is told once {label} of {table} is known, by {known_at}")

    def make(self, step: Step, context: Context) -> Manifest:
        """Count what the model saw when it was evaluated, and how late its labels came.

        Raises:
            HeadraceError: HR982 for a column that is no input of the model, HR985 for quality without a key to find
                labels by, HR986 for a metric that is not of the model's task.
        """
        if not isinstance(self.of, Endpoint):
            nothing: Facts = {"model": "", "task": None, "inputs": [], "labels": None, "rows": 0, "remarks": []}
            return Manifest(step.key, {}, {**self.settings(), "endpoint": self.of.name, **nothing})
        from headrace.models.gate import SCORE, read_holdout
        from headrace.monitors.profiling import reference_profile

        endpoint, model = (context.versions[each.name] for each in self.inputs)
        rows = read_holdout(model, context.stores)
        inputs = [each["name"] for each in model.manifest.facts["inputs"]]
        self._refuse_columns(inputs)
        labels, task = endpoint.manifest.facts[LABELS], model.manifest.facts["task"]
        refuse_quality(self.name, self.watch.when, labels, task)
        profile = reference_profile(rows.select(*inputs, rows[SCORE].alias(PREDICTION)))
        content = json.dumps(profile.to_json(), separators=(",", ":")).encode()
        context.log(f"counted {len(inputs) + 1} columns of {rows.height} held-out rows")
        delay = delay_facts(rows, model.manifest.facts, labels)
        facts: Facts = {
            **self.settings(),
            "endpoint": endpoint.node,
            "model": model.key,
            "task": task,
            "inputs": model.manifest.facts["inputs"],
            "labels": labels,
            "delay": delay,
            "rows": rows.height,
            "remarks": late_remarks(self.name, self.watch.when, self.watch.then, delay),
        }
        return Manifest(step.key, {REFERENCE: context.stores.artefacts.put(content, ".json")}, facts)

    def _refuse_columns(self, inputs: Sequence[str]) -> None:
        """Raise HR982 for a column that the model does not have."""
        for each in self.watch.when:
            column, known = column_of(each.metric.name), [*inputs, PREDICTION]
            if column not in (None, ANY, *known):
                raise HeadraceError("HR982", f"{self.name} watches {column!r}", fix=suggestion(str(column), known))
            if each.metric.column is not None and each.metric.column not in inputs:
                what = f"{self.name} watches {each.metric.name} by {each.metric.column!r}"
                raise HeadraceError("HR982", what, fix=suggestion(each.metric.column, inputs))
