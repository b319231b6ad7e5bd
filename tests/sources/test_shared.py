"""A table of another project: its published versions come in, each in place of the one before, and it is only read."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from headrace.errors import HeadraceError
from headrace.project.neighbours import open_neighbour
from headrace.project.workspace import Workspace
from headrace.runtime.environments import exclude
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
        batches = version.manifest.facts["batches"]
        refs = [ref for _, ref in sorted(version.manifest.outputs.items())]
        rows = pl.concat(pl.read_parquet(workspace.stores.artefacts.path(ref)) for ref in refs)
        return rows["n"].to_list(), batches[max(batches)]["key"]


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
    def error() -> HeadraceError:
        with Workspace.open(mine) as workspace:
            return workspace.plan(workspace.question()).unobserved["taken"]

    mine = project(tmp_path, "mine", MINE.format(table=table, more=more))
    assert error().code == "HR354"
    other = project(tmp_path, "other", OTHER)
    assert error().code == "HR354"
    assert not (other / ".headrace").exists()
    (other / "data" / "a.csv").write_text("n\n1\n")
    apply(other)
    assert (error().code, words in error().fix.lower()) == ("HR354", True)


GROWING = OTHER.replace("@other.table(raw)", "@other.table(raw, incremental=True)")
TAKING = """
import polars as pl

from headrace import Pipeline
from headrace.sources import shared

mine = Pipeline("mine")
taken = mine.source("taken", shared("../other", "departures"))


@mine.table(taken, incremental=True)
def kept(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows
"""


class Two:
    """A project with a table that grows, and one that takes it."""

    def __init__(self, folder: Path, code: str = GROWING) -> None:
        self.other = project(folder, "other", code)
        self.mine = project(folder, "mine", TAKING)

    def publish(self, **files: str) -> None:
        for name, rows in files.items():
            path = self.other / "data" / f"{name}.csv"
            path.write_text("\n".join(["n", *rows.split()]) + "\n") if rows else path.unlink()
        apply(self.other)

    def take(self) -> list[list[int]]:
        """Apply, and answer the rows of each batch in order; those of the table must be the same."""
        apply(self.mine)
        with Workspace.open(self.mine) as workspace:
            pointers = workspace.ledger.snapshot("prod").pointers
            source, table = (workspace.ledger.version(pointers[name]) for name in ("taken", "kept"))
            assert source is not None
            assert table is not None
            paths = [workspace.stores.artefacts.path(ref) for _, ref in sorted(source.manifest.outputs.items())]
            found: list[list[int]] = [pl.read_parquet(path)["n"].to_list() for path in paths]
            rows = workspace.stores.tables.scan(table.manifest.outputs["table"]).collect()["n"].to_list()
        assert sorted(rows) == sorted(row for batch in found for row in batch)
        return found

    def collect(self) -> None:
        """Compact what was published, and remove everything else."""
        with Workspace.open(self.other) as workspace:
            workspace.compact()
            workspace.collect(timedelta(0))

    def new(self) -> int:
        """How many rows the table was made of anew."""
        with Workspace.open(self.mine) as workspace:
            version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["kept"])
            assert version is not None
            return int(version.manifest.facts["new_rows"])


def test_a_table_that_grew_adds_a_batch(tmp_path: Path) -> None:
    two = Two(tmp_path)
    two.publish(a="1 2")
    assert two.take() == [[1, 2]]
    two.publish(b="3")
    two.publish(c="4 5")
    assert two.take() == [[1, 2], [3, 4, 5]]
    assert two.new() == 3
    two.publish(d="6")
    assert two.take() == [[1, 2], [3, 4, 5], [6]]
    with Workspace.open(two.other) as workspace:
        published = workspace.ledger.snapshot("prod").pointers["departures"]
    with Workspace.open(two.mine) as workspace:
        version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["taken"])
        assert version is not None
        assert max(version.batches) == f"departures/000002-{published[:12]}"
        assert version.manifest.facts["batches"][f"departures/000002-{published[:12]}"]["key"] == published


def test_a_table_that_was_rolled_back_is_what_was_there(tmp_path: Path) -> None:
    two = Two(tmp_path)
    two.publish(a="1 2")
    two.take()
    two.publish(b="3")
    assert two.take() == [[1, 2], [3]]
    two.publish(b="")
    assert two.take() == [[1, 2]]
    two.publish(c="7")
    assert two.take() == [[1, 2], [7]]


def test_a_row_that_changed_replaces_what_comes_after_it(tmp_path: Path) -> None:
    two = Two(tmp_path)
    for name, rows in (("a", "1 2"), ("b", "3"), ("c", "4")):
        two.publish(**{name: rows})
        two.take()
    two.publish(b="8")
    assert two.take() == [[1, 2], [8, 4]]
    two.publish(a="9")
    assert [sorted(batch) for batch in two.take()] == [[4, 8, 9]]


def test_a_table_that_is_made_whole_each_time_adds_what_lies_behind(tmp_path: Path) -> None:
    two = Two(tmp_path, OTHER)
    two.publish(a="1 2")
    two.take()
    two.publish(b="3")
    assert two.take() == [[1, 2], [3]]
    two.publish(a="2 1")
    assert two.take() == [[2, 1, 3]]


def test_a_compacted_table_goes_on_growing(tmp_path: Path) -> None:
    two = Two(tmp_path)
    for number in range(3):
        two.publish(**{f"f{number}": str(number)})
    two.take()
    two.publish(g="7")
    two.collect()
    assert two.take() == [[0, 1, 2], [7]]
    two.publish(h="8")
    assert two.take() == [[0, 1, 2], [7], [8]]
    assert two.new() == 1


def test_a_batch_that_is_left_out_stays_out(tmp_path: Path) -> None:
    two = Two(tmp_path)
    for name, rows in (("a", "1 2"), ("b", "3")):
        two.publish(**{name: rows})
        two.take()
    with Workspace.open(two.mine) as workspace:
        version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["taken"])
        assert version is not None
        bad = max(version.batches)
        exclude(workspace.graph, workspace.ledger, "prod", "taken", frozenset([bad]))
    assert two.take() == [[1, 2]]
    two.publish(c="4")
    assert two.take() == [[1, 2], [4]]


def test_what_goes_away_while_it_is_read_has_a_code(tmp_path: Path) -> None:
    two = Two(tmp_path, OTHER)
    two.publish(a="1 2")
    two.take()
    with open_neighbour(two.mine, "../other") as neighbour:
        version = neighbour.version("departures", None)
        assert [frame.height for frame in neighbour.rows(version, 1)] == [1]
        two.publish(a="4")
        two.collect()
        with pytest.raises(HeadraceError, match="HR356"):
            list(neighbour.rows(version))
        assert not neighbour.continues(neighbour.version("departures", None), version.key)
    assert two.take() == [[4]]
