"""Which triggers fire: nothing is lost, and nothing fires twice, wherever the supervisor is killed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.adapters.clocks import SimulatedClock
from headrace.adapters.sqlite import SqliteDatabase
from headrace.errors import HeadraceError
from headrace.ledger.ledger import SqlLedger
from headrace.pipeline import Pipeline
from headrace.ports.ledger import ConsumeSignal
from headrace.ports.records import Batch, Observation, PointerChange, Signal
from headrace.runtime.schedule import cron, every
from headrace.runtime.triggers import (
    BY_HAND,
    EVENT,
    ByHand,
    Event,
    Known,
    Mark,
    NewData,
    Published,
    Trigger,
    asked_by_hand,
    by_hand,
    checked,
    covered,
    event,
    fires,
    new_data,
    observed_digest,
    published,
    signals_of,
    subject_of,
)
from headrace.sources.files import files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headrace.runtime.triggers import Fire

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
DAILY = Trigger("daily", "lateness", cron("0 6 * * *"))
FILES = Trigger("files", "departures", NewData("raw_flights"))
FOLLOW = Trigger("follow", "lateness", Published(("departures", "weather")))
HOOK = Trigger("hook", "departures", Event("batch.arrived"))
BUTTON = Trigger("button", "report", ByHand())
ALL = (DAILY, FILES, FOLLOW, HOOK, BUTTON)


def signal(number: int, subject: str, kind: str = EVENT) -> Signal:
    return Signal(number, kind, subject_of("prod", subject), {}, NOW.isoformat())


def change(entry: int, node: str, key: str | None = "k1") -> PointerChange:
    return PointerChange(entry, "prod", node, None, key, "publish", "r1", NOW.isoformat())


def marks(found: Sequence[Fire]) -> dict[str, Mark]:
    return {fire.trigger.name: fire.mark for fire in found}


def test_every_cause_fires_once_for_what_it_sees() -> None:
    known = Known(
        "prod",
        observed={"raw_flights": "d1"},
        changes=[change(3, "departures"), change(4, "weather"), change(9, "departures", "k2"), change(10, "other")],
        signals=[signal(2, "hook"), signal(1, "hook"), signal(3, "button", BY_HAND)],
    )
    found = fires(ALL, known, NOW)
    assert [(fire.trigger.name, fire.reason) for fire in found] == [
        ("button", "asked for by hand"),
        ("daily", "scheduled for 2026-01-05 06:00:00 UTC"),
        ("files", "first data at raw_flights"),
        ("follow", "departures, weather published, 3 times in all"),
        ("hook", "2 events"),
    ]
    assert [fire.signals for fire in found] == [(3,), (), (), (), (1, 2)]
    assert found[3].evidence == {"published": {"departures": "k2", "weather": "k1"}, "entry": 9}
    assert {fire.at for fire in found} == {NOW}
    assert fires(ALL, replace(known, marks=marks(found)), NOW) == []


def test_the_order_of_what_is_declared_and_known_makes_no_difference() -> None:
    known = Known("prod", observed={"raw_flights": "d"}, signals=[signal(n, "hook") for n in range(1, 9)])
    turned = replace(known, signals=list(reversed(known.signals)))
    assert fires(ALL, known, NOW) == fires(tuple(reversed(ALL)), turned, NOW)


def test_one_fire_for_everything_that_speaks_for_a_trigger() -> None:
    waiting = [signal(number, "daily", BY_HAND) for number in range(1, 1001)]
    (fire,) = fires([DAILY], Known("prod", signals=waiting), NOW)
    assert fire.reason == "scheduled for 2026-01-05 06:00:00 UTC; asked for by hand 1000 times"
    assert len(fire.signals) == 1000
    assert fire.mark == Mark(fires=1, scheduled=datetime(2026, 1, 5, 6, tzinfo=UTC), signal=1000)


def test_the_key_follows_from_the_evidence_and_not_from_the_time() -> None:
    known = Known("prod", signals=[signal(1, "hook")])
    first = fires([HOOK], known, NOW)[0].key
    assert fires([HOOK], known, NOW + timedelta(hours=1))[0].key == first
    for_dev = Known("dev", signals=[replace(signal(1, "hook"), subject=subject_of("dev", "hook"))])
    assert fires([HOOK], for_dev, NOW)[0].key != first
    assert fires([HOOK], replace(known, signals=[signal(1, "hook"), signal(2, "hook")]), NOW)[0].key != first


def test_data_that_goes_back_and_forth_fires_each_time_under_a_key_of_its_own() -> None:
    known, keys = Known("prod"), set()
    for digest in ("a", "b", "a", "b"):
        known = replace(known, observed={"raw_flights": digest})
        (fire,) = fires([FILES], known, NOW)
        keys.add(fire.key)
        known = replace(known, marks=marks([fire]))
    assert len(keys) == 4


def test_a_digest_tells_any_batch_that_is_new_changed_or_gone() -> None:
    one, two, changed = Batch("a", "1", 10), Batch("b", "2", 10), Batch("a", "9", 10)
    held = [(), (one,), (one, two), (changed, two), (two,)]
    assert len({observed_digest(Observation("raw", batches)) for batches in held}) == len(held)
    assert observed_digest(Observation("raw", (one,))) == observed_digest(Observation("raw", (replace(one, size=1),)))


def test_a_pointer_that_is_taken_away_is_no_publish() -> None:
    assert fires([FOLLOW], Known("prod", changes=[change(1, "departures", None)]), NOW) == []


def test_an_event_becomes_one_signal_for_each_trigger_that_waits_for_it() -> None:
    other = Trigger("also", "weather", Event("batch.arrived"))
    sent = signals_of("prod", [*ALL, other], "batch.arrived", {"id": 1})
    assert [(each.kind, each.subject, each.body) for each in sent] == [
        (EVENT, "prod:also", {"id": 1}),
        (EVENT, "prod:hook", {"id": 1}),
    ]
    assert signals_of("prod", ALL, "something.else", {}) == []


def test_signals_for_others_and_of_other_kinds_are_left_alone() -> None:
    elsewhere = replace(signal(4, "hook"), subject=subject_of("dev", "hook"))
    known = Known("prod", signals=[signal(1, "gone"), signal(2, "hook", "cancel"), elsewhere])
    assert fires([HOOK, BUTTON], known, NOW) == []
    assert covered(replace(known, marks={"hook": Mark(signal=9)})) == []


def test_causes_as_users_write_them() -> None:
    pipeline = Pipeline("shop")
    raw, more = (pipeline.source(name, files("data/*.csv")) for name in ("raw", "more"))
    assert [published(raw, more), new_data(raw), event("com.example.refresh"), by_hand()] == [
        Published(("raw", "more")),
        NewData("raw"),
        Event("com.example.refresh"),
        ByHand(),
    ]


@pytest.mark.parametrize(
    ("triggers", "code"),
    [
        ([HOOK, replace(FILES, name="hook")], "HR965"),
        ([Trigger("loop", "departures", Published(("departures",)))], "HR966"),
    ],
)
def test_unfit_declarations_are_refused(triggers: list[Trigger], code: str) -> None:
    with pytest.raises(HeadraceError) as caught:
        fires(triggers, Known("prod"), NOW)
    assert caught.value.code == code


def test_triggers_print() -> None:
    assert [str(trigger) for trigger in checked(ALL)] == [
        'daily: lateness on cron("0 6 * * *")',
        "files: departures on new data at raw_flights",
        "follow: lateness on publish of departures or weather",
        "hook: departures on event batch.arrived",
        "button: report on by hand",
    ]


def test_marks_survive_a_round_trip_through_json() -> None:
    for mark in (Mark(), Mark(3, NOW, "d", 7, 9)):
        assert Mark.from_facts(mark.to_facts()) == mark


# A supervisor that may be killed between any two steps, over the little of a ledger that triggers need.

TRIGGERS = (FILES, FOLLOW, HOOK, Trigger("hourly", "lateness", every("1h")))
STEPS = ("record", "start", "consume")


@dataclass
class Store:
    """What is durable, and what happened: `runs` are those that were started, by key, with what they were for."""

    now: datetime = NOW
    observed: dict[str, str] = field(default_factory=dict)
    changes: list[PointerChange] = field(default_factory=list)
    sent: list[Signal] = field(default_factory=list)
    consumed: list[int] = field(default_factory=list)
    recorded: dict[str, Fire] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)

    def known(self) -> Known:
        """Everything is read from what was recorded: a supervisor remembers nothing."""
        newest = {fire.trigger.name: Mark.from_facts(fire.mark.to_facts()) for fire in self.recorded.values()}
        pending = [each for each in self.sent if each.id not in self.consumed]
        return Known("prod", newest, dict(self.observed), list(self.changes), pending)

    def supervise(self, killed_before: str | None, after: int) -> None:
        """One turn; the process dies before its `after`-th action of the kind `killed_before`."""
        for key in self.recorded:
            if key not in self.runs:
                self.runs.append(key)
        actions = dict.fromkeys(STEPS, 0)
        for fire in fires(TRIGGERS, self.known(), self.now):
            for step in STEPS:
                actions[step] += 1
                if step == killed_before and actions[step] > after:
                    return
                self.act(step, fire)
        self.consumed.extend(covered(self.known()))

    def act(self, step: str, fire: Fire) -> None:
        if step == "record":
            assert fire.key not in self.recorded
            self.recorded[fire.key] = fire
        elif step == "start":
            self.runs.append(fire.key)
        else:
            self.consumed.extend(fire.signals)


EVENTS = st.one_of(
    st.tuples(st.just("signal"), st.sampled_from(["hook", "files", "hourly"])),
    st.tuples(st.just("data"), st.sampled_from(["a", "b", "c"])),
    st.tuples(st.just("publish"), st.sampled_from(["departures", "weather", "other"])),
    st.tuples(st.just("wait"), st.integers(1, 200)),
    st.tuples(st.just("turn"), st.tuples(st.sampled_from([None, *STEPS]), st.integers(0, 3))),
)


def happen(store: Store, kind: str, value: Any) -> None:  # noqa: ANN401 - of each kind of event, another type
    if kind == "signal":
        store.sent.append(signal(len(store.sent) + 1, value, BY_HAND))
    elif kind == "data":
        store.observed["raw_flights"] = value
    elif kind == "publish":
        store.changes.append(change(len(store.changes) + 1, value, f"k{len(store.changes)}"))
    elif kind == "wait":
        store.now += timedelta(minutes=value)
    else:
        store.supervise(*value)


@given(st.lists(EVENTS, max_size=40))
def test_nothing_is_lost_and_nothing_fires_twice_wherever_the_supervisor_is_killed(
    events: list[tuple[str, Any]],
) -> None:
    store = Store()
    for kind, value in events:
        happen(store, kind, value)
    store.supervise(None, 0)
    store.supervise(None, 0)

    done = list(store.recorded.values())
    assert sorted(number for fire in done for number in fire.signals) == [each.id for each in store.sent]
    assert sorted(store.consumed) == [each.id for each in store.sent]
    assert sorted(store.runs) == sorted(store.recorded)

    scheduled = [fire.evidence["scheduled"] for fire in done if "scheduled" in fire.evidence]
    assert scheduled == sorted(set(scheduled))
    entries = [fire.evidence["entry"] for fire in done if "entry" in fire.evidence]
    assert entries == sorted(set(entries))
    assert (entries[-1:] or [0])[0] == max((each.entry for each in store.changes if each.node != "other"), default=0)
    digests = [fire.evidence["digest"] for fire in done if "digest" in fire.evidence]
    assert all(earlier != later for earlier, later in pairwise(digests))
    assert digests[-1:] == list(store.observed.values())
    assert fires(TRIGGERS, store.known(), store.now) == []


def test_signals_of_a_real_ledger_fire_once(tmp_path: Path) -> None:
    with closing(SqlLedger(SqliteDatabase(tmp_path / "ledger.db"), SimulatedClock())) as ledger:
        sent = signals_of("prod", ALL, "batch.arrived", {"file": "a.csv"})
        ledger.write(*sent, asked_by_hand("prod", HOOK, {"who": "ops"}))
        subject = subject_of("prod", "hook")
        waiting = [*ledger.signals(EVENT, subject), *ledger.signals(BY_HAND, subject)]
        known = Known("prod", signals=waiting)
        (fire,) = fires([HOOK], known, NOW)
        assert fire.reason == "1 event; asked for by hand"
        recorded = replace(known, marks=marks([fire]))
        assert tuple(covered(recorded)) == fire.signals
        assert [answer.get() for answer in ledger.write(*map(ConsumeSignal, covered(recorded)))] == [True, True]
        assert [*ledger.signals(EVENT, subject), *ledger.signals(BY_HAND, subject)] == []
