"""The node that fills the online store, on real stores, and what a look-up refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from headrace.errors import HeadraceError
from headrace.features import lookup
from headrace.features.aggregates import Aggregate, Count, Latest, Total
from headrace.features.join import ViewRows
from headrace.features.lookup import OnlineView
from headrace.features.online import OnlineFeatures
from headrace.features.packed import Header
from headrace.features.packing import GRACE, pack
from headrace.ports.work import Action, Context, Step
from tests.features.building import MOMENT
from tests.features.oracle import MINUTE, START
from tests.features.shelves import Shelf, header_of, opened
from tests.features.test_lookup_laws import micros
from tests.features.test_view import DEPARTED, NOON, History, by_function, made, stores

if TYPE_CHECKING:
    from headrace.features.view import FeatureView
    from headrace.ports.records import Manifest, Version
    from headrace.ports.stores import Stores

__all__ = ["stores"]  # the fixture

KEY = "3" * 64
MADE_AT = NOON + timedelta(minutes=22)


def filled(view: FeatureView, version: Version, stores: Stores, key: str = KEY) -> Manifest:
    node = OnlineFeatures(view)
    versions = {view.name: replace(version, made_at=MADE_AT.isoformat())}
    context = Context(key, 0, Path(), stores, versions, lambda _: None, lambda *_: None)
    return node.make(Step(node.name, key, "", (), Action.MAKE, ""), context)


def test_a_generation_is_what_the_manifest_says(stores: Stores) -> None:
    view = History.__view__
    version = made(view, DEPARTED, stores)
    manifest = filled(view, version, stores)
    ref = manifest.outputs["online"]
    assert (ref.store, ref.path, ref.version) == ("online", KEY, 0)
    stores.verify(ref)
    assert list(stores.online.generations()) == [KEY]
    facts = manifest.facts
    assert facts["entities"] == 2
    assert facts["features"] == version.manifest.facts["features"]
    assert facts["view"] == version.key
    assert facts["entity_types"] == ["String"]
    assert facts["newest_visible"] == (NOON + 25 * MINUTE).isoformat()
    assert facts["horizon"] == (MADE_AT - timedelta(hours=1)).isoformat()
    assert facts["lag"] == -180
    assert facts["bytes"] == sum(len(key) + len(value) for key, value in stores.online.entries(KEY))


def test_the_node() -> None:
    node = OnlineFeatures(History.__view__)
    assert (node.name, node.kind, node.inputs) == ("History.online", "online", (History.__view__,))
    assert node.functions() == ()


def test_looked_up_as_it_was_joined(stores: Stores) -> None:
    view = History.__view__
    filled(view, made(view, DEPARTED, stores), stores)
    online = OnlineView.open(stores.online, KEY)
    assert online.names == ("departures_1h", "late_1h", "last")
    at = micros(NOON + 26 * MINUTE)
    values, seen = online.lookup([("A",), ("B",), ("?",), (None,)], [at] * 4)
    assert values == [
        {"departures_1h": 2, "late_1h": 0.5, "last": True},
        {"departures_1h": 1, "late_1h": 0.0, "last": False},
        {"departures_1h": 0, "late_1h": None, "last": None},
        {"departures_1h": None, "late_1h": None, "last": None},
    ]
    assert seen == [micros(NOON + 25 * MINUTE), micros(NOON + 5 * MINUTE), None, None]


def test_the_function_form(stores: Stores) -> None:
    view = by_function(lambda rows: rows.select("carrier", "due", "left", "late"), ttl="10m")
    filled(view, made(view, DEPARTED, stores), stores)
    online = OnlineView.open(stores.online, KEY)
    values, seen = online.lookup([("A",), ("A",)], [micros(NOON + minutes * MINUTE) for minutes in (21, 31)])
    assert values == [{"late": True}, {"late": None}]
    assert seen == [micros(NOON + 20 * MINUTE)] * 2


def test_making_again_answers_the_same(stores: Stores) -> None:
    view = History.__view__
    version = made(view, DEPARTED, stores)
    first = filled(view, version, stores)
    assert filled(view, version, stores) == first
    assert filled(view, version, stores, "4" * 64).outputs["online"].digest == first.outputs["online"].digest


def test_a_view_without_rows(stores: Stores) -> None:
    view = History.__view__
    manifest = filled(view, made(view, DEPARTED.clear(), stores), stores)
    assert manifest.facts["entities"] == 0
    assert manifest.facts["horizon"] is manifest.facts["lag"] is None
    values, seen = OnlineView.open(stores.online, KEY).lookup([("A",)], [0])
    assert (values, seen) == ([{"departures_1h": 0, "late_1h": None, "last": None}], [None])


def code_of(act: Any) -> str:  # noqa: ANN401 - any callable
    with pytest.raises(HeadraceError) as caught:
        act()
    return caught.value.code


def shown(**columns: object) -> ViewRows:
    times = pl.Series([START, START + timedelta(hours=9)], dtype=MOMENT)
    rows = pl.DataFrame({"who": [1, 2], "day": [START.date()] * 2, "_visible_at": times, **columns})
    features: dict[str, Aggregate] = {name: Latest(name, None) for name in columns}
    features = features or {"n": Count(None, None)}
    return ViewRows("view", rows, ("who", "day"), ("who", "day"), features)


def test_the_horizon_is_an_hour_before_the_newest_row_or_before_the_making() -> None:
    assert header_of(shown()).horizon == micros(START + timedelta(hours=8))
    assert header_of(shown(), micros(START + timedelta(hours=3))).horizon == micros(START + timedelta(hours=2))
    assert header_of(shown(), micros(START + timedelta(hours=30))).horizon == micros(START + timedelta(hours=8))
    assert timedelta(microseconds=GRACE) == timedelta(hours=1)


def test_a_moment_before_the_horizon_is_refused() -> None:
    online = opened(shown())
    horizon = micros(START + timedelta(hours=8))
    assert online.lookup([(1, START.date())], [horizon])[0] == [{"n": 1}]
    for early in (horizon - 1, 0):
        assert code_of(lambda early=early: online.lookup([(1, START.date())] * 2, [horizon, early])) == "HR475"
        assert code_of(lambda early=early: online.check((1, START.date()), early)) == "HR475"


ENTITIES = [
    ("1", "2024-03-01"),
    (True, "2024-03-01"),
    (1.5, "2024-03-01"),
    (1, "yesterday"),
    (1, START),
    (1,),
    (1, 2, 3),
]


@pytest.mark.parametrize("entity", ENTITIES)
def test_what_cannot_name_an_entity_is_refused(entity: tuple[object, ...]) -> None:
    online = opened(shown())
    at = micros(START + timedelta(hours=9))
    assert code_of(lambda: online.lookup([entity], [at])) == "HR476"
    assert code_of(lambda: online.check(entity, at)) == "HR476"


def test_entities_as_json_has_them() -> None:
    online = opened(shown())
    at = [micros(START + timedelta(hours=9))] * 3
    assert online.lookup([(1, "2024-03-01"), (1.0, START.date()), (2**80, "2024-03-01")], at)[0] == [
        {"n": 1},
        {"n": 1},
        {"n": 0},
    ]


@pytest.mark.parametrize("values", [[[1], [2]], [timedelta(1), None], [b"a", b"b"]])
def test_a_type_that_cannot_be_packed_is_refused(values: list[object]) -> None:
    assert code_of(lambda: pack(shown(column=values))) == "HR474"


def test_an_entity_of_a_type_that_cannot_be_packed_is_refused() -> None:
    view = shown()
    rows = view.rows.with_columns(who=pl.Series([b"a", b"b"]))
    assert code_of(lambda: pack(replace(view, rows=rows))) == "HR474"


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"format":99}', b"[]", b"\xff"])
def test_a_header_that_cannot_be_read_is_damage(content: bytes | None) -> None:
    assert code_of(lambda: Header.decoded(content, "generation")) == "HR471"


@pytest.mark.parametrize("size", [0, 5, 30])
def test_an_entry_that_was_cut_is_damage(size: int) -> None:
    shelf = Shelf(shown(text=["a", "b"]))
    shelf.cut(size)
    store: Any = shelf
    online = OnlineView.open(store, "generation")
    at = micros(START + timedelta(hours=9))
    assert code_of(lambda: online.lookup([(1, START.date())], [at])) == "HR471"


def test_entries_at_hand_are_not_asked_for_again_and_stay_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "KEPT", 1_000 * (lookup.OVERHEAD + 65))
    times = pl.Series([START] * 3_000, dtype=MOMENT)
    rows = pl.DataFrame({"who": range(3_000), "_visible_at": times, "x": range(3_000)})
    shelf = Shelf(ViewRows("view", rows, ("who",), ("who",), {"x": Total("x", None)}))
    store: Any = shelf
    online = OnlineView.open(store, "generation")
    at = micros(START + MINUTE)
    online.lookup([(1,), (2,)], [at] * 2)
    asked = shelf.asked
    assert online.lookup([(2,), (1,)], [at] * 2)[0] == [{"x": 2}, {"x": 1}]
    assert shelf.asked == asked
    assert online.lookup([(who,) for who in range(3_000)], [at] * 3_000)[0] == [{"x": who} for who in range(3_000)]
    assert shelf.asked == asked + 2_998
    online.lookup([(2_999,), (2_000,)], [at] * 2)
    assert shelf.asked == asked + 2_998
    online.lookup([(1_500,)], [at])
    assert shelf.asked == asked + 2_999


def test_rows_that_no_window_reaches_are_not_packed() -> None:
    times = pl.Series([START + place * MINUTE for place in range(10_000)], dtype=MOMENT)
    rows = pl.DataFrame({"who": ["w"] * 10_000, "_visible_at": times, "x": [0.5] * 10_000})
    features = {"sum": Total("x", timedelta(hours=2)), "all": Total("x", None), "n": Count(None, None)}
    shelf = Shelf(ViewRows("view", rows, ("who",), ("who",), features))
    (entry,) = [value for key, value in shelf.entries if key.startswith(b"\x01")]
    assert len(entry) < 200 * (8 + 16)
    store: Any = shelf
    found, _ = OnlineView.open(store, "generation").lookup([("w",)], [micros(datetime(2030, 1, 1, tzinfo=UTC))])
    assert found == [{"sum": 0.0, "all": 5_000.0, "n": 10_000}]
