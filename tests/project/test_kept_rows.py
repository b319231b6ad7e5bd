"""Rows that stay as earlier code made them: references that move, and rules that were never asked of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from headrace.cli.rule_lines import rule_lines
from headrace.project.rule_history import rule_history
from headrace.runtime.observer import Observer
from tests.support.projects import Project

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.records import Version
    from headrace.runtime.applied import Applied

CODE = '''
"""Orders of shops that are known."""

import polars as pl

from headrace import Contract, Pipeline, column, files

shop = Pipeline("shop")
raw = shop.source("raw", files("data/o*.csv"))
raw_shops = shop.source("raw_shops", files("data/s*.csv"))

FACTOR = 1


class Shop(Contract):
    shop: str = column(key=True)


class Order(Contract):
    order_id: int = column(key=True)
    shop: str = column(references=shops)
    amount: int = column(ge=0)


@shop.table(raw, contract=Order, incremental=True)
def orders(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.col("amount") * FACTOR)
'''
SHOPS = """

@shop.table(raw_shops, contract=Shop)
def shops(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows

"""
CODE = CODE.replace("\n\nclass Order", SHOPS + "\nclass Order")
EDIT = ("FACTOR = 1", "FACTOR = 100")


def orders(project: Project, name: str, *rows: tuple[int, str, int]) -> None:
    text = "".join(f"{order},{shop},{amount}\n" for order, shop, amount in rows)
    (project.folder / "data" / f"o{name}.csv").write_text(f"order_id,shop,amount\n{text}")


def shops(project: Project, *names: str) -> None:
    (project.folder / "data" / "s.csv").write_text("shop\n" + "".join(f"{name}\n" for name in names))


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """Two shops are known, and there are orders of a third."""
    project = Project(tmp_path / "shop", CODE)
    shops(project, "a", "b")
    orders(project, "1", (1, "a", 1), (2, "c", 2), (3, "b", -3), (4, "c", -4))
    project.apply()
    return project


def forward(project: Project) -> Applied:
    with project.opened() as workspace:
        return workspace.apply(workspace.question(forward=["orders"]), Observer())


def version(project: Project) -> Version:
    with project.opened() as workspace:
        found = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["orders"])
        assert found is not None
        return found


def aside(project: Project) -> list[tuple[Any, ...]]:
    with project.opened() as workspace:
        rows = workspace.graph["orders"].quarantine(version(project), workspace.stores)  # type: ignore[attr-defined]
        return sorted(rows.select("order_id", "_rule", "_batch").collect().rows())


def broken(project: Project) -> dict[str, Any]:
    return {each["rule"]: (each["broken"], each.get("unasked")) for each in version(project).manifest.facts["results"]}


NEGATIVE, UNKNOWN = "amount >= 0", "shop is in shops"


def test_a_reference_may_move_where_rows_stay(shop: Project) -> None:
    shop.edit(*EDIT)
    assert not forward(shop).failed
    orders(shop, "2", (5, "a", 5), (6, "d", 6))
    shop.apply()
    stayed = [(1, "a", 1), (5, "a", 500)]
    assert shop.rows("orders") == stayed
    first, second = "data/o1.csv", "data/o2.csv"
    both = (4, f"{UNKNOWN}; {NEGATIVE}", first)
    assert aside(shop) == [(2, UNKNOWN, first), (3, NEGATIVE, first), both, (6, UNKNOWN, second)]
    began = aside(shop), broken(shop)

    shops(shop, "a", "b", "c", "d")
    assert not shop.apply().failed
    assert shop.rows("orders") == [(1, "a", 1), (2, "c", 2), (5, "a", 500), (6, "d", 600)]
    assert aside(shop) == [(3, NEGATIVE, first), both]
    assert "@" in version(shop).batches[first]

    shops(shop, "a", "b")
    assert not shop.apply().failed
    assert shop.rows("orders") == stayed
    assert (aside(shop), broken(shop)) == began


def test_rows_that_stay_leave_a_table_with_what_they_refer_to(shop: Project) -> None:
    shop.edit(*EDIT)
    assert not forward(shop).failed
    shops(shop, "b", "c")
    assert not shop.apply().failed
    assert shop.rows("orders") == [(2, "c", 2)]
    assert aside(shop)[0] == (1, UNKNOWN, "data/o1.csv")
    assert broken(shop)[UNKNOWN] == (2, None), "the fourth was set aside for it when it was made, and stays so"


def test_a_key_that_comes_back_is_settled(shop: Project) -> None:
    shop.edit(*EDIT)
    assert not forward(shop).failed
    orders(shop, "2", (2, "a", 7))
    shop.apply()
    assert shop.rows("orders") == [(1, "a", 1), (2, "a", 700)]
    shops(shop, "a", "b", "c")
    assert not shop.apply().failed
    assert shop.rows("orders") == [(1, "a", 1), (2, "c", 2)]
    assert (2, "order_id is unique", "data/o2.csv") in aside(shop)


def test_a_rule_that_was_never_asked(shop: Project) -> None:
    shop.edit("column(ge=0)", "column(ge=0, le=3)")
    assert not forward(shop).failed
    added = "amount <= 3"
    assert broken(shop)[added] == (None, 4)
    assert broken(shop)[NEGATIVE] == (2, None)
    with shop.opened() as workspace:
        history = rule_history(workspace.ledger, "orders", 2)
    line = next(line for line in rule_lines(history) if line.startswith(added))
    assert line.split()[-1] == "-"
    assert rule_lines(history)[-1].startswith("-: not known")
    told = next(each for each in json.loads(json.dumps(history.to_json())) if each["rule"] == added)
    assert [each["broken"] for each in told["versions"]] == [None]
    assert (told["versions"][0]["passed"], told["versions"][0]["unasked"]) == (None, 4)

    orders(shop, "2", (5, "a", 5), (6, "a", 2))
    shop.apply()
    assert broken(shop)[added] == (1, 4)
    with shop.opened() as workspace:
        history = rule_history(workspace.ledger, "orders", 1)
    assert next(line for line in rule_lines(history) if line.startswith(added)).endswith("1 of 2")
    shops(shop, "a", "b", "c")
    shop.apply()
    assert broken(shop)[added] == (1, 4), "what stays is asked for references alone"
    assert shop.rows("orders") == [(1, "a", 1), (2, "c", 2), (6, "a", 2)]

    shop.edit("le=3", "le=4")
    assert not forward(shop).failed
    assert broken(shop)["amount <= 4"] == (None, 6)


def test_a_reference_that_is_new_is_not_asked_of_rows_that_stay(shop: Project) -> None:
    project = shop
    project.edit("column(references=shops)", "column()")
    project.apply()
    project.edit("shop: str = column()", "shop: str = column(references=shops)")
    assert not forward(project).failed
    assert broken(project)[UNKNOWN] == (None, 4)
    assert project.rows("orders") == [(1, "a", 1), (2, "c", 2)]
