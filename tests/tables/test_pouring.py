"""A table that is made in a streaming pass is the table that is made in memory."""

from __future__ import annotations

import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from headrace.errors import HeadraceError
from headrace.sources.files import files
from headrace.sources.source import Source
from headrace.tables import pouring, seen, spilling
from headrace.tables.appending import may_be_poured
from headrace.tables.contract import Contract, column
from headrace.tables.growing import Before
from headrace.tables.seen import Seen
from headrace.tables.shape import Shape
from headrace.tables.table import Table
from tests.tables.test_growing_laws import seen as seen_of
from tests.tables.workshop import Workshop, csv_source

if TYPE_CHECKING:
    from headrace.ports.records import Version


class Item(Contract):
    k: int = column(key=True)
    u: str | None = column(unique=True)
    v: int = column(ge=0)
    w: int = column(unique=True, on_breach="warn")


class Plain(Contract):
    k: int = column(key=True)
    u: str | None
    v: int = column(ge=0)
    w: int


def items(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.col("v").cast(pl.Int32))


def broken(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.col("u").cast(pl.Int64))


def lay_out(shop: Workshop, seed: int) -> None:
    """Some files, in which keys, unique values and breaches of the contract repeat."""
    choice = random.Random(seed)  # noqa: S311 - a test that can be run again
    for number in range(choice.randint(1, 3)):
        rows = [
            (choice.randint(0, 40), choice.choice(["", "a", "b", *(f"u{n}" for n in range(40))]), choice.randint(-1, 9))
            for _ in range(choice.randint(1, 30))
        ]
        text = "".join(f"{k},{u},{v},{k + v}\n" for k, u, v in rows)
        shop.write(f"data/{number}.csv", f"k,u,v,w\n{text}")


def made(
    shop: Workshop,
    *,
    streams: bool,
    monkeypatch: pytest.MonkeyPatch,
    **more: Any,  # noqa: ANN401 - any setting
) -> tuple[Table, Version]:
    monkeypatch.setattr(pouring, "is_large", lambda *_: streams)
    monkeypatch.setattr(pouring, "_CHUNK", 7)
    table = Table("items", [csv_source()], more.pop("function", items), **more)
    return table, shop.table(table, afresh=True)


@pytest.mark.parametrize("incremental", [True, False])
@pytest.mark.parametrize(
    "declared",
    [
        {"contract": Item},
        {"contract": None},
        {"contract": Item, "partition_by": "u"},
        {"contract": None, "partition_by": "k"},
        {"contract": Item, "upsert": "w"},
        {"contract": Plain, "upsert": "v", "partition_by": "u"},
    ],
    ids=str,
)
@pytest.mark.parametrize("spills", [True, False])
def test_both_ways_make_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: dict[str, Any], *, incremental: bool, spills: bool
) -> None:
    contract = declared["contract"]
    if spills:
        monkeypatch.setattr(spilling, "_SHARE", 2**30)
    for seed in range(4):
        shop, other = Workshop(tmp_path / f"{seed}a"), Workshop(tmp_path / f"{seed}b")
        lay_out(shop, seed)
        lay_out(other, seed)
        more: dict[str, Any] = {**declared, "incremental": incremental, "monkeypatch": monkeypatch}
        table, at_once = made(shop, streams=False, **more)
        _, streamed = made(other, streams=True, **more)
        assert streamed.manifest.facts == at_once.manifest.facts
        assert_frame_equal(other.rows(table, streamed), shop.rows(table, at_once))
        if contract is not None:
            assert_frame_equal(other.aside(table, streamed), shop.aside(table, at_once), check_row_order=False)
        older = (table.superseded(version, of.stores) for of, version in ((other, streamed), (shop, at_once)))
        ordered = [
            rows.collect().sort("_batch", "k", maintain_order=True, nulls_last=True)
            for rows in older
            if rows is not None
        ]
        assert len(ordered) == (2 if "upsert" in declared else 0)
        if ordered:
            assert_frame_equal(*ordered)


def test_new_batches_go_on_from_a_streamed_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Workshop(tmp_path)
    lay_out(shop, 1)
    table, _ = made(shop, streams=True, monkeypatch=monkeypatch, contract=Item, incremental=True)
    shop.write("data/9.csv", "k,u,v,w\n1,a,1,1\n99,zz,3,4\n")
    grown = shop.table(table)
    again = shop.table(table, afresh=True)
    assert_frame_equal(shop.rows(table, grown), shop.rows(table, again))


STEPS = st.lists(
    st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 2**16)), min_size=1, max_size=2), max_size=4
)
"""In each step, files that are written with rows by a seed, or removed."""


class Loose(Contract):
    k: int
    u: str | None
    v: int = column(ge=0)
    w: int


DECLARED: list[dict[str, Any]] = [
    {"contract": Item},
    {"contract": Loose, "partition_by": "u"},
    {"contract": None},
    {"contract": Plain, "upsert": "w", "partition_by": "v"},
    {"contract": Item, "upsert": "v"},
]


def text_of(seed: int) -> str:
    choice = random.Random(seed)  # noqa: S311 - a test that can be run again
    first = choice.choice([0, 1_000 * seed])
    rows = [(first + n, choice.choice(["", f"u{seed}.{n}", "a"]), choice.randint(-1, 9)) for n in range(seed % 5)]
    return "k,u,v,w\n" + "".join(f"{k},{u},{v},{k + v}\n" for k, u, v in rows)


@pytest.mark.parametrize("declared", DECLARED, ids=str)
@settings(max_examples=8)
@given(steps=STEPS)
def test_whatever_comes_and_goes_a_poured_table_is_a_rebuilt_one(
    declared: dict[str, Any], steps: list[list[tuple[int, int | None]]]
) -> None:
    source = Source("raw", files("data/*.csv", schema={"k": pl.Int64, "u": pl.String, "v": pl.Int64, "w": pl.Int64}))
    table = Table("items", [source], items, **declared, incremental=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as other,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(pouring, "_CHUNK", 3)
        patch.setattr(spilling, "_SHARE", 2**30)
        shop, fresh = Workshop(Path(folder)), Workshop(Path(other))
        for each in (shop, fresh):
            each.write("data/9.csv", "k,u,v,w\n-1,x,1,1\n-2,y,1,2\n")
        patch.setattr(pouring, "is_large", lambda *_: True)
        version = shop.table(table)
        for step in steps:
            for number, seed in step:
                for each in (shop, fresh):
                    each.write(f"data/{number}.csv", text_of(seed or 0))
                    if seed is None:
                        (each.folder / f"data/{number}.csv").unlink()
            version = shop.table(table)
        patch.setattr(pouring, "is_large", lambda *_: False)
        assert seen_of(shop, table, version) == seen_of(fresh, table, fresh.table(table))


def test_large_new_batches_are_appended_without_the_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Workshop(tmp_path)
    shop.write("data/1.csv", "k,u,v,w\n1,a,1,1\n2,b,-1,2\n")
    table, first = made(shop, streams=True, monkeypatch=monkeypatch, contract=Item, incremental=True)
    shop.write("data/2.csv", "k,u,v,w\n3,c,1,3\n")
    second = shop.table(table)
    assert (first.manifest.outputs["table"].path, 1) == (
        second.manifest.outputs["table"].path,
        second.manifest.outputs["table"].version,
    )
    assert not any("from all batches" in line for line in shop.said)
    shop.write("data/3.csv", "k,u,v,w\n1,d,1,4\n")
    third = shop.table(table)
    assert third.manifest.outputs["table"].path != first.manifest.outputs["table"].path
    assert any("from all batches" in line for line in shop.said)
    assert shop.rows(table, third)["u"].to_list() == ["a", "c"]


def test_rows_of_earlier_code_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Workshop(tmp_path)
    shop.write("data/1.csv", "k,u,v,w\n1,a,1,1\n")
    _, first = made(shop, streams=True, monkeypatch=monkeypatch, contract=Item, incremental=True)
    kept = replace(first, batches={batch: f"{of}@{first.key[:16]}" for batch, of in first.batches.items()})
    assert not may_be_poured(Shape("items", Item), before_of(kept), kept.batches)
    assert may_be_poured(Shape("items", None), before_of(kept), kept.batches)
    assert may_be_poured(Shape("items", Item), before_of(first), first.batches)
    assert may_be_poured(Shape("items", Item), None, kept.batches)


def before_of(version: Version) -> Before:
    return Before(version.manifest.facts, pl.LazyFrame(), None, None)


def test_the_error_of_a_query_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Workshop(tmp_path)
    shop.write("data/0.csv", "k,u,v,w\n1,a,1,1\n")
    with pytest.raises(HeadraceError, match="HR423"):
        made(shop, streams=True, monkeypatch=monkeypatch, function=broken)


def test_batches_with_other_columns_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Workshop(tmp_path)
    shop.write("data/0.csv", "k,u,v,w\n1,a,1,1\n")
    shop.write("data/1.csv", "k,u,v,w\n1,a,1,1\n2,b,1,1\n")
    more: dict[str, Any] = {"incremental": True, "function": lambda rows: rows.select(pl.all().first(), n=pl.len())}
    table, _ = made(shop, streams=True, monkeypatch=monkeypatch, **more)
    assert table.incremental
    more["function"] = lambda rows: rows if rows.collect().height == 1 else rows.drop("w")
    with pytest.raises(HeadraceError, match="HR414"):
        made(shop, streams=True, monkeypatch=monkeypatch, **more)


@pytest.mark.parametrize("most", [10_000_000, 50])
def test_values_seen_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(seen, "_IN_MEMORY", most)
    numbers = [*range(100), 7, 7, None, None, 93]
    rows = pl.DataFrame({"a": numbers, "b": ["x"] * len(numbers)}).with_row_index("_row")
    found = Seen(("a", "b"), tmp_path / "hashes", rows.lazy)
    for start in range(0, rows.height, 9):
        found.add(rows.slice(start, 9))
    hashes = found.doubled()
    assert (np.diff(hashes.astype(object)) > 0).all()
    assert found.among(rows, hashes).get_column("a").sort().to_list() == [7, 7, 7, 93, 93]
    assert not (tmp_path / "hashes").exists()
    assert not len(Seen(("a",), tmp_path / "none", rows.lazy).doubled())


RISING: tuple[list[int | None], ...] = ([*range(50)], [*range(20), None, *range(20, 40)], [None], [])
OTHER: tuple[list[int | None], ...] = (
    [*range(40), 3],
    [1, 1],
    [*range(6), 5, *range(7, 20)],
    [3, None, 2],
    [*range(9), *range(9)],
)


@pytest.mark.parametrize("kind", [pl.Int64, pl.Date, pl.Datetime("us", "UTC"), pl.String, pl.Float64])
@pytest.mark.parametrize("numbers", RISING + OTHER)
def test_values_that_rise_are_not_kept(tmp_path: Path, numbers: list[int | None], kind: pl.DataType) -> None:
    values = pl.Series("a", numbers, dtype=pl.Int32).cast(kind)
    rows = values.to_frame().with_row_index("_row")
    found = Seen(("a",), tmp_path / "hashes", rows.lazy)
    for start in range(0, rows.height, 7):
        found.add(rows.slice(start, 7))
    rises = numbers in RISING and kind not in (pl.String, pl.Float64)
    assert found.kept == (0 if rises else values.count())
    hashes = found.doubled()
    present = values.drop_nulls()
    again = present.filter(present.is_duplicated()).unique().sort()
    assert len(hashes) == again.len()
    if len(hashes):
        assert found.among(rows, hashes).get_column("a").unique().sort().to_list() == again.to_list()
