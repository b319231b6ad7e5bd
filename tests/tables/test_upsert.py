"""Upserts: the newest row of a key stays, whatever came first; and declarations that cannot be kept."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - the contract below is read at run time
from typing import TYPE_CHECKING, Any

import pytest

from headrace.errors import HeadraceError
from headrace.tables.contract import Contract, column
from headrace.tables.table import Table
from tests.tables.workshop import Workshop, csv_source

if TYPE_CHECKING:
    from pathlib import Path


class Order(Contract):
    order_id: int = column(key=True)
    state: str
    updated_at: datetime = column(known_at=True)


class Bare(Contract):
    order_id: int
    state: str


class Keyed(Contract):
    order_id: int = column(key=True)


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def table_of(**settings: Any) -> Table:  # noqa: ANN401 - any setting
    return Table("orders", [csv_source()], lambda rows: rows, **{"contract": Order, **settings})


def text(*rows: tuple[int, str, int]) -> str:
    return "order_id,state,updated_at\n" + "".join(f"{k},{state},2026-01-{day:02}T00:00:00\n" for k, state, day in rows)


def states(shop: Workshop, table: Table) -> dict[int, str]:
    return dict(sorted(shop.rows(table, shop.table(table)).select("order_id", "state").rows()))


def test_the_newest_row_of_a_key_stays_whichever_came_first(shop: Workshop) -> None:
    table = table_of(incremental=True, upsert=True)
    shop.write("data/b.csv", text((1, "paid", 5), (2, "new", 1)))
    assert states(shop, table) == {1: "paid", 2: "new"}
    shop.write("data/a.csv", text((1, "new", 2), (2, "sent", 9)))
    assert states(shop, table) == {1: "paid", 2: "sent"}
    version = shop.live["orders"][-1]
    older = table.superseded(version, shop.stores)
    assert older is not None
    assert sorted(older.select("order_id", "state", "_batch").collect().rows()) == [
        (1, "new", "data/a.csv"),
        (2, "new", "data/b.csv"),
    ]
    assert version.manifest.facts["superseded"] == 2
    assert version.manifest.facts["quarantined"] == 0


def test_an_older_row_comes_back_when_the_batch_of_the_newer_one_goes_away(shop: Workshop) -> None:
    table = table_of(incremental=True, upsert="updated_at")
    shop.write("data/a.csv", text((1, "first", 2), (1, "second", 3), (1, "lost", 1)))
    shop.write("data/b.csv", text((1, "third", 4)))
    assert states(shop, table) == {1: "third"}
    (shop.folder / "data" / "b.csv").unlink()
    assert states(shop, table) == {1: "second"}
    shop.write("data/b.csv", text((1, "fourth", 3)))
    assert states(shop, table) == {1: "fourth"}, "of equally new rows, that of the later batch"


def test_a_table_that_does_not_grow_keeps_the_newest_row_too(shop: Workshop) -> None:
    table = table_of(upsert=True)
    shop.write("data/a.csv", text((1, "new", 1), (1, "paid", 3), (1, "late", 2)))
    assert states(shop, table) == {1: "paid"}


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"contract": None, "upsert": True}, "HR482", "no contract"),
        ({"contract": Bare, "upsert": "state"}, "HR482", "a contract without a key"),
        ({"contract": Keyed, "upsert": True}, "HR483", "marks no column as known_at"),
        ({"upsert": "updated"}, "HR483", "there is no column 'updated'"),
    ],
)
def test_what_cannot_be_settled_is_refused(settings: dict[str, Any], code: str, said: str) -> None:
    with pytest.raises(HeadraceError, match=code) as caught:
        table_of(**settings)
    assert said in caught.value.what


def test_a_declared_upsert_is_part_of_the_fingerprint_and_none_adds_nothing() -> None:
    assert "upsert" not in table_of().settings()
    assert table_of(upsert=True).settings()["upsert"] == "updated_at"
