"""Promotion, rollback, release, exclusion and garbage: pointers move, nothing is computed, nothing needed is lost."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from headrace.errors import HeadraceError
from headrace.ports.work import Action
from headrace.runtime.environments import exclude, promote, promotion, release, roll_back
from tests.support.projects import MODEL, ORDERS, Project

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.project.workspace import Workspace

KEEP_NOTHING = timedelta(0)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "shop")
    made.write_batch("01", range(10))
    made.apply()
    return made


def refused(code: str) -> pytest.RaisesExc[HeadraceError]:
    return pytest.RaisesExc(HeadraceError, check=lambda error: error.code == code)


def test_rolling_back_a_first_version(project: Project) -> None:
    with project.opened() as workspace, refused("HR713"):
        roll_back(workspace.graph, workspace.ledger, "prod", "orders")


def test_rolling_back_to_a_named_version(project: Project) -> None:
    keys = []
    for factor in (2, 3):
        with project.opened() as workspace:
            keys.append(workspace.ledger.snapshot("prod").pointers["orders"])
        project.edit(f"FACTOR = {factor - 1}", f"FACTOR = {factor}")
        project.apply()
    with project.opened() as workspace:
        moved = roll_back(workspace.graph, workspace.ledger, "prod", "orders", keys[0][:10])
        assert {move.node for move in moved.moves} == {"orders", "by_shop"}
        assert workspace.ledger.snapshot("prod").pointers["orders"] == keys[0]
    assert project.rows("by_shop") == [("a", 10, 45.0)]


def test_a_rolled_back_node_goes_out_again_once_released(project: Project) -> None:
    project.edit("FACTOR = 1", "FACTOR = 2")
    project.apply()
    with project.opened() as workspace:
        roll_back(workspace.graph, workspace.ledger, "prod", "orders")
    assert project.apply().published == ()
    with project.opened() as workspace:
        assert release(workspace.graph, workspace.ledger, "prod", "orders") == ("orders", "by_shop")
        with refused("HR715"):
            release(workspace.graph, workspace.ledger, "prod", "orders")
    applied = project.apply()
    assert applied.made == ()
    assert set(applied.published) == {"orders", "by_shop"}


def test_excluding_an_unknown_batch(project: Project) -> None:
    with project.opened() as workspace, refused("HR716"):
        exclude(workspace.graph, workspace.ledger, "prod", "raw", frozenset({"data/1.csv"}))


def test_promoting_nothing(project: Project) -> None:
    project.apply("dev")
    with project.opened() as workspace, refused("HR712"):
        promote(workspace.graph, workspace.ledger, "dev", "prod")


def test_an_unknown_environment(project: Project) -> None:
    with project.opened() as workspace, refused("HR609"):
        promote(workspace.graph, workspace.ledger, "deev", "prod")


def test_a_rebased_branch_can_be_promoted(project: Project) -> None:
    project.edit("FACTOR = 1", "FACTOR = 2")
    project.apply("dev")
    project.edit("FACTOR = 2", "FACTOR = 1")
    project.write_batch("02", range(10, 20))
    project.apply()
    project.edit("FACTOR = 1", "FACTOR = 2")
    with project.opened() as workspace:
        with refused("HR710"):
            promote(workspace.graph, workspace.ledger, "dev", "prod")
        workspace.rebase("dev")
    project.apply("dev")
    with project.opened() as workspace:
        promote(workspace.graph, workspace.ledger, "dev", "prod")
    assert project.rows("by_shop") == [("a", 20, 380.0)]
    assert project.plan().to_do == ()


def test_the_main_environment_cannot_be_rebased(project: Project) -> None:
    with project.opened() as workspace, refused("HR719"):
        workspace.rebase("prod")


def test_promotion_needs_a_decision_against_what_it_replaces(tmp_path: Path) -> None:
    project = Project(tmp_path / "shop", ORDERS + MODEL.replace("THRESHOLD = 0.5", "THRESHOLD = 0.1"))
    project.write_batch("01", range(200))
    project.apply()
    project.edit("LogisticRegression().fit", "LogisticRegression(C=0.5).fit")
    project.apply("dev")
    with project.opened() as workspace:
        ledger = workspace.ledger
        moves = promotion(ledger.snapshot("dev"), ledger.snapshot("prod"))
        assert [move.node for move in moves] == ["model"]
    project.edit("THRESHOLD = 0.1", "THRESHOLD = 0.2")
    with project.opened() as workspace:
        with refused("HR711"):
            promote(workspace.graph, workspace.ledger, "dev", "prod")
        assert workspace.ledger.snapshot("prod").pointers["model"] == moves[0].expected


def collected(project: Project, keep: timedelta = KEEP_NOTHING) -> set[str]:
    with project.opened() as workspace:
        return {version.node for version in workspace.collect(keep).versions}


def stored(workspace: Workspace) -> tuple[int, int, int]:
    stores = workspace.stores
    return len(stores.tables.paths()), len(stores.artefacts.paths()), len(list(stores.manifests.keys()))


def test_garbage_is_what_nothing_points_to(project: Project) -> None:
    project.edit("FACTOR = 1", "FACTOR = 2")
    project.apply()
    with project.opened() as workspace:
        before = stored(workspace)
        garbage = workspace.garbage(KEEP_NOTHING)
        assert {version.node for version in garbage.versions} == {"orders", "by_shop"}
        assert garbage.size > 0
        assert stored(workspace) == before
    assert collected(project) == {"orders", "by_shop"}
    with project.opened() as workspace:
        tables, artefacts, manifests = stored(workspace)
        assert (tables, artefacts, manifests) == (3, 1, 3)
        assert workspace.garbage(KEEP_NOTHING).versions == ()
    assert project.rows("by_shop") == [("a", 10, 90.0)]


def test_a_retention_time_keeps_what_was_live_within_it(project: Project) -> None:
    project.edit("FACTOR = 1", "FACTOR = 2")
    project.apply()
    assert collected(project, timedelta(days=1)) == set()


def test_another_environment_keeps_its_versions(project: Project) -> None:
    project.edit("FACTOR = 1", "FACTOR = 2")
    project.apply("dev")
    assert collected(project) == set()
    assert project.rows("by_shop", "prod") == [("a", 10, 45.0)]


def test_a_collected_version_can_be_made_again(project: Project) -> None:
    project.edit("FACTOR = 1", "FACTOR = 2")
    project.apply()
    collected(project)
    with project.opened() as workspace, refused("HR714"):
        roll_back(workspace.graph, workspace.ledger, "prod", "orders")
    project.edit("FACTOR = 2", "FACTOR = 1")
    assert project.plan().step("orders").action is Action.MAKE
    project.apply()
    assert project.rows("by_shop") == [("a", 10, 45.0)]


def test_nothing_is_collected_while_a_run_is_in_flight(project: Project) -> None:
    with project.opened() as workspace, workspace.shared(), refused("HR718"):
        workspace.collect(KEEP_NOTHING)
