"""What a server answered with against what training would see, on a real log; and how late features come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from headrace.endpoints.replay import LookedUp
from headrace.endpoints.service import Logged, Scored
from headrace.errors import HeadraceError
from headrace.project.parity import RecordedPast, check_parity
from headrace.project.prediction_place import drain_predictions, folder_of
from headrace.project.publish_lag import publish_lag
from headrace.runtime.environments import roll_back
from tests.cli import golden
from tests.cli.commands import inside
from tests.support.predictions import AT, log_in
from tests.support.served import served_project, serving

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.project.workspace import Workspace
    from tests.support.projects import Project

CUTOFF = "2024-11-21T00:00:00+00:00"
CUTOFF_MICROS = 1_732_147_200_000_000
LATE = "order_id,shop,amount,at\n9001,a,9,2024-11-19T12:00:00\n"
NEW = "order_id,shop,amount,at\n9002,a,9,2024-11-21T12:00:00\n9003,b,8,2024-11-22T12:00:00\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose server answered: twice with look-ups, once with features that were sent."""
    made = served_project(tmp_path)
    with serving(made) as (address, _):
        records: list[dict[str, Any]] = [{"shop": "a", "amount": 7.0}, {"shop": "nobody", "amount": 1.0}]
        sent = [{"shop": "a", "amount": 7.0, "orders_30d": 3}]
        for each in (records, sent):
            asked = {"records": each, "at": CUTOFF}
            httpx.post(f"{address}/predict/scores", json=asked).raise_for_status()
    return made


def add(project: Project, name: str, content: str) -> None:
    (project.folder / "data" / f"{name}.csv").write_text(content)
    applied = project.apply()
    assert not applied.failed, applied.failed


def plant(
    workspace: Workspace, features: dict[str, Any], at: int = AT, generations: dict[str, str] | None = None
) -> str:
    """Log an answer as a server would that looked this up for the shop "a"."""
    pointers = workspace.ledger.snapshot("prod").pointers
    inputs = {"shop": "a", "amount": 7.0}
    with log_in(folder_of(workspace.settings.state, "prod")) as log:
        (identity,) = log.ids(1)
        log.append(
            Logged(
                endpoint="scores",
                key=pointers["scores"],
                model=pointers["model"],
                generations=generations or {"ShopHistory": pointers["ShopHistory.online"]},
                at=at,
                ids=[identity],
                rows=[inputs],
                cutoffs=[CUTOFF_MICROS],
                scored=Scored(np.zeros(1), [{**inputs, **features}], [{"ShopHistory": None}]),
                micros=[100],
            )
        )
    return str(identity)


def test_what_the_server_looked_up_is_what_training_sees(project: Project) -> None:
    text = inside(project.folder, "parity", "scores").out
    assert "3 answers" in text
    assert "5 values compared, all agree" in text
    told = inside(project.folder, "parity", "scores", "prod", "--json").data
    assert (told["answers"], told["compared"], told["differing"], told["sent"]) == (3, 5, 0, 1)
    with project.opened() as workspace:
        drain_predictions(workspace, "prod")
        assert check_parity(workspace, "scores", "prod").to_json() == told
        assert check_parity(workspace, "scores", "prod", size=1).to_json() == told
        assert check_parity(workspace, "scores", "prod", last=1).answers == 1


def test_a_row_that_came_late_is_found_and_named(project: Project) -> None:
    add(project, "02", LATE)
    told = inside(project.folder, "parity", "scores", code=5)
    golden.check("parity", golden.normal(told.out))
    found = inside(project.folder, "parity", "scores", "--json", code=5).data
    assert (found["compared"], found["differing"]) == (5, 3)
    orders, amount = found["features"]
    assert (orders["view"], orders["feature"], orders["reasons"]) == ("ShopHistory", "orders_30d", {"late": 1})
    assert amount["reasons"] == {"late": 2}
    example = orders["examples"][0]
    assert (example["entity"], example["cutoff"]) == ({"shop": "a"}, CUTOFF_MICROS)
    assert example["offline"] == example["online"] + 1


def test_a_value_that_was_never_there_is_found_and_named(project: Project) -> None:
    with project.opened() as workspace:
        assert check_parity(workspace, "scores", "prod").differing == 0
        planted = plant(workspace, {"orders_30d": 12_345, "amount_30d": None})
        report = check_parity(workspace, "scores", "prod")
    examples = [each for feature in report.features.values() for each in feature.examples]
    assert {(each.answer.id, str(each.reason)) for each in examples} == {(planted, "store")}
    assert [each.online for each in examples] == [12_345, None]
    text = inside(project.folder, "parity", "scores", code=5).out
    assert "orders_30d: online 12345, offline " in text
    assert "the look-up or the store is wrong" in text


def test_an_old_generation_is_told_from_a_late_row(project: Project) -> None:
    """By what the environment had at the moment of the answer, whatever it has now."""
    with project.opened() as workspace:
        before = workspace.ledger.snapshot("prod").pointers
    add(project, "02", LATE)
    with project.opened() as workspace:
        after = workspace.ledger.snapshot("prod").pointers
        now = int(workspace.clock.now().timestamp() * 1_000_000)
        assert after["ShopHistory"] != before["ShopHistory"]
        past = RecordedPast(workspace.ledger, workspace.stores, workspace.ledger.snapshot("prod"))
        [looked] = _looked(workspace)
        assert past.present(looked) == after["ShopHistory"]
        assert past.filled(before["ShopHistory.online"]) == before["ShopHistory"]
        assert past.filled("0" * 64) is None
        assert past.pointed(looked, now, before["ShopHistory"]) == after["ShopHistory"]
        assert past.pointed(looked, 0, before["ShopHistory"]) == before["ShopHistory"]
        generations = {"ShopHistory": before["ShopHistory.online"]}
        stale = plant(workspace, {"orders_30d": 27, "amount_30d": 286.0}, now, generations)
        report = check_parity(workspace, "scores", "prod", last=1)
        reasons = {(each.answer.id, str(each.reason)) for f in report.features.values() for each in f.examples}
        assert reasons == {(stale, "behind")}
        roll_back(workspace.graph, workspace.ledger, "prod", "ShopHistory")
        again = RecordedPast(workspace.ledger, workspace.stores, workspace.ledger.snapshot("prod"))
        later = int(workspace.clock.now().timestamp() * 1_000_000)
        assert again.pointed(looked, later, after["ShopHistory"]) == after["ShopHistory"]
        assert again.present(looked) == before["ShopHistory"]


def _looked(workspace: Workspace) -> list[LookedUp]:
    model = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["model"])
    assert model is not None
    return [LookedUp.of(each) for each in model.manifest.facts["views"]]


def test_answers_of_an_earlier_definition_are_replayed_by_it(project: Project) -> None:
    project.edit('count(over="30d")', 'count(over="3d")')
    project.edit("amount_30d: float", "amount_31d: float")
    project.apply()
    told = inside(project.folder, "parity", "scores", "--json").data
    assert (told["compared"], told["differing"], told["skipped"]) == (5, 0, 0)
    assert {each["feature"] for each in told["features"]} == {"orders_30d", "amount_30d"}


def test_answers_of_a_branch_are_its_own(project: Project) -> None:
    project.apply("dev")
    assert inside(project.folder, "parity", "scores", "dev").out.startswith("scores in dev: no answer to replay.")
    assert inside(project.folder, "parity", "scores", "--since", "0s", "--json").data["answers"] == 0


@pytest.mark.parametrize(("name", "code"), [("score", "HR830"), ("model", "HR480")])
def test_what_is_no_endpoint(project: Project, name: str, code: str) -> None:
    with project.opened() as workspace, pytest.raises(HeadraceError) as caught:
        check_parity(workspace, name, "prod")
    assert caught.value.code == code


def test_how_long_rows_took_to_be_there(tmp_path: Path) -> None:
    project = served_project(tmp_path)
    assert "nothing was measured yet; its declared delay is 5m" in inside(project.folder, "show", "ShopHistory").out
    add(project, "02", LATE)  # history: older than what was published
    with project.opened() as workspace:
        lag = publish_lag(workspace, "prod", "ShopHistory")
        assert lag is not None
        assert (lag.publishes, lag.rows) == (0, 0)
    add(project, "03", NEW)
    with project.opened() as workspace:
        lag = publish_lag(workspace, "prod", "ShopHistory")
        assert lag is not None
        assert (lag.publishes, lag.rows) == (1, 2)
        assert lag.late  # the orders are years old
        assert publish_lag(workspace, "prod", "returns") is None
    shown = inside(project.folder, "show", "ShopHistory")
    assert "publish lag" in shown.out
    assert "! HR481: ShopHistory declares a delay of 5m" in shown.out
    data = inside(project.folder, "show", "ShopHistory", "--json").data
    assert data["publish_lag"]["late"] is True
    assert "publish_lag" not in inside(project.folder, "show", "returns", "--json").data
    [told] = inside(project.folder, "parity", "scores", "--json").data["lags"]
    assert told == data["publish_lag"]
