"""Contracts: a class that says what a clean row looks like."""

from __future__ import annotations

import re
import types
import typing
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Sequence

TYPES: dict[type, str] = {
    str: "String",
    int: "Int64",
    float: "Float64",
    bool: "Boolean",
    datetime: "Datetime",
    date: "Date",
}
_ORDERED = (int, float, datetime, date)


@dataclass(frozen=True, slots=True)
class Rules:
    """What `column(...)` was told, before the name and the type of the column are known."""

    key: bool = False
    event_time: bool = False
    known_at: bool = False
    isin: tuple[object, ...] | None = None
    gt: object = None
    ge: object = None
    lt: object = None
    le: object = None
    matches: str | None = None
    min_length: int | None = None
    max_length: int | None = None


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


def column(**rules: Any) -> Any:
    """The rules of one column of a contract.

    `key=True`: part of the key, which no two rows share. `event_time=True`: when the event was due. `known_at=True`:
    when the row became known. `isin=(...)`, `gt`, `ge`, `lt`, `le`: the values allowed. `matches="..."`: a regular
    expression that the whole text must fit. `min_length`, `max_length`: of a text, in characters. Nulls are breaches,
    unless the annotation allows them (`int | None`). Raises HR401 for an unknown rule.
    """
    known = set(Rules.__dataclass_fields__)
    for name in rules:
        if name not in known:
            from headrace.errors import did_you_mean

            raise HeadraceError("HR401", f"column() knows no rule {name!r}", fix=did_you_mean(name, known).capitalize())
    if rules.get("isin") is not None:
        rules["isin"] = tuple(rules["isin"])
    return Rules(**rules)


class Contract:
    """What a clean row looks like: derive from it and annotate columns, as in ``distance: int = column(gt=0)``.

    Types are str, int, float, bool, datetime (UTC) and date; `X | None` allows nulls. A contract that derives from
    another one adds columns to it. Rows that break a rule are set aside with the rule and the value. Raises HR401 to
    HR405 while the class is made.
    """

    __columns__: ClassVar[tuple[Column, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        inherited = {each.name: each for base in reversed(cls.__mro__[1:]) for each in vars(base).get("__columns__", ())}
        own = {name: _column(cls, name, hint) for name, hint in _hints(cls).items() if name in cls.__annotations__}
        cls.__columns__ = tuple({**inherited, **own}.values())
        for flag in ("event_time", "known_at"):
            marked = [each.name for each in cls.__columns__ if getattr(each, flag)]
            if len(marked) > 1:
                raise HeadraceError("HR404", f"{cls.__name__} marks {marked[0]} and {marked[1]} as {flag}")

    @classmethod
    def __headrace_canonical__(cls) -> object:
        """The contract as plain data, for the fingerprint."""
        return [[each.name, each.type, each.nullable, each.rules] for each in cls.__columns__]


def marked(contract: type[Contract] | None, flag: str) -> str | None:
    """The name of the column that a contract marks as `event_time` or `known_at`."""
    columns: Sequence[Column] = contract.__columns__ if contract is not None else ()
    return next((each.name for each in columns if getattr(each, flag)), None)


def keys(contract: type[Contract] | None) -> tuple[str, ...]:
    """The names of the key columns."""
    return tuple(each.name for each in contract.__columns__ if each.key) if contract is not None else ()


def _hints(cls: type) -> dict[str, object]:
    try:
        return {name: hint for name, hint in typing.get_type_hints(cls).items() if not name.startswith("__")}
    except NameError as error:
        raise HeadraceError("HR402", f"{cls.__name__}: {error}") from error


def _column(cls: type, name: str, hint: object) -> Column:
    where = f"{cls.__name__}.{name}"
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) or _is_union(hint) else (hint,)
    nullable = type(None) in options
    plain = [option for option in options if option is not type(None)]
    if len(plain) != 1 or plain[0] not in TYPES:
        raise HeadraceError("HR402", f"{where} is annotated as {hint}")
    rules = vars(cls).get(name, Rules())
    if not isinstance(rules, Rules):
        raise HeadraceError("HR403", f"{where} = {rules!r} is not column(...)")
    _check_rules(where, plain[0], rules, nullable=nullable)
    return Column(name, TYPES[plain[0]], nullable, rules)


def _is_union(hint: object) -> bool:
    return typing.get_origin(hint) is typing.Union


def _check_rules(where: str, kind: type, rules: Rules, *, nullable: bool) -> None:
    compared = [name for name in ("gt", "ge", "lt", "le") if getattr(rules, name) is not None]
    if compared and kind not in _ORDERED:
        raise HeadraceError("HR405", f"{where}: {compared[0]} does not fit {kind.__name__}")
    textual = [name for name in ("matches", "min_length", "max_length") if getattr(rules, name) is not None]
    if textual and kind is not str:
        raise HeadraceError("HR405", f"{where}: {textual[0]} does not fit {kind.__name__}")
    if (rules.event_time or rules.known_at) and kind is not datetime:
        raise HeadraceError("HR405", f"{where}: a time must be a datetime, not {kind.__name__}")
    if (rules.key or rules.event_time) and nullable:
        raise HeadraceError("HR405", f"{where}: a key or an event time cannot be null")
    if rules.matches is not None:
        try:
            re.compile(rules.matches)
        except re.error as error:
            raise HeadraceError("HR405", f"{where}: matches={rules.matches!r}: {error}") from error
