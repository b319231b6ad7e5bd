"""`headrace up` as a user has it: a real supervisor, real data that comes in, real deaths."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import httpx
import pytest

from headrace.errors import HeadraceError
from headrace.project.serving import Where
from headrace.project.up import Ways, up
from tests.support.projects import ORDERS, Project
from tests.support.served import ENDPOINT
from tests.support.two_sources import TwoSources
from tests.support.upheld import until, upheld

if TYPE_CHECKING:
    from pathlib import Path

ROW = {"shop": "a", "amount": 7.0}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "shop", ORDERS + ENDPOINT)
    project.write_batch("01", range(300))
    return project


def answer(address: str) -> dict[str, object]:
    found: dict[str, object] = httpx.post(f"{address}/predict/scores", json=ROW).raise_for_status().json()
    return found


def test_from_nothing_to_a_live_model_that_follows_its_data(project: Project) -> None:
    with upheld(project) as told:
        told.until("Applying: the beginning")
        address = told.address()
        first = answer(address)["model"]
        project.write_batch("02", range(300, 336))
        told.until("Applying: new data")
        assert "published to prod" in told.until("made")
        until(lambda: answer(address)["model"] != first)
        told.process.send_signal(signal.SIGTERM)
        told.until("Stopping")
        assert told.process.wait(60) == 0


def test_another_supervisor_stands_by_and_takes_over(project: Project) -> None:
    with upheld(project) as first:
        address = first.address()
        port = int(address.rpartition(":")[2])
        with upheld(project, port) as second:
            assert f"process {first.process.pid} looks after prod" in second.until("Standing by")
            first.process.kill()
            second.until("Taking over prod")
            assert second.address() == address
            assert answer(address)["version"]


def test_one_that_stands_by_ends_when_it_is_told_to(project: Project) -> None:
    with upheld(project) as first:
        first.until("Looking after")
        with upheld(project) as second:
            second.until("Standing by")
            second.process.terminate()
            assert second.process.wait(60) == 0


def test_an_apply_that_fails_is_tried_again_when_there_is_new_data(project: Project) -> None:
    good = project.code
    project.edit("rows.with_columns", "rows.with_colums")
    with upheld(project) as told:
        told.until("HR")
        assert "another one begins in 5 s" in told.until("ended with 3")
        project.write_code(good)
        project.write_batch("02", range(300, 336))
        told.until("new data")
        assert answer(told.address())["version"]


def test_a_source_that_is_lost_holds_up_no_other(tmp_path: Path) -> None:
    shop = TwoSources(tmp_path / "two")
    shop.write_batch("01", range(3))
    shop.customers("Ada")
    with upheld(shop) as told:
        told.until("Applying: the beginning")
        told.until("published to prod")
        shop.lose()
        told.until("Applying: customers cannot be observed")
        told.until("x customers cannot be observed: HR341")
        assert "another one begins in 5 s" in told.until("ended with 1")
        shop.write_batch("02", range(3, 5))
        told.until("Applying: ")
        assert "2 made, 1 not observed, 2 left out because of that; 2 published" in told.until("made")
        shop.mend()
        told.until("customers can be observed again")
        assert "1 published to prod" in told.until("made")
    assert len(shop.rows("both")) == 5


def test_a_kill_in_the_middle_loses_nothing(project: Project) -> None:
    with upheld(project) as told:
        told.until("Applying")
        told.process.kill()
    with upheld(project) as told:
        assert answer(told.address())["version"]
    with project.opened() as workspace:
        made = [version.key for version in workspace.ledger.versions()]
    assert len(made) == len(set(made))


def test_an_address_that_cannot_be_used_is_told(project: Project) -> None:
    project.apply()
    with project.opened() as workspace, pytest.raises(HeadraceError, match="HR953"):
        up(workspace, "prod", Ways(Where("0.0.0.0", 0)), lambda _: None)  # noqa: S104 - that is the point
