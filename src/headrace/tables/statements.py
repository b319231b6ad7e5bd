"""Every rule of one row that a contract has, in one grammar and in order: what the pass over the data goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.tables.expressions import VALUE, Expression, col, spelled
from headrace.tables.rules import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.tables.contract import Column, Contract


@dataclass(frozen=True, slots=True)
class Statement:
    """One rule of one row: its text, the columns that it is about, what must hold, and what a breach does.

    `references` names the column whose value must be a key of another table; `says` is then about nothing else.
    `on_breach` is None where the table decides. `needed`: it is about a key or an event time.
    """

    text: str
    names: tuple[str, ...]
    says: Expression
    on_breach: str | None = None
    references: Any = None
    needed: bool = False


def statements(contract: type[Contract]) -> list[Statement]:
    """The rules of each column in their order, then those with a name."""
    found = [each for column in contract.__columns__ for each in _of_column(column)]
    return [
        *found,
        *(Statement(each.text, each.says.columns(), each.says, each.on_breach) for each in contract.__rows__),
    ]


def _of_column(column: Column) -> Iterator[Statement]:
    """The rules of a column. A null breaks none of them but the one that forbids it."""
    rules, name, value = column.rules, column.name, col(column.name)
    if not column.nullable:
        yield _statement(column, "is not null", value.is_not_null())
    for word, symbol in LIMITS.items():
        limit = getattr(rules, word)
        if limit is not None:
            yield _statement(
                column, f"{symbol} {spelled(limit)}", Expression(symbol, (value, Expression(VALUE, (limit,))))
            )
    if rules.isin is not None:
        yield _statement(column, f"in ({', '.join(map(spelled, rules.isin))})", Expression("in", (value, rules.isin)))
    if rules.matches is not None:
        yield _statement(column, f"matches {rules.matches}", value.matches(rules.matches))
    if rules.min_length is not None:
        text = f"has at least {rules.min_length} characters"
        yield _statement(column, text, value.length() >= rules.min_length)
    if rules.max_length is not None:
        text = f"has at most {rules.max_length} characters"
        yield _statement(column, text, value.length() <= rules.max_length)
    if rules.references is not None:
        text = f"{name} is in {rules.references.name}"
        yield Statement(text, (name,), value, rules.on_breach, rules.references, needed=_needed(column))


def _needed(column: Column) -> bool:
    return column.key or column.event_time


def _statement(column: Column, text: str, says: Expression) -> Statement:
    return Statement(f"{column.name} {text}", (column.name,), says, column.rules.on_breach, needed=_needed(column))
