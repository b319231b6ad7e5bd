"""How two environments differ, in a real project."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from headrace.errors import HeadraceError
from headrace.project.difference import difference
from headrace.project.sides import side
from headrace.tables import comparing
from tests.support.projects import MODEL, ORDERS, Project

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.project.difference import NodeDifference
    from headrace.project.workspace import Workspace


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """`prod`; `dev` has another batch, `code` doubles the amounts, `same` spells that in another way; a new `model`."""
    made = Project(tmp_path_factory.mktemp("difference") / "project", ORDERS + MODEL)
    made.write_batch("a", [*range(199), -5])
    made.apply()
    made.apply("dev")
    made.edit("* FACTOR", "* FACTOR * 2")
    made.apply("code")
    made.edit("* FACTOR * 2", "* 1 * FACTOR")
    made.apply("same")
    made.edit("* 1 * FACTOR", "* FACTOR")
    made.edit("LogisticRegression()", "LogisticRegression(C=0.5)")
    made.apply("model")
    made.edit("LogisticRegression(C=0.5)", "LogisticRegression()")
    made.write_batch("b", [300, -1])
    made.apply("dev")
    return made


def by_name(workspace: Workspace, before: str, after: str, *nodes: str, limit: int = 3) -> dict[str, NodeDifference]:
    return {each.node: each for each in difference(workspace, before, after, nodes, limit=limit).nodes}


def test_the_same_version_is_not_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(comparing, "compare_rows")
    with project.opened() as workspace:
        found = difference(workspace, "prod", "prod")
    assert [each.node for each in found.nodes] == ["raw", "orders", "by_shop", "returns", "model"]
    assert {each.state for each in found.nodes} == {"same"}
    assert not found.differs


def test_new_rows(project: Project) -> None:
    with project.opened() as workspace:
        found = by_name(workspace, "prod", "dev")
    assert found["raw"].batches is not None
    assert found["raw"].batches.added == ("data/b.csv",)
    orders = found["orders"]
    assert orders.rows is not None
    assert orders.because == ("input raw",)
    assert (orders.rows.key, orders.rows.added, orders.rows.removed, orders.rows.changed) == (("order_id",), 1, 0, 0)
    assert [row["order_id"] for row in orders.rows.examples_added] == [300]
    assert orders.set_aside == (1, 2)
    by_shop = found["by_shop"].rows
    assert by_shop is not None
    assert (by_shop.key, by_shop.added, by_shop.removed) == ((), 1, 1)


def test_another_model_shows_its_metrics(project: Project) -> None:
    with project.opened() as workspace:
        found = by_name(workspace, "prod", "model")
    assert [name for name, each in found.items() if each.differs] == ["model"]
    metrics = found["model"].metrics
    assert metrics is not None
    assert None not in metrics["accuracy"]
    assert found["model"].rows is None


def test_changed_values(project: Project) -> None:
    with project.opened() as workspace:
        found = by_name(workspace, "prod", "code", "orders", limit=1)
    rows = found["orders"].rows
    assert list(found) == ["orders"]
    assert rows is not None
    assert (rows.added, rows.removed, rows.changed, dict(rows.by_column)) == (0, 0, 198, {"amount": 198})
    [example] = rows.examples_changed
    assert (example.key, example.values) == ({"order_id": 1}, {"amount": (1.0, 2.0)})
    assert any("orders" in each for each in found["orders"].because)


def test_made_anew_with_the_same_rows(project: Project) -> None:
    with project.opened() as workspace:
        found = difference(workspace, "prod", "same", ["orders", "by_shop"])
    assert [each.state for each in found.nodes] == ["remade", "remade"]
    assert not found.differs


def test_one_version_of_one_node(project: Project) -> None:
    with project.opened() as workspace:
        prod, code = (side(workspace.ledger, name).versions["orders"].key for name in ("prod", "code"))
        for before, after in ((f"prod@{prod[:10]}", "code"), (prod, code[:12]), ("prod", f"code@{code}")):
            [found] = difference(workspace, before, after).nodes
            assert found.rows is not None
            assert found.rows.changed == 198
        assert difference(workspace, prod, "prod", ["orders"]).nodes[0].state == "same"
        model = side(workspace.ledger, "prod").versions["model"].key
        with pytest.raises(HeadraceError, match="HR838"):
            difference(workspace, prod, model)
        with pytest.raises(HeadraceError, match="HR830"):
            difference(workspace, prod, "dev", ["ordrs"])
        with pytest.raises(HeadraceError, match="HR837"):
            difference(workspace, f"dev@{code}", "dev")


@pytest.mark.parametrize(
    ("code", "sides", "told"),
    [
        ("HR609", ("prod", "deb"), "Did you mean 'dev'?"),
        ("HR609", ("prd@abcdef", "dev"), "Did you mean 'prod'?"),
        ("HR837", ("prod", "0123456789ab"), "is no version"),
        ("HR837", ("prod", "0ab1"), "less than six characters"),
        ("HR837", ("prod", "prod@"), "is no version"),
    ],
)
def test_what_is_not_there(project: Project, code: str, sides: tuple[str, str], told: str) -> None:
    with project.opened() as workspace, pytest.raises(HeadraceError, match=code) as caught:
        difference(workspace, *sides)
    assert told in str(caught.value)


def test_a_version_that_was_collected(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.write_batch("a", range(9))
    project.apply()
    with project.opened() as workspace:
        key = side(workspace.ledger, "prod").versions["orders"].key
    project.edit("FACTOR = 1", "FACTOR = 2")
    project.apply()
    with project.opened() as workspace:
        assert difference(workspace, key[:8], "prod").differs
        workspace.collect(timedelta(0))
        for text in (key, key[:8], f"prod@{key[:8]}"):
            with pytest.raises(HeadraceError, match=r"HR837 .* is a version of orders that was collected"):
                side(workspace.ledger, text)


def test_an_unknown_node(project: Project) -> None:
    with project.opened() as workspace, pytest.raises(HeadraceError, match="Did you mean 'orders'"):
        difference(workspace, "prod", "dev", ["order"])


def test_a_node_that_only_one_side_has(project: Project) -> None:
    more = "\n\n@shop.table(orders)\ndef more(rows: pl.LazyFrame) -> pl.LazyFrame:\n    return rows\n"
    code = project.code
    project.write_code(code + more)
    with project.opened() as workspace, pytest.raises(HeadraceError, match="HR831"):
        difference(workspace, "prod", "dev", ["more"])
    project.apply("wide")
    project.write_code(code)
    with project.opened() as workspace:
        assert by_name(workspace, "prod", "wide")["more"].state == "added"
        assert by_name(workspace, "wide", "prod", "more")["more"].state == "removed"
        assert difference(workspace, "wide", "prod", ["more"]).to_json()["nodes"][0]["after"] is None
