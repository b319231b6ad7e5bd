"""Answers beside a pipeline: no plan, no promotion and no collection touches them, and each can be explained."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from headrace.errors import HeadraceError
from headrace.ports.ledger import AddVersion
from headrace.ports.records import Manifest, Version
from headrace.project.explain import status
from headrace.project.explain_prediction import is_prediction_id, moment_of, why_prediction
from headrace.project.prediction_place import drain_predictions, folder_of, place_of
from headrace.runtime.environments import promote
from tests.cli.commands import inside
from tests.support.predictions import AT, VIEW, batch, log_in, logged
from tests.support.projects import Project

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.project.workspace import Workspace

NODE = "scores.predictions"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "shop")
    made.write_batch("01", range(10))
    made.apply()
    return made


def answer(workspace: Workspace, environment: str = "prod") -> list[str]:
    """Answers that are in the table of predictions."""
    given = logged(folder_of(workspace.settings.state, environment), 2)
    assert drain_predictions(workspace, environment).rows == 2
    return given


def refused(code: str) -> pytest.RaisesExc[HeadraceError]:
    return pytest.RaisesExc(HeadraceError, check=lambda error: error.code == code)


def pointer(workspace: Workspace, environment: str) -> str | None:
    return workspace.ledger.snapshot(environment).pointers.get(NODE)


def test_a_plan_leaves_answers_alone(project: Project) -> None:
    with project.opened() as workspace:
        answer(workspace)
        before = pointer(workspace, "prod")
        plan = workspace.plan(workspace.question())
        assert (plan.to_do, plan.removed) == ((), ())
        assert NODE in [node.node for node in status(workspace.ledger, workspace.owners)[0].nodes]
    project.edit("FACTOR = 1", "FACTOR = 2")
    assert NODE not in project.apply().published
    with project.opened() as workspace:
        assert pointer(workspace, "prod") == before


def test_a_promotion_leaves_answers_alone(project: Project) -> None:
    with project.opened() as workspace:
        answer(workspace)
        before = pointer(workspace, "prod")
    project.edit("FACTOR = 1", "FACTOR = 2")
    project.apply("dev")
    with project.opened() as workspace:
        answer(workspace, "dev")
        own = pointer(workspace, "dev")
        answer(workspace)
        after = pointer(workspace, "prod")
        assert len({before, own, after}) == 3
        moved = promote(workspace.graph, workspace.ledger, "dev", "prod")
        assert NODE not in [move.node for move in moved.moves]
        assert (pointer(workspace, "prod"), pointer(workspace, "dev")) == (after, own)
        with refused("HR712"):
            promote(workspace.graph, workspace.ledger, "dev", "prod")
        workspace.rebase("dev")
        assert (pointer(workspace, "prod"), pointer(workspace, "dev")) == (after, own)


def test_a_collection_leaves_answers_alone(project: Project) -> None:
    with project.opened() as workspace:
        ids = [each for _ in range(3) for each in answer(workspace)]
        workspace.collect(timedelta(0))
        assert [why_prediction(workspace, each).prediction.id for each in ids] == ids
        ids += answer(workspace)
        assert [why_prediction(workspace, each).prediction.id for each in ids] == ids


def test_what_looks_like_a_prediction() -> None:
    assert is_prediction_id("6b0424ce5b24d7ee-001")
    assert not any(is_prediction_id(each) for each in ("scores", "scores.predictions", "6b0424ce5b24d7ee", "6b04-01"))


def made(key: str, node: str, *inputs: tuple[str, str], **facts: object) -> Version:
    return Version(key, node, node, "f", inputs, Manifest(key, {}, facts), made_at="2024-01-01T00:00:00+00:00")


def known_to(workspace: Workspace) -> None:
    """Let the ledger know what gave the answers: an endpoint, its model, a view with its generation, a source."""
    view = {"view": VIEW, "on": ["who"], "prefix": "w_", "features": ["mean"]}
    versions = [
        Version("s1", "raw", "source", "f", (), Manifest("s1"), batches={"data/1.csv": "d" * 64}),
        made("m1", "model", ("raw", "s1"), views=[view]),
        made("v1", "scores", ("model", "m1")),
        made("w1", VIEW, ("raw", "s1")),
        made("g1", f"{VIEW}.online", (VIEW, "w1")),
    ]
    for each in workspace.ledger.write(*map(AddVersion, versions)):
        each.get()


@pytest.mark.parametrize("in_table", [False, True])
def test_where_an_answer_comes_from(project: Project, *, in_table: bool) -> None:
    with project.opened() as workspace:
        known_to(workspace)
        with log_in(folder_of(workspace.settings.state, "prod")) as log:
            ids = log.ids(2)
            log.append(batch(ids))
        if in_table:
            drain_predictions(workspace, "prod")
        found = why_prediction(workspace, ids[0])
        assert found.lineage is not None
        assert found.lineage.inputs[0].inputs[0].version.batches == {"data/1.csv": "d" * 64}
        assert [each.to_json() for each in found.views] == [
            {
                "view": VIEW,
                "generation": "g1",
                "made_from": "w1",
                "newest": "2013-11-21T02:13:20.000000+00:00",
                "values": {"w_mean": 0.0},
            }
        ]
        told = inside(project.folder, "why", ids[0], "--json").data
        assert told == json.loads(json.dumps(found.to_json()))
        assert (told["prediction"], told["micros"], told["lineage"]["node"]) == (0.0, 100, "scores")
    text = inside(project.folder, "why", ids[1], "--full").out
    for line in (
        f"{ids[1]}, an answer of scores, in prod",
        "prediction  1",
        "2013-11-21 02:13:20 UTC, 0.101 ms after it was asked",
        "weather, generation g1 of version w1: no row",
        "w_mean  missing",
        "sha256 " + "d" * 64,
    ):
        assert line in text, text


def test_an_answer_of_another_environment_is_found(project: Project) -> None:
    project.apply("dev")
    with project.opened() as workspace:
        [first, _] = answer(workspace, "dev")
        found = why_prediction(workspace, first)
        assert (found.environment, found.version) == ("dev", None)
        with refused("HR931"):
            why_prediction(workspace, first, "prod")
        with refused("HR609"):
            why_prediction(workspace, first, "deev")
        assert place_of(workspace, "dev").environment == "dev"
        assert found.prediction.at == AT
    assert "does not know the version" in inside(project.folder, "why", first, "dev").out


def test_an_unknown_answer(project: Project) -> None:
    told = inside(project.folder, "why", "0123456789abcdef-000", code=1).err
    assert "HR931" in told
    assert "headrace why ID ENV" in told


def test_moments() -> None:
    assert moment_of(AT) == "2013-11-21T02:13:20.000000+00:00"
    assert moment_of(-1) == "1969-12-31T23:59:59.999999+00:00"
    assert moment_of(1 << 62)[:4] == "9999"
    assert moment_of(-(1 << 62))[:4] == "0001"
