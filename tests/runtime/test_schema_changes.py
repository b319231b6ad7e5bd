"""A changed schema of a source, end to end: what goes through is on record, what stops is accepted by a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.errors import HeadraceError
from headrace.project.accepting import accept
from headrace.project.explain import why
from headrace.runtime.environments import promote
from tests.cli.commands import inside
from tests.support.projects import Project

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
import polars as pl

from headrace import Contract, Pipeline, column, files

shop = Pipeline("shop")
raw = shop.source("raw", files("data/*.csv"))
others = shop.source("others", files("other/*.csv"))


class Order(Contract):
    order_id: int = column(key=True)
    amount: float | None


@shop.table(raw, contract=Order, incremental=True)
def orders(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select("order_id", pl.col("amount").cast(pl.Float64))


@shop.table(others)
def elsewhere(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a file of two columns, published."""
    made = Project(tmp_path_factory.mktemp("schema") / "shop", CODE)
    (made.folder / "other").mkdir()
    write(made, "../other/a", "x\n1\n")
    write(made, "a", "order_id,amount\n1,1\n")
    assert not made.apply().failed
    return made


@pytest.fixture
def project(published: Project, tmp_path: Path) -> Project:
    return published.copied(tmp_path / "shop")


def write(project: Project, name: str, text: str) -> None:
    (project.folder / "data" / f"{name}.csv").write_text(text)


def accepted(project: Project, environment: str = "prod") -> list[str]:
    with project.opened() as workspace:
        return [outcome.condition for outcome in accept(workspace, environment, "raw", "").outcomes]


def test_a_new_column_goes_through_and_is_on_record(project: Project) -> None:
    write(project, "b", "order_id,amount,place\n2,2,x\n")
    assert not project.apply().refused
    assert project.rows("raw") == [(1, 1, None), (2, 2, "x")]
    with project.opened() as workspace:
        [decision] = workspace.ledger.decisions([workspace.ledger.snapshot("prod").pointers["raw"]])
    assert (decision.passed, decision.outcomes[0].condition) == (True, "column place (String) is new in data/b.csv")


def test_a_table_with_a_contract_leaves_a_new_column_out_and_says_so(project: Project) -> None:
    project.edit(
        'rows.select("order_id", pl.col("amount").cast(pl.Float64))',
        "rows.with_columns(pl.col('amount').cast(pl.Float64))",
    )
    assert not project.apply().failed
    write(project, "b", "order_id,amount,region\n2,2,north\n")
    foreseen = inside(project.folder, "plan").out
    assert "safe: column region (String) is new in data/b.csv" in foreseen
    assert "touches orders" not in foreseen
    told = inside(project.folder, "apply").err
    assert "! orders: leaves out region, which its contract does not name" in told
    assert "orders: leaves out region" in inside(project.folder, "plan").out
    with project.opened() as workspace:
        version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["orders"])
        assert version is not None
        assert version.manifest.facts["columns"] == ["order_id", "amount"]
    project.edit("(Contract)", "(Contract, strict=True)")
    assert project.apply().failed["orders"]["code"] == "HR408"


def test_a_file_that_lacks_a_column_stops_until_it_is_accepted(project: Project) -> None:
    write(project, "b", "order_id\n2\n")
    write(project, "../other/b", "x\n2\n")
    with project.opened() as workspace:
        for name, code in (("orders", "HR335"), ("raw", "HR336")):
            with pytest.raises(HeadraceError, match=code):
                accept(workspace, "prod", name, "")
    assert list(project.plan().step("raw").details) == [
        "data/b.csv arrived",
        "breaking: column amount (Int64) is gone in data/b.csv, which stops until it is accepted",
        "  touches orders (amount)",
    ]
    applied = project.apply()
    assert (list(applied.refused), list(applied.skipped)) == (["raw"], ["orders"])
    assert project.ids() == [1]
    assert project.rows("elsewhere") == [(1,), (2,)]  # the rest goes on
    assert project.plan().step("raw").reason.startswith("refused: column amount (Int64) is gone")
    assert accepted(project) == ["column amount (Int64) is gone in data/b.csv"]
    write(project, "c", "order_id\n3\n")
    assert not project.apply().refused
    assert project.rows("orders") == [(1, 1.0), (2, None), (3, None)]
    with project.opened() as workspace, pytest.raises(HeadraceError, match="HR337"):
        accept(workspace, "prod", "raw", "")
    with project.opened() as workspace:
        seen = [each.seen for decision in why(workspace.ledger, "prod", "raw").decisions for each in decision.outcomes]
        assert seen == ["accepted"]


def test_what_a_branch_accepted_is_promoted(project: Project) -> None:
    write(project, "b", "order_id\n2\n")
    project.apply("dev")
    accepted(project, "dev")
    assert project.plan("dev").step("raw").reason == "new rows"
    project.apply("dev")
    with project.opened() as workspace:
        promote(workspace.graph, workspace.ledger, "dev", "prod")
    assert project.ids() == [1, 2]
