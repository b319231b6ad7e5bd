"""Contracts: a class that says what a clean row looks like."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Unpack

from headrace.errors import HeadraceError, suggestion
from headrace.graph.conditions import Condition
from headrace.tables.named import RowRule, Rule, TableRule, row_rule, table_rules
from headrace.tables.rules import Rules, checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TYPES: dict[type, str] = {
    str: "String",
    int: "Int64",
    float: "Float64",
    bool: "Boolean",
    datetime: "Datetime",
    date: "Date",
}
_ROLES = ("event_time", "known_at")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a contract: its name, its type ("Int64"), whether it may be null, and its rules."""

    name: str
    type: str
    nullable: bool
    rules: Rules

    @property
    def key(self) -> bool:
        """Whether the column is part of the key: unique over the table."""
        return self.rules.key

    @property
    def event_time(self) -> bool:
        """Whether the column says when the row's event was due."""
        return self.rules.event_time

    @property
    def known_at(self) -> bool:
        """Whether the column says when the row became known."""
        return self.rules.known_at


class ColumnRules(TypedDict, total=False):
    """What `column` takes.

    `key`: part of the key, which no two rows share. `unique`: no two rows have the same value, nulls aside.
    `event_time`: when the event was due. `known_at`: when the row became known (null: not yet). `isin`: the values that
    are allowed. `gt`, `ge`, `lt`, `le`: limits of numbers and times. `matches`: a regular expression that the whole
    text must fit (in Rust's dialect: no look-around). `min_length`, `max_length`: of a text, in characters.
    `references`: a table whose key the value must be (nulls aside); it becomes an input of this one. `on_breach`: what
    becomes of a row that breaks one of these rules ("quarantine", "fail" or "warn"), where it is not what the table
    says. `description`: for readers; it is not part of what is made.
    """

    key: bool
    unique: bool
    event_time: bool
    known_at: bool
    isin: Iterable[object]
    gt: object
    ge: object
    lt: object
    le: object
    matches: str
    min_length: int
    max_length: int
    references: object
    on_breach: str
    description: str


def column(**rules: Unpack[ColumnRules]) -> Any:  # noqa: ANN401 - it is assigned to columns of every type
    """State the rules of one column of a contract, with the words of `ColumnRules`; `Contract` has an example.

    Nulls break the contract, unless the annotation allows them (`int | None`). Raises HR401 for an unknown rule.
    """
    known = [field.name for field in fields(Rules)]
    for name in rules:
        if name not in known:
            raise HeadraceError("HR401", f"column() knows no rule {name!r}", fix=suggestion(name, known))
    given: dict[str, Any] = dict(rules)
    if given.get("isin") is not None:
        given["isin"] = tuple(given["isin"])
    return Rules(**given)


class Contract:
    """What a clean row looks like: derive from it and annotate columns, as in ``distance: int = column(gt=0)``.

    Types are str, int, float, bool, datetime (in UTC, to the microsecond) and date; `X | None` allows nulls. NaN counts
    as null. A contract that derives from another one adds columns and rules to it. A table has exactly these columns;
    rows that break a rule are set aside with the rule and the value. What else a function returns is left out, with a
    warning; ``class Departure(Contract, strict=True)`` refuses it (HR408). `headrace.tables.rule` states what concerns
    several columns, or the whole table.

    Making the class raises HR402 to HR405, HR413 and HR428 to HR431 for a contract that cannot be kept.
    """

    __columns__: ClassVar[tuple[Column, ...]] = ()
    __rows__: ClassVar[tuple[RowRule, ...]] = ()
    __whole__: ClassVar[tuple[TableRule, ...]] = ()
    __strict__: ClassVar[bool] = False

    def __init_subclass__(cls, *, strict: bool | None = None) -> None:
        super().__init_subclass__()
        cls.__strict__ = cls.__strict__ if strict is None else strict
        columns = {each.name: each for base in reversed(cls.__mro__[1:]) for each in vars(base).get("__columns__", ())}
        annotated = vars(cls).get("__annotations__", {})
        for name, value in vars(cls).items():
            if isinstance(value, Rules) and name not in annotated:
                raise HeadraceError("HR403", f"{cls.__name__}.{name} has rules and no type")
        hints = _hints(cls)
        columns.update((name, _column(cls, name, hints[name])) for name in annotated if name in hints)
        cls.__columns__ = tuple(columns.values())
        for role in _ROLES:
            with_role = [each.name for each in cls.__columns__ if getattr(each, role)]
            if len(with_role) > 1:
                raise HeadraceError("HR404", f"{cls.__name__} marks {with_role[0]} and {with_role[1]} as {role}")
        cls.__rows__, cls.__whole__ = _named_rules(cls)

    @classmethod
    def __headrace_canonical__(cls) -> object:
        """The contract as plain data, for the fingerprint: columns in order, and what decides which rows are clean.

        A rule against the last good version decides what is published, not what is made: it is no part of it.
        """
        columns: list[object] = [[each.name, each.type, each.nullable, each.rules.plain()] for each in cls.__columns__]
        rules = [each.plain() for each in cls.__rows__] + [each.plain() for each in cls.__whole__ if not each.relative]
        strict = {"strict": True} if cls.__strict__ else {}
        return {"columns": columns, "rules": rules, **strict} if rules or strict else columns


def marked(contract: type[Contract] | None, role: str) -> str | None:
    """The name of the column that a contract marks as `event_time` or `known_at`."""
    columns: Sequence[Column] = () if contract is None else contract.__columns__
    return next((each.name for each in columns if getattr(each, role)), None)


def keys(contract: type[Contract] | None) -> tuple[str, ...]:
    """The names of the key columns."""
    return () if contract is None else tuple(each.name for each in contract.__columns__ if each.key)


def references(contract: type[Contract] | None) -> dict[str, Any]:
    """The table that each column with a reference names, by column."""
    columns: Sequence[Column] = () if contract is None else contract.__columns__
    return {each.name: each.rules.references for each in columns if each.rules.references is not None}


def _named_rules(cls: type[Contract]) -> tuple[tuple[RowRule, ...], tuple[TableRule, ...]]:
    """The rules of a contract with a name, those of its bases first; a later one of a name takes the place."""
    found = {
        name: each for base in reversed(cls.__mro__) for name, each in vars(base).items() if isinstance(each, Rule)
    }
    types = {each.name: each.type for each in cls.__columns__}
    rows: list[RowRule] = []
    whole: list[TableRule] = []
    for name, each in found.items():
        where = f"{cls.__name__}.{name}"
        if isinstance(each.says, Condition):
            whole += table_rules(where, name, each, types)
        else:
            rows.append(row_rule(where, name, each, types))
    return tuple(rows), tuple(whole)


def _hints(cls: type) -> dict[str, object]:
    try:
        hints = typing.get_type_hints(cls)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise HeadraceError("HR402", f"{cls.__name__}: {error}") from None
    return {name: hint for name, hint in hints.items() if not (name.startswith("__") and name.endswith("__"))}


def _column(cls: type, name: str, hint: object) -> Column:
    where = f"{cls.__name__}.{name}"
    if name.startswith("_"):
        raise HeadraceError("HR413", f"{where} begins with an underscore")
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    options = typing.get_args(hint) if union else (hint,)
    plain = [option for option in options if option is not type(None)]
    kind = plain[0] if len(plain) == 1 else None
    if not isinstance(kind, type) or kind not in TYPES:
        raise HeadraceError("HR402", f"{where} is annotated as {getattr(hint, '__name__', hint)}")
    nullable = type(None) in options
    rules = vars(cls).get(name, Rules())
    if not isinstance(rules, Rules):
        raise HeadraceError("HR403", f"{where} = {rules!r:.60} is not column(...)")
    if rules.references is not None:
        _check_reference(where, TYPES[kind], rules.references)
    return Column(name, TYPES[kind], nullable, checked(where, kind, rules, nullable=nullable))


def _check_reference(where: str, kind: str, table: Any) -> None:  # noqa: ANN401 - whatever the user named
    """Raise HR431 unless it is a table whose key is one column of this type."""
    contract = getattr(table, "contract", None)
    if not (isinstance(contract, type) and issubclass(contract, Contract)) or not hasattr(table, "read"):
        raise HeadraceError("HR431", f"{where} references {table!r:.60}, which is no table with a contract")
    of = [each for each in contract.__columns__ if each.key]
    if len(of) != 1 or of[0].type != kind:
        told = ", ".join(f"{each.name} ({each.type})" for each in of) or "none"
        raise HeadraceError("HR431", f"{where} is {kind}, and the key of {table.name} is {told}")
