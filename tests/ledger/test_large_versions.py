"""Versions of many batches: a ledger holds what they have in common once, and knows when a piece of it is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.adapters.postgres import PostgresDatabase
from headrace.adapters.sqlite import SqliteDatabase
from headrace.errors import HeadraceError
from headrace.ledger.ledger import SqlLedger
from headrace.ports.ledger import AddVersion, Collect, Relocate
from headrace.ports.mappings import Pieces, changed, plain
from headrace.ports.records import Ref
from headrace.testing.ledgers import version_of
from tests.support.versions import forget_pieces, large_version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headrace.ports.ledger import Database

pytest_plugins = ("tests.postgres_server",)


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], SqlLedger]]:
    """Opens the same ledger, again and again."""
    url = request.getfixturevalue("new_database")() if request.param == "postgres" else ""
    made: list[SqlLedger] = []

    def opened() -> SqlLedger:
        database: Database = PostgresDatabase(url) if url else SqliteDatabase(tmp_path / "ledger.db")
        made.append(SqlLedger(database, SimulatedClock()))
        return made[-1]

    yield opened
    for ledger in made:
        ledger.close()


def pieces_in(ledger: SqlLedger) -> set[str]:
    with ledger._database.reading() as connection:  # noqa: SLF001 - how much is written cannot be asked for
        return {row[0] for row in connection.rows("SELECT digest FROM pieces")}


def test_a_large_version_comes_back_in_every_way(
    opened: Callable[[], SqlLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = large_version_of(1)
    assert opened().write(AddVersion(version))[0].get() == version
    forget_pieces(monkeypatch)
    ledger = opened()
    assert ledger.version(version.key) == version
    assert ledger.live([version.key]) == {version.key: version}
    assert ledger.versions() == ledger.versions("table") == ledger.newest_versions("table", 3) == [version]
    assert ledger.write(AddVersion(replace(version, seconds=9.0)))[0].get() == version
    again = ledger.live([version.key])[version.key].manifest.facts["batches"]
    assert plain(again) == plain(version.manifest.facts["batches"])
    assert ledger.verify() == 1


def test_a_piece_is_written_once(opened: Callable[[], SqlLedger]) -> None:
    ledger = opened()
    ledger.write(AddVersion(large_version_of(1)))
    first = pieces_in(ledger)
    assert len(first) > 40
    other = opened()  # it does not know what there is
    more = large_version_of(2)
    batches = changed(more.batches, {"data/000200.csv": "digest"})
    other.write(AddVersion(replace(more, batches=batches)))
    assert first < pieces_in(other)
    assert len(pieces_in(other) - first) <= 3
    assert other.verify() == 2
    entries = other.entries(0)
    assert all(len(str(entry.body)) < 2_500 for entry in entries), "an entry names its pieces only"


def test_what_a_refused_item_had_written_is_written_again(opened: Callable[[], SqlLedger]) -> None:
    ledger = opened()
    good = large_version_of(1)
    broken = replace(good, manifest=replace(good.manifest, facts={**good.manifest.facts, "no JSON": object()}))
    answers = ledger.write(AddVersion(version_of(7)), AddVersion(broken))
    assert [answer.error is None for answer in answers] == [True, False]
    ledger.write(AddVersion(good))
    assert ledger.verify() == 2


def test_a_collected_version_keeps_its_record(opened: Callable[[], SqlLedger], monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = opened()
    first, second = large_version_of(1), large_version_of(2, 300)
    ledger.write(AddVersion(first), AddVersion(second), Collect([first.key]))
    forget_pieces(monkeypatch)
    assert opened().version(first.key) == first
    assert opened().live([first.key, second.key]) == {second.key: second}
    ledger.write(AddVersion(first))
    assert ledger.live([first.key]) == {first.key: first}
    assert ledger.verify() == 4


def test_a_large_version_is_relocated(opened: Callable[[], SqlLedger]) -> None:
    ledger = opened()
    version = large_version_of(1)
    version = replace(version, manifest=replace(version.manifest, outputs={"table": Ref("table", "a", "d", 70)}))
    ledger.write(AddVersion(version))
    there = {"table": Ref("table", "b", "d", 0)}
    assert ledger.write(Relocate(version.key, there, version.manifest.outputs))[0].get()
    moved = ledger.version(version.key)
    assert moved is not None
    assert moved.manifest.outputs == there
    assert moved.manifest.facts["batches"] == version.manifest.facts["batches"]
    assert ledger.verify() == 2


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM pieces WHERE body LIKE '{%' AND rowid % 7 = 0", "is missing"),
        ("DELETE FROM pieces WHERE body LIKE '[%'", "is missing"),
        ("UPDATE pieces SET body = replace(body, 'digest', 'DIGEST')", "is not what was written"),
        ("UPDATE pieces SET body = 'nonsense' WHERE rowid = 3", "is not what was written"),
    ],
)
def test_a_damaged_piece_is_told(tmp_path: Path, statement: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    version = large_version_of(1)
    with closing(SqlLedger(SqliteDatabase(tmp_path / "ledger.db"), SimulatedClock())) as ledger:
        ledger.write(AddVersion(version))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
        assert connection.execute(statement).rowcount
    forget_pieces(monkeypatch)
    with closing(SqlLedger(SqliteDatabase(tmp_path / "ledger.db"), SimulatedClock())) as ledger:
        with pytest.raises(HeadraceError, match=told) as raised:
            ledger.verify()
        assert raised.value.code == "HR606"
        found = ledger.version(version.key)
        assert found is not None
        assert isinstance(found.batches, Pieces)
        facts = found.manifest.facts
        with pytest.raises(HeadraceError, match=r"HR606"):
            [list(each) for each in (found.batches, found.manifest.outputs, facts["batches"], facts["layout"])]
