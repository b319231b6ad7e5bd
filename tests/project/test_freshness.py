"""A table that nothing comes to any more is found stale by the clock, without an endpoint, an answer or new data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.errors import HeadraceError
from headrace.monitors.alarm import Kind
from headrace.project.monitoring import Watcher, alerts, notes_of
from tests.cli.commands import inside
from tests.support.projects import ORDERS, Project
from tests.support.upheld import upheld

if TYPE_CHECKING:
    from pathlib import Path

MONITORS = """

from headrace import freshness, metric

shop.monitor("stale", orders, when=freshness(orders) > "3d", cooldown="1d")
shop.monitor("costly", orders, when=metric("run_seconds") > 86400)
"""
NEWEST = datetime(2024, 1, 10, tzinfo=UTC)


def ignored(node: str, monitor: str) -> None:
    """Nothing is to be made."""
    pytest.fail(f"{monitor} asks for {node}")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "shop", ORDERS + MONITORS)
    made.write_batch("01", range(10))
    assert not made.apply().failed
    return made


def test_an_alert_comes_and_goes_with_the_clock_and_the_rows(project: Project) -> None:
    said: list[str] = []
    with project.opened() as workspace:
        clock = SimulatedClock(NEWEST)
        workspace.clock = clock  # type: ignore[assignment]
        watcher = Watcher(workspace, "prod", ignored, said.append)
        watcher.look()
        assert (said, alerts(workspace, "prod")) == ([], {})
        clock.sleep(timedelta(days=3, seconds=1).total_seconds())
        for _ in range(3):
            watcher.look()
        assert [note.kind for note in notes_of(workspace, "prod", "stale")] == [Kind.RAISED, Kind.ACTED]
        assert "freshness(orders) > 3d" in said[0]
        assert list(alerts(workspace, "prod")) == ["stale"]
    status = inside(project.folder, "status").out
    assert "! stale alerts: freshness(orders) > 3d" in status
    assert list(inside(project.folder, "status", "--json").data[0]["alerts"]) == ["stale"]
    assert "by the clock of orders" in inside(project.folder, "monitors", "stale").out
    assert "stale" in inside(project.folder, "show", "stale").out
    project.write_batch("02", range(10, 14))
    assert not project.apply().failed
    with project.opened() as workspace:
        assert "stale" not in {step.node for step in workspace.plan(workspace.question()).to_do}
        workspace.clock = SimulatedClock(NEWEST + timedelta(days=4))  # type: ignore[assignment]
        Watcher(workspace, "prod", ignored, said.append).look()
        assert alerts(workspace, "prod") == {}
        assert notes_of(workspace, "prod", "stale")[-1].kind is Kind.CLEARED
    assert "alerts" not in inside(project.folder, "status").out


def test_a_supervisor_finds_it_without_an_endpoint(project: Project) -> None:
    with upheld(project) as told:
        assert "freshness(orders) > 3d" in told.until("stale: raised")
        assert "! stale alerts:" in inside(project.folder, "status").out


@pytest.mark.parametrize("when", ['metric("errors") > 0.5', 'drift("amount") > 0.2', 'estimated("roc_auc") < 0.6'])
def test_what_needs_answers_needs_an_endpoint(project: Project, when: str) -> None:
    project.write_code(
        f"{project.code}\nfrom headrace import drift, estimated\nshop.monitor('wrong', orders, when={when})\n"
    )
    with project.opened() as workspace, pytest.raises(HeadraceError, match="HR980"):
        workspace.plan(workspace.question())
