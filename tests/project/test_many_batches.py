"""A project of more batches than are kept in one piece: every way to a version leads to what a rebuild would make."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from headrace.ports.mappings import PieceList, Pieces
from headrace.runtime.observer import Observer
from tests.cli.commands import HEADRACE, surroundings
from tests.support.projects import Project
from tests.support.versions import forget_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from headrace.ports.records import Version

MANY = 60


def arrive(project: Project, numbers: Iterable[int]) -> None:
    for number in numbers:
        project.write_batch(f"b{number:04}", range(2 * number, 2 * number + 2))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "shop")
    arrive(project, range(MANY))
    assert not project.apply().failed
    return project


def pointed(project: Project, node: str) -> Version:
    with project.opened() as workspace:
        key = workspace.ledger.snapshot("prod").pointers[node]
        return workspace.ledger.live([key])[key]


def run(project: Project, *arguments: str, failpoint: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**surroundings(), **({"HEADRACE_FAILPOINT": failpoint} if failpoint else {})}
    return subprocess.run(
        [*HEADRACE, *arguments], cwd=project.folder, env=environment, capture_output=True, text=True, check=False
    )


def told(project: Project) -> dict[str, Any]:
    """What is published, without the way to it."""
    versions = {node: pointed(project, node) for node in ("raw", "orders")}
    return {
        "rows": project.rows("orders"),
        "keys": {node: version.key for node, version in versions.items()},
        "batches": {node: dict(version.batches.items()) for node, version in versions.items()},
        "facts": {
            node: {
                name: dict(value.items()) if isinstance(value, Pieces) else value
                for name, value in version.manifest.facts.items()
                if name not in ("new_rows", "layout", "moved")
            }
            for node, version in versions.items()
        },
        "outputs": dict(versions["raw"].manifest.outputs.items()),
    }


def test_large_sets_are_in_pieces_and_small_appends_share_them(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {node: pointed(project, node) for node in ("raw", "orders")}
    arrive(project, [MANY])
    applied = project.apply()
    assert set(applied.made) >= {"raw", "orders"}
    forget_pieces(monkeypatch)
    for node, old in before.items():
        new = pointed(project, node)
        assert len(new.batches) == MANY + 1
        assert isinstance(new.batches, Pieces)
        assert isinstance(new.manifest.facts["batches"], Pieces)
        known = {digest for tree in old.trees() for digest in tree.digests}
        trees = list(new.trees())
        assert len({digest for tree in trees for digest in tree.digests} - known) <= 3 * len(trees)
    assert isinstance(pointed(project, "orders").manifest.facts["layout"], PieceList)
    assert pointed(project, "raw").batches == pointed(project, "orders").batches
    assert pointed(project, "orders").manifest.facts["new_rows"] == 2


def test_batches_that_come_change_and_go_end_where_a_rebuild_ends(project: Project, tmp_path: Path) -> None:
    arrive(project, [MANY, MANY + 1])
    project.apply()
    project.write_batch("b0007", [14, 15, 5_000])
    (project.folder / "data" / "b0030.csv").unlink()
    project.write_batch("a0000", [6_000, 3])  # shares a key with a batch that is there, and sorts before all
    assert not project.apply().failed
    (project.folder / "data" / "b0001.csv").unlink()  # the key that it shared is free again
    assert not project.apply().failed
    anew = project.copied(tmp_path / "anew")
    shutil.rmtree(anew.folder / ".headrace")
    assert not anew.apply().failed
    mine, theirs = told(project), told(anew)
    for what, value in mine.items():
        assert value == theirs[what], what


def test_a_set_may_become_small_again(project: Project) -> None:
    for number in range(5, MANY):
        (project.folder / "data" / f"b{number:04}.csv").unlink()
    assert not project.apply().failed
    assert project.ids() == list(range(10))
    assert isinstance(pointed(project, "raw").batches, dict)
    arrive(project, range(5, MANY))
    assert not project.apply().failed
    assert project.ids() == list(range(2 * MANY))


@pytest.mark.parametrize(
    "failpoint",
    [
        "manifest.rename.before",
        "manifest.rename.after",
        "step.make.after",
        "ledger.commit.before:3",
        "ledger.commit.after:3",
        "publish.move.before",
    ],
)
def test_killed_on_the_way_it_ends_where_an_undisturbed_one_ends(
    project: Project, tmp_path: Path, failpoint: str
) -> None:
    arrive(project, range(MANY, MANY + 3))
    undisturbed = project.copied(tmp_path / "undisturbed")
    assert run(undisturbed, "apply").returncode == 0
    assert run(project, "apply", failpoint=failpoint).returncode == -9
    with project.opened() as workspace:
        workspace.ledger.verify()
    done = run(project, "apply")
    assert done.returncode == 0, done.stderr
    assert told(project) == told(undisturbed)
    assert run(project, "doctor").returncode == 0


def test_collecting_leaves_what_a_live_version_names(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(MANY, MANY + 3):
        arrive(project, [number])
        project.apply()
    with project.opened() as workspace:
        workspace.collect(timedelta(0))
    forget_pieces(monkeypatch)
    expected = list(range(2 * (MANY + 3)))
    assert project.ids() == expected
    arrive(project, [MANY + 3])
    with project.opened() as workspace:
        applied = workspace.apply(workspace.question(), Observer())
        assert not applied.failed
        assert workspace.ledger.verify()
    assert project.ids() == [*expected, *range(2 * (MANY + 3), 2 * (MANY + 4))]


def test_a_damaged_piece_is_noticed(project: Project) -> None:
    with sqlite3.connect(project.folder / ".headrace" / "ledger.db") as connection:
        connection.execute("UPDATE pieces SET body = replace(body, 'b0', 'c0') WHERE body LIKE '{%'")
    for command in ("doctor", "apply"):
        arrive(project, [MANY])
        done = run(project, command)
        assert done.returncode, command
        assert "HR606" in done.stdout + done.stderr, command


def test_json_tells_the_sets_as_ever(project: Project) -> None:
    done = run(project, "why", "orders", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert list(said["facts"]["batches"]) == [f"data/b{number:04}.csv" for number in range(MANY)]
    assert said["facts"]["layout"][:2] == [["data/b0000.csv", 2], ["data/b0001.csv", 2]]
