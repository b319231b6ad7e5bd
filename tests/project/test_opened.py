"""`headrace.open`: tables, quarantine, models and queries of an environment, as they were when it was opened."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

import headrace
from headrace.errors import HeadraceError
from headrace.project.loading import forget, load_pipeline
from headrace.project.settings import Settings
from tests.support.projects import MODEL, ORDERS, Project

if TYPE_CHECKING:
    from pathlib import Path


MORE = """

@shop.table(orders)
def more(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("opened") / "project", ORDERS + MODEL)
    made.write_batch("a", [*range(199), -5])
    made.apply()
    return made


def test_rows_by_name_and_by_handle(project: Project) -> None:
    with headrace.open(project=project.folder) as prod:
        orders = prod.table("orders")
        assert isinstance(orders, pl.LazyFrame)
        assert orders.collect().height == 199
        assert prod.table(prod.versions["raw"].node).collect().height == 200
        assert repr(prod) == "<environment prod: 5 versions>"


def test_quarantined_rows(project: Project) -> None:
    with headrace.open("prod", project=project.folder) as prod:
        [row] = prod.quarantine("orders").collect().to_dicts()
        assert row["_rule"] == "amount >= 0"
        with pytest.raises(HeadraceError, match="HR833"):
            prod.quarantine("by_shop")


def test_a_model_predicts(project: Project) -> None:
    with headrace.open(project=project.folder) as prod:
        predictor = prod.model("model")
        assert predictor.predict([{"amount": 3.0}]).shape == (1,)


def test_a_query_sees_the_nodes_and_nothing_else(project: Project) -> None:
    secret = 42
    with headrace.open(project=project.folder) as prod:
        answer = prod.query("select count(*) as n, sum(b.orders) as m from ORDERS cross join by_shop b")
        assert answer.to_dicts() == [{"n": 199, "m": 199 * 199}]
        for sql in ("select * from secret", "select * from read_text('/etc/hostname')"):
            with pytest.raises(HeadraceError, match="HR835"):
                prod.query(sql)
        with pytest.raises(HeadraceError, match="HR836"):
            prod.query("  ")
    assert secret == 42


def test_a_query_answers_with_what_polars_lacks(project: Project) -> None:
    """One moment less another is an interval."""
    with headrace.open(project=project.folder) as prod:
        late = "select max(o.at) - min(o.at) + interval '1 microsecond' as late from orders o"
        assert prod.query(late)["late"].to_list() == [timedelta(days=215, microseconds=1)]
        several = prod.query("select i from (values (interval '2 days 1 second'), (null), (interval '-1 hour')) t(i)")
        assert several["i"].to_list() == [timedelta(days=2, seconds=1), None, timedelta(hours=-1)]
        assert prod.query("select interval '1 day' as i where false").schema == {"i": pl.Duration("us")}
        for column in ("interval '1 month'", "interval '200000000 days'", "[interval '1 day']", "union_value(a := 1)"):
            with pytest.raises(HeadraceError, match=r"(?s)HR835.*'x'.*::varchar"):
                prod.query(f"select {column} as x")


def test_a_query_sees_other_environments_and_versions(project: Project, tmp_path: Path) -> None:
    shop = project.copied(tmp_path / "shop")
    with headrace.open(project=shop.folder) as prod:
        key = prod.versions["orders"].key
        counts = prod.versions["by_shop"].key
    shop.write_batch("b", range(300, 305))
    shop.apply("dev")
    shop.write_batch("c", range(400, 402))
    shop.apply()
    with headrace.open(project=shop.folder) as prod:

        def rows(name: str) -> object:
            return prod.query(f'select count(*) from "{name}"').item()  # noqa: S608 - our own names

        named = [f"orders@{key}", f"orders@{key[:8]}", f"orders@prod@{key[:8]}", "orders@dev", "orders@prod"]
        assert [rows(each) for each in named] == [199, 199, 199, 204, 206]
        both = f'select order_id from orders anti join "orders@{key[:8]}" using (order_id) order by 1'  # noqa: S608
        assert prod.query(both)["order_id"].to_list() == [300, 301, 302, 303, 304, 400, 401]
        assert prod.query("""select 'orders@nowhere' as "x@y" """).item() == "orders@nowhere"
        for name, code in (
            ("orders@test", "HR609"),
            (f"orders@dev@{prod.versions['orders'].key}", "HR837"),
            (f"orders@{counts[:8]}", "HR837"),
        ):
            with pytest.raises(HeadraceError, match=code):
                rows(name)


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        ("HR830", lambda prod: prod.table("ordrs")),
        ("HR832", lambda prod: prod.table("model")),
        ("HR834", lambda prod: prod.model("orders")),
    ],
)
def test_what_is_not_there(project: Project, code: str, asked: object) -> None:
    with headrace.open(project=project.folder) as prod, pytest.raises(HeadraceError, match=code):
        asked(prod)  # type: ignore[operator]


def test_an_unknown_environment(project: Project) -> None:
    with pytest.raises(HeadraceError, match="HR609"):
        headrace.open("prd", project=project.folder)


def test_a_declared_node_that_was_never_made(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.write_batch("a", range(3))
    project.apply()
    project.write_code(project.code + MORE)
    with project.opened() as workspace:
        forget(workspace.settings.folder)
        with headrace.open(project=project.folder) as prod, pytest.raises(HeadraceError, match="HR831"):
            prod.table("more")


def test_what_was_opened_stays_as_it_was(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.write_batch("a", range(3))
    project.apply()
    with headrace.open(project=project.folder) as prod:
        project.write_batch("b", range(3, 5))
        project.apply()
        assert prod.table("orders").collect().height == 3
    with headrace.open(project=project.folder) as prod:
        assert prod.table("orders").collect().height == 5


def test_two_projects_of_one_process_have_modules_of_their_own(tmp_path: Path) -> None:
    """Both call their module `pipeline`, and its helper `helpers`."""
    for name in ("first", "second", "first"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "helpers.py").write_text(f"NAME = {name!r}\n")
        (folder / "pipeline.py").write_text(
            "import headrace\nimport helpers\n\nits = headrace.Pipeline(helpers.NAME)\n", encoding="utf-8"
        )
        assert load_pipeline(Settings(folder, "pipeline:its")).name == name
    forget(tmp_path)
