"""The rules of one column: what they are, and whether they fit the type of the column."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import HeadraceError
from headrace.ports.loading import checked_before

if TYPE_CHECKING:
    from collections.abc import Mapping

QUARANTINE, FAIL, WARN = "quarantine", "fail", "warn"
ANSWERS: Final = (QUARANTINE, FAIL, WARN)
"""What becomes of a row that breaks a rule: it is set aside, it stops the table, or it stays and is counted."""
MENDED: Final = "mended"
"""The folder of a project, and the beginning of the names, of the batches of mended rows."""
LIMITS: Mapping[str, str] = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_ORDERED = (int, float, datetime, date)
_TEXTUAL = ("matches", "min_length", "max_length")
_LONGEST = 2**63


@dataclass(frozen=True, slots=True)
class Rules:
    """What `column(...)` was told, before the name and the type of the column are known. See `ColumnRules`."""

    key: bool = False
    unique: bool = False
    event_time: bool = False
    known_at: bool = False
    isin: tuple[Any, ...] | None = None
    gt: Any = None
    ge: Any = None
    lt: Any = None
    le: Any = None
    matches: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    references: Any = None
    on_breach: str | None = None
    description: str = ""

    def plain(self) -> dict[str, object]:
        """The rules that are set, for the fingerprint. A description decides nothing; of a table its name counts."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "description"}
        if self.references is not None:
            values["references"] = self.references.name
        return {name: value for name, value in values.items() if value is not None and value is not False}


def answer_of(on_breach: str | None, table: str, *, needed: bool) -> str:
    """What a breach does: what the rule says, else what the table does.

    A row without its key or its event time never stays, not where a table only warns either.
    """
    found = on_breach or table
    return QUARANTINE if needed and found == WARN else found


def whole(pattern: str) -> str:
    """The regular expression that a text fits as a whole."""
    return rf"\A(?:{pattern})\z"


def checked(where: str, kind: type, rules: Rules, *, nullable: bool) -> Rules:
    """The rules with each value of the type of the column. Raises HR405 for a rule that does not fit it."""
    _check_roles(where, kind, rules, nullable=nullable)
    _check_texts(where, kind, rules)
    _check_answer(where, rules)
    limits = {name: getattr(rules, name) for name in LIMITS if getattr(rules, name) is not None}
    if limits and kind not in _ORDERED:
        raise HeadraceError("HR405", f"{where}: {next(iter(limits))} does not fit {kind.__name__}")
    found: dict[str, Any] = {name: _value(where, name, kind, value) for name, value in limits.items()}
    if rules.isin is not None:
        if not rules.isin:
            raise HeadraceError("HR405", f"{where}: isin is empty, so that no row could be clean")
        found["isin"] = tuple(_value(where, "isin", kind, value) for value in rules.isin)
    return replace(rules, **found)


def _check_roles(where: str, kind: type, rules: Rules, *, nullable: bool) -> None:
    if (rules.event_time or rules.known_at) and kind is not datetime:
        raise HeadraceError("HR405", f"{where}: a time must be a datetime, not {kind.__name__}")
    if (rules.key or rules.event_time) and nullable:
        raise HeadraceError("HR405", f"{where}: a key or an event time cannot be null")


def _check_answer(where: str, rules: Rules) -> None:
    if rules.on_breach is not None and rules.on_breach not in ANSWERS:
        raise HeadraceError("HR405", f"{where}: {_unknown_answer(rules.on_breach)}")
    if rules.on_breach == WARN and (rules.key or rules.event_time):
        raise HeadraceError("HR405", f'{where}: a key or an event time that is broken cannot stay: on_breach="warn"')


def _unknown_answer(answer: object) -> str:
    return f"on_breach is {answer!r}, and not one of {', '.join(ANSWERS)}"


def _check_texts(where: str, kind: type, rules: Rules) -> None:
    given = [name for name in _TEXTUAL if getattr(rules, name) is not None]
    if given and kind is not str:
        raise HeadraceError("HR405", f"{where}: {given[0]} does not fit {kind.__name__}")
    for name in ("min_length", "max_length"):
        length = getattr(rules, name)
        if length is not None and (type(length) is not int or length < 0):
            raise HeadraceError("HR405", f"{where}: {name}={length!r} is no number of characters")
    if rules.matches is not None:
        check_pattern(where, rules.matches)


def check_pattern(where: str, pattern: str) -> None:
    """Raise HR405 for a pattern that the engine refuses: its dialect is not that of `re`. It starts threads."""
    if checked_before.get():
        return
    import polars as pl

    try:
        pl.select(pl.lit("").str.contains(whole(pattern)))
    except pl.exceptions.PolarsError as error:
        said = next((line for line in str(error).splitlines() if line.startswith("error:")), "error: not understood")
        raise HeadraceError("HR405", f"{where}: matches={pattern!r}: {said.removeprefix('error: ')}") from None


def _value(where: str, name: str, kind: type, value: object) -> object:
    """A limit or a member of `isin` as a value of the column's type."""
    fitting = _fitting(kind, value)
    if fitting is None:
        raise HeadraceError("HR405", f"{where}: {name} has {value!r:.60}, which is no {kind.__name__}")
    return fitting


def _fitting(kind: type, value: object) -> object | None:
    if isinstance(value, bool) or kind is bool:
        return value if isinstance(value, bool) and kind is bool else None
    if kind is datetime and isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if kind is date:
        return value if type(value) is date else None
    if kind in (int, float) and isinstance(value, (int, float)):
        return _number(kind, value)
    return value if kind is str and isinstance(value, str) else None


def _number(kind: type, value: float) -> float | None:
    if not math.isfinite(value):
        return None
    if kind is float:
        return float(value)
    return int(value) if value == int(value) and -_LONGEST <= value < _LONGEST else None
