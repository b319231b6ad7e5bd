"""A view that has grown with its table is the view that is made of all of it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from headrace.adapters.artefacts import FileArtefactStore
from headrace.adapters.delta import DeltaTableStore
from headrace.adapters.manifests import FileManifestStore
from headrace.adapters.online_lmdb import LmdbOnlineStore
from headrace.features.aggregates import count, latest
from headrace.features.growing import settled
from headrace.features.view import Features, FeatureView
from headrace.ports.records import Manifest, Ref, Version
from headrace.ports.stores import Change, Stores
from headrace.ports.work import Action, Context, Step
from headrace.sources.files import files
from headrace.sources.source import Source
from headrace.tables.contract import Contract, column
from headrace.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Inputs = tuple[tuple[str, str], ...]

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
Landed = list[tuple[int | None, int, int | None]]
"""Rows of a batch: of which carrier, minutes of the event, minutes of when it was known."""


class Departure(Contract):
    flight: int = column(key=True)
    carrier: str | None
    due: datetime = column(event_time=True)
    left: datetime | None = column(known_at=True)


raw = Source("raw", files("*.csv"))
departures = Table("departures", (raw,), lambda rows: rows, contract=Departure, incremental=True)


class History(Features, of=departures, entity="carrier", delay="5m"):
    """How many flights, and the last of them."""

    flights_1h: int = count(over="1h")
    last: int | None = latest("flight")


VIEW = History.__view__
batches = st.lists(
    st.lists(st.tuples(st.none() | st.integers(0, 2), st.integers(0, 9), st.none() | st.integers(0, 30)), max_size=6),
    min_size=1,
    max_size=5,
)


def stores_in(folder: Path) -> Stores:
    return Stores(
        DeltaTableStore(folder / "tables"),
        FileArtefactStore(folder / "files"),
        FileManifestStore(folder / "made"),
        LmdbOnlineStore(folder / "online"),
    )


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return stores_in(tmp_path)


def landed(rows: Landed, first: int) -> pl.DataFrame:
    """Flights, numbered downwards, so that the order of keys is not the order of arrival."""
    return pl.DataFrame(
        {
            "flight": [1_000 - first - place for place in range(len(rows))],
            "carrier": [None if who is None else f"c{who}" for who, _, _ in rows],
            "due": [NOON + event * MINUTE for _, event, _ in rows],
            "left": [None if known is None else NOON + known * MINUTE for _, _, known in rows],
        },
        schema={
            "flight": pl.Int64,
            "carrier": pl.String,
            "due": pl.Datetime("us", "UTC"),
            "left": pl.Datetime("us", "UTC"),
        },
    )


class Line:
    """A table that grows, and the versions of its view."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.table: Version | None = None
        self.said: list[str] = []
        self._number = 0

    def append(self, rows: pl.DataFrame, change: Change | None = None) -> None:
        base = None if self.table is None else self.table.manifest.outputs["table"]
        key = self._key()
        ref = self.stores.tables.write(key, "departures", rows, base, change or Change())
        self.table = self._version(key, {"table": ref}, "table", ())
        self.stores.manifests.put(self.table.manifest)

    def made(self, base: Version | None = None) -> Version:
        """The view of the table as it is now, from a base or from nothing."""
        assert self.table is not None
        inputs = (("departures", self.table.key),)
        step = Step("History", self._key(), "f" * 64, inputs, Action.MAKE, "new", base=base)
        versions = {"departures": self.table}
        context = Context(step.key, 0, Path(), self.stores, versions, self.said.append, lambda *_: None)
        manifest = VIEW.make(step, context)
        return replace(self._version(step.key, manifest.outputs, "features", inputs), manifest=manifest)

    def rows(self, version: Version) -> pl.DataFrame:
        return VIEW.read(version, self.stores).collect()

    def has_grown(self) -> bool:
        return "new rows" in self.said[-1]

    def _key(self) -> str:
        self._number += 1
        return f"{self._number:064x}"

    def _version(self, key: str, outputs: Mapping[str, Ref], kind: str, inputs: Inputs) -> Version:
        return Version(key, kind, kind, "f" * 64, inputs, Manifest(key, outputs, {}))


def grown(line: Line, parts: Sequence[Landed], gone: Sequence[tuple[int, int]] = ()) -> list[Version]:
    """A version after each batch, from the one before; `gone` are batches and the rows that go away with them."""
    versions: list[Version] = []
    number = rows = 0
    for place, part in enumerate(parts):
        less = sorted({row for batch, row in gone if batch == place and row < rows})
        line.append(landed(part, number), Change(less=less) if place else None)
        number += len(part)
        rows += len(part) - len(less)
        versions.append(line.made(versions[-1] if versions else None))
    return versions


@given(batches, st.lists(st.tuples(st.integers(0, 4), st.integers(0, 29)), max_size=4))
@settings(max_examples=25, deadline=None)
def test_what_has_grown_is_what_is_made_of_everything(parts: list[Landed], gone: list[tuple[int, int]]) -> None:
    """Whatever arrives late, and whichever rows of the table go away with a batch."""
    with tempfile.TemporaryDirectory() as folder:
        line = Line(stores_in(Path(folder)))
        versions = grown(line, parts, gone)
        whole = line.made()
        assert_frame_equal(line.rows(versions[-1]), line.rows(whole))
        known = ("rows", "entities", "features", "schema", "first_visible", "last_visible", "stored")
        for name in known:
            assert versions[-1].manifest.facts[name] == whole.manifest.facts[name], name


EARLY: Landed = [(0, minute, 10 + minute) for minute in range(8)]


def test_only_new_rows_are_written(stores: Stores) -> None:
    line = Line(stores)
    first, second = grown(line, [EARLY, [(1, 3, 20), (0, 9, 25)]])
    assert line.has_grown()
    ref, base = second.manifest.outputs["features"], first.manifest.outputs["features"]
    added = stores.tables.difference(ref, base)
    assert added is not None
    assert added.new.collect()["carrier"].to_list() == ["c1", "c0"]
    assert second.manifest.facts["unsettled"] is None
    assert settled(pl.LazyFrame({"_tie_0": [2, 1]}), {"stored": ["_tie_0"]}).collect().is_empty()


def test_a_row_that_is_known_late_stands_where_it_became_visible(stores: Stores) -> None:
    """It happened before everything else, and it was known among the others: nothing that was seen before changes."""
    line = Line(stores)
    _, second = grown(line, [EARLY, [(0, 0, 16)]])
    assert line.has_grown()
    assert second.manifest.facts["unsettled"] == "2024-05-01T12:21:00+00:00"
    assert line.rows(second)["_visible_at"].is_sorted()
    assert line.rows(second)["flight"].to_list() == [1000, 999, 998, 997, 996, 995, 992, 994, 993]


def test_rows_that_are_mostly_out_of_order_are_put_in_order(stores: Stores) -> None:
    line = Line(stores)
    _, second = grown(line, [EARLY, [(0, 0, 11)]])
    assert not line.has_grown()
    assert second.manifest.facts["unsettled"] is None


def test_a_row_of_the_table_that_went_away_goes_away_here(stores: Stores) -> None:
    line = Line(stores)
    (first,) = grown(line, [EARLY])
    line.append(landed([(1, 3, 30)], 100), Change(less=(0,)))
    second = line.made(first)
    assert line.rows(second)["flight"].to_list() == [999, 998, 997, 996, 995, 994, 993, 900]


def test_a_row_that_changed_is_the_only_one_that_is_made_again(stores: Stores) -> None:
    """As an upsert does it: the old row is left out of its file, and the new one comes behind."""
    line = Line(stores)
    grown(line, [EARLY])
    line.append(landed([(1, 3, 30), (1, 4, 31)], 100))
    second = line.made(line.made())
    other = landed([(2, 5, 40)], 100)
    line.append(other, Change(less=(8,)))
    third = line.made(second)
    assert line.said[-1] == "1 new rows, 1 gone; 10 rows of 3 entities"
    assert_frame_equal(line.rows(third), line.rows(line.made()))
    whole = line.made()
    assert {**third.manifest.facts, "unsettled": None} == whole.manifest.facts


def test_a_table_that_was_collected_is_made_from_again(stores: Stores) -> None:
    line = Line(stores)
    (first,) = grown(line, [EARLY])
    old = line.table
    assert old is not None
    line.append(landed([(1, 3, 30)], 100))
    stores.manifests.remove(old.key)
    assert line.rows(line.made(first)).height == 9
    assert not line.has_grown()


def test_a_refresh_begins_anew(stores: Stores) -> None:
    line = Line(stores)
    (first,) = grown(line, [EARLY])
    line.append(landed([(1, 3, 30)], 100))
    line.made(replace(first, generation=1))
    assert not line.has_grown()


def test_what_a_base_is() -> None:
    wanted = {"a": "1", "b": "2"}
    one = Version("k" * 64, "History", "features", "f" * 64, (), Manifest("k" * 64, {}, {}), batches={"a": "1"})
    assert VIEW.batches({"departures": wanted}) == wanted
    assert VIEW.base(wanted, [one]) is one
    by_function = FeatureView.from_function("weather", (departures,), lambda rows: rows, entity="carrier", at="due")
    assert by_function.batches({"departures": wanted}) == {}
    assert by_function.base(wanted, [one]) is None
    assert not by_function.incremental
