"""A new project from `init` to `restore`, by the real command line: what it prints, and how it ends.

The tests of this file stand in the order of the story and share one project.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest

from tests.cli import golden
from tests.cli.commands import headrace, inside

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of `headrace init`, applied once; then the story goes on from there."""
    folder = tmp_path_factory.mktemp("story") / "shop"
    told = headrace(folder.parent, "init", "shop")
    golden.check("init", f"{told.out}{told.err}")
    golden.check("check", headrace(folder, "check").out)
    golden.check("status_empty", headrace(folder, "status").out)
    golden.check("plan_new", golden.normal(headrace(folder, "plan").out))
    assert headrace(folder, "plan", "--exit-code", code=5).out
    applied = headrace(folder, "apply")
    golden.check("apply", golden.normal(applied.out))
    assert "  + orders made, 598 rows, " in applied.err
    assert "  > published: " in applied.err
    assert "returns passed its gate" in applied.err
    return folder


def test_init_does_not_write_over_a_project(shop: Path) -> None:
    before = (shop / "pipeline.py").read_bytes()
    assert "HR823" in headrace(shop, "init", code=1).err
    assert (shop / "pipeline.py").read_bytes() == before


def test_a_second_apply_finds_nothing_to_do(shop: Path) -> None:
    assert inside(shop, "plan", "--exit-code").out == "Nothing to do.\n"
    assert headrace(shop, "apply").out == "Nothing to do.\n"
    assert headrace(shop, "apply", "--json").data["made"] == []
    assert len(inside(shop, "runs", "--json").data) == 1
    golden.check("plan_all", golden.normal(inside(shop, "plan", "--all").out))


def test_status(shop: Path) -> None:
    golden.check("status", golden.normal(inside(shop, "status").out))
    [prod] = inside(shop, "status", "--json").data
    assert [node["node"] for node in prod["nodes"]] == ["raw_orders", "orders", "CustomerHistory", "returns"]
    assert "HR609" in inside(shop, "status", "prd", code=1).err


@pytest.mark.parametrize("node", ["raw_orders", "orders", "returns"])
def test_why(shop: Path, node: str) -> None:
    golden.check(f"why_{node}", golden.normal(inside(shop, "why", node).out))
    told = inside(shop, "why", node, "--json").data
    assert told["node"] == node
    assert told["key"] in inside(shop, "why", node, "--full").out


def test_why_leads_down_to_the_file(shop: Path) -> None:
    tree = inside(shop, "why", "returns", "--json").data["lineage"]
    [orders, _] = tree["inputs"]
    [source] = orders["inputs"]
    [batch] = source["batches"]
    assert batch["id"] == "data/orders/2024.csv"
    assert batch["rows"] == 600


def test_why_of_an_unknown_node(shop: Path) -> None:
    assert "Did you mean 'orders'?" in inside(shop, "why", "order", code=1).err


@pytest.mark.parametrize("node", ["raw_orders", "orders", "CustomerHistory", "returns"])
def test_show(shop: Path, node: str) -> None:
    golden.check(f"show_{node}", golden.normal(inside(shop, "show", node, "--limit", "3").out))
    assert inside(shop, "show", node, "--json").data["node"] == node


def test_query(shop: Path) -> None:
    sql = "select customer, count(*) as n from orders group by customer order by n desc, customer limit 2"
    golden.check("query", inside(shop, "query", sql).out)
    rows = inside(shop, "query", sql, "--json").data
    assert list(csv.DictReader(io.StringIO(inside(shop, "query", sql, "--format", "csv").out))) == [
        {"customer": row["customer"], "n": str(row["n"])} for row in rows
    ]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("select * from ordrs", "Did you mean 'orders'?"),
        ("selec 1", "syntax error"),
        ("select * from read_csv('pipeline.py')", "disabled by configuration"),
        ("copy orders to 'stolen.csv'", "disabled by configuration"),
        ("set enable_external_access = true", "locked"),
    ],
)
def test_a_query_that_fails(shop: Path, sql: str, told: str) -> None:
    failed = inside(shop, "query", sql, code=1)
    assert "error HR835" in failed.err
    assert told in failed.err
    assert not (shop / "stolen.csv").exists()


def test_quarantine(shop: Path) -> None:
    told = inside(shop, "quarantine", "orders", "--limit", "1")
    golden.check("quarantine", f"{told.out}{told.err}")
    rows = list(csv.DictReader(io.StringIO(inside(shop, "quarantine", "orders", "--format", "csv").out)))
    assert [row["_rule"] for row in rows] == ["amount > 0", "amount > 0"]
    assert inside(shop, "quarantine", "orders", "--json").data["rules"] == [{"rule": "amount > 0", "rows": 2}]
    assert "HR833" in inside(shop, "quarantine", "raw_orders", code=1).err


def test_a_change_is_tried_in_a_branch_and_promoted(shop: Path) -> None:
    module = shop / "pipeline.py"
    module.write_text(module.read_text().replace("max_depth=4", "max_depth=3"))
    golden.check("plan_dev", golden.normal(inside(shop, "plan", "dev").out))
    headrace(shop, "apply", "dev")
    golden.check("promote", golden.normal(headrace(shop, "promote", "dev", "prod").out))
    assert "HR712" in headrace(shop, "promote", "dev", "prod", code=1).err
    assert inside(shop, "plan").out == "Nothing to do.\n"


def test_rollback_holds_until_release(shop: Path) -> None:
    told = headrace(shop, "rollback", "returns")
    golden.check("rollback", golden.normal(f"{told.out}{told.err}"))
    golden.check("plan_held", golden.normal(inside(shop, "plan").out))
    assert headrace(shop, "apply").out == "Nothing to do.\n"
    assert "held: rolled back with returns" in inside(shop, "status", "prod").out
    told = headrace(shop, "release", "returns")
    golden.check("release", golden.normal(f"{told.out}{told.err}"))
    assert "returns" in headrace(shop, "apply", "--json").data["published"]
    assert "HR715" in headrace(shop, "release", "returns", code=1).err


def test_a_batch_is_left_out(shop: Path) -> None:
    orders = shop / "data" / "orders"
    head = (orders / "2024.csv").read_text().splitlines()[0]
    (orders / "2025.csv").write_text(f"{head}\n9001,c00,5.0,2024-10-02T08:00:00,false\n")
    headrace(shop, "apply")
    assert inside(shop, "query", "select count(*) as n from orders", "--json").data == [{"n": 599}]
    told = headrace(shop, "rollback", "raw_orders", "--exclude", "data/orders/2025.csv")
    assert told.out == "raw_orders leaves out data/orders/2025.csv in prod.\n"
    headrace(shop, "apply")
    assert inside(shop, "query", "select count(*) as n from orders", "--json").data == [{"n": 598}]
    assert "raw_orders leaves out data/orders/2025.csv" in inside(shop, "status", "prod").out
    assert "HR716" in headrace(shop, "rollback", "raw_orders", "--exclude", "nope.csv", code=1).err


def test_retrain(shop: Path) -> None:
    assert headrace(shop, "retrain", "returns", "--json").data["made"] == ["returns"]
    assert "  refreshed  1 time" in inside(shop, "why", "returns").out


def test_runs_and_logs(tmp_path: Path) -> None:
    shop = tmp_path / "shop"  # a project of its own: which run is the newest depends on nothing else
    headrace(tmp_path, "init", "shop")
    headrace(shop, "apply")
    newest = inside(shop, "runs", "--env", "prod", "--limit", "1", "--json").data[0]
    assert newest["state"] == "done"
    golden.check("runs", golden.normal(inside(shop, "runs", "--limit", "1").out))
    golden.check("logs", golden.normal(inside(shop, "logs", newest["run"][:14], "returns").out))
    attempts = inside(shop, "logs", newest["run"], "--json").data["attempts"]
    assert {each["node"] for each in attempts} == {"raw_orders", "orders", "CustomerHistory", "returns"}
    assert "HR822" in inside(shop, "logs", newest["run"], "nothing", code=1).err
    assert "HR821" in inside(shop, "logs", "zzz", code=1).err
    assert headrace(shop, "cancel", newest["run"]).out == f"Run {newest['run']} is not at work: done.\n"


def test_gc_shows_first_and_removes_then(shop: Path) -> None:
    assert inside(shop, "gc").out == "Nothing to remove.\n"
    shown = inside(shop, "gc", "--keep", "0s", "--json").data
    assert shown["versions"]
    assert not shown["removed"]
    assert "Nothing is removed yet: headrace gc --keep 0s --yes" in inside(shop, "gc", "--keep", "0s").err
    assert headrace(shop, "gc", "--keep", "0s", "--yes", "--json").data["removed"]
    assert inside(shop, "gc", "--keep", "0s").out == "Nothing to remove.\n"
    assert inside(shop, "plan", "dev").out.splitlines()[-1]


def test_doctor(shop: Path) -> None:
    told = inside(shop, "doctor").out
    assert told.endswith("All is well.\n")
    assert "the hash chain holds" in told
    assert inside(shop, "doctor", "--json").data["healthy"] is True
    assert "ledger.commit.before" in inside(shop, "doctor", "--failpoints").out.splitlines()


def test_backup_and_restore(shop: Path) -> None:
    headrace(shop, "backup", "ledger.backup")
    assert "exists" in headrace(shop, "backup", "ledger.backup", code=1).err
    assert "HR607" in headrace(shop, "restore", "ledger.backup", code=1).err
    before = inside(shop, "status", "--json").data
    settings = shop / "headrace.toml"
    settings.write_text(f'{settings.read_text()}ledger = "sqlite:.headrace/second.db"\n')
    assert "the hash chain holds" in headrace(shop, "restore", "ledger.backup").out
    assert inside(shop, "status", "--json").data == before
    assert inside(shop, "plan").out == "Nothing to do.\n"


def test_doctor_finds_a_damaged_file(shop: Path) -> None:
    outputs = inside(shop, "why", "returns", "--json").data["outputs"]
    [file] = (shop / ".headrace" / "store").rglob(outputs["model"]["path"].rsplit("/", 1)[-1] + "*")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1])
    told = inside(shop, "doctor", code=5).out
    assert "  x store " in told
    assert "model of returns" in told
    assert told.endswith("Something is wrong: see the lines with x.\n")


def test_check_finds_mistakes(shop: Path) -> None:
    module = shop / "pipeline.py"
    module.write_text(module.read_text().replace('mean("returned"', 'mean("retrned"'))
    told = inside(shop, "check", code=5)
    assert "retrned" in told.out
    assert inside(shop, "check", "--json", code=5).data["problems"][0]["code"].startswith("HR")
