"""How many requests failed, how old tables and features are, and what runs cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.errors import HeadraceError
from headrace.project.monitoring import look, monitors_of, state_of
from headrace.project.request_counts import KEPT, RequestCounts, Requests, folder_of_counts, requests_of
from tests.support.projects import ORDERS, Project
from tests.support.served import ENDPOINT, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.project.monitoring import Looked
    from headrace.project.workspace import Workspace

MONITORS = """

from headrace import freshness

shop.monitor("failing", scores, when=metric("errors") > 0.5, rows=5)
shop.monitor("stale", scores, when=freshness(orders) > "3d")
shop.monitor("stale_features", scores, when=freshness(ShopHistory) > "3d")
shop.monitor("costly", scores, when=metric("run_seconds") > 3600, over="1h")
"""
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEWEST = datetime(2024, 11, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("applied") / "shop", ORDERS + ENDPOINT + MONITORS)
    project.write_batch("01", range(300))
    applied = project.apply()
    assert not applied.failed, applied.failed
    return project


@pytest.fixture
def workspace(applied: Project, tmp_path: Path) -> Iterator[Workspace]:
    with applied.copied(tmp_path / "copy").opened() as workspace:
        workspace.clock = SimulatedClock(workspace.clock.now())  # type: ignore[assignment]
        yield workspace


def seen(workspace: Workspace, name: str) -> Looked:
    [monitor] = [each for each in monitors_of(workspace, "prod") if each.node == name]
    return look(workspace, "prod", monitor)


def test_counts_are_written_as_they_grow(tmp_path: Path) -> None:
    totals = {("scores", 200): 10, ("scores", 503): 1}
    counts = RequestCounts(tmp_path / "prod", lambda: totals)
    counts.write(NOON)
    counts.write(NOON + timedelta(seconds=10))
    totals |= {("scores", 200): 12, ("scores", 422): 3, ("scores", 401): 9, ("others", 500): 7}
    counts.write(NOON + timedelta(seconds=20))
    another = RequestCounts(tmp_path / "prod", lambda: {("scores", 429): 2})  # a server that was begun later
    another.write(NOON + timedelta(days=1))
    ever = requests_of(tmp_path / "prod", "scores", NOON, NOON + timedelta(days=2))
    assert (ever, ever.all) == (Requests(answered=12, failures=3, refused=3), 18)
    later = requests_of(tmp_path / "prod", "scores", NOON + timedelta(seconds=1), NOON + timedelta(days=1, hours=-1))
    assert later == Requests(answered=2, refused=3)
    assert len((tmp_path / "prod" / "2026-03-01.jsonl").read_text().splitlines()) == 2


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    RequestCounts(tmp_path, lambda: {("scores", 200): 10}).write(NOON)
    with (tmp_path / "2026-03-01.jsonl").open("a") as file:
        file.write('{"a": 1}\n[17, 4]\n[1772366400000000,[["scores",2')
    assert requests_of(tmp_path, "scores", NOON, NOON).answered == 10
    assert requests_of(tmp_path / "nowhere", "scores", NOON, NOON) == Requests()


def test_old_counts_go(tmp_path: Path) -> None:
    for at in (NOON, NOON + KEPT, NOON + KEPT + timedelta(days=1)):
        RequestCounts(tmp_path, lambda: {("scores", 200): 1}).write(at)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["2026-04-05", "2026-04-06"]


def test_what_cannot_be_written_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    counts = RequestCounts(tmp_path / "file", lambda: {("scores", 200): 4})
    with pytest.raises(OSError, match="file"):
        counts.write(NOON)
    (tmp_path / "file").unlink()
    counts.write(NOON)
    assert requests_of(tmp_path / "file", "scores", NOON, NOON).answered == 4


def test_the_share_of_failures_is_of_the_window(workspace: Workspace) -> None:
    assert state_of(seen(workspace, "failing")) == "too few requests"
    folder = folder_of_counts(workspace.settings.state, "prod")
    RequestCounts(folder, lambda: {("scores", 200): 4, ("scores", 503): 6}).write(workspace.clock.now())
    looked = seen(workspace, "failing")
    assert (state_of(looked), looked.measured.overall) == ("due", {"errors": 0.6, "failures": 0.6})
    workspace.clock.sleep(2 * 86_400)
    assert state_of(seen(workspace, "failing")) == "too few requests"


def test_a_server_writes_its_counts(tmp_path: Path, applied: Project) -> None:
    project = applied.copied(tmp_path / "shop")
    with serving(project) as (address, _), httpx.Client(base_url=address) as client:
        for amount in (1, 2, "three"):
            client.post("/predict/scores", json={"amount": amount, "shop": "a", "order_id": 7})
        client.post("/predict/skores", json={"amount": 1})
        fields = client.get("/endpoints").json()["endpoints"]["scores"][0]["fields"]
    assert [each["name"] for each in fields if each["key"]] == ["order_id"]
    with project.opened() as workspace:
        now = workspace.clock.now()
        folder = folder_of_counts(workspace.settings.state, "prod")
        found = requests_of(folder, "scores", now - timedelta(hours=1), now)
        assert found == Requests(answered=2, refused=1)


@pytest.mark.parametrize("monitor", ["stale", "stale_features"])
def test_a_table_that_gets_nothing_new_is_stale(workspace: Workspace, monitor: str) -> None:
    workspace.clock = SimulatedClock(NEWEST + timedelta(days=2))  # type: ignore[assignment]
    assert state_of(seen(workspace, monitor)) == "ok"
    workspace.clock.sleep(2 * 86_400)
    looked = seen(workspace, monitor)
    assert state_of(looked) == "due"
    assert looked.outcomes[0].seen in ("4d", "3d23h55m")
    workspace.clock = SimulatedClock(NEWEST - timedelta(days=400))  # type: ignore[assignment]  # before any row
    assert state_of(seen(workspace, monitor)) == "not defined"


def test_a_table_without_the_column_is_told(workspace: Workspace) -> None:
    [monitor] = [each for each in monitors_of(workspace, "prod") if each.node == "stale"]
    monitor.manifest.facts["watch"]["when"][0]["place"][1] = "arrived"
    with pytest.raises(HeadraceError, match="HR988"):
        look(workspace, "prod", monitor)


def test_runs_cost_what_their_steps_took_within_the_window(workspace: Workspace) -> None:
    steps = [each for run in workspace.ledger.runs("prod") for each in workspace.ledger.attempts(run.id)]
    took = sum(
        (datetime.fromisoformat(each.ended_at or "") - datetime.fromisoformat(each.started_at)).total_seconds()
        for each in steps
    )
    looked = seen(workspace, "costly")
    assert looked.measured.overall["run_seconds"] == pytest.approx(took)
    assert state_of(looked) == "ok"
    workspace.clock.sleep(3600)
    assert (seen(workspace, "costly").measured.overall["run_seconds"] or 0) < took
    workspace.clock.sleep(3600)
    assert seen(workspace, "costly").measured.overall["run_seconds"] == 0
