"""Rules with a name of their own: of several columns of a row, or of the whole table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.graph.conditions import Champion, Comparison, Condition
from headrace.tables.expressions import TRUTH, Expression, typed
from headrace.tables.measures import Measure, measure_of, told
from headrace.tables.rules import ANSWERS, QUARANTINE

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Rule:
    """What `rule(...)` was told. Its name is that of the attribute that it is assigned to."""

    says: Expression | Condition
    on_breach: str | None = None


def rule(says: Expression | Condition, *, on_breach: str | None = None) -> Rule:
    """A rule of a contract about several columns, or about the whole table; in the body of the class.

    ``arrives_after_it_leaves = rule(col("arrived_at") >= col("departed_at"))`` is asked of each row,
    ``enough = rule(rows() >= 1_000)`` of all of them, and ``rule(rows() >= champion * 0.9)`` compares with the last
    good version before the new one is published. All of them are in `headrace.tables`.

    Args:
        says: What must hold. Of a row: it holds where it is not known, for lack of a value.
        on_breach: "quarantine", "fail" or "warn"; by default what the table says, of a whole table "fail".

    Raises:
        HeadraceError: HR428 for something that is neither true nor false, HR409 for another answer.
    """
    if not isinstance(says, (Expression, Condition)):
        raise HeadraceError("HR428", f"rule({says!r:.60}) says neither something of a row nor of a table")
    if on_breach is not None and on_breach not in ANSWERS:
        raise HeadraceError("HR409", f"rule({says}): on_breach is {on_breach!r}")
    if on_breach == QUARANTINE and isinstance(says, Condition):
        raise HeadraceError("HR409", f'rule({says}): a whole table cannot be set aside; on_breach is "fail" or "warn"')
    return Rule(says, on_breach)


@dataclass(frozen=True, slots=True)
class RowRule:
    """A rule of one row, checked against the columns of its contract."""

    name: str
    says: Expression
    on_breach: str | None

    @property
    def text(self) -> str:
        """The rule as people read it."""
        return f"{self.name}: {self.says}"

    def plain(self) -> list[object]:
        """The rule as plain data, for the fingerprint."""
        return [self.name, self.says.plain(), self.on_breach]


@dataclass(frozen=True, slots=True)
class TableRule:
    """A rule of the whole table: one comparison of a measure."""

    name: str
    measure: Measure
    comparison: Comparison
    on_breach: str

    @property
    def text(self) -> str:
        """The rule as people read it."""
        return f"{self.name}: {told(self.comparison, self.measure)}"

    @property
    def relative(self) -> bool:
        """Whether it compares with the last good version, so that it decides what is published, not what is made."""
        return self.measure.relative or isinstance(self.comparison.bound, Champion)

    def plain(self) -> list[object]:
        """The rule as plain data, for the fingerprint."""
        return [self.name, self.measure.plain(), self.comparison.operator, self.comparison.bound, self.on_breach]


def row_rule(where: str, name: str, found: Rule, types: Mapping[str, str]) -> RowRule:
    """A rule of one row. Raises HR428 and HR429 where it does not go with the columns."""
    assert isinstance(found.says, Expression)  # noqa: S101 - the caller has looked
    kind = typed(where, found.says, types)
    if kind != TRUTH:
        raise HeadraceError("HR428", f"{where}: {found.says} is {kind}, not true or false")
    return RowRule(name, found.says, found.on_breach)


def table_rules(where: str, name: str, found: Rule, types: Mapping[str, str]) -> list[TableRule]:
    """A rule of the whole table, a comparison each. Raises HR429 and HR430 where it does not go with the columns."""
    assert isinstance(found.says, Condition)  # noqa: S101 - the caller has looked
    answer = found.on_breach or "fail"
    rules = [TableRule(name, measure_of(where, each.metric, types), each, answer) for each in found.says.comparisons]
    for each in rules:
        if each.measure.relative and isinstance(each.comparison.bound, Champion):
            raise HeadraceError("HR430", f"{where}: {each.measure} compares with the last good version already")
    return rules
