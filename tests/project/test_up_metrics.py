"""What a supervisor tells Prometheus: every metric that is promised, with the values of a real project."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace.errors import HeadraceError
from headrace.ports.ledger import SendSignal, TakeLease
from headrace.project import up_metrics
from headrace.project.control import Request, Response
from headrace.project.health import DONE, FAILED, Applies, Health, Limits, Visitors
from headrace.project.lookout import Lookout
from headrace.project.monitoring import Watcher
from headrace.project.rollouts import answering, settle
from headrace.project.up_metrics import STATES, Metrics, Sources
from headrace.runtime.triggers import BY_HAND, subject_of
from tests.support.projects import ORDERS, Project
from tests.support.served import ENDPOINT, served_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.project.workspace import Workspace

CODE = (
    ORDERS
    + ENDPOINT
    + """

from headrace import by_hand, drift, retrain

shop.monitor("amount_drift", scores, when=drift("amount") > 0.25, then=retrain(model), rows=50, cooldown="1h")
shop.trigger(by_shop, on=by_hand(), name="hand")
"""
)
NAMES = {
    "headrace_up_applies": "counter",
    "headrace_up_apply_seconds": "histogram",
    "headrace_up_last_success_timestamp_seconds": "gauge",
    "headrace_up_failing_since_timestamp_seconds": "gauge",
    "headrace_up_source_changed_timestamp_seconds": "gauge",
    "headrace_up_source_failing_since_timestamp_seconds": "gauge",
    "headrace_up_rows_quarantined": "gauge",
    "headrace_up_rows": "gauge",
    "headrace_up_monitor_state": "gauge",
    "headrace_up_monitor_value": "gauge",
    "headrace_up_rollout_share": "gauge",
    "headrace_up_signals_waiting": "gauge",
    "headrace_up_notices": "counter",
    "headrace_up_child_restarts": "counter",
    "headrace_up_leases_held": "gauge",
    "headrace_up_heartbeat_timestamp_seconds": "gauge",
    "headrace_up_info": "gauge",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    project = Project(tmp_path / "shop", CODE)
    project.write_batch("01", range(300))
    project.write_batch("02", [-5, -6])
    applied = project.apply()
    assert not applied.failed, applied.failed
    with project.opened() as workspace:
        yield workspace


def sources_of(workspace: Workspace) -> Sources:
    watcher = Watcher(workspace, "prod", lambda *_: None, lambda _: None)
    watcher.look()
    applies = Applies(workspace.clock)
    for outcome in (DONE, FAILED):
        applies.begin()
        applies.end(outcome, "")
    lookout = Lookout(workspace, "prod")
    lookout.changed, lookout.failing = {"raw": 1_700_000_000.0}, {"raw": 1_700_000_060.0}
    return Sources(
        workspace=workspace,
        health=Health(workspace.clock, "prod", Limits()),
        applies=applies,
        lookout=lookout,
        triggers=lambda: workspace.pipeline.triggers,
        looked=lambda: watcher.looked,
        notices=lambda: {"chat": {"sent": 3, "failed": 1, "given up": 0}},
        restarts=lambda: {"apply": 1, "server": 2},
    )


def request(host: str = "localhost:8181", peer: str = "127.0.0.1") -> Request:
    return Request("GET", "/metrics", "", {"host": host}, b"", peer)


class Told:
    """The metrics of a supervisor, as Prometheus reads them."""

    def __init__(self, sources: Sources) -> None:
        answer = Metrics(sources, Visitors(None))(request())
        assert answer.status == 200
        self.families = list(text_string_to_metric_families(answer.body.decode()))

    def value(self, name: str, **labels: str) -> float:
        [found] = [
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        ]
        return float(found)


def test_every_metric_is_there_with_its_kind_and_help(workspace: Workspace) -> None:
    told = Told(sources_of(workspace))
    assert {family.name: family.type for family in told.families} == NAMES
    assert all(family.documentation for family in told.families)


def test_what_they_say(workspace: Workspace) -> None:
    sources = sources_of(workspace)
    workspace.ledger.write(
        SendSignal(BY_HAND, subject_of("prod", "hand")), TakeLease("prod", "orders", "somebody", "run")
    )
    told = Told(sources)
    assert told.value("headrace_up_applies_total", outcome="done") == 1
    assert told.value("headrace_up_applies_total", outcome="refused") == 0
    assert told.value("headrace_up_apply_seconds_count") == 2
    assert told.value("headrace_up_apply_seconds_bucket", le="+Inf") == 2
    assert told.value("headrace_up_failing_since_timestamp_seconds") > 1_600_000_000
    assert told.value("headrace_up_last_success_timestamp_seconds") > 1_600_000_000
    assert told.value("headrace_up_source_changed_timestamp_seconds", source="raw") == 1_700_000_000
    assert told.value("headrace_up_source_failing_since_timestamp_seconds", source="raw") == 1_700_000_060
    assert told.value("headrace_up_rows", table="orders") == 300
    assert told.value("headrace_up_rows_quarantined", table="orders") == 2
    assert told.value("headrace_up_signals_waiting") == 1
    assert told.value("headrace_up_leases_held") == 1
    assert told.value("headrace_up_notices_total", channel="chat", outcome="sent") == 3
    assert told.value("headrace_up_child_restarts_total", child="server") == 2
    states = {each: told.value("headrace_up_monitor_state", monitor="amount_drift", state=each) for each in STATES}
    assert states == {"ok": 0, "due": 0, "alert": 0, "too few answers": 1}
    assert told.value("headrace_up_info", version=version("headrace"), environment="prod") == 1


def test_a_roll_out_is_told_as_a_share(tmp_path: Path) -> None:
    project = served_project(tmp_path, "canary(10, 50)")
    project.edit("C=1.0", "C=0.5")
    with project.opened() as workspace:
        snapshot = workspace.ledger.snapshot("prod")
        for found in answering(workspace.ledger, snapshot).values():
            settle(workspace.ledger, snapshot, found)
    project.apply()
    with project.opened() as workspace:
        assert Told(sources_of(workspace)).value("headrace_up_rollout_share", endpoint="scores") == 0.1


def test_who_may_not_look_and_a_library_that_is_missing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(sources_of(workspace), Visitors(None))
    with pytest.raises(HeadraceError, match="HR946"):
        metrics(request("shop.example"))
    with pytest.raises(HeadraceError, match="HR911"):
        Metrics(sources_of(workspace), Visitors("secret"))(request(peer="192.0.2.1"))
    monkeypatch.setattr(up_metrics, "find_spec", lambda _: None)
    with pytest.raises(HeadraceError, match="HR957") as raised:
        metrics(request())
    assert Response.refusal(raised.value).status == 501
