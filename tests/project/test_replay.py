"""A pipeline run over its own history: what is learnt when, by whose scores, through which gates, at whose cost."""

from __future__ import annotations

import shutil
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from headrace.models.gate import SCORE, read_holdout
from headrace.monitors.policies import Signal, policies_of
from headrace.project.replay import Progress, replay
from headrace.project.replay_answers import Scores
from headrace.project.replay_arrivals import micros
from headrace.project.replay_scratch import Scratch
from headrace.project.replay_world import NAMES, Wish, open_world
from headrace.project.traffic import LiveTraffic
from tests.support.replayed import CHANGE, CODE, replayed_project, rows, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.monitors.policies import Policy
    from headrace.project.replay_report import PolicyReport, Report
    from headrace.project.workspace import Workspace
    from tests.support.projects import Project

WEEK = timedelta(weeks=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
CHANGED = START + timedelta(days=CHANGE)


def wish(*policies: str, days: int = 112, **more: object) -> Wish:
    """The first days of the history, under these policies."""
    plain = Wish(policies_of(policies), START, START + timedelta(days=days))
    return replace(plain, **more)  # type: ignore[arg-type]  # whatever a test says


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return replayed_project(tmp_path_factory.mktemp("replayed"))


def replayed(project: Project, asked: Wish, progress: Progress | None = None) -> Report:
    with project.opened() as workspace:
        return replay(workspace, "prod", asked, progress)


def of(report: Report, name: str) -> PolicyReport:
    return next(each for each in report.policies if each.policy.name == name)


def auc(policy: PolicyReport) -> float:
    value = policy.whole.metrics["roc_auc"].value
    assert value is not None
    return value


@pytest.fixture(scope="module")
def report(project: Project) -> Report:
    """All of the history under the usual policies."""
    return replayed(project, wish())


def test_models_that_are_made_again_follow_a_world_that_changes(report: Report) -> None:
    assert [each.policy.name for each in report.policies] == ["none", "weekly", "drift", "quality"]
    for name in ("weekly", "quality"):
        assert auc(of(report, name)) > auc(of(report, "none")) + 0.1
        compared = of(report, name).compared
        assert compared is not None
        assert compared.difference.low is not None
        assert compared.difference.low > 0
        assert compared.better > 4


def test_each_policy_makes_models_when_it_says(report: Report) -> None:
    assert len(of(report, "none").retrainings) == 1
    weekly = [each.at for each in of(report, "weekly").retrainings]
    first = START + 4 * WEEK
    assert weekly == [first + n * WEEK for n in range(12)]
    quality = of(report, "quality").retrainings
    assert all(each.reason.startswith("usual_quality: roc_auc <") for each in quality[1:])
    assert all(later.at - earlier.at >= WEEK for earlier, later in pairwise(quality[1:]))
    assert 0 < len(quality) < len(weekly)


def test_alerts_are_told_whatever_is_done_about_them(report: Report) -> None:
    none = of(report, "none")
    assert none.happened("raised") > 0
    assert none.happened("acted") == 0
    after = [each.at for each in none.events if each.about == "usual_quality" and each.kind == "raised"]
    assert any(CHANGED < at < CHANGED + 2 * WEEK for at in after)


def test_labels_come_late_and_how_many_is_told(report: Report) -> None:
    weeks = of(report, "weekly").weeks
    assert sum(each.part.rows for each in weeks) == report.questions == of(report, "weekly").whole.rows
    shares = [each.part.share.value or 0.0 for each in weeks]
    assert all(0.94 < share < 0.98 for share in shares[:-1])  # one of 29 is never told
    assert shares[-1] < 0.8
    interval = weeks[0].part.metrics["roc_auc"]
    assert interval.low is not None
    assert interval.high is not None
    assert interval.value is not None
    assert interval.low < interval.value < interval.high


def test_what_several_policies_ask_for_is_made_once(report: Report) -> None:
    made = [each.key for policy in report.policies for each in policy.retrainings]
    assert report.models == len(set(made)) < len(made)
    assert len({policy.retrainings[0].key for policy in report.policies}) == 1
    assert report.spent < sum(policy.seconds for policy in report.policies)
    assert all(each.seconds > 0 for policy in report.policies for each in policy.retrainings)


def test_a_second_replay_makes_nothing_and_comes_to_the_same(project: Project, report: Report) -> None:
    folder = project.folder / ".headrace" / "replay" / "artefacts"
    before = {each: each.stat().st_mtime_ns for each in folder.rglob("*") if each.is_file()}
    again = replayed(project, wish())
    assert {each: each.stat().st_mtime_ns for each in folder.rglob("*") if each.is_file()} == before
    assert again.to_json() == report.to_json()


def copied(project: Project, folder: Path) -> Project:
    """The same project in another folder, made there from its files."""
    shutil.copytree(project.folder, folder / "shop", ignore=shutil.ignore_patterns(".headrace", "__pycache__"))
    other = copy(project)
    other.folder = folder / "shop"
    applied = other.apply()
    assert not applied.failed, applied.failed
    return other


def test_the_same_history_elsewhere_comes_to_the_same(tmp_path: Path, project: Project) -> None:
    other = copied(project, tmp_path)
    states = [
        [each.state for each in replayed(each_project, wish("none", "quality", days=84)).policies]
        for each_project in (project, other)
    ]
    assert states[0] == states[1]


def test_a_policy_does_not_depend_on_those_beside_it(project: Project, report: Report) -> None:
    [alone] = replayed(project, wish("quality")).policies
    assert alone.state == of(report, "quality").state


def test_another_seed_is_another_state(project: Project) -> None:
    states = {replayed(project, wish("none", days=35, seed=seed)).policies[0].state for seed in (0, 1)}
    assert len(states) == 2


def test_nothing_of_the_project_is_touched(project: Project) -> None:
    def told(workspace: Workspace) -> tuple[object, ...]:
        ledger = workspace.ledger
        stored = sorted(ledger.versions(), key=lambda each: each.key)
        return ledger.change_counter(), ledger.environments(), stored, workspace.stores.artefacts.paths()

    with project.opened() as workspace:
        before = told(workspace)
        replay(workspace, "prod", wish("weekly", days=42))
        assert told(workspace) == before


def test_the_model_of_a_day_is_that_of_a_project_which_knows_only_what_was_known(
    tmp_path: Path, project: Project
) -> None:
    now = START + timedelta(days=49, hours=7)
    known = [row for row in rows() if datetime.fromisoformat(str(row[4] or row[3])).replace(tzinfo=UTC) <= now]
    real = replayed_project(tmp_path, only=known)
    with real.opened() as workspace:
        version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["model"])
        assert version is not None
        expected = read_holdout(version, workspace.stores).drop(SCORE)
    with project.opened() as workspace:
        world = open_world(workspace, "prod", wish("none"))
        world.present.now = micros(now)
        with Scratch(workspace, world.graph) as scratch, scratch.life("none", now, 0) as life:
            life.apply()
            found = life.pointed()["model"]
            assert read_holdout(found, scratch.stores).drop(SCORE).equals(expected)
            for fact in ("counts", "cutoff", "boundary", "inputs", "task"):
                assert found.manifest.facts[fact] == version.manifest.facts[fact]


def test_questions_are_scored_as_a_server_scores_them(project: Project) -> None:
    with project.opened() as workspace:
        world = open_world(workspace, "prod", wish("none"))
        pointers = workspace.ledger.snapshot("prod").pointers
        live = workspace.ledger.live([pointers["scores"], pointers["model"]])
        scores = Scores(world.questions, workspace.stores)
        found = scores.of(live[pointers["scores"]], live[pointers["model"]], 0, 500)
        server = LiveTraffic(workspace.ledger, workspace.stores, "prod")
        server.refresh()
        inputs = [each["name"] for each in live[pointers["model"]].manifest.facts["inputs"]]
        records = world.questions.head(500).select(inputs).to_dicts()
        answered = server.route("scores").score(records, world.at[:500].tolist())
        assert np.array_equal(found, answered.scores)
        assert np.ptp(found) > 0.1


class Interrupting(Progress):
    """Interrupts a replay in its middle, as Ctrl-C does."""

    def __init__(self, policy: str, share: float) -> None:
        self._at = policy, share

    def reached(self, policy: Policy, at: datetime, share: float) -> None:  # noqa: ARG002
        if (policy.name, share) >= self._at and policy.name == self._at[0]:
            raise KeyboardInterrupt


def test_an_interrupted_replay_goes_on_with_what_was_made(tmp_path: Path, project: Project) -> None:
    other = copied(project, tmp_path)
    asked = wish("none", "weekly", days=63)
    with pytest.raises(KeyboardInterrupt):
        replayed(other, asked, Interrupting("weekly", 0.6))
    manifests = other.folder / ".headrace" / "replay" / "manifests"
    made = {each: each.stat().st_mtime_ns for each in manifests.rglob("*") if each.is_file()}
    assert made
    again = replayed(other, asked)
    assert {each: each.stat().st_mtime_ns for each in made} == made
    assert [each.state for each in again.policies] == [each.state for each in replayed(project, asked).policies]


def test_new_data_leaves_the_past_as_it_was(tmp_path: Path) -> None:
    cut = [row for row in rows() if str(row[3]) < "2024-02-26"]
    project = replayed_project(tmp_path, only=cut)
    asked = wish("weekly", days=49)
    before = replayed(project, asked).policies[0]
    write_rows(project, "02", [row for row in rows() if "2024-02-26" <= str(row[3]) < "2024-03-11"])
    applied = project.apply()
    assert not applied.failed, applied.failed
    after = replayed(project, asked).policies[0]
    assert [each.key for each in after.retrainings] == [each.key for each in before.retrainings]


def test_a_refused_model_does_not_answer(tmp_path: Path) -> None:
    strict = CODE.replace("champion - 0.05", "champion + 0.5")
    [weekly] = replayed(replayed_project(tmp_path, strict), wish("weekly", days=49)).policies
    assert (weekly.count("made"), weekly.count("refused")) == (0, 2)
    refused = weekly.retrainings[1]
    assert "roc_auc >= champion + 0.5" in refused.told
    assert refused.seconds > 0


def test_a_training_that_fails_is_told_and_the_old_model_goes_on(tmp_path: Path) -> None:
    failing = CODE.replace(
        "    weights =", '    if data.rows > 500:\n        raise ValueError("too many")\n    weights ='
    )
    [weekly] = replayed(replayed_project(tmp_path, failing, may_fail=True), wish("weekly", days=49)).policies
    assert [each.outcome for each in weekly.retrainings] == ["made", "failed", "failed"]
    assert "HR514" in weekly.retrainings[1].told
    assert weekly.whole.rows == weekly.whole.labelled + sum(
        each.part.rows - each.part.labelled for each in weekly.weeks
    )


def test_a_node_that_is_tried_again_elsewhere_is_tried_once(tmp_path: Path) -> None:
    """On a clock that stands still while the engine waits, the pause before another try would never be over."""
    retried = CODE.replace("    orders,\n    label=", "    orders,\n    options=Options(retries=3),\n    label=")
    failing = retried.replace("Contract, Features", "Contract, Features, Options").replace(
        "    weights =", '    if data.rows > 500:\n        raise ValueError("too many")\n    weights ='
    )
    assert "Options(retries=3)" in failing
    cut = [row for row in rows() if str(row[3]) < "2024-02-12"]
    [weekly] = replayed(replayed_project(tmp_path, failing, only=cut, may_fail=True), wish("weekly", days=42)).policies
    assert [each.outcome for each in weekly.retrainings] == ["made", "failed"]


def test_models_are_trained_on_one_thread_so_that_no_sum_depends_on_the_machine(tmp_path: Path) -> None:
    guard = "    assert _openmp_effective_n_threads() == 1\n"
    threads = "from sklearn.utils._openmp_helpers import _openmp_effective_n_threads\n"
    code = CODE.replace("    weights =", f"{guard}    weights =").replace(
        "import polars as pl\n", f"import polars as pl\n{threads}"
    )
    [none] = replayed(replayed_project(tmp_path, code, may_fail=True), wish("none", days=35)).policies
    assert [each.outcome for each in none.retrainings] == ["made"]


def test_usual_monitors_stand_in_where_none_is_declared(project: Project) -> None:
    with project.opened() as workspace:
        world = open_world(workspace, "prod", wish("none"))
    assert world.acting == {Signal.DRIFT: frozenset({"usual_drift"}), Signal.QUALITY: frozenset({"usual_quality"})}


def test_the_questions_are_those_of_the_period_with_what_was_seen_then(project: Project) -> None:
    with project.opened() as workspace:
        world = open_world(workspace, "prod", wish("none"))
    asked = world.questions
    assert asked[NAMES.at].is_sorted()
    assert asked[NAMES.at].min() == world.span.first + timedelta(minutes=20)  # before the first order of the day
    assert (asked["at"] - asked[NAMES.at]).unique().to_list() == [timedelta(hours=1)]
    late = asked.filter(pl.col(NAMES.label).is_not_null())
    assert (late[NAMES.known_at] - late[NAMES.at]).unique().to_list() == [timedelta(days=3, hours=1)]
