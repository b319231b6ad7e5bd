"""`diff` and `profile`, as they are called and as they print."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.cli import golden
from tests.cli.commands import headrace, inside
from tests.support.projects import MODEL, ORDERS, Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`prod` and `dev`, where a batch came, amounts are rounded up to 2, and a column is added."""
    project = Project(tmp_path_factory.mktemp("compare") / "project", ORDERS + MODEL)
    project.write_batch("a", [*range(40), -5])
    project.apply()
    project.edit("* FACTOR", "* FACTOR).with_columns(pl.col('amount').clip(2.0)")
    project.edit('pl.len().alias("orders")', 'pl.len().alias("orders"), pl.col("at").max().alias("last")')
    project.write_batch("b", [41, -1])
    project.apply("dev")
    return project.folder


def test_diff(shop: Path) -> None:
    told = inside(shop, "diff", "prod", "dev", "raw", "orders", "by_shop").out
    golden.check("diff", re.sub(r"shop_\d+", "pipeline", golden.normal(told)))
    assert told == headrace(shop, "diff", "prod", "dev", "raw", "orders", "by_shop").out


def test_exit_code_only_where_it_is_asked_for(shop: Path) -> None:
    assert inside(shop, "diff", "prod", "dev", "--exit-code", code=5).out
    assert inside(shop, "diff", "prod", "dev").out
    same = inside(shop, "diff", "prod", "prod", "--exit-code").out
    assert same.splitlines()[0] == "prod → prod: nothing differs, 5 the same"


def test_diff_as_json(shop: Path) -> None:
    found = inside(shop, "diff", "prod", "dev", "orders", "--json", "--limit", "1").data
    [node] = found["nodes"]
    assert (found["differs"], node["state"]) == (True, "changed")
    assert node["rows"]["by_column"] == {"amount": 2}
    assert node["rows"]["examples"]["changed"] == [
        {"key": {"order_id": 0}, "values": {"amount": {"before": 0.0, "after": 2.0}}}
    ]


def test_diff_of_what_is_not_there(shop: Path) -> None:
    assert "Did you mean 'dev'?" in inside(shop, "diff", "prod", "deb", code=1).err
    assert "Did you mean 'orders'?" in inside(shop, "diff", "prod", "dev", "order", code=1).err
    assert "HR837" in inside(shop, "diff", "prod", "prod@ffff", code=1).err


def test_profile(shop: Path) -> None:
    golden.check("profile", golden.normal(inside(shop, "profile", "orders").out))
    found = inside(shop, "profile", "orders", "dev", "--json").data
    assert (found["rows"], found["environment"]) == (43, "dev")
    assert [each["name"] for each in found["columns"]] == ["order_id", "shop", "amount", "at"]
    assert found["columns"][2]["numbers"]["min"] == 2.0


def test_profile_as_a_page(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "orders.html"
    told = inside(shop, "profile", "orders", "--html", str(file))
    assert (told.out, told.err) == ("", f"Written to {file}\n")
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "HR929" in inside(shop, "profile", "orders", "--html", str(tmp_path / "no" / "orders.html"), code=1).err


def test_profile_of_what_has_no_rows(shop: Path) -> None:
    assert "HR832" in inside(shop, "profile", "model", code=1).err
