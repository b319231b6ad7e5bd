"""Schedules as values: `every("1d")`, `cron("0 6 * * mon-fri", zone="America/New_York")`. Pure: no clock is read.

What a cron schedule means where clocks change is what Vixie's cron, and Debian's, made of it:

- Where neither the minute nor the hour begins with a star, the expression names times of the day. A time that the day
  does not have, because clocks jump over it, runs at the moment they jump; several of them run once, together. A time
  that the day has twice runs once, at the first.
- Where one of them begins with a star (`*/15 * * * *`, `0 */2 * * *`, `* * * * *`), every real occurrence counts: what
  clocks jump over does not occur, and what occurs twice runs twice.

A day must fit the month and the week where one of these two fields begins with a star; where both name days, one that
fits is enough.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo, available_timezones

from headrace.errors import HeadraceError, suggestion
from headrace.ports.durations import duration, spell
from headrace.runtime.cronfields import normal, parsed

if TYPE_CHECKING:
    from datetime import date

    from headrace.ports.records import Facts
    from headrace.runtime.cronfields import CronFields

Missed: TypeAlias = Literal["once", "skip"]

COUNTED: Final = 1000
"""Missed times are counted up to here."""

_ANCHOR = datetime(1970, 1, 5, tzinfo=UTC)  # a Monday: intervals of a week begin with the week
_LATE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_FAR = timedelta(days=2)
_CYCLE = 9 * 366  # days: within them, 29 February comes again
_BEFORE_ALL = (-1, 0)  # an hour and a minute before any other


@dataclass(frozen=True, slots=True)
class Due:
    """A schedule is due: for which of its times, and how many earlier ones are covered by it (at most `COUNTED`)."""

    at: datetime
    missed: int = 0

    def __str__(self) -> str:
        if not self.missed:
            return f"scheduled for {self.at:%Y-%m-%d %H:%M:%S} UTC"
        count = f"{COUNTED} or more" if self.missed >= COUNTED else str(self.missed)
        return f"scheduled for {self.at:%Y-%m-%d %H:%M:%S} UTC, and {count} missed before"


@dataclass(frozen=True, slots=True)
class Every:
    """A fixed interval, counted from Monday 5 January 1970, 00:00 UTC, so that "1d" means midnight UTC.

    What `missed` means is told at `due`.
    """

    interval: timedelta
    missed: Missed = "once"

    def __post_init__(self) -> None:
        if self.interval < _SECOND:
            raise HeadraceError("HR964", f"an interval of {spell(self.interval)} is too short")
        _check(self.missed)

    def __str__(self) -> str:
        return f'every("{spell(self.interval)}"{_spelled(self.missed)})'

    def next_after(self, moment: datetime) -> datetime:
        """The first of its times that lies after `moment`, in UTC. Raises HR967 for a moment without a zone."""
        return self.latest(moment) + self.interval

    def latest(self, moment: datetime) -> datetime:
        """The last of its times that does not lie after `moment`, in UTC. Raises HR967."""
        return _ANCHOR + (_utc(moment) - _ANCHOR) // self.interval * self.interval

    def due(self, last: datetime | None, now: datetime) -> Due | None:
        """Whether it is due at `now`, having run last for `last`. See the function `due`."""
        return due(self, last, now)

    def to_facts(self) -> Facts:
        """Plain data."""
        return {"kind": "every", "microseconds": self.interval // timedelta(microseconds=1), "missed": self.missed}


@dataclass(frozen=True, slots=True)
class Cron:
    """Times of the calendar in a time zone: see the module for what they mean where clocks change."""

    expression: str
    zone: str = "UTC"
    missed: Missed = "once"

    def __post_init__(self) -> None:
        object.__setattr__(self, "expression", normal(self.expression))
        parsed(self.expression)
        _zone(self.zone)
        _check(self.missed)

    def __str__(self) -> str:
        zone = "" if self.zone == "UTC" else f', zone="{self.zone}"'
        return f'cron("{self.expression}"{zone}{_spelled(self.missed)})'

    def next_after(self, moment: datetime) -> datetime:
        """The first of its times that lies after `moment`, in UTC. Raises HR967 for a moment without a zone."""
        start = _utc(moment)
        return self._next_occurrence(start) if parsed(self.expression).recurring else self._next_time(start)

    def latest(self, moment: datetime) -> datetime:
        """The last of its times that does not lie after `moment`, in UTC. Raises HR967."""
        end, span = _utc(moment), timedelta(minutes=1)
        while (low := self.next_after(end - span)) > end:
            span *= 2
        high = end
        while (following := self.next_after(low)) <= end:  # there may be very many: halve the time that they lie in
            middle = following + (high - following) / 2
            found = self.next_after(middle)
            low, high = (found, high) if found <= end else (following, middle)
        return low

    def due(self, last: datetime | None, now: datetime) -> Due | None:
        """Whether it is due at `now`, having run last for `last`. See the function `due`."""
        return due(self, last, now)

    def to_facts(self) -> Facts:
        """Plain data."""
        return {"kind": "cron", "expression": self.expression, "zone": self.zone, "missed": self.missed}

    def _next_time(self, start: datetime) -> datetime:
        """Of times of the day: the first local time whose first moment lies after the start.

        The first moment at which local clocks show a time or a later one grows with that time, so that the local times
        can be tried in order, from the start's own on.
        """
        zone, fields = _zone(self.zone), parsed(self.expression)
        local = _local(start, zone)
        day, after = local.date(), (local.hour, local.minute)
        while True:
            found = _time_on(fields, day, after)
            if found is None:
                day, after = _next_day(fields, day), _BEFORE_ALL
            elif (moment := _first_moment(found, zone)) > start:
                return moment
            else:
                after = (found.hour, found.minute)

    def _next_occurrence(self, start: datetime) -> datetime:
        """Of real occurrences: walk from one change of the zone's offset to the next, with plain arithmetic between."""
        zone, fields = _zone(self.zone), parsed(self.expression)
        moment = start
        while True:
            local = _local(moment, zone)
            day = _next_day(fields, local.date() - _DAY)
            if day - local.date() > 2 * _FAR:  # jump, by more than clocks ever change, to as far before the day
                moment = _first_moment(_midnight(day - _FAR), zone)
                continue
            goal = _time_on(fields, local.date(), (local.hour, local.minute)) or _midnight(local.date() + _DAY)
            following = moment + (goal - local)
            if _offset(following, zone) != _offset(moment, zone):
                following = _change(moment, following, zone)
            moment = following
            if _occurs(fields, _local(moment, zone)):
                return moment


Schedule: TypeAlias = Every | Cron


def every(interval: str | timedelta, *, missed: Missed = "once") -> Every:
    """Run in a fixed interval, such as "1d" or "15m". Raises HR110 for what is no duration, HR964 for less than 1 s.

    `missed="once"` catches times up that were missed, with one run for all of them; `missed="skip"` lets them go.
    """
    return Every(duration(interval), missed)


def cron(expression: str, *, zone: str = "UTC", missed: Missed = "once") -> Cron:
    """Run at times of the calendar: `cron("0 6 * * mon-fri", zone="America/New_York")`.

    Five fields: minute, hour, day of the month, month, day of the week (names, 0 or 7 for Sunday), each a list of
    numbers, ranges and steps; or `@daily` and its like. `missed` as for `every`. Raises HR960 to HR964.
    """
    return Cron(expression, zone, missed)


def from_facts(facts: Facts) -> Schedule:
    """The inverse of `to_facts`."""
    if facts["kind"] == "every":
        return Every(timedelta(microseconds=facts["microseconds"]), facts["missed"])
    return Cron(facts["expression"], facts["zone"], facts["missed"])


def due(schedule: Schedule, last: datetime | None, now: datetime) -> Due | None:
    """Whether a schedule is due at `now`; one run covers every time since `last`.

    `last` is the time of the schedule that it ran for last, or when it ran; None: it never ran, and is due for the
    latest of its times (hand in the moment of its declaration to wait for the next one instead). With `missed="skip"`
    it is due only within a minute of one of its times. Raises HR967 for a moment without a zone.
    """
    at = schedule.latest(now)
    if last is not None and at <= _utc(last):
        return None
    if schedule.missed == "skip" and _utc(now) - at > _LATE:
        return None
    return Due(at, 0 if last is None else _between(schedule, last, at))


def longest_gap(schedule: Schedule) -> timedelta:
    """The longest time between two of its times that follow each other, changes of clocks aside."""
    if isinstance(schedule, Every):
        return schedule.interval
    fields = parsed(schedule.expression)
    of_day = [timedelta(hours=hour, minutes=minute) for hour in fields.hours for minute in fields.minutes]
    gaps = [later - earlier for earlier, later in pairwise(of_day)]
    days = [day for day in (_ANCHOR.date() + number * _DAY for number in range(_CYCLE)) if fields.on(day)]
    gaps += [(later - earlier) - (of_day[-1] - of_day[0]) for earlier, later in pairwise(days)]
    return max(gaps, default=_CYCLE * _DAY)


def _between(schedule: Schedule, last: datetime, at: datetime) -> int:
    """How many of its times lie between the two, counted up to `COUNTED`."""
    count, moment = 0, schedule.next_after(last)
    while moment < at and count < COUNTED:
        count, moment = count + 1, schedule.next_after(moment)
    return count


def _check(missed: str) -> None:
    known = get_args(Missed)
    if missed not in known:
        raise HeadraceError("HR964", f"missed={missed!r} is neither 'once' nor 'skip'", fix=suggestion(missed, known))


def _spelled(missed: str) -> str:
    return "" if missed == "once" else f', missed="{missed}"'


@cache
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        fix = suggestion(name, available_timezones())
        raise HeadraceError("HR963", f"there is no time zone {name!r}", fix=fix) from error


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise HeadraceError("HR967", f"{moment.isoformat()} has no time zone")
    return moment.astimezone(UTC)


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    """What clocks of the zone show at a moment, without the zone: plain arithmetic."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _first_moment(local: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which clocks show this local time, or, where they jump over it, the moment they jump."""
    moment = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if _local(moment, zone) == local:
        return moment
    return _change(local.replace(tzinfo=zone, fold=1).astimezone(UTC), moment, zone)


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first moment after `before` at which another offset holds; the offset changes once until `after`."""
    start, offset = before.replace(microsecond=0), _offset(before, zone)
    low, high = 0, ceil((after - start) / _SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(start + middle * _SECOND, zone) == offset else (low, middle)
    return start + high * _SECOND


def _time_on(fields: CronFields, day: date, after: tuple[int, int]) -> datetime | None:
    """The first local time on this day later than the hour and minute `after`; None: there is none."""
    if not fields.on(day):
        return None
    for hour in fields.hours[bisect_left(fields.hours, after[0]) :]:
        place = bisect_right(fields.minutes, after[1]) if hour == after[0] else 0
        if place < len(fields.minutes):
            return datetime.combine(day, time(hour, fields.minutes[place]))
    return None


def _next_day(fields: CronFields, day: date) -> date:
    """The next day after this one that the fields name. There is one: `parsed` refuses days that never come."""
    day += _DAY
    while not fields.on(day):
        day += _DAY
    return day


def _occurs(fields: CronFields, local: datetime) -> bool:
    whole = not (local.second or local.microsecond)
    return whole and local.minute in fields.minutes and local.hour in fields.hours and fields.on(local.date())
