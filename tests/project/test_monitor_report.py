"""The report of a monitor over real answers: its hours and days, its quality, and the verb that shows it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.endpoints.service import Logged, Scored
from headrace.models.gate import SCORE, read_holdout
from headrace.monitors.report import Every, starts
from headrace.project.monitor_report import monitor_report
from headrace.project.monitoring import Watcher, look, monitors_of
from headrace.project.prediction_place import drain_predictions, folder_of
from tests.cli.commands import inside
from tests.support.predictions import log_in
from tests.support.projects import ORDERS, Project
from tests.support.served import ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.monitors.report import Report
    from headrace.project.workspace import Workspace

MONITORS = """

from headrace import drift, retrain

shop.monitor("amount_drift", scores, when=drift("amount") > 0.25, then=retrain(model), over="6h", rows=40)
shop.monitor("by_day", scores, when=[drift("amount") > 0.25, metric("p99_ms") > 50], rows=40)
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "shop", ORDERS + ENDPOINT + MONITORS)
    project.write_batch("01", range(300))
    applied = project.apply()
    assert not applied.failed, applied.failed
    return project


@pytest.fixture
def workspace(project: Project) -> Iterator[Workspace]:
    with project.opened() as workspace:
        half_past = starts(workspace.clock.now(), Every.HOUR)[-1] + timedelta(minutes=30)
        workspace.clock = SimulatedClock(half_past)  # type: ignore[assignment]  # time passes as told
        yield workspace


def answer(
    workspace: Workspace, hours_ago: int, *, times: float = 1.0, count: int = 60, stage: str | None = None
) -> None:
    """Log answers about held-out rows, so many hours ago, with the amounts so many times as large."""
    key = workspace.ledger.snapshot("prod").pointers["scores"]
    endpoint = workspace.ledger.version(key)
    assert endpoint is not None
    model = workspace.ledger.version(endpoint.inputs[0][1])
    assert model is not None
    rows = read_holdout(model, workspace.stores).sample(count, with_replacement=True, seed=hours_ago)
    features = rows.select(pl.col("amount") * times, "orders_30d", "amount_30d").to_dicts()
    sent = rows.select("order_id", "shop", "amount").to_dicts() if "order_id" in rows.columns else features
    at = round((workspace.clock.now() - timedelta(hours=hours_ago)).timestamp() * 1e6)
    with log_in(folder_of(workspace.settings.state, "prod")) as log:
        log.append(
            Logged(
                endpoint="scores",
                key=key,
                model=model.key,
                generations={},
                at=at,
                ids=log.ids(count),
                rows=sent,
                cutoffs=[at] * count,
                scored=Scored(rows[SCORE].to_numpy().astype(np.float64), features, [{}] * count),
                micros=list(range(1_000, 1_000 + 10 * count, 10)),
                stage=stage,
            )
        )


def reported(workspace: Workspace, name: str, every: Every | None = None, **more: int) -> Report:
    [monitor] = [each for each in monitors_of(workspace, "prod") if each.node == name]
    return monitor_report(workspace, "prod", monitor, every, **more)


def test_hours_hold_the_answers_that_were_given_in_them(workspace: Workspace) -> None:
    answer(workspace, 5)
    answer(workspace, 5, count=40, times=2.0, stage="shadow")
    drain_predictions(workspace, "prod")
    answer(workspace, 5)
    answer(workspace, 1, times=1.6)
    answer(workspace, 0, count=30, times=1.6)
    answer(workspace, 40)
    found = reported(workspace, "amount_drift")
    assert (found.every, found.watched.state, found.watched.then) == (Every.HOUR, "due", ("retrain model",))
    assert [each.answers for each in found.windows[-6:]] == [120, 0, 0, 0, 60, 30]
    assert sum(each.answers for each in found.windows) == 210
    before, latest, now = found.windows[-6], found.windows[-2], found.windows[-1]
    assert (before.value("psi(amount)") or 0) < 2 < (latest.value("psi(amount)") or 0)
    assert (now.is_told, now.value("psi(amount)"), now.value("answers")) == (False, None, 30)
    assert found.latest is latest
    assert "amount" in found.drifted
    assert before.value("mean_ms") == pytest.approx(1.295)
    assert before.value("p99_ms") == pytest.approx(1.58, abs=0.02)
    assert not found.cut


def test_a_day_is_the_merge_of_its_hours(workspace: Workspace) -> None:
    for hours in range(12):
        answer(workspace, hours, times=1 + hours / 10, count=20)
    hourly, daily = reported(workspace, "by_day", Every.HOUR), reported(workspace, "by_day")
    assert (daily.every, len(daily.windows)) == (Every.DAY, 14)
    assert sum(each.answers for each in daily.windows) == sum(each.answers for each in hourly.windows) == 240
    today = daily.windows[-1]
    same_day = [each for each in hourly.windows if each.start >= today.start]
    assert today.answers == sum(each.answers for each in same_day)
    merged = same_day[0].profile
    for each in same_day[1:]:
        merged = merged.merge(each.profile)
    for name, counts in merged.columns.items():
        assert (counts.rows, counts.missing) == (today.profile.columns[name].rows, today.profile.columns[name].missing)
        assert counts.different == today.profile.columns[name].different


def test_a_window_tells_what_the_monitor_sees(workspace: Workspace) -> None:
    """The hour under way holds the answers of the monitor's own window, so their distances are the same."""
    answer(workspace, 0, times=1.4, count=80)
    [monitor, _] = monitors_of(workspace, "prod")
    seen, told = look(workspace, "prod", monitor).measured.overall, reported(workspace, "amount_drift").windows[-1]
    for name in ("psi(amount)", "wasserstein(amount)", "nulls_change(orders_30d)", "p_value(prediction)", "answers"):
        assert told.value(name) == pytest.approx(seen[name])
    assert told.value("mean_ms") == pytest.approx(seen["mean_ms"])
    assert told.value("mean_score") == pytest.approx(seen["mean_score"])


def test_quality_is_told_of_answers_with_a_key(workspace: Workspace) -> None:
    answer(workspace, 3)
    found = reported(workspace, "amount_drift").windows
    part = found[-4].quality
    assert part is not None
    assert (part.rows, part.labelled) == (60, 60)
    assert part.metrics["accuracy"].low is not None
    assert found[-4].value("labelled") == 1
    assert found[-1].quality is None


def test_no_more_answers_are_read_than_was_agreed(workspace: Workspace) -> None:
    answer(workspace, 6)
    answer(workspace, 2)
    found = reported(workspace, "amount_drift", most=60)
    assert found.cut
    assert [each.answers for each in found.windows if each.answers] == [60]


def test_the_verb_shows_it(workspace: Workspace, project: Project, tmp_path: Path) -> None:
    answer(workspace, 0, times=1.6, count=80)
    Watcher(workspace, "prod", lambda _node, _monitor: None, lambda _line: None).look()
    told = inside(project.folder, "show", "amount_drift").out
    assert told.startswith("amount_drift: alert, by the answers of scores in prod\n")
    assert "then retrain model" in told
    assert "psi(amount)" in told
    assert "Kolmogorov-Smirnov" in told
    assert "acted" in told
    file = tmp_path / "report.html"
    done = inside(project.folder, "show", "amount_drift", "prod", "--html", str(file))
    assert (done.out, str(file) in done.err) == ("", True)
    assert "<svg" in file.read_text(encoding="utf-8")
    data = inside(project.folder, "show", "amount_drift", "--json").data
    assert (data["monitor"], data["every"], len(data["windows"])) == ("amount_drift", "hour", 24)
    assert [each["kind"] for each in data["notes"]] == ["raised", "acted"]


def test_only_a_monitor_has_a_page_and_only_where_it_can_be_written(project: Project, tmp_path: Path) -> None:
    assert "HR928" in inside(project.folder, "show", "model", "--html", str(tmp_path / "a.html"), code=1).err
    missing = str(tmp_path / "missing" / "a.html")
    assert "HR929" in inside(project.folder, "show", "amount_drift", "--html", missing, code=1).err


def test_a_monitor_without_answers(project: Project) -> None:
    told = inside(project.folder, "show", "amount_drift").out
    assert "too few answers" in told
    assert "no window has the 40 answers that it takes to tell drift" in told
