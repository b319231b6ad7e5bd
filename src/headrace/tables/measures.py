"""What a rule says of a whole table: `rows() >= 1000`, `col("late").nulls() <= 0.05`, `rows() >= champion * 0.9`.

A measure is a metric of `graph.conditions`, so that its comparisons are conditions like those of a gate. `champion` is
the last good version here: the one that the environment has when the new one is to replace it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from headrace.errors import HeadraceError, suggestion
from headrace.graph.conditions import Champion, Comparison, Metric
from headrace.ports.durations import duration, spell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.graph.conditions import Bound

Limit: TypeAlias = "Bound | str | datetime | timedelta"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS: Final = ("Int64", "Float64")
_FITTING: Final[Mapping[str, tuple[str, ...] | None]] = {
    "rows": None,
    "nulls": None,
    "distinct": None,
    "share": None,
    "mean": _NUMBERS,
    "std": _NUMBERS,
    "quantile": _NUMBERS,
    "min": (*_NUMBERS, "Datetime"),
    "max": (*_NUMBERS, "Datetime"),
    "age": ("Datetime",),
    "psi": (*_NUMBERS, "String", "Boolean"),
}
"""Each kind of measure, with the types of columns that it is of; None: any."""
_VALUES: Final[Mapping[str, tuple[type, ...]]] = {
    "String": (str,),
    "Int64": (int, float),
    "Float64": (int, float),
    "Boolean": (bool,),
    "Datetime": (datetime,),
    "Date": (date,),
}
_CALLED: Final = re.compile(r"([a-z_]+)(?:\((\w+)\))?")


@dataclass(frozen=True, slots=True, repr=False)
class Measure(Metric):
    """A number that is measured of all rows of a table: its kind, the column, and what else it takes.

    A moment is measured in seconds since 1970, an age in seconds.
    """

    kind: str = "rows"
    of: str | None = None
    argument: object = None

    @classmethod
    def named(cls, kind: str, of: str | None = None, argument: object = None) -> Measure:
        """The measure under the name that it is printed by."""
        if isinstance(argument, datetime):
            argument = argument.replace(tzinfo=UTC) if argument.tzinfo is None else argument.astimezone(UTC)
        between = {"share": " = ", "age": " behind "}.get(kind, ", ")
        more = "" if argument is None else f"{between}{argument!r}" if kind == "share" else f"{between}{argument}"
        return cls(kind if of is None else f"{kind}({of}{more})", None, kind, of, argument)

    @property
    def relative(self) -> bool:
        """Whether it is measured against the last good version."""
        return self.kind == "psi"

    def plain(self) -> list[object]:
        """The measure as plain data, for the fingerprint."""
        return [self.kind, self.of, self.argument]

    def __lt__(self, bound: Limit) -> Comparison:
        return Metric.__lt__(self, _limit(bound))

    def __le__(self, bound: Limit) -> Comparison:
        return Metric.__le__(self, _limit(bound))

    def __gt__(self, bound: Limit) -> Comparison:
        return Metric.__gt__(self, _limit(bound))

    def __ge__(self, bound: Limit) -> Comparison:
        return Metric.__ge__(self, _limit(bound))

    def shown(self, value: float | None) -> str:
        """A value as people read it: a duration, a moment or a number."""
        if value is None:
            return "nothing to measure"
        if self.kind == "age":
            return f"-{spell(timedelta(seconds=-value))}" if value < 0 else spell(timedelta(seconds=value))
        return f"{value:.6g}" if abs(value) < 1e5 or value != int(value) else f"{value:.0f}"  # noqa: PLR2004 - long


def rows() -> Measure:
    """How many rows the table has: ``rule(rows() >= 1_000)``."""
    return Measure.named("rows")


def measure_of(where: str, metric: Metric, types: Mapping[str, str]) -> Measure:
    """The measure that a metric is, checked against the columns of a contract.

    `metric("rows")` and `drift("distance")` are understood as well. Raises HR430 for a metric that is none of a table
    or does not fit its column, HR429 for a column that is not there.
    """
    found = metric
    if not isinstance(found, Measure):
        called = _CALLED.fullmatch(metric.name)
        if called is None or called[1] not in ("rows", "psi") or metric.column is not None:
            fix = suggestion(metric.name.partition("(")[0], _FITTING)
            raise HeadraceError("HR430", f"{where} measures {metric}", fix=fix)
        found = Measure.named(called[1], called[2])
    fitting = _FITTING[found.kind]
    others = [found.argument] if found.kind == "age" and isinstance(found.argument, str) else []
    for column in [found.of, *others]:
        if column is not None and column not in types:
            raise HeadraceError("HR429", f"{where} names the column {column!r}", fix=suggestion(str(column), types))
        if column is not None and fitting is not None and types[str(column)] not in fitting:
            raise HeadraceError("HR430", f"{where}: {found.kind} does not fit {column}, which is {types[str(column)]}")
    if found.kind == "quantile" and not _is_share(found.argument):
        raise HeadraceError("HR430", f"{where}: a quantile is of a level from 0 to 1, not {found.argument!r}")
    if found.kind == "share" and not _fits(found.argument, types[str(found.of)]):
        raise HeadraceError("HR430", f"{where}: {found.of} is {types[str(found.of)]}, and never {found.argument!r}")
    return found


def told(comparison: Comparison, measure: Measure) -> str:
    """A condition as people read it: durations and moments are spelled."""
    bound = comparison.bound
    if isinstance(bound, Champion):
        return f"{measure} {comparison.operator} {bound}"
    if measure.kind == "age":
        return f"{measure} {comparison.operator} {measure.shown(bound)}"
    return f"{measure} {comparison.operator} {f'{bound:.15g}'}"


def _is_share(level: object) -> bool:
    return isinstance(level, (int, float)) and not isinstance(level, bool) and 0 <= level <= 1


def _fits(value: object, kind: str) -> bool:
    """Whether a column of this type can have the value."""
    return type(value) in _VALUES[kind]


def _limit(bound: Limit) -> Bound:
    """A bound as a number: a duration in seconds, a moment in seconds since 1970."""
    if isinstance(bound, datetime):
        aware = bound.replace(tzinfo=UTC) if bound.tzinfo is None else bound
        return (aware - _EPOCH).total_seconds()
    return duration(bound).total_seconds() if isinstance(bound, (str, timedelta)) else bound
