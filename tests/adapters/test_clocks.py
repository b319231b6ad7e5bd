"""The computer's clock goes on by itself; the simulated one only when somebody sleeps, and the same each time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from headrace.adapters.clocks import SimulatedClock, SystemClock
from headrace.ports.clock import stamp


def test_the_system_clock_is_in_utc_and_never_goes_back() -> None:
    clock = SystemClock()
    before = datetime.now(UTC)
    now = clock.now()
    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)
    first = clock.monotonic()
    clock.sleep(0.001)
    assert clock.monotonic() >= first + 0.001


def test_identifiers_differ_and_begin_with_the_time() -> None:
    clock = SystemClock()
    ids = {clock.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    now = clock.now().timestamp()
    for each in ids:
        assert re.fullmatch("[0-9a-f]{16}", each)
        assert abs(int(each[:8], 16) - now) < 60


def test_the_simulated_clock_moves_by_sleeping() -> None:
    start = datetime(2013, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    clock = SimulatedClock(start)
    assert stamp(clock) == "2013-01-01T10:00:00.000000+00:00"
    assert clock.monotonic() == 0.0
    clock.sleep(86_400.5)
    assert clock.now() == start + timedelta(days=1, seconds=0.5)
    assert clock.monotonic() == 86_400.5
    with pytest.raises(ValueError, match="non-negative"):
        clock.sleep(-1)


def test_simulated_identifiers_follow_from_the_seed_and_sort_by_time() -> None:
    one, same, other = SimulatedClock(seed=1), SimulatedClock(seed=1), SimulatedClock(seed=2)
    ids = [one.new_id() for _ in range(3)]
    assert ids == [same.new_id() for _ in range(3)]
    assert len({*ids, other.new_id()}) == 4
    one.sleep(1)
    assert one.new_id() > max(ids)
