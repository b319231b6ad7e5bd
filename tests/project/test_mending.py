"""`headrace quarantine --mend`: corrected rows are landed once, and come in with the next apply."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import polars as pl
import pytest

from headrace.cli.frames import frame_json
from headrace.errors import HeadraceError
from headrace.project.backfill import Choice, backfill, make_parts
from headrace.project.explain import batches
from headrace.project.mending import mend, set_aside
from headrace.project.opened import Environment
from headrace.project.row_origin import why_row
from headrace.project.rule_history import rule_history
from headrace.runtime.observer import Observer
from tests.support.projects import ORDERS, Project

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.project.mending import Mended


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", ORDERS)
    made.write_batch("a", [1, -2, -3])
    made.apply()
    return made


def give(project: Project, name: str, rows: pl.DataFrame) -> Mended:
    """Write rows to a file and give it to be mended."""
    file = project.folder / name
    if name.endswith(".csv"):
        rows.write_csv(file)
    elif name.endswith(".json"):
        file.write_text(json.dumps(frame_json(rows)))
    else:
        rows.write_parquet(file)
    with project.opened() as workspace:
        return mend(workspace, Environment(workspace, "prod"), "orders", file)


def aside(project: Project) -> pl.DataFrame:
    with project.opened() as workspace:
        return set_aside(Environment(workspace, "prod"), "orders")


def refused(project: Project, rows: pl.DataFrame, code: str, name: str = "m.parquet") -> HeadraceError:
    with pytest.raises(HeadraceError) as caught:
        give(project, name, rows)
    assert caught.value.code == code
    return caught.value


def test_rows_are_mended_once(project: Project) -> None:
    found = aside(project)
    assert found["amount"].to_list() == [-2.0, -3.0]
    corrected = found.with_columns(amount=pl.Series([2.0, -3.0]))
    made = give(project, "m.csv", corrected)
    assert (made.rows, made.broken, made.unchanged, made.new) == (1, 0, 1, True)
    again = give(project, "m.csv", corrected)
    assert (again.batch, again.rows, again.unchanged, again.new) == (made.batch, 1, 1, False)
    assert refused(project, corrected.head(1).with_columns(amount=pl.lit(7.0)), "HR433").what.startswith("row 1 of")

    applied = project.apply()
    assert "orders" in applied.made
    assert aside(project)["amount"].to_list() == [-3.0]
    assert not project.apply().made
    assert give(project, "m.csv", corrected).new is False
    with project.opened() as workspace:
        opened = Environment(workspace, "prod")
        version = opened.version("orders")
        assert opened.table("orders").collect()["amount"].sort().to_list() == [1.0, 2.0]
        assert [(each["id"], each["rows"]) for each in batches(version)] == [(made.batch, 1)]
        history = rule_history(workspace.ledger, "orders", 5)
        told = {rule: (answer, [each and each.broken for each in of]) for rule, answer, of in history.rules}
        assert told["amount >= 0"] == ("quarantine", [1, 2])
        [rule] = [each for each in history.to_json() if each["rule"] == "amount >= 0"]
        assert [each["checked"] for each in rule["versions"]] == [3, 3]

    (project.folder / made.batch).unlink()
    project.apply()
    assert aside(project)["amount"].to_list() == [-2.0, -3.0]


def test_every_kind_of_export_can_be_given_back(project: Project) -> None:
    project.write_batch("b", [4])
    file = project.folder / "data" / "b.csv"
    file.write_text(file.read_text().replace(",4,", ",nan,"))
    project.edit('files("data/*.csv")', 'files("data/*.csv", schema={"amount": pl.Float64})')
    project.apply()
    found = aside(project)
    assert found.height == 3
    corrected = found.with_columns(amount=pl.when(pl.col("amount") == -2).then(2.0).otherwise(pl.col("amount")))
    made = give(project, "m.json", corrected)
    assert (made.rows, made.unchanged, made.new) == (1, 2, True)
    for name in ("m.csv", "m.parquet"):
        again = give(project, name, corrected)
        assert (again.batch, again.new) == (made.batch, False)
    file = project.folder / "n.json"
    file.write_text('{"rows": [')
    with project.opened() as workspace, pytest.raises(HeadraceError, match="HR3"):
        mend(workspace, Environment(workspace, "prod"), "orders", file)


@pytest.mark.parametrize("name", ["m.json", "m.csv", "m.parquet"])
def test_an_infinite_number_stays_one(project: Project, name: str) -> None:
    file = project.folder / "data" / "a.csv"
    file.write_text(file.read_text().replace(",-2,", ",-inf,"))
    project.edit('files("data/*.csv")', 'files("data/*.csv", schema={"amount": pl.Float64})')
    project.apply()
    found = aside(project)
    assert found["amount"].to_list() == [-math.inf, -3.0]
    made = give(project, name, found.with_columns(amount=pl.when(pl.col("amount") == -3).then(3.0).otherwise("amount")))
    assert (made.rows, made.unchanged) == (1, 1)
    (project.folder / made.batch).unlink()
    give(project, name, found.with_columns(shop=pl.lit("z")))
    project.apply()
    assert aside(project)["amount"].to_list() == [-math.inf, -3.0]
    assert aside(project)["shop"].to_list() == ["z", "z"]


def test_an_empty_text_stays_one(project: Project) -> None:
    project.edit("* FACTOR)", '* FACTOR, shop=pl.when(pl.col("order_id") < 0).then(pl.lit("")).otherwise("shop"))')
    project.apply()
    found = aside(project)
    assert found["shop"].to_list() == ["", ""]
    refused(project, found, "HR436", "m.csv")
    assert give(project, "m.csv", found.with_columns(amount=pl.Series([2.0, -3.0]))).rows == 1
    project.apply()
    with project.opened() as workspace:
        rows = Environment(workspace, "prod").table("orders").filter(pl.col("amount") == 2).collect()
    assert rows["shop"].to_list() == [""]


def test_mended_rows_that_mend_nothing_any_more_are_told(project: Project) -> None:
    made = give(project, "m.parquet", aside(project).with_columns(amount=pl.lit(5.0)))
    project.apply()
    assert aside(project).is_empty()
    project.edit("* FACTOR", "* FACTOR * 2")
    project.apply()
    assert aside(project)["amount"].to_list() == [-4.0, -6.0]
    with project.opened() as workspace:
        plan = workspace.plan(workspace.question())
    [told] = [line for line in plan.notes if made.batch in line]
    assert "2 of 2 rows are left out" in told


def test_nothing_stays_or_goes_part_by_part_where_rows_were_mended(project: Project) -> None:
    project.write_batch("b", [28, 29])
    project.apply()
    give(project, "m.parquet", aside(project).with_columns(amount=pl.lit(5.0)))
    project.apply()
    project.edit("* FACTOR", "* FACTOR * 2")
    with project.opened() as workspace:
        with pytest.raises(HeadraceError, match="HR486") as caught:
            workspace.plan(workspace.question(forward=["orders"]))
        assert "rows were mended by hand" in caught.value.what
        with pytest.raises(HeadraceError, match="HR486"):
            backfill(workspace, None, "orders", Choice(("data/a.csv",)))
        found = backfill(workspace, None, "orders", Choice())
        assert [part.batches for part in found.parts] == [("data/a.csv", "data/b.csv")]
        assert make_parts(workspace, found, Observer(), lambda *_: None) is None
        workspace.apply(found.question, Observer())
    assert sorted(aside(project)["amount"]) == [-6.0, -4.0]
    assert not project.apply().made


@pytest.mark.parametrize("incremental", [True, False])
def test_a_mended_row_is_traced_to_the_one_that_it_mends(project: Project, *, incremental: bool) -> None:
    project.edit("incremental=True", f"incremental={incremental}")
    project.apply()
    give(project, "m.csv", aside(project).with_columns(amount=pl.lit(-7.0)))
    project.apply()
    give(project, "n.csv", aside(project).with_columns(amount=pl.col("order_id").cast(pl.Float64).abs() + 10))
    project.apply()
    with project.opened() as workspace:
        origin = why_row(workspace, "prod", "orders", "-3")
    told = []
    while origin.inputs:
        told.append((origin.place, origin.row["amount"]))
        [origin] = origin.inputs
    first, second = sorted(each.name for each in (project.folder / "mended" / "orders").iterdir())
    place = "data/a.csv" if incremental else None
    assert told == [(f"mended/orders/{second}", 13.0), (f"mended/orders/{first}", -7.0), (place, -3.0)]
    assert (origin.node, origin.place) == ("raw", "data/a.csv, line 4")


def test_what_cannot_be_mended(project: Project) -> None:
    found = aside(project)
    refused(project, found.drop("_id"), "HR432")
    refused(project, found, "HR436")
    refused(project, found.with_columns(pl.lit("0" * 16).alias("_id")), "HR433")
    refused(project, found.drop("shop"), "HR310")
    refused(project, found.with_columns(pl.lit("much").alias("amount")), "HR311")
    assert not (project.folder / "mended").exists()
