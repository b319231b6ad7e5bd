"""The cases that the design decides, played through with real files, workers, tables and a real ledger."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from headrace.errors import HeadraceError
from headrace.ports.work import Action
from headrace.runtime.environments import exclude, promote, roll_back
from tests.support.projects import MODEL, ORDERS, Project, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headrace.runtime.applied import Applied


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "shop")
    made.write_batch("01", range(10))
    return made


def test_applying_again_makes_nothing(project: Project) -> None:
    first = project.apply()
    assert set(first.made) == {"raw", "orders", "by_shop"}
    assert project.plan().to_do == ()
    assert project.apply().made == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("    shop: str\n", '    shop: str = column(matches="[a-z]+")\n'),
        ("FACTOR = 1", 'FACTOR = pl.DataFrame({"x": [1, 0]}).filter(pl.col("x") > 0)["x"].item()'),
    ],
    ids=["by a contract", "by its own code"],
)
def test_a_project_that_computes_while_it_is_loaded_has_workers_that_work(
    project: Project, before: str, after: str
) -> None:
    project.edit(before, after)
    project.edit('files("data/*.csv"))', 'files("data/*.csv"), options=Options(timeout="30s"))')
    applied = project.apply()
    assert set(applied.made) == {"raw", "orders", "by_shop"}
    assert project.ids() == list(range(10))


def test_two_environments_append_to_one_table_in_turn(project: Project) -> None:
    project.apply()
    project.write_batch("02", range(10, 20))
    project.apply("dev")
    project.write_batch("03", range(20, 30))
    project.apply()
    (project.folder / "data" / "03.csv").unlink()
    project.write_batch("04", range(30, 40))
    project.apply("dev")
    assert project.ids("prod") == list(range(30))
    assert project.ids("dev") == [*range(20), *range(30, 40)]


def test_two_environments_share_what_is_finished(project: Project) -> None:
    project.apply("dev")
    applied = project.apply("prod")
    assert applied.made == ()
    assert project.ids("prod") == project.ids("dev") == list(range(10))


def test_a_chain_that_is_made_already_is_published_at_once(project: Project) -> None:
    project.apply("dev")
    project.write_code(
        project.code + "\n\n@shop.table(by_shop)\ndef top(rows: pl.LazyFrame) -> pl.LazyFrame:\n    return rows\n"
    )
    applied = project.apply("prod")
    assert applied.adopted == ("raw", "orders", "by_shop")
    assert applied.made == ("top",)
    assert set(applied.published) == {"raw", "orders", "by_shop", "top"}


def test_roll_back_then_append(project: Project) -> None:
    project.apply()
    project.write_batch("02", range(10, 20))
    project.apply()
    with project.opened() as workspace:
        roll_back(workspace.graph, workspace.ledger, "prod", "orders")
    assert project.ids() == list(range(10))
    assert project.plan().step("orders").action is Action.HELD
    project.write_batch("03", range(20, 30))
    project.apply()
    assert project.ids() == list(range(10))
    with project.opened() as workspace:
        released = exclude(workspace.graph, workspace.ledger, "prod", "raw", frozenset({"data/02.csv"}))
    assert released == ("orders", "by_shop")
    project.apply()
    assert project.ids() == [*range(10), *range(20, 30)]


def test_a_refused_gate_beside_a_good_table(tmp_path: Path) -> None:
    project = Project(tmp_path / "shop", ORDERS + MODEL.replace("THRESHOLD = 0.5", "THRESHOLD = 1.1"))
    project.write_batch("01", range(200))
    applied = project.apply()
    assert list(applied.refused) == ["model"]
    assert set(applied.published) == {"raw", "orders", "by_shop", "returns"}
    plan = project.plan()
    assert plan.step("model").action is Action.REFUSED
    assert "accuracy >= 1.1" in plan.step("model").reason
    assert not plan.to_do
    project.edit("THRESHOLD = 1.1", "THRESHOLD = 0.1")
    applied = project.apply()
    assert applied.made == ()
    assert applied.published == ("model",)


WAIT = """

import os, pathlib

@shop.table(raw)
def slow(rows: pl.LazyFrame) -> pl.LazyFrame:
    with open("{fifo}") as gate:
        gate.read()
    return rows.select("order_id")
"""


@pytest.fixture
def gate(tmp_path: Path) -> Callable[[], None]:
    """A named pipe that a node waits on; calling the fixture lets the node go on."""
    path = tmp_path / "gate"
    os.mkfifo(path)

    def go_on() -> None:
        path.write_text("go")

    return go_on


def test_code_edited_while_a_run_is_in_flight(project: Project, gate: Callable[[], None], tmp_path: Path) -> None:
    project.write_code(project.code + WAIT.format(fifo=tmp_path / "gate"))
    planned = project.plan()
    run = _Background(project)
    run.started.wait(30)
    project.edit("FACTOR = 1", "FACTOR = 2")
    gate()
    applied = run.join()
    assert not applied.failed
    with project.opened() as workspace:
        pointers = workspace.ledger.snapshot("prod").pointers
    assert pointers["orders"] == planned.step("orders").key
    plan = project.plan()
    assert [step.node for step in plan.to_do] == ["orders", "by_shop"]
    assert plan.step("orders").reason == "code changed"


class _Background:
    """An apply in a thread of its own; `started` is set once the slow node runs."""

    def __init__(self, project: Project) -> None:
        self.started = threading.Event()
        outer = self

        class Watch(Recorder):
            def step_started(self, node: str, attempt: int) -> None:
                super().step_started(node, attempt)
                if node == "slow":
                    outer.started.set()

        self.recorder = Watch()
        self._thread = threading.Thread(target=self._run, args=(project,))
        self._thread.start()

    def _run(self, project: Project) -> None:
        self.applied = project.apply(observer=self.recorder)

    def join(self) -> Applied:
        self._thread.join(60)
        return self.applied


def test_promotion_is_three_way(project: Project) -> None:
    project.apply()
    project.edit("FACTOR = 1", "FACTOR = 2")
    project.apply("dev")
    with project.opened() as workspace:
        moved = promote(workspace.graph, workspace.ledger, "dev", "prod")
    assert {move.node for move in moved.moves} == {"orders", "by_shop"}
    assert project.rows("by_shop") == [("a", 10, 90.0)]
    assert project.plan().to_do == ()


def test_promotion_refuses_what_moved_in_both(project: Project) -> None:
    project.apply()
    project.edit("FACTOR = 1", "FACTOR = 2")
    project.apply("dev")
    project.edit("FACTOR = 2", "FACTOR = 3")
    project.apply()
    with project.opened() as workspace, pytest.raises(HeadraceError, match="HR710") as caught:
        promote(workspace.graph, workspace.ledger, "dev", "prod")
    assert "headrace apply dev --rebase" in str(caught.value)
