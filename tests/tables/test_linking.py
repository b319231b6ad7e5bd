"""A table that has landed rows as they are has the files that hold them, and is the table that would be written."""

from __future__ import annotations

import errno
import os
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from headrace.tables import pouring
from headrace.tables.contract import Contract, column
from headrace.tables.expressions import col
from headrace.tables.linking import is_given
from headrace.tables.named import rule
from headrace.tables.proofs import proven, spans
from headrace.tables.quarantine import checks
from headrace.tables.statements import statements
from headrace.tables.table import TABLE, Table
from tests.tables.workshop import Workshop, csv_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headrace.ports.records import Version


class Sale(Contract):
    k: int = column(key=True, ge=0)
    at: datetime = column(event_time=True)
    shop: str | None = column(isin=["a", "b"])
    price: float | None = column(ge=0.0)
    count: int = column(ge=1, on_breach="warn")


HEADER = "k,at,shop,price,count\n"


def as_they_are(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


@pytest.fixture(autouse=True)
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pouring, "is_large", lambda *_: True)
    monkeypatch.setattr(pouring, "_CHUNK", 3)


def text(*rows: tuple[object, ...]) -> str:
    return HEADER + "".join(",".join(map(str, row)) + "\n" for row in rows)


def sales(first: int, last: int, **other: object) -> list[tuple[object, ...]]:
    return [
        (k, f"2024-01-01T00:00:{k:02}Z", other.get("shop", "a"), other.get("price", 1.5), other.get("count", 1))
        for k in range(first, last)
    ]


def made(shop: Workshop, function: Callable[..., Any] = as_they_are, **more: Any) -> tuple[Table, Version]:  # noqa: ANN401
    table = Table("sales", [csv_source()], function, **{"contract": Sale, **more})
    return table, shop.table(table, afresh=True)


def linked(shop: Workshop, version: Version) -> int:
    """How many files of the table are files of the artefact store."""
    store = shop.stores.artefacts
    landed = {(shop.folder / ".headrace/artefacts" / path).stat().st_ino for path in store.paths()}
    folder = shop.folder / ".headrace/tables" / version.manifest.outputs[TABLE].path
    return sum(path.stat().st_ino in landed for path in folder.glob("*.parquet"))


def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], **more: Any) -> tuple[Workshop, Version]:  # noqa: ANN401
    """The table as it is made now, which is the table as it is made in memory."""
    shop, other = Workshop(tmp_path / "one"), Workshop(tmp_path / "other")
    for each in (shop, other):
        for number, content in enumerate(files):
            each.write(f"data/{number}.csv", content)
    table, version = made(shop, **more)
    monkeypatch.setattr(pouring, "is_large", lambda *_: False)
    _, expected = made(other, **more)
    assert version.manifest.facts == expected.manifest.facts
    assert_frame_equal(shop.rows(table, version), other.rows(table, expected))
    if table.contract is not None:
        assert_frame_equal(shop.aside(table, version), other.aside(table, expected), check_row_order=False)
    shop.stores.verify(version.manifest.outputs[TABLE])
    return shop, version


@pytest.mark.parametrize("incremental", [True, False])
def test_the_files_of_the_source_are_those_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, incremental: bool
) -> None:
    files = [text(*sales(0, 5)), text(*sales(5, 9, shop="b"))]
    shop, version = both(tmp_path, monkeypatch, files, incremental=incremental)
    assert linked(shop, version) == 2
    table = DeltaTable(str(shop.folder / ".headrace/tables" / version.manifest.outputs[TABLE].path))
    assert table.to_pyarrow_table().num_rows == 9


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"shop": "c"}, 1),  # a breach
        ({"price": -1.0}, 1),
        ({"price": "NaN"}, 1),  # no number is null in a table
        ({"count": 0}, 2),  # only told
        ({"shop": ""}, 2),
    ],
)
def test_a_file_with_a_row_that_does_not_stay_as_it_is_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, object], expected: int
) -> None:
    files = [text(*sales(0, 5)), text(*sales(5, 8), *sales(8, 9, **wrong))]
    shop, version = both(tmp_path, monkeypatch, files)
    assert linked(shop, version) == expected


def test_equal_files_are_taken_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, version = both(tmp_path, monkeypatch, [text(*sales(0, 5))] * 2, contract=None, incremental=True)
    assert linked(shop, version) == 2


def test_a_key_that_two_files_share_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, version = both(tmp_path, monkeypatch, [text(*sales(0, 5)), text(*sales(4, 9))])
    assert version.manifest.facts["quarantined"] == 1
    assert linked(shop, version) == 0


def test_columns_in_another_order_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = "at,k,shop,price,count\n2024-01-01T00:00:00Z,1,a,1.5,1\n"
    shop, version = both(tmp_path, monkeypatch, [content])
    assert linked(shop, version) == 0


def test_files_of_other_types_than_the_source_has_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [text(*sales(0, 5)), text(*sales(5, 9, shop=""))]
    shop, version = both(tmp_path, monkeypatch, files)
    assert linked(shop, version) == 0


def test_a_table_that_was_linked_grows_and_shrinks(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    for number in range(3):
        shop.write(f"data/{number}.csv", text(*sales(5 * number, 5 * number + 5)))
    table, version = made(shop, incremental=True)
    assert linked(shop, version) == 3
    shop.write("data/3.csv", text(*sales(15, 20)))
    shop.write("data/1.csv", text(*sales(5, 9)))
    grown = shop.table(table)
    assert sorted(shop.rows(table, grown)["k"]) == [*range(9), *range(10, 20)]
    assert shop.rows(table, version)["k"].to_list() == [*range(15)]


def test_neither_store_harms_the_other(tmp_path: Path) -> None:
    shops = [Workshop(tmp_path / name) for name in "ab"]
    for shop in shops:
        shop.write("data/0.csv", text(*sales(0, 5)))
        table, version = made(shop)
        landed = shop.live["raw"][0].manifest.outputs["data/0.csv"]
        if shop is shops[0]:
            shop.stores.artefacts.remove(landed.path)
            assert shop.stores.artefacts.paths() == []
            assert shop.rows(table, version).height == 5
            shop.stores.verify(version.manifest.outputs[TABLE])
        else:
            shop.stores.tables.remove(version.manifest.outputs[TABLE].path)
            shop.stores.verify(landed)
            assert pl.read_parquet(shop.stores.artefacts.path(landed)).height == 5


def test_another_file_system_gets_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", link)
    shop, version = both(tmp_path, monkeypatch, [text(*sales(0, 5))])
    assert linked(shop, version) == 0


CHANGES: dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]] = {
    "head": lambda rows: rows.head(2),
    "large head": lambda rows: rows.head(10**9),
    "tail": lambda rows: rows.tail(2),
    "filter": lambda rows: rows.filter(pl.col("k") > 1),
    "swap": lambda rows: rows.rename({"k": "count", "count": "k"}).select(rows.collect_schema().names()),
    "sort": lambda rows: rows.sort("k", descending=True),
    "reverse": lambda rows: rows.reverse(),
    "unique": lambda rows: rows.unique("shop", maintain_order=True),
    "shift": lambda rows: rows.with_columns(pl.col("count").shift(1, fill_value=7)),
    "function": lambda rows: rows.map_batches(lambda frame: frame.head(1)),
    "twice": lambda rows: pl.concat([rows, rows.with_columns(pl.col("k") + 100)]),
    "fill": lambda rows: rows.with_columns(pl.col("price").fill_null(0.0)),
    "every": lambda rows: rows.gather_every(2),
    "no nulls": lambda rows: rows.drop_nulls(),
    "in memory": lambda rows: rows.collect().head(2).lazy(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_rows_that_are_not_the_landed_ones_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    shop, version = both(tmp_path, monkeypatch, [text(*sales(0, 5))], function=CHANGES[change])
    assert linked(shop, version) == 0


@pytest.mark.parametrize(
    "same",
    [
        lambda rows: rows.select(pl.all()),
        lambda rows: rows.select("k", "at", "shop", "price", "count"),
        lambda rows: rows.with_row_index("n").drop("n"),
        lambda rows: rows.filter(True),
    ],
)
def test_steps_that_change_nothing_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: Callable[[pl.LazyFrame], pl.LazyFrame]
) -> None:
    shop, version = both(tmp_path, monkeypatch, [text(*sales(0, 5))], function=same)
    assert linked(shop, version) == 1


def test_a_query_that_cannot_be_planned_is_not_the_given_one(tmp_path: Path) -> None:
    pl.DataFrame({"k": [1]}).write_parquet(tmp_path / "k.parquet")
    rows = pl.scan_parquet(tmp_path / "k.parquet")
    assert is_given(rows, rows)
    assert not is_given(rows.select("missing"), rows)
    assert not is_given(pl.scan_parquet(tmp_path / "other.parquet"), rows)


class Bounded(Contract):
    i: int = column(ge=-3, lt=7)
    j: int | None = column(gt=0, le=9)
    d: date | None = column(ge=date(2024, 1, 3))
    t: datetime | None = column(lt=datetime(2024, 1, 5, tzinfo=UTC))
    f: float = column(ge=0.0)
    s: str | None = column(min_length=1)
    apart = rule((col("i") >= -2) & (col("j") >= 1))
    other = rule(col("i") <= col("j"))


DAYS = st.integers(0, 6).map(lambda day: date(2024, 1, 1) + timedelta(day))
MOMENTS = st.integers(0, 6).map(lambda day: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(day))
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-4, 8),
        st.none() | st.integers(-1, 10),
        st.none() | DAYS,
        st.none() | MOMENTS,
        st.none() | st.sampled_from([0.0, 1.0, -1.0, float("nan")]),
        st.none() | st.sampled_from(["", "x"]),
    ),
    max_size=6,
)


@settings(max_examples=60)
@given(ROWS)
def test_what_is_proven_holds(tmp_path_factory: pytest.TempPathFactory, values: list[tuple[object, ...]]) -> None:
    types: dict[str, Any] = {
        "i": pl.Int64,
        "j": pl.Int64,
        "d": pl.Date,
        "t": pl.Datetime("us", "UTC"),
        "f": pl.Float64,
        "s": pl.String,
    }
    rows = pl.DataFrame(values, schema=types, orient="row")
    path = tmp_path_factory.mktemp("proofs") / "rows.parquet"
    rows.write_parquet(path, row_group_size=2)
    known = spans(path)
    assert "f" not in known
    for said, check in zip(statements(Bounded), checks(Bounded), strict=True):
        if proven(said.says, known):
            assert not rows.select(check.breach.any()).item()


def test_most_rules_of_clean_rows_are_proven(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    day = datetime(2024, 1, 4, tzinfo=UTC)
    pl.DataFrame(
        {"i": [1, 2], "j": [2, 3], "d": [day.date()] * 2, "t": [day] * 2, "f": [0.0, 1.0], "s": ["a", "b"]},
        schema_overrides={"t": pl.Datetime("us", "UTC")},
    ).write_parquet(path)
    known = spans(path)
    left = [said.text for said in statements(Bounded) if not proven(said.says, known)]
    assert left == ["f is not null", "f >= 0", "s has at least 1 characters", "other: i <= j"]
