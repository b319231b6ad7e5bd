"""What a source on a database promises, over real servers of every kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

from headrace.errors import HeadraceError
from headrace.ports.outside import Outside
from headrace.sources import database
from tests.sources.databases.places import Landing, SqlitePlace

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sources.databases.places import Place

ONE, TWO, THREE = (f"2026-01-0{day} 10:00:00.000{day}00" for day in (1, 2, 3))
GROWING = database("crm", table="orders", cursor="updated_at", overlap="1d")
MOMENT = pl.Datetime("us", "UTC")


@pytest.fixture
def orders(place: Place) -> Place:
    place.make_orders()
    return place


def refused(landing: Landing) -> HeadraceError:
    with pytest.raises(HeadraceError) as caught:
        landing.land()
    return caught.value


def test_a_snapshot_is_known_by_its_content(orders: Place, tmp_path: Path) -> None:
    orders.put((1, "a", ONE), (2, None, TWO))
    landing = Landing(tmp_path, orders.reader, database("crm", table="orders"))
    first = landing.land()
    assert landing.rows() == [
        (1, "a", datetime(2026, 1, 1, 10, 0, 0, 100, UTC)),
        (2, None, datetime(2026, 1, 2, 10, 0, 0, 200, UTC)),
    ]
    assert landing.land() is first
    orders.run("DELETE FROM orders WHERE id = 1")
    orders.put((1, "a", ONE))
    assert landing.land() is first, "another order of the same rows is nothing new"
    orders.run("UPDATE orders SET note = 'b' WHERE id = 2")
    second = landing.land()
    assert [row[1] for row in landing.rows()] == ["a", "b"]
    assert len(second.batches) == 1
    assert second.batches != first.batches


def test_a_plan_tells_what_changed_in_the_columns(orders: Place, tmp_path: Path) -> None:
    orders.put((1, "a", ONE))
    landing = Landing(tmp_path, orders.reader, database("crm", table="orders"))
    before = landing.land()
    orders.run("ALTER TABLE orders DROP COLUMN note", "ALTER TABLE orders ADD COLUMN amount INTEGER")
    foreseen = landing.source.foresee(landing.look(), before, Outside(tmp_path, landing.shop.stores))
    assert [each.text.partition(" (")[0] for each in foreseen] == ["breaking: column note", "safe: column amount"]
    assert "which stops until it is accepted" in foreseen[0].text
    assert [each.columns for each in foreseen] == [("note",), ("amount",)]


def test_a_query_is_a_source(orders: Place, tmp_path: Path) -> None:
    orders.put((1, "a", ONE), (2, "b", TWO))
    landing = Landing(tmp_path, orders.reader, database("crm", query="SELECT id FROM orders WHERE note = 'b';"))
    landing.land()
    assert landing.rows() == [(2,)]


def test_a_cursor_lands_what_is_new(orders: Place, tmp_path: Path) -> None:
    landing = Landing(tmp_path, orders.reader, GROWING)
    orders.put((1, "a", ONE), (2, "b", TWO))
    first = landing.land()
    assert landing.land() is first
    orders.put((3, "c", THREE), (4, "late", TWO), (5, "tied", TWO))
    second = landing.land()
    assert second.rows == 5
    assert second.manifest.facts["new_rows"] == 3
    assert first.batches.items() < second.batches.items()
    assert landing.column("id") == [1, 2, 3, 4, 5]


def test_rows_that_are_alike_are_as_many_as_there_are(orders: Place, tmp_path: Path) -> None:
    landing = Landing(tmp_path, orders.reader, GROWING)
    orders.put((1, "same", ONE), (1, "same", ONE))
    landing.land()
    orders.put((1, "same", ONE))
    landing.land()
    landing.land()
    assert landing.column("note") == ["same"] * 3


def test_a_tie_needs_no_overlap(orders: Place, tmp_path: Path) -> None:
    landing = Landing(tmp_path, orders.reader, database("crm", table="orders", cursor="updated_at"))
    orders.put((1, "a", TWO))
    landing.land()
    orders.put((2, "b", TWO), (3, "too late", ONE))
    landing.land()
    assert landing.column("id") == [1, 2]


def test_a_number_is_a_cursor(orders: Place, tmp_path: Path) -> None:
    landing = Landing(tmp_path, orders.reader, database("crm", table="orders", cursor="id", overlap=2))
    orders.put((1, "a", ONE), (5, "b", ONE))
    landing.land()
    orders.put((2, "too late", ONE), (3, "late", ONE), (6, "new", ONE))
    landing.land()
    assert landing.column("id") == [1, 3, 5, 6]


def test_the_newest_row_of_a_key_counts(orders: Place, tmp_path: Path) -> None:
    source = database("crm", table="orders", cursor="updated_at", overlap="1d", key="id")
    landing = Landing(tmp_path, orders.reader, source)
    orders.put((1, "a", ONE), (2, "b", TWO))
    landing.land()
    orders.run(f"UPDATE orders SET note = 'changed', updated_at = '{THREE}' WHERE id = 1")
    orders.run("UPDATE orders SET note = 'quietly' WHERE id = 2")
    version = landing.land()
    assert [row[:2] for row in landing.rows()] == [(1, "changed"), (2, "quietly")]
    assert version.rows == 4, "what was landed stays landed"


def test_a_key_tells_rows_apart(orders: Place, tmp_path: Path) -> None:
    orders.put((1, "a", ONE), (1, "b", ONE))
    error = refused(Landing(tmp_path, orders.reader, database("crm", table="orders", key="id")))
    assert (error.code, error.what.partition(": ")[2]) == (
        "HR348",
        "crm.orders: id 1 does not tell one row from all others",
    )


def test_what_is_excluded_does_not_come_in_again(orders: Place, tmp_path: Path) -> None:
    landing = Landing(tmp_path, orders.reader, GROWING)
    orders.put((1, "good", ONE))
    landing.land()
    orders.put((2, "bad", TWO))
    bad = landing.land()
    landing.versions.pop()
    landing.excluded = frozenset(bad.batches.keys() - landing.versions[-1].batches.keys())
    assert landing.land().batches == landing.versions[0].batches
    orders.put((3, "good", THREE))
    landing.land()
    assert landing.column("id") == [1, 3]


def test_after_a_rollback_the_rows_come_in_again(orders: Place, tmp_path: Path) -> None:
    landing = Landing(tmp_path, orders.reader, GROWING)
    orders.put((1, "a", ONE))
    landing.land()
    orders.put((2, "b", TWO))
    landing.land()
    landing.versions.pop()
    orders.put((3, "c", THREE))
    landing.land()
    assert landing.column("id") == [1, 2, 3]


def test_an_excluded_snapshot_leaves_the_one_before(orders: Place, tmp_path: Path) -> None:
    landing = Landing(tmp_path, orders.reader, database("crm", table="orders"))
    orders.put((1, "good", ONE))
    first = landing.land()
    orders.put((2, "bad", TWO))
    bad = landing.land()
    landing.versions.pop()
    landing.excluded = frozenset(bad.batches)
    assert landing.land() is first


def test_a_row_without_a_cursor_is_not_lost(orders: Place, tmp_path: Path) -> None:
    orders.put((1, "a", ONE))
    orders.run("INSERT INTO orders VALUES (2, 'lost', NULL)")
    error = refused(Landing(tmp_path, orders.reader, GROWING))
    assert error.code == "HR345"
    assert error.what.endswith(": 1 rows without 'updated_at' in crm.orders")


WRONG = (
    (database("crm", table="order"), "HR343", "order"),
    (database("crm", query="SELEC 1"), "HR343", "syntax"),
    (database("crm", query="DELETE FROM orders"), "HR343", ""),
    (database("crm", table="orders", cursor="changed_at"), "HR346", "no column 'changed_at'"),
    (database("crm", table="orders", cursor="note"), "", "note"),
    (database("crm", table="orders", cursor="id", overlap="1d"), "HR346", "overlap"),
    (database("crm", table="orders", cursor="updated_at", overlap=3), "HR346", "overlap"),
    (database("crm", table="orders", key="nr"), "HR346", "no column 'nr'"),
    (database("crm", table="orders", schema={"nr": int}), "HR346", "no column 'nr'"),
    (database("crm", table="orders", schema={"note": int}), "HR311", "'a'"),
)


def test_what_cannot_be_read_is_refused(orders: Place, tmp_path: Path) -> None:
    orders.put((1, "a", ONE))
    for source, code, words in WRONG:
        error = refused(Landing(tmp_path, orders.reader, source))
        assert error.code == code or (not code and error.code in ("HR346", "HR345"))
        assert words in error.what
    assert not list((tmp_path / ".headrace" / "made").glob("*/*"))


def test_nothing_is_left_of_what_was_refused(orders: Place, tmp_path: Path) -> None:
    orders.put((1, "a", ONE))
    landing = Landing(tmp_path, orders.reader, database("crm", table="orders", schema={"note": int}))
    refused(landing)
    assert not landing.shop.stores.artefacts.paths()


def test_a_column_that_came_in_doubles_nothing(orders: Place, tmp_path: Path) -> None:
    landing = Landing(tmp_path, orders.reader, GROWING)
    orders.put((1, "a", ONE))
    landing.land()
    orders.run("ALTER TABLE orders ADD COLUMN more INTEGER DEFAULT 0")
    assert landing.look().identity() == landing.versions[-1].batches, "the row is recognised all the same"
    orders.run(f"INSERT INTO orders VALUES (2, 'b', '{TWO}', 7)")
    landing.land()
    assert [row[0::3] for row in landing.rows()] == [(1, None), (2, 7)]


def test_what_was_seen_and_collected_is_told(orders: Place, tmp_path: Path) -> None:
    landing = Landing(tmp_path, orders.reader, GROWING)
    orders.put((1, "a", ONE))
    seen = landing.look()
    [path] = landing.shop.stores.artefacts.paths()
    landing.shop.stores.artefacts.remove(path)
    with pytest.raises(HeadraceError, match="HR350"):
        landing.shop.make(landing.source, {}, seen)


def test_the_server_says_what_it_is(place: Place) -> None:
    assert place.reader.ask().lower().startswith(place.kind)


@pytest.mark.parametrize("cursor", [None, "updated_at"])
def test_an_empty_table_is_a_version_without_rows(orders: Place, tmp_path: Path, cursor: str | None) -> None:
    landing = Landing(tmp_path, orders.reader, database("crm", table="orders", cursor=cursor))
    empty = landing.land()
    schema = empty.manifest.facts["schema"]
    assert (empty.rows, len(empty.batches), schema["note"]) == (0, 1, "String")
    assert landing.land() is empty
    assert landing.shop.rows(landing.source, empty).schema["updated_at"] == MOMENT
    orders.put((1, "a", ONE))
    full = landing.land()
    assert (full.rows, len(full.batches), full.manifest.facts["schema"]) == (1, 1, schema)
    orders.put((2, "b", TWO))
    assert landing.land().rows == 2


def test_a_table_that_lost_all_rows_is_not_published_by_itself(orders: Place, tmp_path: Path) -> None:
    orders.put((1, "a", ONE))
    for rule, passes in (("widen", False), ("accept", True), ("fail", False)):
        landing = Landing(tmp_path / rule, orders.reader, database("crm", table="orders"))
        landing.source.on_change = rule
        full = landing.land()
        orders.run("DELETE FROM orders")
        empty = landing.land()
        orders.put((1, "a", ONE))
        assert (empty.rows, empty.manifest.facts["schema"]) == (0, full.manifest.facts["schema"])
        decision = landing.source.decide(empty, full, landing.shop.context("", {}))
        assert decision.passed is passes
        assert decision.key == landing.source.decision_keys(empty, full)[-1]
        assert ("all rows are gone", passes) in [(each.condition, each.passed) for each in decision.outcomes]
        accepted = landing.source.accept(empty, full, "closed down", "")
        assert (accepted is None) is passes
        assert landing.source.decide(full, empty, landing.shop.context("", {})).passed is (rule != "fail")


def test_an_empty_table_whose_columns_change(orders: Place, tmp_path: Path) -> None:
    landing = Landing(tmp_path, orders.reader, database("crm", table="orders"))
    before = landing.land()
    orders.run("ALTER TABLE orders ADD COLUMN price INTEGER")
    after = landing.land()
    assert after.manifest.facts["schema"].keys() - before.manifest.facts["schema"].keys() == {"price"}


def test_an_empty_query_of_sqlite_tells_no_types(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path)
    place.make_orders()
    landing = Landing(tmp_path, place.reader, database("crm", query="SELECT id, note FROM orders"))
    error = refused(landing)
    assert (error.code, error.what) == (
        "HR313",
        "orders: no row in 1 batches, and nothing tells the types of id, note",
    )
    declared = database("crm", query="SELECT id, note FROM orders", schema={"id": int, "note": str})
    assert Landing(tmp_path / "other", place.reader, declared).land().rows == 0
