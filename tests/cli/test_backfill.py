"""`backfill` by the real command line: its plan, killed at durable actions, and gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli import golden
from tests.cli.commands import HEADRACE, begin, headrace, inside, surroundings
from tests.support.projects import ORDERS, Project

if TYPE_CHECKING:
    from pathlib import Path


WAIT = """\
    from pathlib import Path

    gate = Path(__file__).parent / "gate"
    if gate.exists() and rows.select(pl.col("order_id").min()).collect().item() == 28:
        gate.open("rb").read()
"""


@pytest.fixture(scope="module")
def began(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(
        tmp_path_factory.mktemp("verb") / "shop",
        ORDERS.replace("incremental=True", 'incremental=True, partition_by="month"'),
    )
    for month in range(3):
        project.write_batch(f"m{month + 1}", range(month * 28, month * 28 + 3))
    project.apply()
    project.edit("* FACTOR", "* FACTOR * 2")
    return project


@pytest.fixture
def shop(began: Project, tmp_path: Path) -> Project:
    return began.copied(tmp_path / "shop")


def test_the_plan(shop: Project) -> None:
    shown = inside(shop.folder, "backfill", "orders", "--partition", "2024-02..")
    golden.check("backfill_plan", golden.normal(shown.out))
    data = inside(shop.folder, "backfill", "orders", "--json").data
    assert [part["name"] for part in data["parts"]] == ["2024-01", "2024-02", "2024-03"]
    assert [step["node"] for step in data["downstream"]] == ["by_shop"]
    assert "HR723" in inside(shop.folder, "backfill", "orders", "--partition", "2024-9", code=1).err


def test_killed_in_the_middle_it_goes_on_and_makes_nothing_twice(shop: Project) -> None:
    before = shop.rows("orders")
    for failpoint in ("table.commit.after:3", "manifest.rename.after:2", "ledger.commit.before:3"):
        killed = subprocess.run(
            [*HEADRACE, "backfill", "orders", "--yes"],
            cwd=shop.folder,
            env={**surroundings(), "HEADRACE_FAILPOINT": failpoint},
            capture_output=True,
            text=True,
            check=False,
        )
        assert killed.returncode in (0, -9), killed.stderr
        if killed.returncode == 0:
            break
        assert shop.rows("orders") == before, "readers see nothing of it"
    done = headrace(shop.folder, "backfill", "orders", "--yes", "--json").data
    assert all(part["done"] for part in done["parts"][:1])
    assert [row[2] for row in shop.rows("orders")] == [2 * float(str(row[2])) for row in before]
    with shop.opened() as workspace:
        keys = [version.key for version in workspace.ledger.versions("orders")]
        assert len(keys) == len(set(keys)) == 4, "the version before, and one for each part"
        runs = workspace.ledger.runs()
        made = [
            each.key
            for run in runs
            for each in workspace.ledger.attempts(run.id)
            if each.node == "orders" and each.state.value == "done"
        ]
        assert len(made) == len(set(made)), "no finished part was made again"
    assert inside(shop.folder, "backfill", "orders").out.startswith("Nothing to backfill")
    inside(shop.folder, "doctor")


def test_interrupted_in_the_middle_it_goes_on(began: Project, tmp_path: Path) -> None:
    shop = began.copied(tmp_path / "shop")
    before = shop.rows("orders")
    shop.edit("    return rows.with", f"{WAIT}    return rows.with")
    os.mkfifo(shop.folder / "gate")
    process = begin(shop.folder, "backfill", "orders", "--yes")
    with (shop.folder / "gate").open("wb"):  # opens once the second month is being made, which waits until it closes
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 130, out + err
    assert shop.rows("orders") == before, "readers see nothing of it"
    (shop.folder / "gate").unlink()
    planned = inside(shop.folder, "backfill", "orders", "--json").data
    assert [part["done"] for part in planned["parts"]] == [True, False, False]
    headrace(shop.folder, "backfill", "orders", "--yes")
    assert [row[2] for row in shop.rows("orders")] == [2 * float(str(row[2])) for row in before]
    with shop.opened() as workspace:
        keys = [version.key for version in workspace.ledger.versions("orders")]
    assert len(keys) == len(set(keys)) == 4, "the version before, and one for each part"
