"""Triggers over a real ledger: what fires, what is kept of it, and what one who takes over makes of that."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from headrace import HeadraceError
from headrace.adapters.clocks import SimulatedClock
from headrace.ports.ledger import CreateEnvironment, MovePointers
from headrace.ports.records import PointerMove
from headrace.project.applying import Ended
from headrace.project.fired import NOTHING_NEW, latest, newest
from headrace.project.firing import Firing
from headrace.project.triggering import fire_by_hand, stands, trigger_of
from headrace.runtime.triggers import BY_HAND, EVENT, signals_of, subject_of
from tests.support.projects import ORDERS, Project

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from headrace.project.applying import Then
    from headrace.project.workspace import Workspace

TRIGGERS = """
from headrace import by_hand, cron, event, every, new_data, published

shop.schedule(by_shop, every("1h"))
shop.trigger(by_shop, on=event("com.example.refresh"))
shop.trigger(by_shop, on=published(orders))
shop.trigger(orders, on=new_data(raw))
"""
START = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
HOUR = 3600.0
SCHEDULE, HOOK, FOLLOW, FILES = (
    "by_shop-schedule",
    "by_shop-on-com.example.refresh",
    "by_shop-on-orders",
    "orders-on-raw",
)


@dataclass
class World:
    """A project on a simulated clock, its supervisor's triggers, and the applies that they asked for."""

    workspace: Workspace
    clock: SimulatedClock
    observed: dict[str, str] = field(default_factory=lambda: {"raw": "one"})
    asked: list[tuple[str, frozenset[str], Then]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    failing: bool = False

    def __post_init__(self) -> None:
        self.take_over()

    def take_over(self) -> None:
        """A supervisor that knows nothing but the ledger."""
        self.asked.clear()
        self.firing = Firing(self.workspace, "prod", self.ask, self.said.append)

    def ask(self, reason: str, only: frozenset[str], then: Then) -> None:
        self.asked.append((reason, only, then))

    def look(self) -> list[str]:
        """What is asked for by one look."""
        before = len(self.asked)
        self.firing.look(dict(self.observed))
        return [reason for reason, _, _ in self.asked[before:]]

    def end(self, **done: Any) -> None:  # noqa: ANN401 - the parts of a result
        """Let everything that was asked for end well, having done this."""
        for _, _, then in self.asked:
            then(Ended(0, done))
        self.asked.clear()

    def fail(self) -> None:
        for _, _, then in self.asked:
            then(Ended(3))

    def event(self) -> None:
        sent = signals_of("prod", self.workspace.pipeline.triggers, "com.example.refresh", {})
        self.workspace.ledger.write(*sent)

    def by_hand(self, name: str) -> None:
        fire_by_hand(self.workspace, "prod", trigger_of(self.workspace.pipeline.triggers, name), "")

    def publish(self, node: str, key: str) -> None:
        ledger = self.workspace.ledger
        now = ledger.snapshot("prod").pointers.get(node)
        for answer in ledger.write(CreateEnvironment("prod"), MovePointers("prod", [PointerMove(node, now, key)], "")):
            answer.get()

    def outcomes(self, name: str) -> list[tuple[str, str | None]]:
        records = latest(self.workspace.ledger, "prod", name, 100)
        return [(each.reason, each.outcome) for each in records]

    def waiting(self, name: str) -> int:
        subject = subject_of("prod", name)
        return sum(len(self.workspace.ledger.signals(kind, subject)) for kind in (EVENT, BY_HAND))


@contextmanager
def world_of(folder: Path, triggers: str = TRIGGERS) -> Iterator[World]:
    project = Project(folder / "shop", ORDERS + triggers)
    clock = SimulatedClock(START)
    with project.opened() as workspace:
        workspace.clock = clock  # type: ignore[assignment]  # what a clock is, it does
        yield World(workspace, clock)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_of(tmp_path) as found:
        yield found


def test_a_trigger_counts_from_its_declaration_on(world: World) -> None:
    world.publish("orders", "k0")
    assert world.look() == []
    for name in (SCHEDULE, HOOK, FOLLOW, FILES):
        assert world.outcomes(name) == [("declared", None)]


def test_each_cause_fires_once(world: World) -> None:
    world.look()
    world.clock.sleep(HOUR)
    assert world.look() == [f"{SCHEDULE} (scheduled for 2026-01-05 10:00:00 UTC)"]
    world.event()
    assert world.look() == [f"{HOOK} (1 event)"]
    world.publish("orders", "k1")
    assert world.look() == [f"{FOLLOW} (orders published)"]
    world.observed["raw"] = "two"
    assert world.look() == [f"{FILES} (new data at raw)"]
    assert [only for _, only, _ in world.asked] == [frozenset({"by_shop"})] * 3 + [frozenset({"orders"})]
    world.end(run="r", made=["by_shop"])
    assert world.look() == []
    assert world.outcomes(HOOK) == [("1 event", "made by_shop"), ("declared", None)]


def test_a_fire_takes_its_signals_with_it(world: World) -> None:
    world.look()
    for _ in range(100):
        world.event()
    world.by_hand(HOOK)
    assert world.waiting(HOOK) == 101
    assert world.look() == [f"{HOOK} (100 events; asked for by hand)"]
    assert world.waiting(HOOK) == 0


def test_what_comes_up_while_its_apply_is_busy_fires_afterwards_once(world: World) -> None:
    world.look()
    world.event()
    world.look()
    for _ in range(3):
        world.event()
        assert world.look() == []
    assert world.waiting(HOOK) == 3
    world.end(run="r", made=["by_shop"])
    assert world.look() == [f"{HOOK} (3 events)"]


def test_what_comes_up_after_a_failure_fires_at_once_and_both_are_settled_in_the_end(world: World) -> None:
    world.look()
    world.event()
    world.look()
    world.fail()
    world.event()
    assert world.look() == [f"{HOOK} (1 event)"]
    world.end(run="r", made=["by_shop"])
    world.look()
    assert world.outcomes(HOOK) == [("1 event", "made by_shop"), ("1 event", "made by_shop"), ("declared", None)]


@pytest.mark.parametrize(
    ("done", "outcome"),
    [
        ({"run": None, "made": [], "published": []}, NOTHING_NEW),
        ({"run": "r", "made": ["elsewhere"]}, NOTHING_NEW),
        ({"run": "r", "made": ["by_shop", "raw"], "published": ["by_shop", "raw"]}, "made by_shop, raw"),
        ({"run": "r", "published": ["orders"], "refused": {"by_shop": {}}}, "published orders; refused by_shop"),
        ({"run": None, "refused_before": ["by_shop"]}, "refused by_shop"),
    ],
)
def test_what_came_of_a_fire(world: World, done: Mapping[str, Any], outcome: str) -> None:
    world.look()
    world.event()
    world.look()
    world.end(**done)
    world.look()
    assert world.outcomes(HOOK)[0][1] == outcome
    assert world.said == [f"{HOOK}: {outcome}"]


def test_one_who_takes_over_goes_on_with_a_fire_of_which_nothing_came(world: World) -> None:
    world.look()
    world.event()
    world.look()
    world.take_over()
    assert world.look() == [f"{HOOK} (again: 1 event)"]
    world.end(run="r", made=["by_shop"])
    world.look()
    world.take_over()
    assert world.look() == []
    assert len(world.outcomes(HOOK)) == 2


def test_after_an_error_everything_is_looked_at_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.look()
    world.event()
    ledger = world.workspace.ledger
    with monkeypatch.context() as broken:

        def full(*_: object) -> None:
            raise HeadraceError("HR613", "no space left on device")

        broken.setattr(ledger, "write", full)
        with pytest.raises(HeadraceError):
            world.look()
    assert world.look() == [f"{HOOK} (1 event)"]
    with monkeypatch.context() as broken:
        broken.setattr(ledger, "write", full)
        world.end(run="r", made=["by_shop"])
        with pytest.raises(HeadraceError):
            world.look()
    assert world.look() == []
    assert world.outcomes(HOOK)[0] == ("1 event", "made by_shop")


def test_a_schedule_that_was_missed_is_caught_up_once(world: World) -> None:
    world.look()
    world.clock.sleep(10 * HOUR)
    world.take_over()
    assert world.look() == [f"{SCHEDULE} (scheduled for 2026-01-05 19:00:00 UTC, and 9 missed before)"]


def test_a_schedule_may_let_go_what_was_missed(tmp_path: Path) -> None:
    with world_of(
        tmp_path, 'from headrace import every\nshop.schedule(by_shop, every("1h", missed="skip"))\n'
    ) as world:
        world.look()
        world.clock.sleep(10 * HOUR)
        world.take_over()
        assert world.look() == []
        world.clock.sleep(HOUR / 2)
        assert world.look() == [f"{SCHEDULE} (scheduled for 2026-01-05 20:00:00 UTC, and 10 missed before)"]


def test_a_changed_declaration_counts_from_the_change_on(world: World, tmp_path: Path) -> None:
    world.look()
    world.clock.sleep(HOUR)
    world.look()
    world.end()
    module = next((tmp_path / "shop").glob("shop_*.py"))
    module.write_text(module.read_text().replace('every("1h")', 'cron("45 * * * *")'))
    world.workspace.reload()
    assert world.look() == []
    assert [reason for reason, _ in world.outcomes(SCHEDULE)] == [
        "declared",
        "scheduled for 2026-01-05 10:00:00 UTC",
        "declared",
    ]
    world.clock.sleep(HOUR / 4)
    assert world.look() == [f"{SCHEDULE} (scheduled for 2026-01-05 10:45:00 UTC)"]


def test_a_source_that_was_never_seen_is_waited_for(world: World) -> None:
    seen = world.observed.pop("raw")
    world.look()
    assert world.outcomes(FILES) == []
    world.observed["raw"] = seen
    assert world.look() == []
    world.observed["raw"] = "two"
    assert world.look() == [f"{FILES} (new data at raw)"]


def test_signals_of_another_environment_are_left_alone(world: World) -> None:
    world.look()
    world.workspace.ledger.write(*signals_of("dev", world.workspace.pipeline.triggers, "com.example.refresh", {}))
    assert world.look() == []


def test_the_newest_record_is_found_among_many(world: World) -> None:
    world.look()
    for number in range(1, 140):
        world.event()
        world.look()
        world.end()
        found = newest(world.workspace.ledger, "prod", HOOK)
        assert found is not None
        assert (found.number, found.mark.fires) == (number + 1, number)


def test_where_triggers_stand(world: World) -> None:
    world.look()
    world.event()
    world.look()
    world.end(run="r1", made=["by_shop"])
    world.look()
    world.by_hand("by_shop")
    found = {each.trigger.name: each for each in stands(world.workspace, "prod")}
    assert list(found) == sorted(found)
    hook, schedule = found[HOOK], found[SCHEDULE]
    assert hook.last is not None
    assert (hook.last.outcome, hook.last.run, hook.following) == ("made by_shop", "r1", None)
    assert (schedule.last, schedule.following) == (None, datetime(2026, 1, 5, 10, tzinfo=UTC))
    assert [len(each.waiting) for each in found.values()] == [1, 0, 0, 0]  # by the name of a node: its first trigger
    assert schedule.to_json() == {
        "name": SCHEDULE,
        "node": "by_shop",
        "makes": ["by_shop"],
        "on": 'every("1h")',
        "last": None,
        "next": "2026-01-05T10:00:00+00:00",
        "waiting": [],
    }


def test_an_unknown_trigger_is_refused_with_a_hint(world: World) -> None:
    with pytest.raises(HeadraceError) as caught:
        trigger_of(world.workspace.pipeline.triggers, "by_sop")
    assert (caught.value.code, "by_shop" in caught.value.fix) == ("HR968", True)
