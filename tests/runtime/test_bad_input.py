"""Bad input, end to end: an error with a code that names the thing, nothing published, nothing lost, and a way on."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support.projects import MODEL, ORDERS, Project

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from headrace.runtime.applied import Applied

HEADER = "order_id,shop,amount,at\n"
ROW = "{n},a,{n},2024-01-01T00:00:00\n"


def state(project: Project) -> object:
    """What an environment has: its pointers, and the rows behind them."""
    with project.opened() as workspace:
        pointers = dict(workspace.ledger.snapshot("prod").pointers)
        workspace.ledger.verify()
    return pointers, project.rows("raw"), project.rows("orders"), project.rows("by_shop")


def outcome(project: Project) -> Mapping[str, Mapping[str, str]]:
    """The errors of an apply, by node: of steps, and of what could not be observed."""
    applied: Applied = project.apply()
    return {**applied.failed, **{node: error.to_json() for node, error in applied.unobserved.items()}}


def refused(project: Project, node: str, code: str, *words: str) -> None:
    """An apply fails at a node with a code, names the thing, and leaves everything as it was."""
    before = state(project)
    failed = outcome(project)
    assert failed.keys() == {node}, failed
    error = failed[node]
    assert error["code"] == code, error
    assert [word for word in words if word not in error["what"]] == [], error["what"]
    assert error["why"]
    assert error["fix"]
    assert state(project) == before


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with one batch, applied."""
    made = Project(tmp_path / "shop")
    made.write_batch("01", range(10))
    assert not made.apply().failed
    return made


def mended(project: Project) -> None:
    """The bad batch is replaced by a good one, and apply goes on."""
    for path in project.folder.glob("data/02*"):
        path.unlink()
    project.write_batch("02", range(10, 20))
    assert not project.apply().failed
    assert project.ids() == list(range(20))


@dataclass(frozen=True)
class BadFile:
    """A file, its content, and what is said of it."""

    name: str
    content: bytes
    code: str
    words: tuple[str, ...]


def packed(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


BAD_FILES = (
    BadFile("02.csv", b"", "HR304", ("data/02.csv",)),
    BadFile("02.csv", (HEADER + ROW.format(n=1) + "2,a\n").encode(), "HR307", ("data/02.csv", "line 3")),
    BadFile("02.csv", (HEADER + '1,"a" b,1,2024-01-01T00:00:00\n').encode(), "HR317", ("data/02.csv", "line 2")),
    BadFile("02.csv", HEADER.encode() + b"1,\xff,1,2024-01-01T00:00:00\n", "HR308", ("data/02.csv",)),
    BadFile("02.csv", b"order_id,order_id,amount,at\n1,1,1,1\n", "HR309", ("data/02.csv", "order_id")),
    BadFile(
        "02.csv", (HEADER + "x,a,1,2024-01-01T00:00:00\n").encode(), "HR314", ("02.csv: 'x' in line 2", "order_id")
    ),
)
BAD_PACKED = (
    BadFile("02.csv.gz", packed(HEADER + ROW.format(n=1) * 99)[:-9], "HR305", ("data/02.csv.gz",)),
    BadFile("02.csv.gz", HEADER.encode(), "HR306", ("data/02.csv.gz",)),
    BadFile("02.csv.gz", packed(""), "HR304", ("data/02.csv.gz",)),
    BadFile("02.csv.gz", packed(HEADER + "1,2,3,4,5\n"), "HR307", ("data/02.csv.gz", "line 2")),
)


@pytest.mark.parametrize("bad", BAD_FILES, ids=lambda bad: bad.code)
def test_a_bad_file(project: Project, bad: BadFile) -> None:
    (project.folder / "data" / bad.name).write_bytes(bad.content)
    refused(project, "raw", bad.code, *bad.words)
    mended(project)


@pytest.mark.parametrize("bad", BAD_PACKED, ids=lambda bad: bad.code)
def test_a_bad_compressed_file(tmp_path: Path, bad: BadFile) -> None:
    project = Project(tmp_path / "shop", ORDERS.replace("*.csv", "*.csv.gz"))
    data = project.folder / "data"
    good = HEADER + ROW.format(n=1)
    (data / "01.csv.gz").write_bytes(packed(good))
    assert not project.apply().failed
    (data / bad.name).write_bytes(bad.content)
    refused(project, "raw", bad.code, *bad.words)
    (data / bad.name).write_bytes(packed(good.replace("1,a,1", "2,a,2")))
    assert not project.apply().failed
    assert project.ids() == [1, 2]


def test_no_file_is_left(project: Project) -> None:
    (project.folder / "data" / "01.csv").rename(project.folder / "01.csv")
    refused(project, "raw", "HR301", "data/*.csv")
    (project.folder / "01.csv").rename(project.folder / "data" / "01.csv")
    mended(project)


def test_a_link_to_a_file_that_is_gone(project: Project) -> None:
    (project.folder / "data" / "02.csv").symlink_to("gone.csv")
    refused(project, "raw", "HR302", "data/02.csv")
    mended(project)


def test_files_without_rows(project: Project) -> None:
    whole = (project.folder / "data" / "01.csv").read_text()
    (project.folder / "data" / "01.csv").write_text(HEADER)
    refused(project, "raw", "HR313", "raw")
    (project.folder / "data" / "01.csv").write_text(whole)
    mended(project)


ROWS = 'return rows.with_columns(pl.col("amount").cast(pl.Float64) * FACTOR)'

BAD_CODE: Mapping[str, tuple[Callable[[str], str], str, tuple[str, ...]]] = {
    "no row is left after cleaning": (
        lambda code: code.replace(ROWS, ROWS + ".filter(pl.lit(False))"),
        "HR411",
        ("orders",),
    ),
    "every row breaks the contract": (
        lambda code: code.replace("column(ge=0)", "column(ge=1000)"),
        "HR411",
        ("orders", "amount"),
    ),
    "the contract names a column that is not there": (
        lambda code: code.replace("    shop: str\n", "    shop: str\n    town: str\n"),
        "HR406",
        ("orders", "town"),
    ),
    "a column has another type": (
        lambda code: code.replace("    shop: str\n", "    shop: int\n"),
        "HR407",
        ("orders", "shop"),
    ),
    "the contract leaves a column out": (
        lambda code: code.replace("    shop: str\n", "").replace("(Contract)", "(Contract, strict=True)"),
        "HR408",
        ("orders", "shop"),
    ),
    "the function raises": (
        lambda code: code.replace(ROWS, 'raise ValueError("no such luck")'),
        "HR423",
        ("orders", "ValueError", "no such luck"),
    ),
    "the query raises": (
        lambda code: code.replace('pl.col("amount").cast', 'pl.col("amont").cast'),
        "HR423",
        ("orders", "amont"),
    ),
    "the function returns something else": (
        lambda code: code.replace(ROWS, "return [1, 2, 3]"),
        "HR422",
        ("orders", "list"),
    ),
    "the function returns nothing": (lambda code: code.replace(ROWS, "rows.collect()"), "HR422", ("orders", "None")),
    "the function ends its process": (
        lambda code: code.replace(ROWS, "import os; os._exit(3)"),
        "HR705",
        ("orders",),
    ),
    "the function never returns": (
        lambda code: code.replace("incremental=True", 'incremental=True, options=Options(timeout="1s")').replace(
            ROWS, "import threading; threading.Event().wait()"
        ),
        "HR702",
        ("orders", "1s"),
    ),
}


@pytest.mark.parametrize("case", BAD_CODE)
def test_bad_code(project: Project, case: str) -> None:
    change, code, words = BAD_CODE[case]
    good = project.code
    project.write_code(change(good))
    assert project.code != good
    refused(project, "orders", code, *words)
    project.write_code(good)
    mended(project)


def test_a_label_with_one_class(tmp_path: Path) -> None:
    project = Project(tmp_path / "shop", ORDERS + MODEL)
    project.write_batch("01", range(60))
    assert not project.apply().failed
    good = project.code
    project.edit('(pl.col("amount") % 10 > 4)', '(pl.col("amount") < 0)')
    with project.opened() as workspace:
        before = workspace.ledger.snapshot("prod").pointers
    failed = project.apply().failed
    assert failed["model"]["code"] == "HR513"
    assert "returned" in failed["model"]["what"]
    assert failed["model"]["fix"]
    with project.opened() as workspace:
        after = workspace.ledger.snapshot("prod").pointers
        assert after["model"] == before["model"]
        assert workspace.ledger.live([after["model"]])
    project.write_code(good)
    assert not project.apply().failed
