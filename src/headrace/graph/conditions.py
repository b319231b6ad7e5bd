"""Conditions as values: `metric("roc_auc") >= champion - 0.005`.

One grammar serves gates, roll-outs and monitors. A condition compares a measured metric with a number, or with the
same metric of the champion (the version that is live), give or take an offset. It can be printed, compared, hashed and
fingerprinted; `&` joins conditions, and a list of conditions means all of them. Whether a condition holds is decided by
`evaluate`, which is pure: everything measured is handed to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, ClassVar, Literal, NoReturn, TypeAlias, TypeGuard

from headrace.errors import HeadraceError
from headrace.ports.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

Operator: TypeAlias = Literal["<", "<=", ">", ">="]

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_SLICES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one version.

    `overall` is metric name to value; `slices` is column to the value of that column to metric name to value. None
    stands for a metric that is not defined there: too few rows, or rows of one class only.
    """

    overall: Mapping[str, float | None]
    slices: Mapping[str, Mapping[str, Mapping[str, float | None]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Champion:
    """The same metric of the champion, the version that is live, times a factor, plus an offset: `champion - 0.005`."""

    offset: float = 0.0
    factor: float = 1.0

    __array_ufunc__: ClassVar[None] = None  # NumPy scalars leave comparisons and sums to the methods below

    def __add__(self, amount: float) -> Champion:
        return Champion(self.offset + _number(amount), self.factor)

    __radd__ = __add__

    def __sub__(self, amount: float) -> Champion:
        return Champion(self.offset - _number(amount), self.factor)

    def __mul__(self, factor: float) -> Champion:
        times = _number(factor)
        if times <= 0:
            raise HeadraceError("HR123", f"champion * {_spell(times)} is no bound: the factor must be larger than 0")
        return Champion(self.offset * times, self.factor * times)

    __rmul__ = __mul__

    def bound(self, value: float) -> float:
        """The number that a metric is compared with, where it has this value for the champion."""
        return value * self.factor + self.offset

    def __str__(self) -> str:
        name = "champion" if self.factor == 1 else f"champion * {_spell(self.factor)}"
        return f"{name} {'+' if self.offset > 0 else '-'} {_spell(abs(self.offset))}" if self.offset else name

    __repr__ = __str__

    def __headrace_canonical__(self) -> object:
        return self.offset if self.factor == 1 else [self.offset, self.factor]


champion = Champion()
"""The same metric of the version that is live: `metric("roc_auc") >= champion - 0.005`."""

Bound: TypeAlias = float | Champion


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured quantity, overall or for each value of a column. Compared with a bound, it makes a condition."""

    name: str
    column: str | None = None

    __array_ufunc__: ClassVar[None] = None

    def by(self, column: str) -> Metric:
        """The same metric for each value of a column: a condition on it must hold for every value.

        Values with too few rows, or rows of one class only, are skipped; what was skipped is said in the outcome.
        """
        return Metric(self.name, _name(column, "a column to slice by"))

    def __lt__(self, bound: Bound) -> Comparison:
        return Comparison(self, "<", _bound(bound))

    def __le__(self, bound: Bound) -> Comparison:
        return Comparison(self, "<=", _bound(bound))

    def __gt__(self, bound: Bound) -> Comparison:
        return Comparison(self, ">", _bound(bound))

    def __ge__(self, bound: Bound) -> Comparison:
        return Comparison(self, ">=", _bound(bound))

    def __and__(self, other: object) -> NoReturn:
        raise HeadraceError("HR122", f"& was applied to {self!r} itself, not to a condition")

    __rand__ = __and__

    def __bool__(self) -> NoReturn:
        raise HeadraceError("HR120", f"the truth of {self!r} was asked for")

    def __str__(self) -> str:
        return self.name if self.column is None else f"{self.name} by {self.column}"

    def __repr__(self) -> str:
        return f"metric({self.name!r})" + ("" if self.column is None else f".by({self.column!r})")

    def __headrace_canonical__(self) -> object:
        return (self.name, self.column)


class Condition:
    """Something that holds or not of what was measured. Made by comparing a `metric`; joined by `&`."""

    __slots__ = ()

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The single comparisons, all of which must hold."""
        raise NotImplementedError

    def __and__(self, other: object) -> Condition:
        if isinstance(other, Condition):
            return All((*self.comparisons, *other.comparisons))
        raise HeadraceError("HR122", f"& was applied to a condition and {other!r}")

    __rand__ = __and__

    def __bool__(self) -> NoReturn:
        raise HeadraceError("HR120", f"the truth of {self!r} was asked for")


@dataclass(frozen=True, slots=True)
class Comparison(Condition):
    """One comparison of a metric with a bound."""

    metric: Metric
    operator: Operator
    bound: Bound

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """This comparison alone."""
        return (self,)

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {_bound_text(self.bound)}"

    def __repr__(self) -> str:
        return f"{self.metric!r} {self.operator} {_bound_text(self.bound)}"

    def __headrace_canonical__(self) -> object:
        return (self.metric, self.operator, self.bound)


@dataclass(frozen=True, slots=True)
class All(Condition):
    """Several comparisons, all of which must hold."""

    parts: tuple[Comparison, ...]

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The comparisons in the order in which they were written."""
        return self.parts

    def __str__(self) -> str:
        return " & ".join(map(str, self.parts))

    def __repr__(self) -> str:
        return " & ".join(f"({part!r})" for part in self.parts)

    def __headrace_canonical__(self) -> object:
        return self.parts


def metric(name: str) -> Metric:
    """A measured quantity by its name, such as "roc_auc" or "p99_ms", to be compared with a number or `champion`."""
    return Metric(_name(name, "a metric"))


def comparisons(conditions: Condition | Iterable[Condition]) -> tuple[Comparison, ...]:
    """The single comparisons of one condition, or of all of a list. Raises HR121 for anything that is no condition."""
    several = (conditions,) if isinstance(conditions, Condition) else conditions
    if not isinstance(several, Iterable):
        raise HeadraceError("HR121", f"{several!r} is not a condition")
    found: list[Comparison] = []
    for condition in several:
        if not isinstance(condition, Condition):
            raise HeadraceError("HR121", f"{condition!r} is not a condition")
        found += condition.comparisons
    return tuple(found)


def evaluate(
    conditions: Condition | Iterable[Condition], measured: Measured, champion: Measured | None
) -> tuple[Outcome, ...]:
    """Which comparisons hold of what was measured; one outcome for each, in order.

    A metric that was not measured, is not defined or is not a number satisfies nothing. A comparison with the champion
    passes when there is none yet. A comparison by slice holds when it holds for every slice in which the metric is
    defined, and there is at least one.
    """
    return tuple(_outcome(each, measured, champion) for each in comparisons(conditions))


def _outcome(comparison: Comparison, measured: Measured, champion: Measured | None) -> Outcome:
    judge = _judge_overall if comparison.metric.column is None else _judge_slices
    passed, seen = judge(comparison, measured, champion)
    return Outcome(str(comparison), passed, seen)


def _judge_overall(comparison: Comparison, measured: Measured, champion: Measured | None) -> tuple[bool, str]:
    name = comparison.metric.name
    if name not in measured.overall:
        return False, f"{name} was not measured"
    value = measured.overall[name]
    if not _defined(value):
        return False, f"{name} is not defined on these rows"
    if not isinstance(comparison.bound, Champion):
        return _holds(comparison, value, comparison.bound), _shown(value)
    if champion is None:
        return True, "no champion yet"
    other = champion.overall.get(name)
    if not _defined(other):
        return False, f"{_shown(value)}; {name} of the champion is not defined on these rows"
    return _holds(comparison, value, comparison.bound.bound(other)), f"{_shown(value)}, champion {_shown(other)}"


def _judge_slices(comparison: Comparison, measured: Measured, champion: Measured | None) -> tuple[bool, str]:
    name, column = comparison.metric.name, comparison.metric.column or ""
    if column not in measured.slices:
        return False, f"{name} was not measured by {column}"
    if isinstance(comparison.bound, Champion) and champion is None:
        return True, "no champion yet"
    slices = measured.slices[column]
    known = {each: value for each, values in slices.items() if _defined(value := values.get(name))}
    bounds = _slice_bounds(comparison, known, champion)
    skipped = [each for each in slices if each not in bounds]
    if not bounds:
        return False, f"no slice of {column} could be compared" + _skipped(skipped)
    failed = [each for each in bounds if not _holds(comparison, known[each], bounds[each])]
    upwards = comparison.operator in (">", ">=")
    tightest = sorted(bounds, key=lambda each: (known[each] - bounds[each]) * (1 if upwards else -1))
    shown = [each for each in tightest if each in failed] or tightest[:1]
    seen = f"{len(bounds) - len(failed)} of {len(bounds)} slices hold; "
    seen += "failed: " if failed else "tightest: "
    seen += _listed([_slice_seen(each, known[each], bounds[each], comparison.bound) for each in shown])
    return not failed, seen + _skipped(skipped)


def _slice_bounds(comparison: Comparison, known: Mapping[str, float], champion: Measured | None) -> Mapping[str, float]:
    """The number that each slice is compared with; a slice in which the champion's metric is not defined has none."""
    bound = comparison.bound
    if not isinstance(bound, Champion):
        return dict.fromkeys(known, bound)
    theirs = {} if champion is None else champion.slices.get(comparison.metric.column or "", {})
    values = {each: theirs.get(each, {}).get(comparison.metric.name) for each in known}
    return {each: bound.bound(value) for each, value in values.items() if _defined(value)}


def _slice_seen(each: str, value: float, against: float, bound: Bound) -> str:
    if not isinstance(bound, Champion):
        return f"{each} {_shown(value)}"
    return f"{each} {_shown(value)} (champion {_shown((against - bound.offset) / bound.factor)})"


def _skipped(slices: Sequence[str]) -> str:
    return f"; skipped, too few rows or one class: {_listed(slices)}" if slices else ""


def _listed(texts: Sequence[str]) -> str:
    left = len(texts) - _SLICES_SHOWN
    return ", ".join(texts[:_SLICES_SHOWN]) + (f" and {left} more" if left > 0 else "")


def _holds(comparison: Comparison, value: float, bound: float) -> bool:
    return _OPERATORS[comparison.operator](value, bound)


def _defined(value: float | None) -> TypeGuard[float]:
    return value is not None and not math.isnan(value)


def _name(name: object, what: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise HeadraceError("HR124", f"{name!r} is no name of {what}")
    return name


def _bound(bound: object) -> Bound:
    return bound if isinstance(bound, Champion) else _number(bound)


def _number(value: object) -> float:
    """A finite number as a float; -0.0 becomes 0.0, so that equal conditions have equal fingerprints."""
    if not isinstance(value, bool) and isinstance(value, Real):
        try:
            number = float(value) + 0.0
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise HeadraceError("HR123", f"{value!r} is neither a finite number nor `champion`")


def _bound_text(bound: Bound) -> str:
    return str(bound) if isinstance(bound, Champion) else _spell(bound)


def _spell(number: float) -> str:
    """A number so that Python reads the same number back."""
    return repr(number).removesuffix(".0")


def _shown(number: float) -> str:
    """A number as people want to see it."""
    return f"{number:.6g}"
