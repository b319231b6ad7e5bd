"""When an alert is raised, what is done about it, and when it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.monitors.alarm import Kind, Limits, Note, Window, is_alerting, react

if TYPE_CHECKING:
    from collections.abc import Sequence

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
MONITOR = "m"


def run(windows: Sequence[bool | None], limits: Limits, minutes: float = 1) -> list[Note]:
    """What an alarm notes over windows that come every so many minutes."""
    notes: list[Note] = []
    seen: list[Window] = []
    for number, holds in enumerate(windows):
        seen.append(Window(holds, f"window {number}", BEGAN + timedelta(minutes=minutes * number)))
        notes += react(notes, seen[-limits.confirm :], MONITOR, limits)
    return notes


def kinds(notes: list[Note]) -> list[str]:
    return [note.kind.value for note in notes]


def test_an_alert_is_raised_acted_upon_and_cleared() -> None:
    notes = run([False, True, True, False, False], Limits(cooldown=3600))
    assert kinds(notes) == ["raised", "acted", "cleared"]
    assert [note.reason for note in notes] == ["window 1", "window 1", "window 3"]


def test_it_is_acted_again_when_the_cooldown_is_over() -> None:
    assert kinds(run([True] * 10, Limits(cooldown=300))) == ["raised", "acted", "acted"]


def test_a_thousand_alerts_make_one_action() -> None:
    notes = run([True, False] * 500, Limits(cooldown=86_400.0), minutes=0.1)
    assert kinds(notes).count("raised") == 500
    assert kinds(notes).count("acted") == 1
    assert kinds(notes).count("withheld") == 499
    assert "it acted at 2026-01-01 00:00:00, and may again at 2026-01-02 00:00:00" in {note.reason for note in notes}


def test_a_budget_is_spent_and_comes_back() -> None:
    notes = run([True, False] * 20, Limits(budget=2, period=600.0))
    acted = [note.at for note in notes if note.kind is Kind.ACTED]
    assert [round((at - BEGAN).total_seconds() / 60) for at in acted] == [0, 2, 10, 12, 20, 22, 30, 32]
    assert "its budget of 2 is spent" in {note.reason for note in notes}


def test_several_windows_must_tell_the_same() -> None:
    limits = Limits(confirm=3, cooldown=3600)
    assert run([True, True, False] * 5, limits) == []
    assert kinds(run([True] * 3 + [False, True, False] + [False] * 2, limits)) == ["raised", "acted", "cleared"]


@pytest.mark.parametrize("windows", [[], [None] * 9, [None, True, None]])
def test_too_few_rows_tell_nothing(windows: list[bool | None]) -> None:
    assert run(windows, Limits(confirm=2)) == []


def test_a_new_version_begins_without_an_alert_but_with_the_cooldown_of_the_last() -> None:
    notes = run([True], Limits(cooldown=600))
    assert is_alerting(notes, MONITOR)
    assert not is_alerting(notes, "another")
    window = Window(holds=True, seen="", at=BEGAN + timedelta(minutes=1))
    assert kinds(react(notes, [window], "another", Limits(cooldown=600))) == ["raised", "withheld"]


LIMITS = st.builds(
    Limits,
    st.integers(1, 3),
    st.sampled_from([0.0, 90.0, 600.0]),
    st.none() | st.integers(1, 3),
    st.sampled_from([300.0, 3600.0]),
)


@given(windows=st.lists(st.none() | st.booleans(), max_size=60), limits=LIMITS)
def test_laws(windows: list[bool | None], limits: Limits) -> None:
    """Alerts are raised and cleared in turn; actions keep their distance and their budget, and happen in an alert."""
    notes = run(windows, limits)
    turns = [note.kind for note in notes if note.kind in (Kind.RAISED, Kind.CLEARED)]
    assert turns == [Kind.RAISED, Kind.CLEARED] * (len(turns) // 2) + [Kind.RAISED] * (len(turns) % 2)
    acted = [note.at for note in notes if note.kind is Kind.ACTED]
    assert all((after - before).total_seconds() >= limits.cooldown for before, after in pairwise(acted))
    if limits.budget is not None:
        for at in acted:
            period = timedelta(seconds=limits.period)
            assert sum(at - period < other <= at for other in acted) <= limits.budget
    for n, note in enumerate(notes):
        if note.kind in (Kind.ACTED, Kind.WITHHELD):
            assert is_alerting(notes[: n + 1], MONITOR)
