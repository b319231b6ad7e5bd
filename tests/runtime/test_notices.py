"""The outbox: it never stops the work, tries again, keeps the order, and tells a thousand equal notices as two."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from headrace.adapters.clocks import SimulatedClock
from headrace.errors import HeadraceError
from headrace.ports.notify import Notice, Severity
from headrace.runtime.notices import LOST, Delivery, Outbox, Patience

if TYPE_CHECKING:
    from collections.abc import Sequence

AT = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 86_400.0


def notice(title: str, text: str = "it failed", number: int = 0) -> Notice:
    return Notice("run failed", Severity.ERROR, title, text, {"number": number}, AT)


@dataclass
class Far:
    """A notifier that works or does not, and remembers when it was tried and what it took."""

    clock: SimulatedClock
    works: bool = True
    tried: list[float] = field(default_factory=list)
    took: list[Notice] = field(default_factory=list)

    def send(self, notice: Notice) -> None:
        self.tried.append(self.clock.monotonic())
        if not self.works:
            raise HeadraceError("HR970", "it answered 503")
        self.took.append(notice)

    def told(self) -> list[str]:
        return [f"{each.title}: {each.text}" for each in self.took]


def go_on(outbox: Outbox, clock: SimulatedClock, until: float) -> list[Delivery]:
    """Deliver whenever something is due, as the supervisor does, until a moment or until nothing waits."""
    turns = [outbox.deliver()]
    while (pause := turns[-1].again) is not None and clock.monotonic() + pause <= until:
        clock.sleep(pause)
        turns.append(outbox.deliver())
    return turns


def test_notices_go_to_every_channel_in_order() -> None:
    clock = SimulatedClock()
    one, two = Far(clock), Far(clock)
    outbox = Outbox({"one": one, "two": two}, clock)
    sent = [notice(f"n{number}") for number in range(10)]
    for each in sent:
        outbox.put(each)
    assert outbox.waiting() == 20
    assert outbox.deliver() == Delivery(sent=20, given_up=0, problems={}, again=None)
    assert one.took == two.took == sent
    assert outbox.waiting() == 0


def test_a_thousand_equal_notices_are_told_as_the_first_and_how_many_more() -> None:
    clock = SimulatedClock()
    far = Far(clock)
    outbox = Outbox({"far": far}, clock)
    for number in range(1000):
        outbox.put(notice("lateness", f"PSI {number}", number))
    assert go_on(outbox, clock, 3600)[-1].again is None
    assert far.told() == ["lateness: PSI 0", "lateness: and 999 more; the last: PSI 999"]
    assert far.took[1].facts == {"number": 999, "more": 999}
    assert far.tried == [0.0, 300.0]


def test_a_steady_stream_is_told_once_in_a_quiet_time() -> None:
    clock = SimulatedClock()
    far = Far(clock)
    outbox = Outbox({"far": far}, clock, Patience(quiet=60))
    for _ in range(180):
        outbox.put(notice("lateness"))
        outbox.deliver()
        clock.sleep(1)
    go_on(outbox, clock, 1000)
    assert far.told() == [
        "lateness: it failed",
        "lateness: and 59 more; the last: it failed",
        "lateness: and 60 more; the last: it failed",
        "lateness: and 60 more; the last: it failed",
    ]
    clock.sleep(120)
    outbox.put(notice("lateness", "again"))
    outbox.deliver()
    assert far.told()[-1] == "lateness: again"


def test_notices_about_different_things_are_all_told() -> None:
    clock = SimulatedClock()
    far = Far(clock)
    outbox = Outbox({"far": far}, clock)
    outbox.put(notice("a"))
    outbox.put(notice("b"))
    outbox.put(Notice("run recovered", Severity.INFO, "a", "it failed", {}, AT))
    outbox.deliver()
    assert [(each.kind, each.title) for each in far.took] == [
        ("run failed", "a"),
        ("run failed", "b"),
        ("run recovered", "a"),
    ]


def test_a_failing_channel_is_tried_at_growing_intervals_and_holds_up_no_other() -> None:
    clock = SimulatedClock()
    down, up = Far(clock, works=False), Far(clock)
    outbox = Outbox({"down": down, "up": up}, clock)
    outbox.put(notice("a"))
    first = outbox.deliver()
    assert first == Delivery(sent=1, given_up=0, problems={"down": "HR970 it answered 503"}, again=1.0)
    assert outbox.deliver().sent == 0  # too early: not even tried
    go_on(outbox, clock, 1200)
    pauses = [after - before for before, after in pairwise(down.tried)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert up.told() == ["a: it failed"]


def test_a_channel_that_comes_back_gets_everything_in_order_and_patience_begins_anew() -> None:
    clock = SimulatedClock()
    far = Far(clock, works=False)
    outbox = Outbox({"far": far}, clock)
    outbox.put(notice("a"))
    go_on(outbox, clock, 100)
    outbox.put(notice("b"))
    far.works = True
    assert go_on(outbox, clock, 200)[-1] == Delivery(sent=2, given_up=0, problems={}, again=None)
    assert far.told() == ["a: it failed", "b: it failed"]
    far.works = False
    outbox.put(notice("c"))
    assert outbox.deliver().again == 1.0


def test_what_waited_for_a_day_is_given_up_and_said_so() -> None:
    clock = SimulatedClock()
    down, up = Far(clock, works=False), Far(clock)
    outbox = Outbox({"pager": down, "log": up}, clock)
    outbox.put(notice("a"))
    turns = go_on(outbox, clock, 2000)
    outbox.put(notice("b"))
    turns += go_on(outbox, clock, 2 * DAY)
    assert sum(turn.given_up for turn in turns) == 2
    assert DAY < max(down.tried) < DAY + 2000
    assert up.told() == [
        "a: it failed",
        "b: it failed",
        "pager: 1 notification was not delivered to pager: HR970 it answered 503",
        "pager: 2 notifications were not delivered to pager: HR970 it answered 503",
    ]
    assert up.took[2].kind == LOST
    down.works = True
    outbox.put(notice("c"))
    go_on(outbox, clock, 3 * DAY)
    assert down.told() == ["c: it failed", "pager: 2 notifications were not delivered to pager"]


def test_losses_that_follow_each_other_are_told_once_in_a_quiet_time() -> None:
    clock = SimulatedClock()
    down, up = Far(clock, works=False), Far(clock)
    outbox = Outbox({"pager": down, "log": up}, clock, Patience(longest=1, limit=100))
    for number in range(10):
        outbox.put(notice(f"n{number}"))
        outbox.deliver()
        clock.sleep(1)
    turns = go_on(outbox, clock, 1000)
    assert sum(turn.given_up for turn in turns) == 10
    assert [each.kind for each in up.took].count(LOST) == 1


def test_a_full_queue_takes_no_more_and_says_how_many() -> None:
    clock = SimulatedClock()
    far = Far(clock, works=False)
    outbox = Outbox({"far": far}, clock, Patience(capacity=3))
    for number in range(10):
        outbox.put(notice(f"n{number}"))
    assert outbox.waiting() == 3
    outbox.deliver()
    far.works = True
    go_on(outbox, clock, 10)
    assert far.told() == [
        "n0: it failed",
        "n1: it failed",
        "n2: it failed",
        "far: 7 notifications were not delivered to far",
    ]


def test_subjects_beyond_the_capacity_are_closed_early_and_not_forgotten() -> None:
    clock = SimulatedClock()
    far = Far(clock)
    outbox = Outbox({"far": far}, clock, Patience(capacity=2))
    for title in ("a", "a", "b", "c"):
        outbox.put(notice(title))
        outbox.deliver()
    assert far.told() == ["a: it failed", "b: it failed", "a: and 1 more; the last: it failed", "c: it failed"]


def test_whatever_a_notifier_raises_stops_nothing() -> None:
    class Broken:
        def send(self, notice: Notice) -> None:
            raise ZeroDivisionError from KeyError(notice.title)

    outbox = Outbox({"broken": Broken()}, SimulatedClock())
    outbox.put(notice("a"))
    assert outbox.deliver().problems == {"broken": "ZeroDivisionError"}


def test_notices_are_taken_while_a_channel_hangs() -> None:
    clock = SimulatedClock()
    entered, leave = threading.Event(), threading.Event()
    took: list[str] = []

    class Hanging:
        def send(self, notice: Notice) -> None:
            entered.set()
            assert leave.wait(30)
            took.append(notice.title)

    outbox = Outbox({"hanging": Hanging()}, clock)
    outbox.put(notice("a"))
    thread = threading.Thread(target=outbox.deliver)
    thread.start()
    assert entered.wait(30)
    outbox.put(notice("b"))  # returns although the other thread is inside `send`
    assert outbox.waiting() == 2
    leave.set()
    thread.join()
    assert took == ["a", "b"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abcde")),
        st.tuples(st.just("works"), st.booleans()),
        st.tuples(st.just("sleep"), st.integers(0, 400)),
    ),
    max_size=60,
)


def happen(outbox: Outbox, far: Far, steps: Sequence[tuple[str, str | bool | int]]) -> int:
    """Run the steps, with a turn after each; answers how many notices were put."""
    count = 0
    for kind, value in steps:
        if kind == "put":
            outbox.put(notice(str(value), number=count))
            count += 1
        elif kind == "works":
            far.works = bool(value)
        else:
            far.clock.sleep(int(value))
        outbox.deliver()
    return count


@given(STEPS)
def test_every_notice_is_told_or_counted_once_and_in_order(steps: list[tuple[str, str | bool | int]]) -> None:
    clock = SimulatedClock()
    far = Far(clock)
    outbox = Outbox({"far": far}, clock)
    count = happen(outbox, far, steps)
    far.works = True
    assert go_on(outbox, clock, clock.monotonic() + 3600)[-1].again is None
    assert sum(each.facts.get("more", 1) for each in far.took) == count
    for title in "abcde":
        numbers = [each.facts["number"] for each in far.took if each.title == title]
        assert numbers == sorted(set(numbers))
    firsts = [each.facts["number"] for each in far.took if "more" not in each.facts]
    assert firsts == sorted(firsts)
