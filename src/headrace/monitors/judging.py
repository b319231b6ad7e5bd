"""Whether the conditions of a monitor hold of what was measured in a window. Pure.

A condition that cannot be told (too few rows, a metric that is not defined) makes the window tell nothing: it neither
raises an alert nor clears one. A condition by slice holds as soon as it holds in one slice, unlike in a gate, where
each slice has to pass: an alert is about the worst of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypeGuard

from headrace.graph.conditions import Comparison, Measured, Metric, evaluate
from headrace.monitors.alarm import Window
from headrace.monitors.intervals import Estimate
from headrace.monitors.measures import (
    ANY,
    P_VALUE,
    RUN_SECONDS,
    Family,
    column_of,
    family_of,
    measure_of,
    node_of,
    spelled,
)
from headrace.monitors.shifts import adjusted
from headrace.ports.durations import spell
from headrace.ports.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


_SHOWN = 3
"""How many slices an outcome names."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was measured: values with their intervals, overall and by slice, and on how many rows of each family."""

    overall: Mapping[str, Estimate] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, Mapping[str, Estimate]]] = field(default_factory=dict)
    counts: Mapping[Family, int] = field(default_factory=dict)

    def measured(self) -> Measured:
        """The values alone."""
        slices = {
            column: {value: _values(found) for value, found in parts.items()} for column, parts in self.slices.items()
        }
        return Measured(_values(self.overall), slices)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a window tells. `lacks` says in a few words why it tells nothing; empty where it does tell something."""

    outcomes: tuple[Outcome, ...]
    window: Window
    lacks: str = ""


def judge(conditions: Sequence[Comparison], seen: Seen, rows: int, now: datetime) -> Verdict:
    """Whether all conditions hold of a window that is looked at `now`; each needs `rows` of what it is measured on."""
    outcomes = tuple(_outcome(each, seen) for each in conditions)
    few = [family for family in dict.fromkeys(map(_family, conditions)) if _few(family, seen, rows)]
    if few:
        told = "; ".join(f"{seen.counts.get(family, 0)} of {rows} {family}" for family in few)
        return Verdict(tuple(each for each, _ in outcomes), Window(None, told, now), f"too few {few[0]}")
    told = "; ".join(f"{each.condition} ({each.seen})" for each, _ in outcomes)
    if not all(defined for _, defined in outcomes):
        return Verdict(tuple(each for each, _ in outcomes), Window(None, told, now), "not defined")
    holds = all(each.passed for each, _ in outcomes)
    return Verdict(tuple(each for each, _ in outcomes), Window(holds, told, now))


def _family(condition: Comparison) -> Family:
    return family_of(condition.metric.name) or Family.ANSWERS


def _few(family: Family, seen: Seen, rows: int) -> bool:
    return family.counted and seen.counts.get(family, 0) < rows


def _outcome(condition: Comparison, seen: Seen) -> tuple[Outcome, bool]:
    """The outcome of one condition, and whether its metric is defined."""
    if condition.metric.column is not None:
        return _in_any_slice(condition, seen)
    if column_of(condition.metric.name) == ANY:
        return _in_any_column(condition, seen)
    name, text = condition.metric.name, spelled(condition)
    found = seen.overall.get(name)
    if found is None or not _defined(found.value):
        what = f"{name} was not measured" if found is None else f"{name} is not defined on these rows"
        return Outcome(text, passed=False, seen=what), False
    return Outcome(text, _holds(condition, found.value), shown(name, found)), True


def _in_any_slice(condition: Comparison, seen: Seen) -> tuple[Outcome, bool]:
    name, column = condition.metric.name, condition.metric.column or ""
    found = {value: parts[name] for value, parts in seen.slices.get(column, {}).items() if name in parts}
    known = {value: each for value, each in found.items() if _defined(each.value)}
    if not known:
        return Outcome(str(condition), passed=False, seen=f"no slice of {column} has enough rows"), False
    return _of_any(condition, known, "slices"), True


def _in_any_column(condition: Comparison, seen: Seen) -> tuple[Outcome, bool]:
    """A distance of whichever column is the furthest away; p-values are corrected for the number of columns."""
    measure = measure_of(condition.metric.name)
    columns = {column: each for name, each in seen.overall.items() if (column := _measured_by(measure, name))}
    known = {column: each.value for column, each in columns.items() if _defined(each.value)}
    if not known:
        return Outcome(str(condition), passed=False, seen=f"{measure} is not defined on any column"), False
    if measure == P_VALUE:
        known = dict(zip(known, adjusted(list(known.values())), strict=True))
    return _of_any(condition, {column: Estimate(value) for column, value in known.items()}, "columns"), True


def _measured_by(measure: str | None, name: str) -> str | None:
    """The column that a distance of this kind is of."""
    column = column_of(name)
    return column if column != ANY and measure_of(name) == measure else None


def _of_any(condition: Comparison, known: Mapping[str, Estimate], what: str) -> Outcome:
    """The outcome of a condition that holds as soon as it holds in one of several; the worst ones are named."""
    name, upwards = condition.metric.name, condition.operator in (">", ">=")
    ranked = sorted(known, key=lambda each: (known[each].value or 0.0) * (-1 if upwards else 1))
    held = [each for each in ranked if _defined(value := known[each].value) and _holds(condition, value)]
    named = ", ".join(f"{each} {shown(name, known[each])}" for each in (held or ranked[:1])[:_SHOWN])
    more = f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
    return Outcome(str(condition), bool(held), f"in {len(held)} of {len(known)} {what}; {named}{more}")


def _holds(condition: Comparison, value: float) -> bool:
    plain = Comparison(Metric(condition.metric.name), condition.operator, condition.bound)
    return evaluate(plain, Measured({plain.metric.name: value}), None)[0].passed


def shown(name: str, found: Estimate) -> str:
    """A measured value as people read it, with its interval where there is one."""
    if found.value is None:
        return "not defined"
    if node_of(name) is not None or name == RUN_SECONDS:
        return spell(timedelta(seconds=round(found.value)))
    if found.low is None or found.high is None:
        return f"{found.value:.6g}"
    return f"{found.value:.4g}, {found.low:.4g} to {found.high:.4g}"


def _values(found: Mapping[str, Estimate]) -> dict[str, float | None]:
    return {name: each.value for name, each in found.items()}


def _defined(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
