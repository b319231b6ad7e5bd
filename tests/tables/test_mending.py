"""Rows that were mended: each takes the place of one that was set aside, once."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.tables.breaches import Split, added
from headrace.tables.contract import Contract, column
from headrace.tables.making import Recipe
from headrace.tables.mending import ID, Mending, identities, name_of, read, written
from headrace.tables.quarantine import split
from headrace.tables.table import Table
from headrace.tables.uniqueness import set_doubles_aside
from tests.tables.oracle import Row, comparable, expected
from tests.tables.workshop import Workshop, csv_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.ports.records import Version


class Small(Contract):
    k: int = column(key=True)
    word: str = column(isin=("a", "b"))
    n: int | None = column(unique=True, ge=0)


SCHEMA: dict[str, pl.DataType] = {"k": pl.Int64(), "word": pl.String(), "n": pl.Int64()}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "k": st.one_of(st.none(), st.integers(0, 4)),
            "word": st.sampled_from(["a", "b", "x", None]),
            "n": st.one_of(st.none(), st.integers(-1, 3)),
        }
    ),
    max_size=8,
)


def settle(parts: Sequence[Split], batches: Sequence[str | None]) -> tuple[Sequence[Split], list[pl.DataFrame]]:
    return set_doubles_aside(parts, batches, Small), []


def frame(rows: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


@settings(max_examples=150, deadline=None)
@given(ROWS, ROWS, st.data())
def test_mended_rows_are_checked_like_all_others_and_none_is_there_twice(
    rows: list[Row], corrected: list[Row], data: st.DataObject
) -> None:
    recipe = Recipe("t", lambda _: None, ["lazy"], Small)
    before = split(frame(rows), Small, table="t", batch="one")
    names = identities(before.quarantined).to_list()
    chosen = data.draw(st.lists(st.sampled_from(range(len(names))), unique=True)) if names else []
    pairs = list(zip(chosen, corrected, strict=False))
    mended = frame([row for _, row in pairs]).with_columns(pl.Series(ID, [names[n] for n, _ in pairs], dtype=pl.String))
    mending = Mending({"mended/t/0001": mended}, recipe.checked)
    parts, batches, lost = mending.mended([before], ["one"], [], settle)
    assert (batches, lost) == (["one", "mended/t/0001"], [])
    assert mending.told["mended/t/0001"]["left_out"] == 0

    gone = before.quarantined.select(list(SCHEMA)).rows(named=True)
    left = list(rows)
    for n, _ in pairs:
        left.reverse()
        left.remove(gone[n])  # of equal rows, the later ones are those that are set aside
        left.reverse()
    clean, aside = expected([*left, *(row for _, row in pairs)], Small)
    assert comparable([row for part in parts for row in part.clean.to_dicts()]) == comparable(clean)
    found = pl.concat([part.quarantined for part in parts])
    assert comparable(found.select(list(SCHEMA)).to_dicts()) == comparable([row for row, _ in aside])
    assert sum(added(part.counts for part in parts).values()) == sum(len(names) for _, names in aside)


def test_rows_of_equal_content_have_one_name_and_are_mended_one_by_one() -> None:
    recipe = Recipe("t", lambda _: None, ["lazy"], Small)
    bad = {"k": 1, "word": "x", "n": None}
    before = split(frame([bad, bad]), Small, table="t")
    names = identities(before.quarantined)
    assert names[0] == names[1]
    mended = frame([{"k": 1, "word": "a", "n": None}]).with_columns(pl.Series(ID, [names[0]]))
    parts, _, _ = Mending({"m": mended}, recipe.checked).mended([before], [None], [], settle)
    assert [part.clean.height for part in parts] == [0, 1]
    assert [part.quarantined.height for part in parts] == [1, 0]


class Every(Contract):
    text: str | None
    whole: int | None
    real: float | None
    flag: bool | None
    day: date | None
    at: datetime | None


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "text": st.one_of(st.none(), st.text(st.characters(codec="utf-8"))),
                "whole": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
                "real": st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
                "flag": st.one_of(st.none(), st.booleans()),
                "day": st.one_of(st.none(), st.dates()),
                "at": st.one_of(st.none(), st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1))),  # noqa: DTZ001 - made UTC below
            }
        ),
        max_size=4,
    )
)
def test_a_mended_batch_is_read_as_it_was_written(rows: list[dict[str, Any]]) -> None:
    rows = [{**row, "at": None if row["at"] is None else row["at"].replace(tzinfo=UTC)} for row in rows]
    types = [pl.String(), pl.Int64(), pl.Float64(), pl.Boolean(), pl.Date(), pl.Datetime("us", "UTC")]
    schema = dict(zip(("text", "whole", "real", "flag", "day", "at"), types, strict=True))
    found = pl.DataFrame(rows, schema=schema).with_columns(pl.lit("name").alias(ID)).select(ID, *schema)
    content = written(found)
    assert content.count(b"\n") == len(rows)
    assert read("b", content, Every).equals(found)


class Order(Contract):
    order_id: int = column(key=True)
    shop: str = column(isin=("a", "b"))
    amount: float = column(ge=0)


HEAD = "order_id,shop,amount\n"


def same(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def land(shop: Workshop, table: Table, version: Version, number: int, change: dict[int, Row]) -> str:
    """A mended batch: rows that are set aside, by their number, with other values."""
    aside = shop.aside(table, version)
    names = identities(aside)
    rows = [{ID: names[n], **aside.row(n, named=True), **values} for n, values in change.items()]
    content = written(pl.DataFrame(rows))
    name = f"mended/{table.name}/{name_of(number, hashlib.sha256(content).hexdigest())}"
    shop.write(name, content)
    return name


@pytest.mark.parametrize("incremental", [False, True])
def test_mended_rows_go_into_the_table(shop: Workshop, incremental: bool) -> None:
    table = Table("orders", [csv_source()], same, contract=Order, incremental=incremental)
    shop.write("data/a.csv", HEAD + "1,a,5\n2,x,5\n3,a,-1\n1,b,2\n")
    first = shop.table(table)
    assert (first.rows, first.manifest.facts["quarantined"]) == (1, 3)
    one = land(shop, table, first, 1, {0: {"shop": "b"}, 1: {"amount": -2.0}, 2: {"order_id": 4}})
    second = shop.table(table)
    assert second.key != first.key
    facts = second.manifest.facts
    assert (second.rows, facts["quarantined"], facts["rules"]) == (3, 1, {"amount >= 0": 1})
    assert facts["new_rows"] == (2 if incremental else 3), "an incremental table gets the mended rows, and no others"
    assert facts["mended"] == {one: {"rows": 3, "clean": 2, "broken": 1, "left_out": 0}}
    assert facts["batches"][one] == {"rows": 2, "quarantined": 1, "rules": {"amount >= 0": 1}}
    assert second.batches[one]
    assert shop.rows(table, second)["order_id"].sort().to_list() == [1, 2, 4]
    assert shop.aside(table, second).select("amount", "_batch").rows() == [(-2.0, one)]
    assert shop.table(table).key == second.key

    two = land(shop, table, second, 2, {0: {"amount": 2.0}})
    third = shop.table(table)
    assert (third.rows, third.manifest.facts["quarantined"]) == (4, 0)
    assert list(third.manifest.facts["mended"]) == [one, two]


def test_a_row_that_is_not_set_aside_any_more_is_not_there_twice(shop: Workshop) -> None:
    table = Table("orders", [csv_source()], same, contract=Order)
    shop.write("data/a.csv", HEAD + "1,a,5\n2,x,5\n")
    batch = land(shop, table, shop.table(table), 1, {0: {"shop": "b"}})
    shop.write("data/a.csv", HEAD + "1,a,5\n2,a,5\n")
    version = shop.table(table)
    assert version.manifest.facts["mended"][batch] == {"rows": 1, "clean": 0, "broken": 0, "left_out": 1}
    assert shop.rows(table, version).rows() == [(1, "a", 5.0), (2, "a", 5.0)]

    class Wider(Contract):
        order_id: int = column(key=True)
        shop: str = column(isin=("a", "b", "x"))
        amount: float = column(ge=0)

    shop.write("data/a.csv", HEAD + "1,a,5\n2,x,5\n")
    changed = Table("orders", [csv_source()], same, contract=Wider)
    shop.live.clear()
    assert shop.rows(changed, shop.table(changed)).rows() == [(1, "a", 5.0), (2, "x", 5.0)]


def test_an_incremental_table_goes_on_after_a_mending(shop: Workshop) -> None:
    table = Table("orders", [csv_source()], same, contract=Order, incremental=True)
    shop.write("data/a.csv", HEAD + "1,a,5\n2,x,5\n")
    batch = land(shop, table, shop.table(table), 1, {0: {"shop": "b"}})
    shop.table(table)
    shop.write("data/b.csv", HEAD + "3,a,1\n")
    version = shop.table(table)
    assert version.manifest.facts["new_rows"] == 1
    assert list(version.manifest.facts["mended"]) == [batch]
    again = shop.table(table, afresh=True)
    assert again.manifest.facts["new_rows"] == 3
    for fact in ("rows", "quarantined", "rules", "results", "batches", "mended"):
        assert again.manifest.facts[fact] == version.manifest.facts[fact]


class Stock(Contract):
    k: int = column(key=True)
    word: str = column(isin=("a", "b"))
    n: int | None = column(ge=0)
    at: datetime = column(known_at=True)


class Tagged(Contract):
    k: int = column(key=True)
    word: str = column(isin=("a", "b"))
    n: int | None = column(ge=0, unique=True)
    at: datetime = column(known_at=True)


STOCK = st.tuples(
    st.integers(0, 5), st.sampled_from(["a", "b", "x"]), st.one_of(st.none(), st.integers(-1, 3)), st.integers(1, 3)
)
CHANGES = st.dictionaries(
    st.integers(0, 4),
    st.fixed_dictionaries({}, optional={"k": st.integers(0, 9), "word": st.just("a"), "n": st.integers(-1, 9)}),
    min_size=1,
    max_size=3,
)


def stock(rows: Sequence[tuple[Any, ...]]) -> str:
    lines = (f"{k},{word},{'' if n is None else n},2024-01-0{day}T00:00:00\n" for k, word, n, day in rows)
    return "k,word,n,at\n" + "".join(lines)


@pytest.mark.parametrize(("contract", "upsert"), [(Stock, False), (Stock, True), (Tagged, False)])
def test_mended_rows_that_come_to_a_table_make_what_a_rebuild_would(contract: type[Contract], upsert: bool) -> None:
    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(STOCK, min_size=2, max_size=8), st.lists(STOCK, max_size=4), st.lists(CHANGES, min_size=1, max_size=3)
    )
    def holds(one: list[Any], two: list[Any], mends: list[dict[int, Row]]) -> None:
        with TemporaryDirectory() as folder:
            shop = Workshop(Path(folder))
            table = Table("orders", [csv_source()], same, contract=contract, incremental=True, upsert=upsert)
            shop.write("data/a.csv", stock([(99, "a", 99, 1), *one]))
            shop.write("data/b.csv", stock([(98, "a", 98, 1), *two]))
            version = shop.table(table)
            for number, change in enumerate(mends):
                height = shop.aside(table, version).height
                wanted = {place: values for place, values in change.items() if place < height}
                if wanted:
                    land(shop, table, version, number + 1, wanted)
                    version = shop.table(table)
            again = shop.table(table, afresh=True)
            for fact in ("rows", "quarantined", "rules", "results", "batches"):
                assert version.manifest.facts[fact] == again.manifest.facts[fact]
            assert version.manifest.facts.get("mended") == again.manifest.facts.get("mended")
            for rows in (shop.rows, shop.aside):
                old, new = (sorted(map(repr, rows(table, each).rows())) for each in (version, again))
                assert old == new

    holds()


def test_a_mended_batch_that_was_edited(shop: Workshop) -> None:
    table = Table("orders", [csv_source()], same, contract=Order)
    shop.write("data/a.csv", HEAD + "1,a,5\n2,x,5\n")
    name = land(shop, table, shop.table(table), 1, {0: {"shop": "b"}})
    (shop.folder / name).write_bytes((shop.folder / name).read_bytes().replace(b'"b"', b'"a"'))
    with pytest.raises(HeadraceError, match="HR435"):
        shop.look(table)


def test_a_mended_batch_of_another_contract() -> None:
    with pytest.raises(HeadraceError, match="HR434") as caught:
        read("mended/t/1", b'{"_id": "x", "order_id": "one", "shop": "a", "amount": 1}\n', Order)
    assert "order_id is Int64 by now" in caught.value.what


def test_mended_rows_take_part_in_upserts(shop: Workshop) -> None:
    class Price(Contract):
        item: str = column(key=True)
        price: float = column(gt=0)
        at: datetime = column(known_at=True)

    table = Table("prices", [csv_source()], same, contract=Price, incremental=True, upsert=True)
    rows = "x,1,2024-01-01T00:00:00\nx,-2,2024-01-02T00:00:00\ny,-1,2024-01-01T00:00:00\n"
    shop.write("data/a.csv", f"item,price,at\n{rows}")
    first = shop.table(table)
    aside = shop.aside(table, first)
    places = {row["item"]: n for n, row in enumerate(aside.iter_rows(named=True))}
    batch = land(shop, table, first, 1, {places["x"]: {"price": 2.0}, places["y"]: {"price": 1.0}})
    version = shop.table(table)
    assert shop.rows(table, version).sort("item").select("item", "price").rows() == [("x", 2.0), ("y", 1.0)]
    assert version.manifest.facts["superseded"] == 1
    assert version.manifest.facts["batches"][batch]["rows"] == 2
    shop.write("data/b.csv", "item,price,at\nx,3,2024-01-03T00:00:00\nz,-1,2024-01-03T00:00:00\n")
    version = shop.table(table)
    assert shop.rows(table, version).sort("item")["price"].to_list() == [3.0, 1.0]
    again = shop.table(table, afresh=True)
    for fact in ("rows", "quarantined", "superseded", "rules", "batches", "mended"):
        assert again.manifest.facts[fact] == version.manifest.facts[fact]
