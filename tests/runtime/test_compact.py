"""Tables of many small commits: compacted after a publish and by `gc`, recorded in the ledger, read on as before."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from headrace.ports import failpoints
from headrace.project import workspace as workspaces
from headrace.project.row_origin import why_row
from tests.cli.commands import inside
from tests.support.projects import ORDERS, Project

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.records import Version
    from headrace.project.workspace import Workspace


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", ORDERS)
    for number, name in enumerate("abc"):
        made.write_batch(name, [number * 10 + place for place in range(3)])
        made.apply()
    return made


def orders(workspace: Workspace) -> Version:
    found = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["orders"])
    assert found is not None
    return found


def test_a_compacted_version_is_the_same_version(project: Project) -> None:
    with project.opened() as workspace:
        before = orders(workspace)
        rows = workspace.stores.tables.scan(before.manifest.outputs["table"]).collect()
        assert {each.node for each in workspace.compact()} >= {"orders"}
        after = orders(workspace)
        assert (after.key, after.batches, after.rows) == (before.key, before.batches, before.rows)
        assert after.manifest.outputs["table"] != before.manifest.outputs["table"]
        assert workspace.stores.tables.scan(after.manifest.outputs["table"]).collect().equals(rows)
        assert workspace.stores.tables.scan(before.manifest.outputs["table"]).collect().equals(rows)
        assert workspace.compact() == []
        workspace.ledger.verify()
        assert not workspace.plan(workspace.question()).to_do
    project.write_batch("d", [100])
    project.apply()
    with project.opened() as workspace:
        grown = orders(workspace)
        assert grown.manifest.outputs["table"].path == after.manifest.outputs["table"].path
        assert (grown.rows, before.rows) == (10, 9)


def test_where_rows_lay_is_kept_for_a_while(project: Project) -> None:
    with project.opened() as workspace:
        before = orders(workspace).manifest.outputs["table"]
        workspace.compact()
        assert before.path not in workspace.garbage(timedelta(days=1)).tables
        assert before.path in workspace.garbage(timedelta(0)).tables
        workspace.collect(timedelta(0))
        assert workspace.stores.tables.scan(orders(workspace).manifest.outputs["table"]).collect().height > 0


def test_an_apply_compacts_after_many_commits(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspaces, "COMMITS", 3)
    with project.opened() as workspace:
        assert orders(workspace).manifest.outputs["table"].version == 2
    project.write_batch("d", [100])
    project.apply()
    with project.opened() as workspace:
        assert orders(workspace).manifest.outputs["table"].version == 0


def test_partitions_are_compacted_each_for_itself(tmp_path: Path) -> None:
    project = Project(
        tmp_path / "project", ORDERS.replace("incremental=True", 'incremental=True, partition_by="month"')
    )
    for number, name in enumerate("abcd"):
        project.write_batch(name, range(number, 28 * 3, 4))
        project.apply()
    with project.opened() as workspace:
        before = orders(workspace)
        tables = workspace.stores.tables
        rows = tables.scan(before.manifest.outputs["table"]).collect()
        origin = why_row(workspace, "prod", "orders", "30").to_json()
        assert len(tables.files(before.manifest.outputs["table"])) == 12
        workspace.compact()
        after = orders(workspace)
        files = tables.files(after.manifest.outputs["table"])
        months = [sorted(set(pl.read_parquet(file)["at"].dt.month())) for file in files]
        assert months == [[1], [2], [3]]
        assert tables.scan(after.manifest.outputs["table"]).collect().equals(rows)
        assert after.manifest.facts["layout"] == before.manifest.facts["layout"]
        assert why_row(workspace, "prod", "orders", "30").to_json() == origin
        assert "data/c.csv" in origin["place"]
        assert workspace.compact() == []
    project.write_batch("e", range(28 * 2, 28 * 4))
    project.write_batch("a", [1_000])
    project.apply()
    with project.opened() as workspace:
        grown = orders(workspace)
        assert grown.manifest.outputs["table"].path == after.manifest.outputs["table"].path
        assert "data/c.csv" in str(why_row(workspace, "prod", "orders", "30").place)
        assert "data/e.csv" in str(why_row(workspace, "prod", "orders", "100").place)


def test_a_compaction_that_fails_is_a_warning(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspaces, "COMMITS", 3)
    project.write_batch("d", [100])
    with monkeypatch.context() as full:
        full.setattr(failpoints, "_armed", failpoints._Armed("table.commit.before=ENOSPC"))  # noqa: SLF001 - of this process
        told = inside(project.folder, "apply", "--json").data
    assert [(warning["code"], "orders" in told["published"]) for warning in told["warnings"]] == [("HR636", True)]
    with project.opened() as workspace:
        assert (orders(workspace).rows, orders(workspace).manifest.outputs["table"].version) == (10, 3)
    project.write_batch("e", [101])
    assert project.apply().warnings == ()
    with project.opened() as workspace:
        assert (orders(workspace).rows, orders(workspace).manifest.outputs["table"].version) == (11, 0)
