"""Tables: made at once, checked, refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from headrace.errors import HeadraceError
from headrace.graph.node import Node
from headrace.ports.canonical import canonical
from headrace.sources import database
from headrace.sources.source import Source
from headrace.tables.contract import Contract, column
from headrace.tables.table import Table
from tests.tables.workshop import Workshop, csv_source

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from headrace.ports.records import Manifest
    from headrace.ports.work import Context, Step


class Order(Contract):
    order_id: int = column(key=True)
    shop: str = column(isin=("a", "b"))
    amount: float = column(ge=0)
    at: datetime = column(event_time=True)


ROWS = "order_id,shop,amount,at\n1,a,5,2024-01-02T00:00:00\n2,b,2.5,2024-01-01T12:00:00\n"
BROKEN = "3,x,-1,2024-01-03T00:00:00\n4,a,-2,2024-01-04T00:00:00\n1,b,1,2024-01-05T00:00:00\n"


def same(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_a_table_with_a_contract(shop: Workshop) -> None:
    shop.write("data/a.csv", ROWS + BROKEN)
    table = Table("orders", [csv_source()], same, contract=Order)
    version = shop.table(table)
    facts = version.manifest.facts
    assert (version.rows, facts["new_rows"], facts["quarantined"]) == (2, 2, 3)
    assert facts["rules"] == {"amount >= 0": 2, "order_id is unique": 1, "shop in ('a', 'b')": 1}
    assert facts["columns"] == table.columns() == ["order_id", "shop", "amount", "at"]
    assert facts["schema"]["amount"] == "Float64"
    assert facts["input_schema"]["raw"]["shop"] == "String"
    assert (facts["first_event"], facts["last_event"]) == (
        "2024-01-01T12:00:00.000000+00:00",
        "2024-01-02T00:00:00.000000+00:00",
    )
    assert shop.rows(table, version)["order_id"].to_list() == [1, 2]
    aside = shop.aside(table, version)
    assert aside.select("order_id", "_rule", "_column", "_value", "_batch").rows() == [
        (3, "shop in ('a', 'b'); amount >= 0", "shop; amount", "x; -1.0", None),
        (4, "amount >= 0", "amount", "-2.0", None),
        (1, "order_id is unique", "order_id", "1", None),
    ]
    assert any("2 rows, 2 of them new; 3 set aside" in line for line in shop.said)


def test_the_quarantine_is_written_first(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    plain = type(shop.stores.tables).write

    def write(store: Any, key: str, name: str, *more: Any) -> Any:  # noqa: ANN401 - passed on as it is
        written.append(name)
        return plain(store, key, name, *more)

    monkeypatch.setattr(type(shop.stores.tables), "write", write)
    shop.write("data/a.csv", ROWS)
    shop.table(Table("orders", [csv_source()], same, contract=Order))
    assert written == ["orders.quarantine", "orders"]


def test_a_table_of_tables_without_a_contract(shop: Workshop) -> None:
    shop.write("data/a.csv", ROWS)
    raw = csv_source()
    orders = Table("orders", [raw], same)

    def joined(left: pl.DataFrame, right: pd.DataFrame) -> pd.DataFrame:
        assert isinstance(left, pl.DataFrame)
        return right.assign(rows=left.height)

    both = Table("both", [raw, orders], joined)
    landed = shop.land(raw)
    made = shop.make(orders, {"raw": landed})
    version = shop.make(both, {"raw": landed, "orders": made})
    assert shop.rows(both, version).select("order_id", "rows").rows() == [(1, 2), (2, 2)]
    assert list(version.manifest.outputs) == ["table"]
    assert both.quarantine(version, shop.stores) is None
    assert (both.columns(), version.batches) == (None, {})
    assert "first_event" not in version.manifest.facts


def test_a_table_is_still_a_function() -> None:
    table = Table("orders", [csv_source()], same)
    frame = pl.LazyFrame({"x": [1]})
    assert table(frame) is frame


def test_settings_decide_what_is_made() -> None:
    def settings(**more: Any) -> bytes:  # noqa: ANN401 - any setting
        return canonical(Table("orders", [csv_source()], same, **more).settings())

    found = [
        settings(),
        settings(contract=Order),
        settings(contract=Order, on_breach="fail"),
        settings(contract=Order, max_quarantined=0.5),
        settings(incremental=True),
    ]
    assert len(set(found)) == len(found)
    assert Table("orders", [csv_source()], same).functions() == (same,)


def refused(shop: Workshop, table: Table) -> HeadraceError:
    with pytest.raises(HeadraceError) as caught:
        shop.table(table)
    assert not shop.stores.tables.paths()
    return caught.value


def test_no_row_left(shop: Workshop) -> None:
    shop.write("data/a.csv", ROWS.partition("1,a")[0] + BROKEN.partition("1,b")[0])
    error = refused(shop, Table("orders", [csv_source()], same, contract=Order))
    assert error.code == "HR411"
    assert "2 break its contract (amount >= 0: 2, shop in ('a', 'b'): 1)" in error.what
    assert "for example shop; amount = x; -1.0, amount = -2.0" in error.what


def test_no_row_returned(shop: Workshop) -> None:
    shop.write("data/a.csv", ROWS)
    error = refused(shop, Table("orders", [csv_source()], lambda rows: rows.head(0)))
    assert (error.code, error.what) == ("HR411", "orders has no rows: its function returned none")


def test_any_breach_stops_the_table(shop: Workshop) -> None:
    shop.write("data/a.csv", ROWS + BROKEN)
    error = refused(shop, Table("orders", [csv_source()], same, contract=Order, on_breach="fail"))
    assert error.code == "HR412"
    assert "3 of 5 rows break its contract, none is allowed (amount >= 0: 2, " in error.what
    assert error.what.endswith("amount = -2.0, order_id = 1")
    shop.write("data/a.csv", ROWS)
    assert shop.table(Table("orders", [csv_source()], same, contract=Order, on_breach="fail")).rows == 2


@pytest.mark.parametrize(("share", "stops"), [(0.59, True), (0.6, False), (0.0, True), (1.0, False)])
def test_too_many_breaches_stop_the_table(shop: Workshop, share: float, stops: bool) -> None:
    shop.write("data/a.csv", ROWS + BROKEN)
    table = Table("orders", [csv_source()], same, contract=Order, max_quarantined=share)
    if stops:
        assert refused(shop, table).code == "HR412"
    else:
        assert shop.table(table).rows == 2


def test_columns_that_do_not_fit_the_contract(shop: Workshop) -> None:
    shop.write("data/a.csv", ROWS)
    for function, code in (
        (lambda rows: rows.drop("shop"), "HR406"),
        (lambda rows: rows.with_columns(pl.col("amount").cast(pl.String)), "HR407"),
    ):
        assert refused(shop, Table("orders", [csv_source()], function, contract=Order)).code == code


@pytest.mark.parametrize("incremental", [False, True])
def test_columns_that_the_contract_does_not_name_are_left_out_and_told(shop: Workshop, *, incremental: bool) -> None:
    def more(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.with_columns(pl.lit(1).alias("more"), pl.lit(2).alias("another"))

    shop.write("data/a.csv", ROWS)
    table = Table("orders", [csv_source()], more, contract=Order, incremental=incremental)
    plain = Table("plain", [csv_source()], same, contract=Order, incremental=incremental)
    for _ in range(2):
        version = shop.table(table)
        facts = version.manifest.facts
        assert facts["left_out"] == ["another", "more"]
        assert facts["warnings"] == ["leaves out another, more, which its contract does not name"]
        assert shop.rows(table, version).equals(shop.rows(plain, shop.table(plain)))
        shop.write("data/b.csv", ROWS.replace("1,", "101,").replace("2,", "102,"))
    assert "left_out" not in shop.table(plain).manifest.facts


def test_a_strict_contract_leaves_nothing_out(shop: Workshop) -> None:
    class Strict(Order, strict=True):
        """The same, and nothing else."""

    class Derived(Strict):
        """As strict as what it derives from."""

    shop.write("data/a.csv", ROWS)
    for contract in (Strict, Derived):
        table = Table("orders", [csv_source()], lambda rows: rows.with_columns(more=1), contract=contract)
        assert refused(shop, table).code == "HR408"


def test_a_function_that_raises(shop: Workshop) -> None:
    shop.write("data/a.csv", ROWS)

    def broken(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.select(1 // 0)

    error = refused(shop, Table("orders", [csv_source()], broken))
    assert error.code == "HR423"
    assert f"orders raised ZeroDivisionError at {__file__}:{broken.__code__.co_firstlineno + 1}" in error.what
    error = refused(shop, Table("orders", [csv_source()], lambda rows: rows.select("missing")))
    assert "orders raised ColumnNotFoundError" in error.what
    assert refused(shop, Table("orders", [csv_source()], lambda rows: print(rows.collect_schema()))).code == "HR422"  # noqa: T201 - returns None


class Other(Node):
    kind = "other"

    def make(self, step: Step, context: Context) -> Manifest:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("code", "arguments", "settings"),
    [
        ("HR409", [csv_source()], {"contract": Order, "on_breach": "ignore"}),
        ("HR409", [csv_source()], {"contract": Order, "max_quarantined": 1.5}),
        ("HR409", [csv_source()], {"contract": Order, "max_quarantined": 0.5, "on_breach": "fail"}),
        ("HR409", [csv_source()], {"max_quarantined": 0.5}),
        ("HR409", [csv_source()], {"on_breach": "fail"}),
        ("HR410", [csv_source(), csv_source("more")], {"incremental": True}),
        ("HR410", [Table("orders", [csv_source()], same)], {"incremental": True}),
        ("HR410", [], {"incremental": True}),
        ("HR355", [Source("kept", database("crm", table="t", cursor="at", key="id"))], {"incremental": True}),
        ("HR415", [csv_source()], {"contract": Order()}),
        ("HR415", [csv_source()], {"contract": datetime}),
        ("HR416", [Other("other")], {}),
        ("HR416", [Order], {}),
        ("HR420", [csv_source(), csv_source("more")], {}),
        ("HR420", [], {}),
    ],
)
def test_a_declaration_that_cannot_be(code: str, arguments: list[Any], settings: dict[str, Any]) -> None:
    with pytest.raises(HeadraceError) as caught:
        Table("orders", arguments, same, **settings)
    assert caught.value.code == code


def test_event_times_keep_microseconds(shop: Workshop) -> None:
    shop.write("data/a.csv", "order_id,shop,amount,at\n1,a,5,2024-01-02T00:00:00.5\n2,a,5,2024-01-02T00:00:00\n")
    version = shop.table(Table("orders", [csv_source()], same, contract=Order))
    facts = version.manifest.facts
    assert datetime.fromisoformat(facts["last_event"]) == datetime(2024, 1, 2, 0, 0, 0, 500_000, tzinfo=UTC)
    assert facts["first_event"] < facts["last_event"]
