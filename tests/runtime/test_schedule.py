"""When schedules are due, also where clocks are put forward and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.ports.canonical import digest_of
from headrace.runtime.cronfields import parsed
from headrace.runtime.schedule import COUNTED, Due, cron, every, from_facts, longest_gap

if TYPE_CHECKING:
    from headrace.runtime.schedule import Cron, Every, Missed, Schedule

NEW_YORK = "America/New_York"
MINUTE = timedelta(minutes=1)

# Days on which clocks change: by an hour forward and back, by half an hour, at midnight, by a whole day.
CHANGES = [
    (NEW_YORK, "2026-03-07"),
    (NEW_YORK, "2026-10-31"),
    ("Australia/Lord_Howe", "2026-04-04"),
    ("Australia/Lord_Howe", "2026-10-03"),
    ("Africa/Cairo", "2026-04-23"),
    ("Africa/Cairo", "2026-10-28"),
    ("America/Havana", "2026-03-07"),
    ("America/Havana", "2026-10-31"),
    ("America/St_Johns", "2010-11-06"),
    ("Pacific/Apia", "2011-12-28"),
]

FIELDS = st.tuples(
    st.sampled_from(["0", "30", "15,45", "59", "0-59/7", "*/15", "*", "*/7"]),
    st.sampled_from(["0", "1", "2", "1-3", "23", "0,2,23", "*", "*/2", "*/5"]),
    st.sampled_from(["*", "*/2", "1", "28-31"]),
    st.just("*"),
    st.sampled_from(["*", "sun", "mon-fri", "fri-sun"]),
).map(" ".join)


def moments(schedule: Schedule, start: str, count: int, zone: str = "UTC") -> list[str]:
    """The next times of a schedule after a local moment, as its zone's clocks show them, with the offset."""
    moment = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    shown = []
    for _ in range(count):
        moment = schedule.next_after(moment)
        shown.append(moment.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M%z"))
    return shown


def by_brute_force(schedule: Cron, start: datetime, days: int) -> list[datetime]:
    """The times of a schedule by its definition, minute by minute: `start` excluded."""
    zone, fields = ZoneInfo(schedule.zone), parsed(schedule.expression)
    minutes = [start + number * MINUTE for number in range(-2 * 1440, days * 1440 + 1)]
    found: set[datetime] = set()
    reached = datetime.min  # noqa: DTZ901 - a local time: the latest that clocks have shown so far
    for moment in minutes:
        local = moment.astimezone(zone).replace(tzinfo=None, fold=0)
        if fields.recurring:
            passed = [local]
        else:  # local times that are shown, or jumped over, for the first time now
            first = max(reached + MINUTE, local - timedelta(days=2)) if reached.year > 1 else local
            passed = [first + number * MINUTE for number in range(int((local - first) / MINUTE) + 1)]
        reached = max(reached, local)
        if any(
            each.minute in fields.minutes and each.hour in fields.hours and fields.on(each.date()) for each in passed
        ):
            found.add(moment)
    return sorted(moment for moment in found if moment > start)


@given(FIELDS, st.sampled_from(CHANGES), st.integers(0, 3000))
def test_times_are_those_of_the_definition_wherever_clocks_change(
    expression: str, change: tuple[str, str], seconds: int
) -> None:
    schedule = cron(expression, zone=change[0])
    start = datetime.fromisoformat(change[1]).replace(tzinfo=ZoneInfo(change[0])).astimezone(UTC)
    expected = by_brute_force(schedule, start, days=3)
    moment, found = start, []
    while (moment := schedule.next_after(moment)) <= start + timedelta(days=3):
        found.append(moment)
    assert found == expected
    asked = start + timedelta(seconds=86 * seconds)  # anywhere within the days, not only at one of its times
    assert schedule.next_after(asked) == next((each for each in expected if each > asked), moment)


@given(FIELDS, st.sampled_from(CHANGES), st.integers(0, 3 * 86_400))
def test_latest_is_the_inverse_of_next(expression: str, change: tuple[str, str], seconds: int) -> None:
    schedule = cron(expression, zone=change[0])
    now = datetime.fromisoformat(change[1]).replace(tzinfo=UTC) + timedelta(seconds=seconds)
    latest = schedule.latest(now)
    assert latest <= now < schedule.next_after(latest)
    assert schedule.next_after(latest - timedelta(microseconds=1)) == latest


def test_working_days_in_new_york_in_winter_and_in_summer() -> None:
    schedule = cron("0 6 * * mon-fri", zone=NEW_YORK)
    assert moments(schedule, "2026-03-05T07:00", 3, NEW_YORK) == [
        "03-06 06:00-0500",
        "03-09 06:00-0400",
        "03-10 06:00-0400",
    ]
    assert schedule.next_after(datetime(2026, 3, 9, tzinfo=UTC)) == datetime(2026, 3, 9, 10, tzinfo=UTC)


def test_a_time_that_the_day_does_not_have_runs_once_when_clocks_jump() -> None:
    schedule = cron("15,45 2 * * *", zone=NEW_YORK)
    assert moments(schedule, "2026-03-08T00:00", 2, NEW_YORK) == ["03-08 03:00-0400", "03-09 02:15-0400"]


def test_a_time_that_the_day_has_twice_runs_once_at_the_first() -> None:
    schedule = cron("30 1 * * *", zone=NEW_YORK)
    assert moments(schedule, "2026-11-01T00:00", 2, NEW_YORK) == ["11-01 01:30-0400", "11-02 01:30-0500"]
    in_the_second_hour = datetime(2026, 11, 1, 6, 10, tzinfo=UTC)
    assert schedule.next_after(in_the_second_hour) == datetime(2026, 11, 2, 6, 30, tzinfo=UTC)


def test_every_real_occurrence_of_a_star_counts() -> None:
    schedule = cron("*/30 * * * *", zone=NEW_YORK)
    assert moments(schedule, "2026-03-08T01:30", 2, NEW_YORK) == ["03-08 03:00-0400", "03-08 03:30-0400"]
    assert moments(schedule, "2026-11-01T01:00", 4, NEW_YORK) == [
        "11-01 01:30-0400",
        "11-01 01:00-0500",
        "11-01 01:30-0500",
        "11-01 02:00-0500",
    ]
    assert moments(cron("0 */2 * * *", zone=NEW_YORK), "2026-03-08T00:30", 1, NEW_YORK) == ["03-08 04:00-0400"]


def test_half_an_hour_and_a_whole_day_are_changes_too() -> None:
    lord_howe, apia = "Australia/Lord_Howe", "Pacific/Apia"
    assert moments(cron("*/15 2 * * *", zone=lord_howe), "2026-04-05T00:00", 1, lord_howe) == ["04-05 02:00+1030"]
    assert moments(cron("0 12 30 12 *", zone=apia), "2011-12-29T00:00", 1, apia) == ["12-31 00:00+1400"]


def test_a_day_that_comes_back_after_midnight_holds_nothing_up() -> None:
    """In St. John's clocks went back from 00:01 to 23:01, so that a day began, ended and began again."""
    st_johns = "America/St_Johns"
    second_evening = datetime(2010, 11, 7, 3, 0, tzinfo=UTC)  # 23:30 on the 6th, after the 7th had begun
    for day in range(7, 16):
        found = cron(f"*/30 0 {day} * *", zone=st_johns).next_after(second_evening)
        assert found.astimezone(ZoneInfo(st_johns)).strftime("%d %H:%M") == f"{day:02d} 00:00"


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("0 0 29 2 *", "2026-01-01", ["02-29 00:00+0000"] * 2),
        ("0 0 13 * fri", "2026-02-01", ["02-06 00:00+0000", "02-13 00:00+0000", "02-20 00:00+0000"]),
        ("0 0 */30 * mon", "2026-01-01", ["06-01 00:00+0000", "08-31 00:00+0000"]),
        ("0 0 * * 7", "2026-01-01", ["01-04 00:00+0000", "01-11 00:00+0000"]),
        ("0 0 * * sat-sun", "2026-01-01", ["01-03 00:00+0000", "01-04 00:00+0000", "01-10 00:00+0000"]),
        ("5-20/5 1 1 JAN,jul *", "2026-01-01", ["01-01 01:05+0000", "01-01 01:10+0000", "01-01 01:15+0000"]),
        ("@weekly", "2026-01-01", ["01-04 00:00+0000"]),
        ("@HOURLY", "2026-01-01", ["01-01 01:00+0000"]),
    ],
)
def test_fields(expression: str, start: str, expected: list[str]) -> None:
    assert moments(cron(expression), start, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "code", "says"),
    [
        ("0 6 * *", "HR960", "4 fields"),
        ("0 0 6 * * *", "HR960", "6 fields"),
        ("", "HR960", "0 fields"),
        ("@dayly", "HR960", "Did you mean '@daily'?"),
        ("0 6 * * mond", "HR961", "Did you mean 'mon'?"),
        ("0 6 * jann *", "HR961", "Did you mean 'jan'?"),
        ("0 x * * *", "HR961", "Use a number from 0 to 23."),
        ("60 * * * *", "HR961", "not within 0 to 59"),
        ("0 0 0 * *", "HR961", "not within 1 to 31"),
        ("0 17-9 * * *", "HR961", "17-23,0-9"),
        ("5/15 * * * *", "HR961", "5-59/15"),
        ("*/60 * * * *", "HR961", "does not fit into 0 to 59"),
        ("*/0 * * * *", "HR961", "does not fit"),
        ("*-5 * * * *", "HR961", "cannot be read"),
        ("1,,2 * * * *", "HR961", "cannot be read"),
        ("0 0 L * *", "HR961", "'l'"),
        ("0 0 * * mon#2", "HR961", "cannot be read"),
        (f"{'9' * 5000} * * * *", "HR961", "Use a number"),
        ("0 0 30 2 *", "HR962", "no such month has a day 30"),
        ("0 0 31 4,6,9,11 */2", "HR962", "day 31"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_hint(expression: str, code: str, says: str) -> None:
    with pytest.raises(HeadraceError) as caught:
        cron(expression)
    assert caught.value.code == code
    assert says in str(caught.value)


def test_a_day_that_no_month_has_may_stand_beside_a_day_of_the_week() -> None:
    assert moments(cron("0 0 30 2 mon"), "2026-01-01", 1) == ["02-02 00:00+0000"]


@pytest.mark.parametrize(
    ("zone", "says"), [("America/New_Yrok", "Did you mean 'America/New_York'?"), ("../etc", "known: "), ("America", "")]
)
def test_unknown_zones_are_refused(zone: str, says: str) -> None:
    with pytest.raises(HeadraceError) as caught:
        cron("@daily", zone=zone)
    assert caught.value.code == "HR963"
    assert says.lower() in str(caught.value).lower()


def test_intervals_are_counted_from_a_monday() -> None:
    assert moments(every("1d"), "2026-01-01T10:00", 2) == ["01-02 00:00+0000", "01-03 00:00+0000"]
    assert moments(every("1w"), "2026-01-01T10:00", 1) == ["01-05 00:00+0000"]
    assert moments(every(timedelta(hours=6)), "2026-01-01T06:00", 1) == ["01-01 12:00+0000"]


@pytest.mark.parametrize(("interval", "code"), [("500ms", "HR964"), ("0s", "HR964"), ("daily", "HR110")])
def test_unfit_intervals_are_refused(interval: str, code: str) -> None:
    with pytest.raises(HeadraceError) as caught:
        every(interval)
    assert caught.value.code == code


def test_what_is_missed_is_caught_up_or_skipped() -> None:
    with pytest.raises(HeadraceError, match="neither 'once' nor 'skip'"):
        every("1d", missed="all")  # type: ignore[arg-type]


def test_missed_times_are_caught_up_by_one_run() -> None:
    schedule = cron("0 6 * * *")
    last, now = datetime(2026, 1, 1, 6, tzinfo=UTC), datetime(2026, 1, 5, 9, tzinfo=UTC)
    found = schedule.due(last, now)
    assert found == Due(datetime(2026, 1, 5, 6, tzinfo=UTC), missed=3)
    assert str(found) == "scheduled for 2026-01-05 06:00:00 UTC, and 3 missed before"
    assert schedule.due(found.at, now) is None
    assert str(schedule.due(last, last + timedelta(days=1))) == "scheduled for 2026-01-02 06:00:00 UTC"


def test_missed_times_are_skipped_where_declared() -> None:
    schedule = cron("0 6 * * *", missed="skip")
    last, on_time = datetime(2026, 1, 1, 6, tzinfo=UTC), datetime(2026, 1, 5, 6, tzinfo=UTC)
    assert schedule.due(last, on_time + timedelta(hours=3)) is None
    assert schedule.due(last, on_time + timedelta(seconds=20)) == Due(on_time, missed=3)


def test_what_never_ran_is_due_for_its_latest_time() -> None:
    now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    assert every("1d").due(None, now) == Due(datetime(2026, 1, 5, tzinfo=UTC))
    assert every("1d", missed="skip").due(None, now) is None


def test_clocks_that_go_back_make_nothing_due() -> None:
    assert every("1h").due(datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, 12, 30, tzinfo=UTC)) is None


def test_missed_times_are_counted_up_to_a_limit() -> None:
    found = cron("* * * * *").due(datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    assert found == Due(datetime(2026, 1, 1, tzinfo=UTC), missed=COUNTED)
    assert "1000 or more missed" in str(found)


@given(
    st.sampled_from(
        [every("90s"), every("1d"), cron("*/20 * * * *", zone=NEW_YORK), cron("30 1 * * *", zone=NEW_YORK)]
    ),
    st.lists(st.integers(0, 40_000), min_size=1, max_size=20),
)
def test_a_supervisor_that_looks_at_any_times_runs_each_time_once_and_misses_none(
    schedule: Schedule, pauses: list[int]
) -> None:
    begun = last = now = datetime(2026, 10, 31, 12, tzinfo=UTC)
    covered: list[datetime] = []
    runs: list[datetime] = []
    for pause in pauses:
        now += timedelta(seconds=pause)
        if found := schedule.due(last, now):
            runs.append(found.at)
            moment = last
            for _ in range(found.missed + 1):
                moment = schedule.next_after(moment)
                covered.append(moment)
            assert moment == found.at <= now
            last = found.at
    expected, moment = [], begun
    while (moment := schedule.next_after(moment)) <= now:
        expected.append(moment)
    assert covered == expected
    assert all(earlier < later for earlier, later in pairwise(runs))


def test_a_moment_needs_a_zone() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - the mistake
    for ask in (every("1d").next_after, cron("@daily").next_after, cron("@daily").latest):
        with pytest.raises(HeadraceError, match="HR967"):
            ask(naive)
    with pytest.raises(HeadraceError, match="HR967"):
        every("1d").due(naive, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("missed", ["once", "skip"])
def test_schedules_are_values(missed: Missed) -> None:
    for schedule in (every("1h30m", missed=missed), cron(" 0  6 * * MON-FRI", zone=NEW_YORK, missed=missed)):
        assert from_facts(schedule.to_facts()) == schedule
        assert eval(str(schedule)) == schedule  # noqa: S307 - what is printed can be pasted
    assert digest_of(cron("@daily")) == digest_of(cron("0 0 * * *"))
    assert digest_of(cron("@daily")) != digest_of(cron("@daily", zone=NEW_YORK))
    assert str(cron("0 6 * * mon-fri", zone=NEW_YORK)) == 'cron("0 6 * * mon-fri", zone="America/New_York")'
    assert str(every("1d", missed="skip")) == 'every("1d", missed="skip")'


@pytest.mark.parametrize(
    ("schedule", "days", "minutes"),
    [
        (every("90m"), 0, 90),
        (cron("0 6 * * *"), 1, 0),
        (cron("0 6 * * mon", zone="America/New_York"), 7, 0),
        (cron("* * * * mon"), 6, 1),
        (cron("0 9-17 * * mon-fri"), 2, 16 * 60),
        (cron("*/15 * * * *"), 0, 15),
        (cron("0 6,7 1 * *"), 31, -60),
        (cron("0 0 29 2 *"), 4 * 365 + 1, 0),
    ],
)
def test_the_longest_time_between_two_of_its_times(schedule: Every | Cron, days: int, minutes: int) -> None:
    assert longest_gap(schedule) == timedelta(days=days, minutes=minutes)
