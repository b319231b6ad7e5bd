"""The five fields of a cron expression, read and checked. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from headrace.errors import HeadraceError, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SUNDAY = 7  # a week may end with it as well as begin
_TERM = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d{1,4}))?")


@dataclass(frozen=True, slots=True)
class _Field:
    """What may stand in one field: its lowest and highest number, and names for numbers from the lowest on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, _SUNDAY, _DAYS),
)


@dataclass(frozen=True, slots=True)
class CronFields:
    """What a cron expression means. Weekdays count from Sunday, 0, to Saturday, 6.

    `both`: a day must fit the month and the week, because one of the two fields begins with a star; otherwise one
    that fits is enough. `recurring`: the minute or the hour begins with a star, so that it means every real
    occurrence rather than times of the day.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    both: bool
    recurring: bool

    def on(self, day: date) -> bool:
        """Whether the expression names this day."""
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (in_month and in_week) if self.both else (in_month or in_week)


def normal(expression: str) -> str:
    """The one spelling of an expression: lower case, single blanks, `@daily` and the like written out. Raises HR960."""
    text = " ".join(expression.lower().split())
    if not text.startswith("@"):
        return text
    if text not in MACROS:
        raise HeadraceError("HR960", f"{expression!r} is not a schedule", fix=suggestion(text, MACROS))
    return MACROS[text]


@cache
def parsed(expression: str) -> CronFields:
    """Read a normal expression.

    Raises HR960 where there are not five fields, HR961 for a field that cannot be read, HR962 for a day that no
    month has.
    """
    texts = expression.split()
    if len(texts) != len(_FIELDS):
        raise HeadraceError("HR960", f"{expression!r} has {len(texts)} fields instead of {len(_FIELDS)}")
    minutes, hours, days, months, weekdays = (
        _numbers(text, field, expression) for text, field in zip(texts, _FIELDS, strict=True)
    )
    fields = CronFields(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=days,
        months=months,
        weekdays=frozenset(number % _SUNDAY for number in weekdays),
        both=texts[2].startswith("*") or texts[4].startswith("*"),
        recurring=texts[0].startswith("*") or texts[1].startswith("*"),
    )
    if fields.both and min(days) > max(_LONGEST[month - 1] for month in months):
        raise HeadraceError("HR962", f"{expression!r} never occurs: no such month has a day {min(days)}")
    return fields


def _numbers(text: str, field: _Field, expression: str) -> frozenset[int]:
    return frozenset(number for term in text.split(",") for number in _term(term, field, expression))


def _term(term: str, field: _Field, expression: str) -> range:
    """One number, range or star, with a step or without."""

    def refuse(because: str, fix: str | None) -> HeadraceError:
        return HeadraceError("HR961", f"{expression!r}: the {field.name} {term!r} {because}", fix=fix)

    found = _TERM.fullmatch(term)
    if found is None or (found["first"] == "*" and found["last"]):
        raise refuse("cannot be read", None)
    if found["first"] == "*":
        low, high = field.low, field.high
    else:
        low = _number(found["first"], field, refuse)
        high = _number(found["last"], field, refuse) if found["last"] else low
        if field.high == _SUNDAY and high == 0 < low:
            high = _SUNDAY
    if high < low:
        raise refuse("runs backwards", f"Write two ranges, joined by a comma: {low}-{field.high},{field.low}-{high}.")
    if found["step"] is None:
        return range(low, high + 1)
    step = int(found["step"])
    if found["first"] != "*" and not found["last"]:
        raise refuse("has a step but no range", f"Say where it ends: {found['first']}-{field.high}/{step}.")
    widest = max(1, high - low)
    if not 1 <= step <= widest:
        raise refuse(f"has a step that does not fit into {low} to {high}", f"Use a step of 1 to {widest}.")
    return range(low, high + 1, step)


def _number(text: str, field: _Field, refuse: Callable[[str, str | None], HeadraceError]) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    if not re.fullmatch(r"[0-9]{1,4}", text):
        hint = suggestion(text, field.names) if field.names else f"Use a number from {field.low} to {field.high}."
        raise refuse(f"has no number {text!r}" if not field.names else f"has no number or name {text!r}", hint)
    number = int(text)
    if not field.low <= number <= field.high:
        raise refuse(f"is not within {field.low} to {field.high}", None)
    return number
