"""Generations of the online store are made, checked, collected and made again like every other output."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from headrace.errors import HeadraceError
from headrace.features.lookup import OnlineView
from tests.support.projects import ORDERS, Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.project.workspace import Workspace

VIEW = """

from headrace.features.aggregates import total
from headrace.features.online import OnlineFeatures


class Sold(Features, of=orders, entity="shop"):
    lately: int = count(over="3d")
    ever: float = total("amount")


shop._add(OnlineFeatures(Sold.__view__))
"""
KEEP_NOTHING = timedelta(0)
APPLY = "from headrace.cli.main import main; main()"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "shop", ORDERS + VIEW)
    made.write_batch("01", range(10))
    made.apply()
    return made


@pytest.fixture
def workspace(project: Project) -> Iterator[Workspace]:
    with project.opened() as opened:
        yield opened


def pointer(workspace: Workspace) -> str:
    return workspace.ledger.snapshot("prod").pointers["Sold.online"]


def looked_up(workspace: Workspace) -> dict[str, object]:
    online = OnlineView.open(workspace.stores.online, pointer(workspace))
    [row], _ = online.lookup([("a",)], [(online.header.newest or 0) + 1])
    return row


def test_a_generation_is_published(workspace: Workspace) -> None:
    assert looked_up(workspace) == {"lately": 3, "ever": 45.0}
    version = workspace.ledger.version(pointer(workspace))
    assert version is not None
    assert version.manifest.facts["entities"] == 1
    workspace.stores.verify(version.manifest.outputs["online"])


def test_what_no_version_needs_is_collected_and_nothing_else(project: Project) -> None:
    with project.opened() as workspace:
        first = pointer(workspace)
    project.edit("FACTOR = 1", "FACTOR = 2")
    project.apply()
    with project.opened() as workspace:
        online = workspace.stores.online
        assert len(online.generations()) == 2
        garbage = workspace.garbage(KEEP_NOTHING)
        assert list(garbage.generations) == [first]
        assert garbage.to_json()["generations"] == {first: online.size(first)}
        assert garbage.size > online.size(first) > 0
        assert len(online.generations()) == 2
        workspace.collect(KEEP_NOTHING)
        assert list(online.generations()) == [pointer(workspace)]
        assert looked_up(workspace) == {"lately": 3, "ever": 90.0}
        assert workspace.garbage(KEEP_NOTHING).generations == {}


def test_a_generation_of_no_version_is_collected(workspace: Workspace) -> None:
    workspace.stores.online.fill("f" * 64, [(b"key", b"value")])
    assert workspace.garbage().generations.keys() == {"f" * 64}
    workspace.collect()
    assert list(workspace.stores.online.generations()) == [pointer(workspace)]


def test_a_lost_generation_is_found_and_filled_again(project: Project) -> None:
    with project.opened() as workspace:
        version = workspace.ledger.version(pointer(workspace))
        assert version is not None
        workspace.stores.online.drop(version.key)
        with pytest.raises(HeadraceError) as caught:
            workspace.stores.verify(version.manifest.outputs["online"])
        assert caught.value.code == "HR470"
    doctor = command(project, "doctor")
    assert "HR470" in doctor.stdout + doctor.stderr
    refreshed = command(project, "apply", "--refresh", "Sold.online")
    assert refreshed.returncode == 0, refreshed.stdout + refreshed.stderr
    with project.opened() as workspace:
        assert looked_up(workspace) == {"lately": 3, "ever": 45.0}


@pytest.mark.parametrize("failpoint", ["online.fill.before", "online.fill.after"])
def test_killed_while_it_publishes(project: Project, failpoint: str) -> None:
    project.edit("FACTOR = 1", "FACTOR = 2")
    assert command(project, "apply", failpoint=failpoint).returncode < 0
    with project.opened() as workspace:
        assert looked_up(workspace) == {"lately": 3, "ever": 45.0}
    project.apply()
    with project.opened() as workspace:
        assert looked_up(workspace) == {"lately": 3, "ever": 90.0}
        workspace.collect(KEEP_NOTHING)
        assert len(workspace.stores.online.generations()) == 1


def test_a_full_disk_is_told(project: Project) -> None:
    project.edit("FACTOR = 1", "FACTOR = 2")
    done = command(project, "apply", failpoint="online.fill.before=ENOSPC")
    assert done.returncode > 0
    assert "HR473" in done.stdout + done.stderr
    assert command(project, "apply").returncode == 0


@pytest.mark.parametrize("address", ["redis://localhost/0", "memory"])
def test_an_address_that_is_none_is_told(project: Project, address: str) -> None:
    settings = project.folder / "headrace.toml"
    settings.write_text(f'{settings.read_text()}online = "{address}"\n')
    with project.opened() as workspace, pytest.raises(HeadraceError) as caught:
        workspace.garbage()
    assert caught.value.code == "HR477"


def command(project: Project, *arguments: str, failpoint: str = "") -> subprocess.CompletedProcess[str]:
    """Run one command in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "HEADRACE_FAILPOINT"}
    return subprocess.run(
        [sys.executable, "-c", APPLY, *arguments],
        cwd=project.folder,
        env={**environment, **({"HEADRACE_FAILPOINT": failpoint} if failpoint else {})},
        capture_output=True,
        text=True,
        check=False,
    )
