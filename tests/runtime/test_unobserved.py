"""A source that cannot be observed, end to end: the rest lands, the error is told, and once mended all is as ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from headrace.errors import HeadraceError
from headrace.graph.graph import Graph
from headrace.graph.keys import Coded
from headrace.graph.node import Node
from headrace.ports.records import RunState
from headrace.ports.work import Action
from headrace.project.accepting import accept
from headrace.project.backfill import Choice, backfill, make_parts
from headrace.runtime.observer import Observer
from headrace.runtime.survey import observe
from tests.support.two_sources import TwoSources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headrace.ports.outside import Outlook
    from headrace.ports.records import Manifest, Observation
    from headrace.ports.work import Context, Step

pytest_plugins = ("tests.postgres_server",)


@pytest.fixture
def project(tmp_path: Path) -> TwoSources:
    """Both sources are there, and published."""
    project = TwoSources(tmp_path / "shop")
    project.write_batch("01", range(3))
    project.customers("Ada")
    assert not project.apply().failed
    return project


def names(project: TwoSources) -> set[tuple[object, object]]:
    """Which orders there are in the join, with the name of who ordered."""
    return {(row[0], row[-1]) for row in project.rows("both")}


def test_the_rest_lands_and_once_it_is_back_so_does_it(project: TwoSources) -> None:
    before = names(project)
    project.lose()
    project.write_batch("02", range(3, 5))
    applied = project.apply()
    assert set(applied.published) == {"orders", "daily"}
    assert (applied.skipped, applied.failed) == (("named", "both"), {})
    assert applied.unobserved.keys() == {"customers"}
    assert applied.unobserved["customers"].code == "HR341"
    assert len(project.rows("daily")) == 5
    assert names(project) == before, "a join is not made of new orders and old names"
    project.mend()
    project.customers("Ada Lovelace")
    applied = project.apply()
    assert (applied.unobserved, applied.skipped) == ({}, ())
    assert set(applied.published) == {"customers", "named", "both"}
    assert names(project) == {(n, "Ada Lovelace") for n in range(5)}


def test_what_has_never_been_observed_is_left_out(tmp_path: Path) -> None:
    project = TwoSources(tmp_path / "shop")
    project.write_batch("01", range(3))
    applied = project.apply()
    assert set(applied.published) == {"orders", "daily"}
    assert applied.skipped == ("named", "both")
    project.customers("Ada")
    assert set(project.apply().published) == {"customers", "named", "both"}


def test_the_run_failed_and_says_why(project: TwoSources) -> None:
    project.lose()
    applied = project.apply()
    with project.opened() as workspace:
        run = workspace.ledger.run(applied.run)
        assert run is not None
        assert run.state is RunState.FAILED
        assert run.summary["unobserved"] == {"customers": applied.unobserved["customers"].to_json()}
        assert run.summary["failed"] == {}
        workspace.ledger.verify()


def test_a_step_that_fails_is_told_besides(project: TwoSources) -> None:
    project.lose()
    (project.folder / "data" / "02.csv").write_bytes(b"")
    applied = project.apply()
    assert (list(applied.failed), list(applied.unobserved)) == (["orders"], ["customers"])
    assert applied.published == ()
    assert set(applied.skipped) == {"daily", "named", "both"}


def test_every_source_that_cannot_be_observed_is_told(project: TwoSources) -> None:
    project.lose()
    (project.folder / "data" / "01.csv").unlink()
    assert {name: error.code for name, error in project.plan().unobserved.items()} == {
        "orders": "HR301",
        "customers": "HR341",
    }


def test_a_server_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_database: Callable[[], str]
) -> None:
    good = new_database()
    with psycopg.connect(good, autocommit=True) as crm:
        crm.execute("CREATE TABLE customers (shop text, name text)")
        crm.execute("INSERT INTO customers VALUES ('a', 'Ada')")
    project = TwoSources(tmp_path / "shop", "env:HEADRACE_TEST_CRM")
    project.write_batch("01", range(3))
    monkeypatch.setenv("HEADRACE_TEST_CRM", good.replace("headrace@", "stranger:s3cret@"))
    applied = project.apply()
    assert set(applied.published) == {"orders", "daily"}
    error = applied.unobserved["customers"]
    assert error.code == "HR341"
    assert "stranger" in error.what
    assert "s3cret" not in str(error)
    monkeypatch.setenv("HEADRACE_TEST_CRM", good)
    assert set(project.apply().published) == {"customers", "named", "both"}
    assert names(project) == {(n, "Ada") for n in range(3)}
    with psycopg.connect(good, autocommit=True) as crm:
        crm.execute("ALTER TABLE customers RENAME TO clients")
    project.write_batch("02", range(3, 5))
    applied = project.apply()
    assert applied.unobserved["customers"].code == "HR343"
    assert set(applied.published) == {"orders", "daily"}


def test_a_removed_file_where_none_may_be_stops_its_source_alone(project: TwoSources) -> None:
    project.edit('files("data/*.csv")', 'files("data/*.csv", removed="fail")')
    project.write_batch("02", range(3, 5))
    project.apply()
    (project.folder / "data" / "01.csv").unlink()
    project.customers("Ada Lovelace")
    applied = project.apply()
    assert applied.unobserved["orders"].code == "HR331"
    assert set(applied.published) == {"customers", "named"}


def test_only_what_is_asked_for_is_observed(project: TwoSources) -> None:
    project.lose()
    project.write_batch("02", range(3, 5))
    with project.opened() as workspace:
        applied = workspace.apply(workspace.question(only=["daily"]), Observer())
    assert (set(applied.published), applied.unobserved) == ({"orders", "daily"}, {})


def test_a_branch_begins_with_what_its_base_has(project: TwoSources) -> None:
    project.lose()
    project.edit('pl.col("amount").cast(pl.Float64)', 'pl.col("amount").cast(pl.Float64) * 2')
    applied = project.apply("dev")
    assert applied.published == ("daily",)
    with project.opened() as workspace:
        prod, dev = (workspace.ledger.snapshot(name).pointers for name in ("prod", "dev"))
    assert {name for name in prod if prod[name] != dev[name]} == {"daily"}


def test_a_schema_cannot_be_accepted_unseen(project: TwoSources) -> None:
    project.lose()
    with project.opened() as workspace, pytest.raises(HeadraceError, match="HR341"):
        accept(workspace, "prod", "customers", "")


def test_a_backfill_needs_its_own_source_and_no_other(project: TwoSources) -> None:
    project.lose()
    project.edit('pl.col("amount").cast(pl.Float64)', 'pl.col("amount").cast(pl.Float64) * 2')
    with project.opened() as workspace:
        found = backfill(workspace, None, "daily", Choice())
        assert found.downstream == (), "what waits is not published with it"
        assert found.plan.unobserved.keys() == {"customers"}
        assert make_parts(workspace, found, Observer(), lambda *_: None) is None
        applied = workspace.apply(found.question, Observer())
    assert applied.published == ("daily",)
    assert {row[2] for row in project.rows("daily")} == {0.0, 2.0, 4.0}


def test_a_backfill_whose_source_is_lost_on_the_way_says_so(project: TwoSources) -> None:
    project.edit('pl.col("amount").cast(pl.Float64)', 'pl.col("amount").cast(pl.Float64) * 2')
    with project.opened() as workspace:
        found = backfill(workspace, None, "daily", Choice())
        (project.folder / "data" / "01.csv").unlink()
        with pytest.raises(HeadraceError, match="HR301"):
            make_parts(workspace, found, Observer(), lambda *_: None)
        with pytest.raises(HeadraceError, match="HR301"):
            backfill(workspace, None, "daily", Choice())


class Broken(Node):
    """A node whose observation ends in an exception."""

    kind = "source"

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(name)
        self.error = error

    def observe(self, outlook: Outlook) -> Observation | None:  # noqa: ARG002
        raise self.error

    def make(self, step: Step, context: Context) -> Manifest:
        raise NotImplementedError


def test_an_exception_without_a_code_is_a_mistake_of_the_program(project: TwoSources) -> None:
    coded = {"raw": Coded("f", {})}
    with project.opened() as workspace:
        snapshot = workspace.ledger.snapshot("prod")

        def seen(error: Exception) -> object:
            graph = Graph.of([Broken("raw", error)])
            return observe(graph, coded, workspace.ledger, snapshot, workspace.outside)

        with pytest.raises(ZeroDivisionError):
            seen(ZeroDivisionError())
        told = HeadraceError("HR342", "a connection was lost")
        assert seen(told).unobserved == {"raw": told}  # type: ignore[attr-defined]
        full = seen(OSError(28, "No space left on device")).unobserved["raw"]  # type: ignore[attr-defined]
        assert full.code == "HR636"


def test_a_plan_of_one_that_is_down_touches_nothing(project: TwoSources) -> None:
    with project.opened() as workspace:
        before = workspace.ledger.newest_entry()
    project.lose()
    plan = project.plan()
    assert {step.node: step.action for step in plan.steps if step.action is not Action.KEEP} == {
        "customers": Action.UNOBSERVED,
        "named": Action.BLOCKED,
        "both": Action.BLOCKED,
    }
    with project.opened() as workspace:
        assert workspace.ledger.newest_entry() == before
