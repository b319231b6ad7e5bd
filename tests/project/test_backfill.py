"""Forward only and backfills on a small real project: what stays, what is made again, and that it is made once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from headrace.errors import HeadraceError
from headrace.ports.work import Action
from headrace.project.backfill import Backfill, Choice, Part, backfill, make_parts
from headrace.runtime.environments import roll_back
from headrace.runtime.observer import Observer
from tests.support.projects import MODEL, ORDERS, Project

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.plan.plan import Plan
    from headrace.ports.records import Version
    from headrace.runtime.applied import Applied

PARTED = ORDERS.replace("incremental=True", 'incremental=True, partition_by="month"')
EDIT = ("* FACTOR", "* FACTOR * 2")


@pytest.fixture(scope="module")
def began(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three months of orders, each in a file of its own, made and published."""
    project = Project(tmp_path_factory.mktemp("backfill") / "shop", PARTED)
    for month in range(3):
        project.write_batch(f"m{month + 1}", range(month * 28, month * 28 + 3))
    project.apply()
    return project


@pytest.fixture
def shop(began: Project, tmp_path: Path) -> Project:
    return began.copied(tmp_path / "shop")


@pytest.fixture(scope="module")
def changed(began: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same project with other code, only to be looked at."""
    project = began.copied(tmp_path_factory.mktemp("changed") / "shop")
    project.edit(*EDIT)
    return project


def amounts(project: Project) -> dict[int, float]:
    return {int(str(row[0])): float(str(row[2])) for row in project.rows("orders")}


def apply_forward(project: Project) -> Applied:
    with project.opened() as workspace:
        return workspace.apply(workspace.question(forward=["orders"]), Observer())


def plan_forward(project: Project) -> Plan:
    with project.opened() as workspace:
        return workspace.plan(workspace.question(forward=["orders"]))


def planned(project: Project, choice: Choice | None = None, node: str = "orders") -> Backfill:
    with project.opened() as workspace:
        return backfill(workspace, None, node, choice or Choice())


def performed(project: Project, choice: Choice | None = None, most: int | None = None) -> list[str]:
    """Do a backfill, or only its first parts; answers the names of the parts that were made."""
    made: list[str] = []

    def told(part: Part, number: int, total: int) -> None:  # noqa: ARG001 - the narrator's interface
        made.append(part.name)

    with project.opened() as workspace:
        found = backfill(workspace, None, "orders", choice or Choice())
        if most is not None:
            found = replace(found, parts=found.parts[:most])
        assert make_parts(workspace, found, Observer(), told) is None
        if most is None:
            workspace.apply(found.question, Observer())
    return made


def pointed(project: Project, node: str = "orders") -> Version:
    with project.opened() as workspace:
        version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers[node])
    assert version is not None
    return version


def made_attempts(project: Project, node: str = "orders") -> list[str]:
    with project.opened() as workspace:
        runs = workspace.ledger.runs()
        return [each.key for run in runs for each in workspace.ledger.attempts(run.id) if each.node == node]


def test_a_changed_past_row_changes_what_is_made_from_it(shop: Project) -> None:
    before = {row[0]: row[2] for row in shop.rows("by_shop")}
    shop.write_batch("m1", [0, 1, 500])
    plan = shop.plan()
    assert "changes 1 of 3 batches" in "; ".join(_growth(plan))
    applied = shop.apply()
    assert set(applied.made) == {"raw", "orders", "by_shop"}
    assert {row[0]: row[2] for row in shop.rows("by_shop")} == {"a": float(str(before["a"])) + 498}


def _growth(plan: Plan) -> list[str]:
    from headrace.plan.render import render

    return render(plan, {})


def test_changed_code_rebuilds_unless_it_is_to_go_forward_only(shop: Project) -> None:
    shop.edit(*EDIT)
    plain = shop.plan().step("orders")
    assert plain.base is None
    forward = plan_forward(shop).step("orders")
    assert forward.action is Action.MAKE
    assert "forward only: 3 of 3 batches stay as earlier code made them" in forward.details
    assert forward.key != plain.key
    apply_forward(shop)
    shop.write_batch("m4", [84])
    shop.apply()
    assert amounts(shop) == {**{n: n for n in (0, 1, 2, 28, 29, 30, 56, 57, 58)}, 84: 168}, "the mark stays"
    shop.write_batch("m1", [0, 1])
    shop.apply()
    assert amounts(shop)[1] == 2, "a changed batch sees the new code"
    assert shop.plan().step("orders").action is Action.KEEP


def test_a_backfill_makes_the_same_version_as_a_rebuild(shop: Project, tmp_path: Path) -> None:
    shop.edit(*EDIT)
    rebuilt = shop.copied(tmp_path / "rebuilt")
    rebuilt.apply()
    assert performed(shop) == ["2024-01", "2024-02", "2024-03"]
    assert pointed(shop).key == pointed(rebuilt).key
    assert amounts(shop) == amounts(rebuilt)
    assert not planned(shop).parts


def test_some_partitions_go_and_the_others_stay(shop: Project) -> None:
    shop.edit(*EDIT)
    found = planned(shop, Choice(("2024-02..2024-02",)))
    assert [part.name for part in found.parts] == ["2024-02"]
    assert found.stay == 2
    assert [step.node for step in found.downstream] == ["by_shop"]
    performed(shop, Choice(("2024-02..2024-02",)))
    assert amounts(shop)[28] == 56
    assert amounts(shop)[56] == 56
    performed(shop)
    assert amounts(shop)[56] == 112


@pytest.mark.parametrize(
    ("named", "parts"),
    [
        (("2024-02..",), ["2024-02", "2024-03"]),
        (("..2024-02",), ["2024-01", "2024-02"]),
        (("..2024",), ["2024-01", "2024-02", "2024-03"]),
        (("2024-01", "2024-03"), ["2024-01", "2024-03"]),
        (("data/m2.csv",), ["2024-02"]),
    ],
)
def test_names_of_parts(changed: Project, named: tuple[str, ...], parts: list[str]) -> None:
    assert [part.name for part in planned(changed, Choice(named)).parts] == parts


def test_it_goes_on_where_it_was_and_readers_see_nothing_of_it(shop: Project) -> None:
    shop.edit(*EDIT)
    before, live = amounts(shop), pointed(shop).key
    assert performed(shop, most=2) == ["2024-01", "2024-02"]
    assert (amounts(shop), pointed(shop).key) == (before, live)
    assert [part.done for part in planned(shop).parts] == [True, True, False]
    assert performed(shop) == ["2024-03"]
    assert amounts(shop)[1] == 2
    keys = made_attempts(shop)
    assert len(keys) == len(set(keys)), "nothing is made twice"


def test_new_data_in_a_pause_does_not_make_it_begin_again(shop: Project) -> None:
    shop.edit(*EDIT)
    performed(shop, most=2)
    shop.write_batch("m4", [84])
    with shop.opened() as workspace:
        found = backfill(workspace, None, "orders", Choice())
        step = workspace.plan(replace(found.question, only=frozenset(["orders"]))).step("orders")
    assert step.base is not None
    assert len(step.batches.items() - step.base.batches.items()) == 2, "the last month, and the new one"
    performed(shop)
    assert amounts(shop)[84] == 168
    assert amounts(shop)[0] == 0


def test_what_the_present_code_made_is_made_again_when_asked(shop: Project) -> None:
    assert not planned(shop).parts
    choice = Choice(named=("2024-01",), again=True)
    assert performed(shop, choice) == ["2024-01"]
    first = pointed(shop)
    assert first.batches["data/m1.csv"].endswith("#1")
    assert performed(shop, choice) == ["2024-01"]
    assert pointed(shop).batches["data/m1.csv"].endswith("#2")
    shop.write_batch("m4", [84])
    shop.apply()
    assert pointed(shop).batches["data/m1.csv"].endswith("#2")


def test_another_publication_meanwhile_is_seen(shop: Project) -> None:
    shop.edit(*EDIT)
    found = planned(shop, Choice(named=("2024-01",)))
    shop.apply()
    with shop.opened() as workspace, pytest.raises(HeadraceError, match="HR725"):
        make_parts(workspace, found, Observer(), lambda *_: None)


@pytest.mark.parametrize(
    ("node", "choice", "code"),
    [
        ("by_shop", Choice(), "HR720"),
        ("raw", Choice(), "HR720"),
        ("orders", Choice(("2024-04",)), "HR723"),
        ("orders", Choice(("2025..",)), "HR723"),
    ],
)
def test_what_cannot_be_backfilled(shop: Project, node: str, choice: Choice, code: str) -> None:
    with pytest.raises(HeadraceError, match=code):
        planned(shop, choice, node)


def test_a_held_table_is_not_backfilled(shop: Project) -> None:
    shop.write_batch("m4", [84])
    shop.apply()
    with shop.opened() as workspace:
        roll_back(workspace.graph, workspace.ledger, "prod", "orders")
    with pytest.raises(HeadraceError, match="HR722"):
        planned(shop)


def test_only_what_grows_goes_forward(shop: Project) -> None:
    with shop.opened() as workspace, pytest.raises(HeadraceError, match="HR485"):
        workspace.plan(workspace.question(forward=["by_shop"]))


def test_rows_of_other_columns_cannot_stay(shop: Project) -> None:
    shop.edit("    shop: str\n", "    shop: str | None\n    more: int\n")
    shop.edit(".cast(pl.Float64) * FACTOR)", ".cast(pl.Float64) * FACTOR, more=1)")
    applied = apply_forward(shop)
    assert applied.failed["orders"]["code"] == "HR486"


def test_an_unpublished_table_and_one_without_partitions(tmp_path: Path) -> None:
    project = Project(tmp_path / "shop", ORDERS + MODEL)
    project.write_batch("m1", range(5))
    with pytest.raises(HeadraceError, match="HR721"):
        planned(project)
    with project.opened() as workspace:
        workspace.apply(workspace.question(only=["orders"]), Observer())
    with pytest.raises(HeadraceError, match="HR724"):
        planned(project, Choice(("2024",)))
    project.edit(*EDIT)
    found = planned(project)
    assert [part.name for part in found.parts] == ["data/m1.csv"]
    assert {step.node for step in found.downstream} == {"by_shop", "returns", "model"}
