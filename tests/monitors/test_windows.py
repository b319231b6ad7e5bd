"""Windows by time and by count, what closes them, and rows that come too late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.monitors.windows import EPOCH, Progress, Slice, TimeWindows, count_windows

HOUR = timedelta(hours=1)
NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
MOMENTS = st.lists(st.integers(-500, 500).map(lambda minutes: EPOCH + timedelta(minutes=minutes)), max_size=30)
STEPS = st.tuples(st.integers(1, 90), st.integers(1, 4)).map(lambda pair: (pair[0] * pair[1], pair[0]))


@given(MOMENTS.map(sorted), STEPS)
def test_every_row_is_in_every_window_that_holds_its_moment(moments: list[datetime], step: tuple[int, int]) -> None:
    windows = TimeWindows(timedelta(minutes=step[0]), timedelta(minutes=step[1]))
    spans = windows.spans(moments)
    held = [0] * len(moments)
    for span in spans:
        assert span.end - span.start == windows.size
        assert (span.start - EPOCH) % windows.every == timedelta()
        for place, moment in enumerate(moments):
            inside = span.rows.first <= place < span.rows.stop
            assert inside == (span.start <= moment < span.end)
            held[place] += inside
    assert set(held) <= {step[0] // step[1]}
    assert [b.start - a.start for a, b in pairwise(spans)] == [windows.every] * (len(spans) - 1)
    if spans:
        assert spans[0].rows.rows
        assert spans[-1].rows.rows


def test_tumbling_windows_tell_of_empty_ones_between() -> None:
    spans = TimeWindows(HOUR).spans([NOON, NOON + HOUR / 2, NOON + 2 * HOUR])
    assert [(span.start, span.rows) for span in spans] == [
        (NOON, Slice(0, 2)),
        (NOON + HOUR, Slice(2, 2)),
        (NOON + 2 * HOUR, Slice(2, 3)),
    ]
    assert TimeWindows(HOUR).spans([]) == []


def test_a_window_is_closed_by_the_watermark() -> None:
    windows = TimeWindows(HOUR, lateness=HOUR / 4)
    moments = [NOON, NOON + HOUR]
    spans = windows.spans(moments)
    assert windows.watermark(Progress()) is None
    assert windows.closed(spans, Progress()) == []
    progress = windows.advance(Progress(), moments)
    assert windows.watermark(progress) == NOON + 3 * HOUR / 4
    assert windows.closed(spans, progress) == []
    assert windows.closed(spans, windows.advance(progress, [NOON + 5 * HOUR / 4])) == spans[:1]


def test_late_rows_are_counted() -> None:
    windows = TimeWindows(2 * HOUR, HOUR)
    found = windows.advance(Progress(), [NOON, NOON + 2 * HOUR, NOON, NOON - HOUR / 2, NOON + HOUR / 2])
    assert found == Progress(NOON + 2 * HOUR, 5, 1 + 2), "a row at 12:00 was in the windows that end at 13:00 and 14:00"
    patient = TimeWindows(2 * HOUR, HOUR, lateness=3 * HOUR)
    assert patient.advance(Progress(), [NOON, NOON + 2 * HOUR, NOON]).late == 0


@given(MOMENTS, STEPS, st.integers(0, 120), st.integers(0, 30))
def test_what_is_late_does_not_depend_on_how_rows_are_batched(
    moments: list[datetime], step: tuple[int, int], lateness: int, cut: int
) -> None:
    size, every = (timedelta(minutes=each) for each in step)
    windows = TimeWindows(size, every, timedelta(minutes=lateness))
    whole = windows.advance(Progress(), moments)
    assert windows.advance(windows.advance(Progress(), moments[:cut]), moments[cut:]) == whole
    assert (whole.rows, whole.latest) == (len(moments), max(moments, default=None))
    assert windows.advance(Progress(), sorted(moments)).late == 0


@given(MOMENTS, STEPS)
def test_a_late_row_belongs_to_closed_windows_only(moments: list[datetime], step: tuple[int, int]) -> None:
    windows = TimeWindows(timedelta(minutes=step[0]), timedelta(minutes=step[1]))
    progress = windows.advance(Progress(), moments)
    for moment in moments:
        own = windows.spans([moment])
        assert windows.is_late(moment, progress) == (windows.closed(own, progress) == own)


@given(st.integers(0, 100), st.integers(1, 20), st.integers(1, 20))
def test_windows_by_count_are_full(rows: int, size: int, step: int) -> None:
    step = min(step, size)
    found = count_windows(rows, size, step)
    assert [each.first for each in found] == [first for first in range(0, rows, step) if first + size <= rows]
    assert all(each.rows == size for each in found)
    assert count_windows(rows, size) == count_windows(rows, size, size)


def test_windows_that_leave_rows_out_are_refused() -> None:
    for size, step in ((0, None), (2, 3), (2, 0)):
        with pytest.raises(ValueError, match="leave rows out"):
            count_windows(10, size, step)
    for length, every in ((timedelta(), None), (HOUR, 2 * HOUR), (HOUR, timedelta())):
        with pytest.raises(ValueError, match="leave rows out"):
            TimeWindows(length, every)
    with pytest.raises(ValueError, match="leave rows out"):
        TimeWindows(HOUR, lateness=-HOUR)


def test_moments_without_a_time_zone() -> None:
    moment = datetime(2013, 1, 1, 12)  # noqa: DTZ001 - what is tested
    windows = TimeWindows(HOUR, origin=datetime(2013, 1, 1))  # noqa: DTZ001 - the same
    assert [span.start for span in windows.spans([moment])] == [moment]
