"""Partitioned tables: each partition lies in files of its own, and those that nothing touches stay the very same."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from headrace.errors import HeadraceError
from headrace.tables.contract import Contract, column
from headrace.tables.layout import Layout
from headrace.tables.partitions import partition_of
from headrace.tables.table import Table
from tests.tables.workshop import Workshop, csv_source

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.records import Version


class Sale(Contract):
    sale: int = column(key=True)
    region: str | None
    sold_at: datetime = column(event_time=True)
    booked_on: date | None
    price: float | None


class Untimed(Contract):
    sale: int


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def table_of(**settings: Any) -> Table:  # noqa: ANN401 - any setting
    return Table("sales", [csv_source()], lambda rows: rows, **{"contract": Sale, **settings})


def text(*rows: tuple[int, str]) -> str:
    lines = [f"{sale},north,{day}T10:00:00,{day},1.5\n" for sale, day in rows]
    return "sale,region,sold_at,booked_on,price\n" + "".join(lines)


def files_of(shop: Workshop, version: Version) -> dict[str, list[int]]:
    """The files of a version that are on the disk, by name, with the numbers of the sales in them."""
    ref = version.manifest.outputs["table"]
    from deltalake import DeltaTable

    folder = shop.folder / ".headrace" / "tables" / ref.path
    names = DeltaTable(str(folder), version=ref.version).file_uris()
    return {name: sorted(pl.read_parquet(name)["sale"]) for name in names}


def test_only_the_touched_partitions_are_written(shop: Workshop) -> None:
    table = table_of(incremental=True, partition_by="month")
    shop.write("data/a.csv", text((1, "2026-01-03"), (2, "2026-02-03")))
    shop.write("data/b.csv", text((3, "2026-02-09"), (4, "2026-03-01")))
    first = shop.table(table)
    before = files_of(shop, first)
    assert sorted(before.values()) == [[1], [2, 3], [4]]
    assert Layout.from_json(first.manifest.facts["layout"]).partitions() == {"2026-01": 1, "2026-02": 2, "2026-03": 1}
    shop.write("data/b.csv", text((3, "2026-02-09"), (5, "2026-03-02")))
    second = shop.table(table)
    after = files_of(shop, second)
    assert sorted(after.values()) == [[1], [2], [3], [5]]
    assert [after[name] for name in before.keys() & after.keys()] == [[1]], "the very same file"
    assert sorted(shop.rows(table, second)["sale"]) == [1, 2, 3, 5]


def test_a_query_reads_the_partitions_that_it_asks_for(shop: Workshop) -> None:
    table = table_of(partition_by="month")
    shop.write("data/a.csv", text(*((month * 10 + n, f"2026-{month:02}-0{n}") for month in (1, 2, 3) for n in (1, 2))))
    version = shop.table(table)
    asked = table.read(version, shop.stores).filter(pl.col("sold_at") >= datetime(2026, 3, 1, tzinfo=UTC)).collect()
    assert sorted(asked["sale"]) == [31, 32]
    found = table.read_partitions(version, shop.stores, ["2026-01", "2026-03"]).collect()
    assert sorted(found["sale"]) == [11, 12, 31, 32]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("region", ["n", "none"]),
        ("year", ["2026", "none"]),
        ("hour", ["2026-01-02T03", "none"]),
        ("day(booked_on)", ["2026-01-05", "none"]),
        ("sale", ["1", "2"]),
    ],
)
def test_the_names_of_partitions(declared: str, expected: list[str]) -> None:
    rows = pl.DataFrame(
        {
            "sale": [1, 2],
            "region": ["n", None],
            "sold_at": [datetime(2026, 1, 2, 3, 4, tzinfo=UTC), None],
            "booked_on": [date(2026, 1, 5), None],
        }
    )
    found = partition_of("sales", Sale, declared)
    assert found is not None
    assert found.names(rows, "sales").to_list() == expected


@pytest.mark.parametrize(
    ("contract", "declared", "said"),
    [
        (Sale, "regoin", "no column 'regoin'"),
        (Sale, "weekly(sold_at)", "'weekly' is no span of time"),
        (Sale, "month(region)", "region is String, which has no month"),
        (Untimed, "month", "no column is marked as event_time"),
        (None, "month", "no column is marked as event_time"),
    ],
)
def test_partitions_that_cannot_be(contract: type[Contract] | None, declared: str, said: str) -> None:
    with pytest.raises(HeadraceError, match="HR484") as caught:
        table_of(contract=contract, partition_by=declared)
    assert said in caught.value.what


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("price", "price is Float64"),
        ("month(region)", "region is String, which has no month"),
        ("none", "there is no column 'none'"),
    ],
)
def test_partitions_that_the_rows_do_not_have(shop: Workshop, declared: str, said: str) -> None:
    shop.write("data/a.csv", text((1, "2026-01-03")))
    with pytest.raises(HeadraceError, match="HR484") as caught:
        shop.table(table_of(contract=None, partition_by=declared))
    assert said in caught.value.what


def test_a_partition_begins_a_file_and_small_batches_share_one() -> None:
    layout = Layout.from_json([["a", 3, "x"], ["b", 4, "x"], ["b", 2, "y"]])
    assert layout.pieces() == [7, 2]
    assert Layout.from_json([["a", 200_000], ["b", 100_000], ["c", 5]]).pieces() == [300_000, 5]
    assert layout.partitions_of() == {"a": ["x"], "b": ["x", "y"]}


def test_new_rows_go_behind_those_of_their_partition() -> None:
    base = Layout.from_json([["a", 3, "b"], ["a", 2, "d"]])
    added = Layout.from_json([["b", 1, "a"], ["b", 1, "b"], ["b", 1, "c"], ["b", 1, "e"]])
    assert base.places(added) == [0, 3, 3, 5]
    changed = base.changed(np.array([0, 1, 2]), added)
    assert changed.to_json() == [["b", 1, "a"], ["b", 1, "b"], ["b", 1, "c"], ["a", 2, "d"], ["b", 1, "e"]]
    plain = Layout.from_json([["a", 3]])
    assert plain.places(Layout.from_json([["b", 1]])) == []
    assert plain.changed(np.array([1]), Layout.from_json([["b", 1]])).to_json() == [["a", 2], ["b", 1]]


def test_the_rows_of_a_partition_follow_each_other(shop: Workshop) -> None:
    table = table_of(incremental=True, partition_by="month")
    for number in range(4):
        rows = ((number * 10 + month, f"2026-{month:02}-0{number + 1}") for month in (3, 1, 2 + number % 2))
        shop.write(f"data/{number}.csv", text(*rows))
        version = shop.table(table)
        months = shop.rows(table, version)["sold_at"].dt.month().to_list()
        assert months == sorted(months)
        runs = Layout.from_json(version.manifest.facts["layout"])
        assert [int((run.partition or "")[-2:]) for run in runs.runs for _ in range(run.rows)] == months
    shop.write("data/0.csv", text((7, "2026-02-01")))
    version = shop.table(table)
    held = shop.rows(table, version)
    layout = Layout.from_json(version.manifest.facts["layout"])
    assert held.filter(pl.Series(layout.batches_at(np.arange(held.height))) == "data/0.csv")["sale"].to_list() == [7]
    assert held["sold_at"].dt.month().is_sorted()
