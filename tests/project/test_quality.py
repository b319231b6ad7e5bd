"""Quality by labels that come later: which answers find which labels, what is told of them, and what is done."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.monitors.alarm import Kind
from headrace.project.monitoring import Watcher, look, monitors_of, notes_of, state_of
from headrace.project.prediction_place import drain_predictions
from headrace.runtime.observer import Observer
from tests.cli.commands import headrace, inside
from tests.support.answers import log_answers, pointed
from tests.support.projects import ORDERS, Project
from tests.support.served import ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.project.monitoring import Looked
    from headrace.project.workspace import Workspace

MONITORS = """

from headrace import estimated, pause, rollback, run

shop.monitor("wrong", scores, when=metric("accuracy") < 0.6, then=rollback(scores), rows=50, settle="0s")
shop.monitor("wrong_anywhere", scores, when=metric("accuracy").by("orders_30d") < 0.6, then=pause(model), rows=50)
shop.monitor("unsure", scores, when=estimated("accuracy") < 0.6, then=run(by_shop), rows=50)
shop.monitor("unlabelled", scores, when=metric("labelled") < 0.5, rows=50, settle="1h")
"""


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("applied") / "shop", ORDERS + ENDPOINT + MONITORS)
    project.write_batch("01", range(300))
    applied = project.apply()
    assert not applied.failed, applied.failed
    return project


@pytest.fixture
def project(applied: Project, tmp_path: Path) -> Project:
    """A copy of it, where everything is made already."""
    return applied.copied(tmp_path / "shop")


@pytest.fixture
def workspace(project: Project) -> Iterator[Workspace]:
    with project.opened() as workspace:
        workspace.clock = SimulatedClock(workspace.clock.now())  # type: ignore[assignment]  # time passes as told
        yield workspace


def returned(order: int) -> bool:
    return order % 10 > 4


def answer(
    workspace: Workspace, orders: range, *, right: bool = True, key: str | None = "order_id", stage: str | None = None
) -> None:
    """Answers about orders by somebody who knows, or who takes one for the other."""
    rows: list[dict[str, object]] = [{"amount": float(each), "shop": "a"} for each in orders]
    if key is not None:
        rows = [{**row, key: each} for row, each in zip(rows, orders, strict=True)]
    features = [{"amount": float(each), "orders_30d": float(each % 2), "amount_30d": None} for each in orders]
    log_answers(workspace, rows, [0.9 if returned(each) is right else 0.1 for each in orders], features, stage)


def seen(workspace: Workspace, name: str, *, full: bool = False) -> Looked:
    [monitor] = [each for each in monitors_of(workspace, "prod") if each.node == name]
    return look(workspace, "prod", monitor, full=full)


def state(workspace: Workspace, name: str) -> str:
    return state_of(seen(workspace, name))


def test_an_endpoint_says_where_its_labels_stand(workspace: Workspace) -> None:
    place = {"table": "returns", "keys": [["order_id", "Int64"]], "label": "returned", "known_at": "at"}
    assert pointed(workspace, "scores").manifest.facts["labels"] == place
    assert pointed(workspace, "wrong").manifest.facts["delay"] == {"median": 0.0, "most": 0.0}


def test_answers_find_their_labels_in_the_log_and_in_the_table(workspace: Workspace) -> None:
    answer(workspace, range(100))
    looked = seen(workspace, "wrong")
    assert state_of(looked) == "ok"
    assert looked.outcomes[0].seen == "1, 0.963 to 1"
    drain_predictions(workspace, "prod")
    answer(workspace, range(100, 200), right=False)
    looked = seen(workspace, "wrong")
    assert looked.measured.overall["accuracy"] == 0.5
    assert looked.measured.overall["labelled"] == 1.0
    assert state_of(looked) == "due"


def test_answers_without_a_key_or_a_label_are_counted(workspace: Workspace) -> None:
    answer(workspace, range(60))
    answer(workspace, range(60), right=False, key=None)
    answer(workspace, range(9_000, 9_040))  # of which nothing is known yet
    late = seen(workspace, "wrong").late
    assert late is not None
    assert (late.quality.overall.rows, late.keyed, late.quality.overall.labelled) == (160, 100, 60)
    assert late.quality.overall.metrics["accuracy"].value == 1


def test_too_few_labels_tell_nothing(workspace: Workspace) -> None:
    answer(workspace, range(49), right=False)
    answer(workspace, range(9_000, 9_400))
    assert state(workspace, "wrong") == "too few labels"
    assert seen(workspace, "wrong").window.seen == "49 of 50 labels"


def test_what_a_shadow_answers_does_not_count(workspace: Workspace) -> None:
    answer(workspace, range(100), right=False, stage="shadow")
    assert state(workspace, "wrong") == "too few labels"


def test_labels_are_asked_for_when_answers_are_old_enough(workspace: Workspace) -> None:
    answer(workspace, range(9_000, 9_100))
    assert state(workspace, "unlabelled") == "too few answers that are old enough to have labels"
    workspace.clock.sleep(timedelta(hours=1, minutes=1).total_seconds())
    assert state(workspace, "unlabelled") == "due"
    assert seen(workspace, "unlabelled").outcomes[0].seen == "0, 0 to 0.03699"
    answer(workspace, range(200))  # too young to count
    assert state(workspace, "unlabelled") == "due"
    workspace.clock.sleep(timedelta(hours=24).total_seconds())
    looked = seen(workspace, "unlabelled")
    assert (looked.measured.overall["labelled"], state_of(looked)) == (1.0, "ok")


def test_new_labels_are_seen_when_the_table_is_published(workspace: Workspace, project: Project) -> None:
    answer(workspace, range(300, 400), right=False)
    assert state(workspace, "wrong") == "too few labels"
    project.write_batch("02", range(300, 336))
    project.apply()
    answer(workspace, range(300, 336), right=False)
    assert seen(workspace, "wrong").window.seen == "36 of 50 labels"  # that the new model has answered
    project.write_batch("03", range(336, 400))
    with project.opened() as other:
        other.apply(other.question("prod", only=["returns"]), Observer())
    answer(workspace, range(336, 400), right=False)
    assert state(workspace, "wrong") == "due"


def test_quality_by_slice_is_due_where_one_slice_is_bad(workspace: Workspace) -> None:
    even, odd = range(0, 300, 2), range(1, 300, 2)
    answer(workspace, even)
    answer(workspace, odd)
    assert state(workspace, "wrong_anywhere") == "ok"
    assert "in 0 of 2 slices; 0 1, 0.975 to 1" in seen(workspace, "wrong_anywhere").outcomes[0].seen
    answer(workspace, odd, right=False)
    answer(workspace, odd, right=False)
    looked = seen(workspace, "wrong_anywhere")
    assert state_of(looked) == "due"
    assert looked.outcomes[0].seen.startswith("in 1 of 2 slices; 1 0.3333")


def test_scores_alone_tell_an_estimate(workspace: Workspace) -> None:
    rows = [{"amount": 1.0, "shop": "a"}] * 60
    log_answers(workspace, rows, [0.55] * 60)
    looked = seen(workspace, "unsure")
    assert state_of(looked) == "due"
    assert looked.measured.overall["estimated(accuracy)"] == pytest.approx(0.55)
    assert looked.late is None


class Watched:
    """Somebody who watches prod, and what came of it."""

    def __init__(self, workspace: Workspace) -> None:
        self.asked: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.workspace = workspace
        self.watcher = Watcher(workspace, "prod", lambda *asked: self.asked.append(asked), self.said.append)

    def look(self) -> None:
        self.watcher.look()


def test_a_model_that_is_wrong_is_rolled_back_once_its_labels_are_known(workspace: Workspace, project: Project) -> None:
    first = pointed(workspace, "scores").key
    project.edit("C=1.0", "C=0.01")
    project.apply()
    watched = Watched(workspace)
    answer(workspace, range(9_000, 9_100), right=False)
    watched.look()
    assert pointed(workspace, "scores").key != first
    answer(workspace, range(100), right=False)
    watched.look()
    assert pointed(workspace, "scores").key == first
    assert "wrong: raised, accuracy < 0.6 (0, 0 to 0.03699)" in watched.said
    assert "wrong: scores is rolled back, and held there" in watched.said
    assert [note.kind for note in notes_of(workspace, "prod", "wrong")] == [Kind.RAISED, Kind.ACTED]
    [acted] = [
        each
        for each in workspace.ledger.decisions([version.key for version in workspace.ledger.versions("wrong")])
        if each.facts["kind"] == "acted"
    ]
    assert acted.facts["then"] == ["rollback scores"]
    assert acted.facts["reason"].startswith("accuracy < 0.6 (0, ")


def test_a_node_is_paused_where_it_is(workspace: Workspace, project: Project) -> None:
    present = pointed(workspace, "model").key
    answer(workspace, range(300), right=False)
    watched = Watched(workspace)
    watched.look()
    assert "wrong_anywhere: model is held where it is" in watched.said
    snapshot = workspace.ledger.snapshot("prod")
    assert snapshot.holds["model"].reason == "paused by wrong_anywhere"
    assert snapshot.pointers["model"] == present
    project.edit("C=1.0", "C=0.01")
    assert "paused by wrong_anywhere" in headrace(project.folder, "plan").out
    headrace(project.folder, "release", "model")
    assert "wrong_anywhere" not in workspace.ledger.snapshot("prod").holds


def test_any_node_can_be_asked_for(workspace: Workspace) -> None:
    log_answers(workspace, [{"amount": 1.0, "shop": "a"}] * 60, [0.55] * 60)
    watched = Watched(workspace)
    watched.look()
    assert watched.asked == [("by_shop", "unsure")]


def test_what_the_verb_shows_of_quality(workspace: Workspace, project: Project) -> None:
    answer(workspace, range(300))
    answer(workspace, range(60), key=None)
    told = inside(project.folder, "monitors", "wrong_anywhere").out
    assert "300 of 360 labels known (83.3%, 79.1% to 86.8%)" in told
    assert "60 answers carried no key to find a label by" in told
    assert "orders_30d 0" in told
    [found] = json.loads(inside(project.folder, "monitors", "wrong", "--json").out)
    assert found["quality"]["overall"]["labelled"] == 300
    assert found["quality"]["overall"]["metrics"]["accuracy"][0] == 1
    assert found["intervals"]["labelled"] == pytest.approx([0.791, 0.868], abs=1e-3)
    assert found["measured"]["estimated(accuracy)"] == pytest.approx(0.9)


LATE = """

shop.monitor("late", scores, when=[metric("accuracy") < 0.6, metric("labelled") > 0.1], then=rollback(scores))
"""


def test_a_plan_says_that_a_monitor_reacts_late(tmp_path: Path) -> None:
    code = ORDERS + ENDPOINT.replace('label="returned",', 'label="returned", lead="30h",')
    project = Project(tmp_path / "shop", code + "from headrace import rollback\n" + LATE)
    project.write_batch("01", range(300))
    assert "quality is told once returned of returns is known, by at" in headrace(project.folder, "plan").out
    assert not project.apply().failed
    told = "! HR984 late: rollback on accuracy reacts late: its label is known about 1.2 d after the answer"
    assert told in headrace(project.folder, "plan").out
    assert told in headrace(project.folder, "monitors").out
    with project.opened() as workspace:
        workspace.clock = SimulatedClock(workspace.clock.now())  # type: ignore[assignment]
        answer(workspace, range(300), right=False)
        assert seen(workspace, "late").measured.overall["labelled"] is None
        workspace.clock.sleep(30 * 3600 + 60)
        assert state(workspace, "late") == "due"


@pytest.mark.parametrize(
    ("monitor", "code"),
    [
        ('when=metric("rmse") > 3', "HR986"),
        ('when=metric("accuracy").by("shop") < 0.5', "HR982"),
        ('when=metric("accuracy").by("amuont") < 0.5', "HR982"),
    ],
)
def test_what_a_monitor_cannot_tell_of_its_model(tmp_path: Path, monitor: str, code: str) -> None:
    project = Project(tmp_path / "shop", ORDERS + ENDPOINT + f'\nshop.monitor("m", scores, {monitor})\n')
    project.write_batch("01", range(300))
    failed = project.apply().failed
    assert failed["m"]["code"] == code


def test_quality_needs_a_key(tmp_path: Path) -> None:
    code = ENDPOINT.replace("order_id: int = column(key=True)", "order_id: int")
    project = Project(tmp_path / "shop", ORDERS + code + '\nshop.monitor("m", scores, when=metric("accuracy") < 0.5)\n')
    project.write_batch("01", range(300))
    assert project.apply().failed["m"]["code"] == "HR985"
    with project.opened() as workspace:
        assert pointed(workspace, "scores").manifest.facts["labels"] is None


def test_a_label_table_that_has_lost_its_label(workspace: Workspace, project: Project) -> None:
    answer(workspace, range(100))
    project.edit("returned: bool", "came_back: bool")
    project.edit('.alias("returned")', '.alias("came_back")')
    project.edit('label="returned"', 'label="came_back"')
    with project.opened() as other:
        other.apply(other.question("prod", only=["returns"]), Observer())
    watched = Watched(workspace)
    watched.look()
    assert "wrong cannot be looked at: HR988 returns of prod has no column 'returned'" in watched.said
