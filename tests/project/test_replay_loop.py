"""Roll-outs and declared monitors on the simulated clock, and what a replay refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from headrace.errors import HeadraceError
from headrace.monitors.policies import policies_of
from headrace.project.replay import replay
from headrace.project.replay_answers import Scores
from headrace.project.replay_life import Living
from headrace.project.replay_scratch import Scratch, forget
from headrace.project.replay_world import Wish, open_world
from tests.support.projects import Project
from tests.support.replayed import CODE, replayed_project

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.project.replay_report import PolicyReport, Report

START = datetime(2024, 1, 1, tzinfo=UTC)
CANARY = 'shop.endpoint("scores", model, rollout=canary(25, 100, bake="6h", answers=20))'
ABORTED = CANARY.replace("answers=20", 'answers=20, abort_if=metric("mean_score") > 0')


def wish(*policies: str, days: int = 49, **more: object) -> Wish:
    plain = Wish(policies_of(policies), START, START + timedelta(days=days))
    return replace(plain, **more)  # type: ignore[arg-type]  # whatever a test says


def replayed(project: Project, asked: Wish) -> Report:
    with project.opened() as workspace:
        return replay(workspace, "prod", asked)


def with_endpoint(declared: str) -> str:
    code = CODE.replace("Contract, Features", "Contract, Features, canary")
    return code.replace('shop.endpoint("scores", model)', declared)


def watched(declared: str) -> str:
    return CODE.replace("Contract, Features", "Contract, drift, Features, retrain, rollback") + declared


def kinds(policy: PolicyReport, about: str) -> list[str]:
    return [each.kind for each in policy.events if each.about == about]


def test_a_new_version_takes_over_stage_by_stage(tmp_path: Path) -> None:
    code = with_endpoint(CANARY).replace("    features=[ShopHistory],\n", "")  # each order is a request of its own
    project = replayed_project(tmp_path, code)
    [weekly] = replayed(project, wish("weekly")).policies
    assert weekly.count("made") == 2
    assert kinds(weekly, "scores") == ["advance", "finish"] * 2
    steps = [each for each in weekly.events if each.about == "scores"]
    began = weekly.retrainings[1].at
    assert steps[0].text.startswith("25 %: ")
    assert began + timedelta(hours=30) < steps[0].at < began + timedelta(days=5)  # 20 answers at nine a day
    assert steps[1].at - steps[0].at >= timedelta(hours=6)
    [again] = replayed(project, wish("weekly")).policies
    assert again.to_json() == weekly.to_json()


def test_a_candidate_answers_its_share_only(tmp_path: Path) -> None:
    half = CANARY.replace("25, 100", "50, 100").replace(
        "answers=20", "answers=1000"
    )  # to the end: who falls to it varies
    project = replayed_project(tmp_path, with_endpoint(half))
    asked = wish("weekly", days=36, every=timedelta(days=7))
    with project.opened() as workspace:
        world = open_world(workspace, "prod", asked)
        with Scratch(workspace, world.graph) as scratch, scratch.life("weekly", world.span.first, 0) as life:
            living = Living(world, life, asked.policies[0], Scores(world.questions, scratch.stores))
            lived = living.live(asked.every, lambda _: None)
    last = lived.by[-30:].tolist()
    assert set(last) == {0, 1}
    shops = world.questions["shop"].to_list()[-30:]
    assert len(set(zip(shops, last, strict=True))) == len(set(shops)) == 12  # an entity stays with its version


def test_an_aborted_version_is_held_until_the_next_model_is_asked_for(tmp_path: Path) -> None:
    code = with_endpoint(ABORTED).replace("    features=[ShopHistory],\n", "")
    [weekly] = replayed(replayed_project(tmp_path, code), wish("weekly")).policies
    assert kinds(weekly, "scores") == ["abort", "abort"]
    assert [each.outcome for each in weekly.retrainings] == ["made", "made", "made"]
    aborts = [each for each in weekly.events if each.kind == "abort"]
    assert "mean_score > 0" in aborts[0].text


def test_declared_monitors_are_those_that_a_policy_acts_upon(tmp_path: Path) -> None:
    declared = """
shop.monitor("quality", scores, when=metric("roc_auc") < 0.9, then=retrain(model), over="5d", rows=50, cooldown="3d")
shop.monitor("told", scores, when=drift("prediction") > 0.05, over="5d", rows=50, budget="2/week")
shop.monitor("slow", scores, when=metric("p99_ms") > 50, then=rollback(scores))
"""
    project = replayed_project(tmp_path, watched(declared))
    report = replayed(project, wish("quality", "drift", days=84))
    assert set(report.monitors) == {"quality", "told"}
    assert "roc_auc < 0.9 over 5d; acts every 3d at most" in report.monitors["quality"]
    assert "at most 2 a week" in report.monitors["told"]
    assert any("slow is left out" in each for each in report.notes)
    quality, drift = report.policies
    assert {each.reason.partition(":")[0] for each in quality.retrainings[1:]} == {"quality"}
    assert quality.happened("acted") == len(quality.retrainings) - 1 > 0
    acted = [each.at for each in quality.events if each.kind == "acted"]
    assert all(later - earlier >= timedelta(days=3) for earlier, later in pairwise(acted))
    assert {each.reason.partition(":")[0] for each in drift.retrainings[1:]} <= {"told"}
    answers = [each for each in quality.events if each.kind == "raised" and each.about == "quality"]
    assert answers
    assert answers[0].at > START + timedelta(days=59)  # the world changed on day 56, and labels take three days


def test_slices_and_estimates_are_watched_as_of_a_live_endpoint(tmp_path: Path) -> None:
    declared = """
shop.monitor("by_shop", scores, when=metric("accuracy").by("shop") < 0.8, then=retrain(model), over="42d", rows=50)
shop.monitor("unsure", scores, when=estimated("accuracy") < 0.999, over="7d", rows=50)
shop.monitor("latest", scores, when=(drift() > 0.5) & (metric("roc_auc") < 0.99), over=180, rows=50)
"""
    code = watched(declared).replace("Features, retrain", "Features, estimated, retrain")
    report = replayed(replayed_project(tmp_path, code), wish("none", days=98))
    [none] = report.policies
    raised = {each.about: each for each in none.events if each.kind == "raised"}
    assert " slices; " in raised["by_shop"].text
    assert raised["by_shop"].at > START + timedelta(days=56)
    assert "estimated(accuracy) < 0.999 (0." in raised["unsure"].text
    assert "over the last 180 answers; acts" in report.monitors["latest"]
    assert "psi(*) > 0.5 (in " in raised["latest"].text


def test_labels_of_a_query_are_replayed_as_well(tmp_path: Path) -> None:
    query = """
told = shop.sql("told", "select * from orders where amount >= 0", orders, contract=Order)


@shop.model(
    told,"""
    code = CODE.replace("@shop.model(\n    orders,", query.strip())
    assert "told," in code
    [weekly] = replayed(replayed_project(tmp_path, code), wish("weekly", days=42)).policies
    assert [each.outcome for each in weekly.retrainings] == ["made", "made"]


def test_a_monitor_that_goes_back_does_so_under_every_policy(tmp_path: Path) -> None:
    declared = """
shop.monitor("worse", scores, when=metric("roc_auc") < 0.9, then=rollback(scores), over="5d", rows=50, cooldown="14d")
"""
    report = replayed(replayed_project(tmp_path, watched(declared)), wish("none", "weekly", days=77))
    none, weekly = report.policies
    assert "stayed" in kinds(none, "scores")
    assert "rolled back" in kinds(weekly, "scores")
    back = next(each.at for each in weekly.events if each.kind == "rolled back")
    later = [each for each in weekly.retrainings if each.at > back]
    assert later
    assert {each.outcome for each in later} == {"made"}


def test_a_monitor_may_go_back_and_have_a_model_made(tmp_path: Path) -> None:
    declared = """
both = (rollback(scores), retrain(model))
shop.monitor("worse", scores, when=metric("roc_auc") < 0.9, then=both, over="5d", rows=50, cooldown="10d")
"""
    report = replayed(replayed_project(tmp_path, watched(declared)), wish("quality", days=84))
    [quality] = report.policies
    acted = [each.at for each in quality.events if each.kind == "acted"]
    assert len(acted) > 1
    assert [each.at for each in quality.retrainings[1:]] == acted
    assert kinds(quality, "scores") == ["stayed", *["rolled back"] * (len(acted) - 1)]


def test_a_regression_is_compared_by_its_error(tmp_path: Path) -> None:
    code = CODE.replace("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
    code = code.replace("returned: bool | None", "returned: float | None")
    code = code.replace('pl.col("amount").cast(pl.Float64))', 'pl.col("amount", "returned").cast(pl.Float64))')
    code = code.replace(
        'gate=[metric("roc_auc") >= 0.01, metric("roc_auc") >= champion - 0.05]', 'gate=[metric("rmse") <= 10]'
    )
    report = replayed(replayed_project(tmp_path, code), wish("none", "quality", days=84))
    none, quality = report.policies
    assert report.metric == "rmse"
    assert "r2 < its evaluation" in report.monitors["usual_quality"]
    assert quality.compared is not None
    assert quality.compared.difference.value is not None
    assert quality.compared.difference.value < 0  # a smaller error
    assert (none.whole.metrics["rmse"].value or 0) > (quality.whole.metrics["rmse"].value or 1)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return replayed_project(tmp_path_factory.mktemp("refused"))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (wish(endpoint="score"), "HR990"),
        (wish(days=28), "HR993"),
        (wish(every=timedelta()), "HR993"),
        (wish(start=START + timedelta(days=90), end=START), "HR993"),
        (wish(start=START + timedelta(days=900), end=START + timedelta(days=999)), "HR994"),
        (wish("none", warm_up=timedelta(days=2)), "HR998"),
    ],
)
def test_what_cannot_be_replayed_is_refused(project: Project, asked: Wish, code: str) -> None:
    with pytest.raises(HeadraceError, match=code):
        replayed(project, asked)


def test_a_mistyped_endpoint_is_told_what_may_have_been_meant(project: Project) -> None:
    with pytest.raises(HeadraceError, match="HR990") as raised:
        replayed(project, wish(endpoint="score"))
    assert "scores" in raised.value.fix


def test_several_endpoints_have_to_be_told_apart(tmp_path: Path) -> None:
    project = Project(tmp_path / "shop", CODE + '\nother = shop.endpoint("other", model)\n')
    with pytest.raises(HeadraceError, match="HR990") as raised:
        replayed(project, wish())
    assert "--endpoint other" in raised.value.fix


def test_a_pipeline_without_an_endpoint_is_refused(tmp_path: Path) -> None:
    project = Project(tmp_path / "shop", CODE.partition("scores = shop.endpoint")[0])
    with pytest.raises(HeadraceError, match="HR990"):
        replayed(project, wish())


def test_tables_of_other_code_are_refused(tmp_path: Path) -> None:
    project = replayed_project(tmp_path)
    project.edit('pl.col("amount").cast(pl.Float64)', 'pl.col("amount").cast(pl.Float64) * 2')
    with pytest.raises(HeadraceError, match="HR996") as raised:
        replayed(project, wish())
    assert "headrace apply prod" in raised.value.fix


def test_one_replay_at_a_time(project: Project) -> None:
    with project.opened() as workspace:
        world = open_world(workspace, "prod", wish("none"))
        with Scratch(workspace, world.graph):
            with pytest.raises(HeadraceError, match="HR997"):
                replay(workspace, "prod", wish("none"))
            with pytest.raises(HeadraceError, match="HR997"):
                forget(workspace)
