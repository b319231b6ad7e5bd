"""A table of another project: its published versions come in, each in place of the one before, and it is only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from headrace.errors import HeadraceError
from headrace.project.workspace import Workspace
from headrace.runtime.observer import Observer

if TYPE_CHECKING:
    from pathlib import Path

OTHER = """
import polars as pl

from headrace import Pipeline, files

other = Pipeline("other")
raw = other.source("raw", files("data/*.csv"))


@other.table(raw)
def departures(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows
"""
MINE = """
import polars as pl

from headrace import Pipeline
from headrace.sources import shared

mine = Pipeline("mine")
taken = mine.source("taken", shared("../other", "{table}"{more}))


@mine.table(taken)
def counted(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select(pl.len())
"""


def project(folder: Path, name: str, code: str) -> Path:
    place = folder / name
    (place / "data").mkdir(parents=True, exist_ok=True)
    (place / "headrace.toml").write_text(f'pipeline = "{name}_pipeline:{name}"\nworkers = 1\n')
    (place / f"{name}_pipeline.py").write_text(code)
    return place


def apply(place: Path) -> None:
    with Workspace.open(place) as workspace:
        workspace.apply(workspace.question(), Observer())


def taken(place: Path) -> tuple[list[int], str]:
    with Workspace.open(place) as workspace:
        version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["taken"])
        assert version is not None
        [batch] = version.manifest.facts["batches"].values()
        ref = next(iter(version.manifest.outputs.values()))
        return pl.read_parquet(workspace.stores.artefacts.path(ref))["n"].to_list(), batch["key"]


def test_a_table_follows_its_project(tmp_path: Path) -> None:
    other = project(tmp_path, "other", OTHER)
    (other / "data" / "a.csv").write_text("n\n1\n2\n")
    apply(other)
    mine = project(tmp_path, "mine", MINE.format(table="departures", more=""))
    apply(mine)
    with Workspace.open(other) as workspace:
        before = workspace.ledger.newest_entry()
        published = workspace.ledger.snapshot("prod").pointers["departures"]
    assert taken(mine) == ([1, 2], published)
    with Workspace.open(mine) as workspace:
        assert not [step for step in workspace.plan(workspace.question()).steps if step.action != "keep"]
    (other / "data" / "b.csv").write_text("n\n3\n")
    apply(other)
    apply(mine)
    rows, key = taken(mine)
    assert (sorted(rows), key != published) == ([1, 2, 3], True)
    with Workspace.open(other) as workspace:
        assert workspace.ledger.newest_entry() > before
        newest = workspace.ledger.newest_entry()
    apply(mine)
    with Workspace.open(other) as workspace:
        assert workspace.ledger.newest_entry() == newest, "it is only read"


@pytest.mark.parametrize(
    ("table", "more", "words"),
    [
        ("departure", "", "did you mean 'departures'"),
        ("raw", "", "departures"),
        ("departures", ', environment="dev"', "prod"),
    ],
)
def test_what_is_not_shared(tmp_path: Path, table: str, more: str, words: str) -> None:
    mine = project(tmp_path, "mine", MINE.format(table=table, more=more))
    with Workspace.open(mine) as workspace, pytest.raises(HeadraceError, match="HR354"):
        workspace.plan(workspace.question())
    other = project(tmp_path, "other", OTHER)
    with Workspace.open(mine) as workspace, pytest.raises(HeadraceError, match="HR354"):
        workspace.plan(workspace.question())
    assert not (other / ".headrace").exists()
    (other / "data" / "a.csv").write_text("n\n1\n")
    apply(other)
    with Workspace.open(mine) as workspace, pytest.raises(HeadraceError, match="HR354") as caught:
        workspace.plan(workspace.question())
    assert words in caught.value.fix.lower()
