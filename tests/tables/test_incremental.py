"""Incremental is an optimisation: whatever the order of arrival, a version is what a rebuild would have made."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.sources.files import files
from headrace.sources.source import Source
from headrace.tables.contract import Contract, column
from headrace.tables.table import Table
from tests.tables.oracle import comparable
from tests.tables.workshop import Workshop, csv_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.ports.records import Version


class Item(Contract):
    k: int = column(key=True)
    u: str | None = column(unique=True)
    v: int = column(ge=0)


class Calls:
    """The function of a table, and how many rows it was called with each time."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        self.rows.append(rows.height)
        return rows


def made(
    calls: Callable[..., Any],
    contract: type[Contract] | None = Item,
    **more: Any,  # noqa: ANN401 - any setting
) -> Table:
    return Table("items", [csv_source()], calls, contract=contract, incremental=True, **more)


def content(rows: Sequence[tuple[int, str, int]]) -> str:
    return "k,u,v\n" + "".join(f"{k},{u},{v}\n" for k, u, v in rows)


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_only_new_batches_are_worked_on(shop: Workshop) -> None:
    calls = Calls()
    table = made(calls)
    shop.write("data/b.csv", content([(1, "a", 1), (2, "b", -1)]))
    first = shop.table(table)
    shop.write("data/a.csv", content([(3, "c", 1), (4, "d", 1)]))
    shop.write("data/c.csv", content([(5, "e", -1)]))
    second = shop.table(table)
    assert calls.rows == [2, 2, 1]
    facts = second.manifest.facts
    assert (facts["rows"], facts["new_rows"], facts["quarantined"]) == (3, 2, 2)
    assert facts["rules"] == {"v >= 0": 2}
    assert facts["batches"] == {
        "data/a.csv": {"rows": 2, "quarantined": 0},
        "data/b.csv": {"rows": 1, "quarantined": 1, "rules": {"v >= 0": 1}},
        "data/c.csv": {"rows": 0, "quarantined": 1, "rules": {"v >= 0": 1}},
    }
    assert shop.rows(table, second)["k"].to_list() == [1, 3, 4]
    assert shop.aside(table, second).select("k", "_batch").rows() == [(2, "data/b.csv"), (5, "data/c.csv")]
    assert shop.rows(table, first)["k"].to_list() == [1]
    assert second.manifest.outputs["table"].path == first.manifest.outputs["table"].path, "appended, not copied"
    assert shop.progress[-1] == (2, 2)


def test_a_key_that_is_there_already_makes_all_again(shop: Workshop) -> None:
    calls = Calls()
    table = made(calls)
    shop.write("data/b.csv", content([(1, "a", 1)]))
    shop.table(table)
    shop.write("data/a.csv", content([(1, "b", 2)]))
    version = shop.table(table)
    assert shop.rows(table, version).rows() == [(1, "b", 2)]
    assert shop.aside(table, version).select("k", "u", "_rule", "_batch").rows() == [
        (1, "a", "k is unique", "data/b.csv")
    ]
    assert version.manifest.facts["rules"] == {"k is unique": 1}
    assert any("made from all batches" in line for line in shop.said)


def test_a_broken_row_does_not_count_as_a_key(shop: Workshop) -> None:
    calls = Calls()
    table = made(calls)
    shop.write("data/b.csv", content([(1, "a", 1), (2, "b", -1)]))
    shop.table(table)
    shop.write("data/a.csv", content([(1, "x", -1), (2, "b", 1)]))
    shop.table(table)
    assert calls.rows == [2, 2]


def test_another_schema_of_the_source_makes_all_again(shop: Workshop) -> None:
    table = Table("items", [csv_source()], lambda rows: rows, incremental=True)
    shop.write("data/b.csv", content([(1, "a", 1)]))
    shop.table(table)
    shop.write("data/a.csv", "k,u,v\n2,b,1.5\n")
    version = shop.table(table)
    assert shop.rows(table, version).rows() == [(2, "b", 1.5), (1, "a", 1.0)]
    assert version.manifest.facts["new_rows"] == 2


def test_a_changed_and_a_removed_batch_cost_their_own_rows(shop: Workshop) -> None:
    calls = Calls()
    table = made(calls)
    for name, k in (("a", 1), ("b", 2), ("c", 3)):
        shop.write(f"data/{name}.csv", content([(k, name, 1)]))
    shop.table(table)
    shop.write("data/b.csv", content([(7, "b", 1)]))
    changed = shop.table(table)
    assert shop.rows(table, changed)["k"].to_list() == [1, 3, 7]
    (shop.folder / "data" / "a.csv").unlink()
    removed = shop.table(table)
    assert shop.rows(table, removed)["k"].to_list() == [3, 7]
    assert shop.rows(table, changed)["k"].to_list() == [1, 3, 7], "each version stays what it was"
    assert removed.manifest.facts["layout"] == [["data/c.csv", 1], ["data/b.csv", 1]]
    assert calls.rows == [1, 1, 1, 1]


def test_the_largest_base_is_built_on(shop: Workshop) -> None:
    calls = Calls()
    table = made(calls)
    for k in range(4):
        shop.write(f"data/{k}.csv", content([(k, "", 1)]))
        shop.table(table)
    (shop.folder / "data" / "3.csv").unlink()
    shop.write("data/4.csv", content([(4, "", 1), (5, "", 1)]))
    version = shop.table(table)
    assert calls.rows == [1, 1, 1, 1, 2]
    assert shop.rows(table, version)["k"].to_list() == [0, 1, 2, 4, 5]


def test_a_refresh_makes_all_again(shop: Workshop) -> None:
    calls = Calls()
    table = made(calls)
    shop.write("data/a.csv", content([(1, "a", 1)]))
    shop.table(table)
    landed = shop.land(table.inputs[0])  # type: ignore[arg-type]
    refreshed = shop.make(table, {"raw": landed}, generation=1)
    shop.write("data/b.csv", content([(2, "b", 1)]))
    grown = shop.make(table, {"raw": shop.land(table.inputs[0])}, generation=1)  # type: ignore[arg-type]
    assert calls.rows == [1, 1, 1]
    assert grown.manifest.outputs["table"].path == refreshed.manifest.outputs["table"].path
    again = shop.make(table, {"raw": shop.land(table.inputs[0])}, generation=2)  # type: ignore[arg-type]
    assert calls.rows == [1, 1, 1, 1, 1]
    assert again.manifest.facts["new_rows"] == 2


def test_the_share_of_all_rows_counts(shop: Workshop) -> None:
    table = made(Calls(), max_quarantined=0.4)
    shop.write("data/a.csv", content([(1, "", 1), (2, "", 1), (3, "", 1)]))
    shop.table(table)
    shop.write("data/b.csv", content([(4, "", -1), (5, "", -1)]))
    shop.table(table)
    shop.write("data/c.csv", content([(6, "", -1)]))
    with pytest.raises(HeadraceError, match="HR412") as caught:
        shop.table(table)
    assert "3 of 6 rows break its contract, 40.000% are allowed (v >= 0: 3)" in caught.value.what


def test_a_batch_without_clean_rows(shop: Workshop) -> None:
    table = made(Calls())
    shop.write("data/a.csv", content([(1, "", 1)]))
    shop.table(table)
    shop.write("data/b.csv", content([(2, "", -1)]))
    assert shop.table(table).rows == 1


def by_value(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("k").cast(pl.String)) if rows["k"].max() == 2 else rows


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a"), ("ab",)])
def test_columns_that_depend_on_the_rows(shop: Workshop, order: tuple[str, ...]) -> None:
    table = made(by_value, contract=None)
    texts = {"a": content([(1, "", 1)]), "b": content([(2, "", 1)])}
    *before, last = order
    for name in before:
        shop.write(f"data/{name}.csv", texts[name])
        shop.table(table)
    for name in last:
        shop.write(f"data/{name}.csv", texts[name])
    with pytest.raises(HeadraceError, match="HR414") as caught:
        shop.table(table)
    assert caught.value.what == "items of data/a.csv and of data/b.csv differ: ('k', Int64), ('k', String)"


BATCHES = st.lists(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["", "a", "b", "c", "d"]), st.integers(-1, 3)), max_size=4),
    min_size=2,
    max_size=4,
).filter(lambda batches: any(v >= 0 for _, _, v in batches[0]))


def content_of(table: Table, shop: Workshop, version: Version) -> tuple[object, object, object]:
    facts = dict(version.manifest.facts)
    facts.pop("layout")  # how the rows lie depends on the way
    facts.pop("new_rows")
    facts.pop("new_quarantined")
    return comparable(shop.rows(table, version).to_dicts()), comparable(shop.aside(table, version).to_dicts()), facts


@settings(max_examples=25)
@given(BATCHES, st.data())
def test_any_order_of_arrival_makes_what_a_rebuild_makes(
    batches: list[list[tuple[int, str, int]]], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(1, len(batches))))
    declared = {"k": pl.Int64, "u": pl.String, "v": pl.Int64}
    source = Source("raw", files("data/*.csv", schema=declared))
    table = Table("items", [source], lambda rows: rows, contract=Item, incremental=True)
    with tempfile.TemporaryDirectory() as folder:
        grown = Workshop(Path(folder))
        for number in [0, *order]:
            grown.write(f"data/{(number * 7) % 5}.csv", content(batches[number]))
            version = grown.table(table)
        found = content_of(table, grown, version)
        with tempfile.TemporaryDirectory() as other:
            fresh = Workshop(Path(other))
            for number, rows in enumerate(batches):
                fresh.write(f"data/{(number * 7) % 5}.csv", content(rows))
            rebuilt = fresh.table(table)
            assert found == content_of(table, fresh, rebuilt)
        assert version.key == rebuilt.key
