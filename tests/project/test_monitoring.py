"""Monitors over real answers: what they see, what they note, and what they have done."""

from __future__ import annotations

import select
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.endpoints.service import Logged, Scored
from headrace.models.gate import SCORE, read_holdout
from headrace.monitors.alarm import Kind
from headrace.project.applying import Applying
from headrace.project.monitoring import Watcher, look, monitors_of, notes_of, state_of
from headrace.project.prediction_place import drain_predictions, folder_of
from tests.cli import golden
from tests.cli.commands import headrace, inside
from tests.support.predictions import log_in
from tests.support.projects import ORDERS, Project
from tests.support.served import ENDPOINT
from tests.support.upheld import upheld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.project.workspace import Workspace

MONITORS = """

from headrace import drift, retrain, rollback

shop.monitor("amount_drift", scores, when=drift("amount") > 0.25, then=retrain(model), rows=50, cooldown="1h")
shop.monitor("slow", scores, when=metric("p99_ms") > 50, then=rollback(scores), rows=50)
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
        workspace.clock = SimulatedClock(workspace.clock.now())  # type: ignore[assignment]  # time passes as told
        yield workspace


class Watched:
    """Somebody who watches prod, and what came of it."""

    def __init__(self, workspace: Workspace) -> None:
        self.asked: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.workspace = workspace
        retrain = lambda node, monitor: self.asked.append((node, monitor))  # noqa: E731
        self.watcher = Watcher(workspace, "prod", retrain, self.said.append)

    def kinds(self, name: str) -> list[Kind]:
        return [note.kind for note in notes_of(self.workspace, "prod", name)]


def answer(
    workspace: Workspace, *, times: float = 1.0, count: int = 100, micros: int = 900, stage: str | None = None
) -> None:
    """Log answers about held-out rows, with the amounts so many times as large."""
    key = workspace.ledger.snapshot("prod").pointers["scores"]
    endpoint = workspace.ledger.version(key)
    assert endpoint is not None
    model = workspace.ledger.version(endpoint.inputs[0][1])
    assert model is not None
    rows = read_holdout(model, workspace.stores).sample(count, with_replacement=True, seed=1)
    rows = rows.with_columns(pl.col("amount") * times)
    features = rows.select("amount", "orders_30d", "amount_30d").to_dicts()
    at = round(workspace.clock.now().timestamp() * 1e6)
    with log_in(folder_of(workspace.settings.state, "prod")) as log:
        log.append(
            Logged(
                endpoint="scores",
                key=key,
                model=model.key,
                generations={},
                at=at,
                ids=log.ids(count),
                rows=[{"shop": "a", "amount": each["amount"]} for each in features],
                cutoffs=[at] * count,
                scored=Scored(rows[SCORE].to_numpy().astype(np.float64), features, [{}] * count),
                micros=[micros] * count,
                stage=stage,
            )
        )


def seen(workspace: Workspace) -> dict[str, str]:
    return {each.node: state_of(look(workspace, "prod", each)) for each in monitors_of(workspace, "prod")}


def test_answers_like_those_of_the_evaluation_are_no_alert(workspace: Workspace) -> None:
    answer(workspace)
    assert seen(workspace) == {"amount_drift": "ok", "slow": "ok"}
    watched = Watched(workspace)
    watched.watcher.look()
    assert (watched.asked, watched.said) == ([], [])


def test_too_few_answers_tell_nothing(workspace: Workspace) -> None:
    answer(workspace, times=9.0, count=49)
    assert seen(workspace) == {"amount_drift": "too few answers", "slow": "too few answers"}


def test_drift_is_told_from_the_log_and_from_the_table(workspace: Workspace) -> None:
    answer(workspace, times=1.6, count=60)
    assert seen(workspace)["amount_drift"] == "due"
    drain_predictions(workspace, "prod")
    answer(workspace, times=1.6, count=60)
    [drifted, _] = monitors_of(workspace, "prod")
    assert look(workspace, "prod", drifted).measured.overall["answers"] == 120
    assert seen(workspace)["amount_drift"] == "due"


def test_a_drift_asks_for_a_retraining_once(workspace: Workspace) -> None:
    answer(workspace, times=1.6)
    watched = Watched(workspace)
    for _ in range(5):
        watched.watcher.look()
        workspace.clock.sleep(60)
    assert watched.asked == [("model", "amount_drift")]
    assert watched.kinds("amount_drift") == [Kind.RAISED, Kind.ACTED]
    assert watched.said[0].startswith("amount_drift: raised, psi(amount) > 0.25 (")
    Watched(workspace).watcher.look()  # another supervisor, later: it knows what was done
    assert watched.kinds("amount_drift") == [Kind.RAISED, Kind.ACTED]
    workspace.clock.sleep(3600)
    watched.watcher.look()
    assert watched.asked == [("model", "amount_drift")] * 2


def test_a_window_of_the_last_so_many_answers_slides_with_them(tmp_path: Path) -> None:
    declared = """

from headrace import drift

shop.monitor("latest", scores, when=drift("amount") > 0.25, over=100)
shop.monitor("any_column", scores, when=drift() > 1, over=100)
"""
    project = Project(tmp_path / "shop", ORDERS + ENDPOINT + declared)
    project.write_batch("01", range(300))
    assert not project.apply().failed
    with project.opened() as workspace:
        workspace.clock = SimulatedClock(workspace.clock.now())  # type: ignore[assignment]  # time passes as told
        answer(workspace, times=1.6, count=99)
        assert seen(workspace) == {"latest": "too few answers", "any_column": "too few answers"}
        workspace.clock.sleep(timedelta(days=30).total_seconds())
        answer(workspace, times=1.6, count=50)
        assert seen(workspace) == {"latest": "due", "any_column": "due"}
        drain_predictions(workspace, "prod")
        workspace.clock.sleep(1)
        answer(workspace, count=100)
        assert seen(workspace) == {"latest": "ok", "any_column": "ok"}
        latest = next(each for each in monitors_of(workspace, "prod") if each.node == "latest")
        assert look(workspace, "prod", latest).measured.overall["answers"] == 100
        told = inside(project.folder, "monitors", "any_column").out
        assert "psi(*) > 1  in 0 of 4 columns; " in told


def test_a_thousand_alerts_make_one_run(workspace: Workspace, project: Project) -> None:
    """However many monitors ask, and however often they look: what is asked for before it begins is made once."""
    answer(workspace, times=1.6)
    said: list[str] = []
    applying = Applying(workspace, "prod", said.append)
    watcher = Watcher(workspace, "prod", lambda node, monitor: applying.ask(f"{monitor} asks", {node}), said.append)
    for _ in range(3):
        watcher.look()
        workspace.clock.sleep(60)
    for number in range(999):
        applying.ask(f"another_{number} asks", {"model"})
    model = workspace.ledger.snapshot("prod").pointers["model"]
    project.write_batch("02", range(300, 336))
    while not applying.look():
        select.select(applying.waits_for, [], [], 60)
    assert not applying.look()
    assert not applying.waits_for  # nothing else is under way
    assert workspace.ledger.snapshot("prod").pointers["model"] != model
    assert len(workspace.ledger.runs("prod")) == 2  # the first one made it all
    assert "Applying: amount_drift asks; another_0 asks; another_1 asks;" in said[2]
    assert said[2].endswith("; and 992 more")


def test_an_alert_that_is_held_says_why(workspace: Workspace) -> None:
    watched = Watched(workspace)
    for times, count in ((1.6, 50), (1.0, 2_000), (1.6, 4_000)):
        answer(workspace, times=times, count=count)
        watched.watcher.look()
        workspace.clock.sleep(timedelta(minutes=10).total_seconds())
    assert watched.kinds("amount_drift") == [Kind.RAISED, Kind.ACTED, Kind.CLEARED, Kind.RAISED, Kind.WITHHELD]
    [*_, held] = notes_of(workspace, "prod", "amount_drift")
    assert held.reason.startswith("it acted at ")
    assert ", and may again at " in held.reason


def test_an_alert_is_cleared_when_the_answers_are_as_before(workspace: Workspace) -> None:
    answer(workspace, times=1.6)
    watched = Watched(workspace)
    watched.watcher.look()
    workspace.clock.sleep(timedelta(days=1, minutes=1).total_seconds())
    watched.watcher.look()  # the window is empty
    answer(workspace)
    watched.watcher.look()
    assert watched.kinds("amount_drift") == [Kind.RAISED, Kind.ACTED, Kind.CLEARED]


def test_a_slow_version_is_rolled_back_where_there_is_one_before(workspace: Workspace, project: Project) -> None:
    answer(workspace, micros=90_000)
    watched = Watched(workspace)
    watched.watcher.look()
    assert "rollback scores was not possible: HR713" in watched.said[-1]
    first = workspace.ledger.snapshot("prod").pointers["scores"]
    project.edit("C=1.0", "C=0.01")
    project.apply()
    workspace.clock.sleep(7 * 3600)  # its cooldown is six hours
    answer(workspace, micros=90_000)
    watched.watcher.look()
    snapshot = workspace.ledger.snapshot("prod")
    assert snapshot.pointers["scores"] == first
    assert "scores" in snapshot.holds
    assert watched.said[-1] == "slow: scores is rolled back, and held there"


def test_what_a_shadow_or_another_model_answers_does_not_count(workspace: Workspace, project: Project) -> None:
    answer(workspace, times=9.0, stage="shadow")
    assert seen(workspace)["amount_drift"] == "too few answers"
    answer(workspace, times=9.0)
    assert seen(workspace)["amount_drift"] == "due"
    project.edit("C=1.0", "C=0.01")
    project.apply()
    assert seen(workspace)["amount_drift"] == "too few answers"  # the new model has answered nothing yet


def test_a_reference_that_is_damaged_keeps_no_other_monitor_from_its_work(workspace: Workspace) -> None:
    answer(workspace, times=1.6, micros=90_000)
    [_, slow] = monitors_of(workspace, "prod")
    for ref in slow.manifest.outputs.values():
        if ref.path not in {each.path for each in monitors_of(workspace, "prod")[0].manifest.outputs.values()}:
            workspace.stores.artefacts.remove(ref.path)
    watched = Watched(workspace)
    watched.watcher.look()
    assert watched.asked == [("model", "amount_drift")]


def test_a_column_that_the_model_does_not_have(tmp_path: Path) -> None:
    project = Project(tmp_path / "shop", ORDERS + ENDPOINT + MONITORS.replace('drift("amount")', 'drift("amuont")'))
    project.write_batch("01", range(300))
    told = headrace(project.folder, "apply", code=3).err
    assert "HR982" in told
    assert "amount" in told


def test_what_the_verb_shows(workspace: Workspace, project: Project) -> None:
    answer(workspace, times=1.6)
    Watched(workspace).watcher.look()
    told = inside(project.folder, "monitors")
    golden.check("monitors", golden.normal(told.out))
    assert "outside(prediction)" in inside(project.folder, "monitors", "amount_drift").out
    assert "HR983" in inside(project.folder, "monitors", "amount_drft", code=1).err
    assert '"state": "alert"' in inside(project.folder, "monitors", "--json").out


def test_a_supervisor_makes_the_model_again_when_its_inputs_drift_and_not_before(project: Project) -> None:
    """New data alone makes tables and features; the model waits until its monitor asks for it."""
    with project.opened() as workspace:
        model = workspace.ledger.snapshot("prod").pointers["model"]
    with upheld(project) as told:
        told.until("Serving")
        told.until("Nothing to do")
        project.write_batch("02", range(300, 336))
        told.until("Applying: new data")
        told.until("published")
        with project.opened() as workspace:
            assert workspace.ledger.snapshot("prod").pointers["model"] == model
            answer(workspace, times=1.6)
        told.until("amount_drift: acted")
        told.until("Applying: amount_drift asks for model")
        told.until("published")
        with project.opened() as workspace:
            assert workspace.ledger.snapshot("prod").pointers["model"] != model
