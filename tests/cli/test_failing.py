"""Applies that do not go well: a step that fails, a gate that refuses, an interruption, a cancellation."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.cli import golden
from tests.cli.commands import begin, headrace, inside
from tests.support.projects import MODEL, ORDERS, Project

if TYPE_CHECKING:
    from pathlib import Path

WAITING = """

@shop.table(orders)
def waiting(rows: pl.LazyFrame) -> pl.LazyFrame:
    from pathlib import Path

    here = Path(__file__).parent
    if (here / "gate").exists():
        print("waiting for the gate", flush=True)
        (here / "started").open("wb").close()
        (here / "gate").open("rb").read()
    return rows
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project")
    made.write_batch("a", range(40))
    return made


def test_a_step_that_fails(project: Project) -> None:
    project.edit('pl.col("amount").cast(pl.Float64)', 'pl.col("amont").cast(pl.Float64)')
    failed = headrace(project.folder, "apply", code=3)
    golden.check("apply_failed", golden.normal(failed.out).replace(str(project.folder / project.module), "shop"))
    assert "  x orders failed: HR" in failed.err
    told = headrace(project.folder, "apply", "--json", code=3).data
    assert list(told["failed"]) == ["orders"]
    assert told["skipped"] == ["by_shop"]
    assert "amont" in inside(project.folder, "logs", told["run"], "orders").out


def test_a_gate_that_refuses_goes_on_refusing(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", ORDERS + MODEL)
    project.write_batch("a", range(200))
    project.edit("THRESHOLD = 0.5", "THRESHOLD = 2.0")
    refused = headrace(project.folder, "apply", code=4)
    golden.check("apply_refused", golden.normal(refused.out))
    assert "  x model did not pass its gate" in refused.err
    assert "  x model" in inside(project.folder, "plan").out
    again = headrace(project.folder, "apply", code=4)
    assert again.out.startswith("Nothing to do.\n  x model: this version was refused: ")
    assert headrace(project.folder, "apply", "--json", code=4).data["refused_before"] == ["model"]


def waiting(project: Project) -> None:
    """A step that waits until it is let through, and says when it does."""
    project.write_code(project.code + WAITING)
    os.mkfifo(project.folder / "gate")
    os.mkfifo(project.folder / "started")


def test_an_interrupted_apply_goes_on_from_there(project: Project) -> None:
    waiting(project)
    process = begin(project.folder, "apply")
    (project.folder / "started").read_bytes()
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate()
    assert process.returncode == 130, talk
    assert "Interrupted. What is finished stays; run the same command to go on." in talk
    assert inside(project.folder, "runs", "--json").data[0]["state"] == "cancelled"
    (project.folder / "gate").unlink()
    told = headrace(project.folder, "apply", "--json").data
    assert "waiting" in told["made"]
    assert "orders" not in told["made"]


def test_a_cancelled_apply(project: Project) -> None:
    waiting(project)
    process = begin(project.folder, "apply")
    (project.folder / "started").read_bytes()
    [run] = inside(project.folder, "runs", "--json").data
    assert inside(project.folder, "status", "--json").data[0]["runs"][0]["run"] == run["run"]
    assert headrace(project.folder, "cancel", run["run"]).out == f"Run {run['run']} was asked to stop.\n"
    _, talk = process.communicate()
    assert process.returncode == 130, talk
    assert "Cancelled. What is finished stays" in talk


def test_a_second_apply_waits_and_says_for_whom(project: Project) -> None:
    waiting(project)
    first = begin(project.folder, "apply")
    (project.folder / "started").read_bytes()
    second = begin(project.folder, "apply")
    assert second.stderr is not None
    said = next(line for line in second.stderr if "waiting for it" in line)
    assert said.startswith("  ! waiting is being made by run ")
    (project.folder / "gate").write_bytes(b"go")
    for process in (first, second):
        process.communicate()
        assert process.returncode == 0
    assert len(inside(project.folder, "why", "waiting", "--json").data["key"]) == 64


def test_a_run_whose_process_was_killed_is_found(project: Project) -> None:
    waiting(project)
    process = begin(project.folder, "apply")
    (project.folder / "started").read_bytes()
    process.kill()
    process.communicate()
    told = inside(project.folder, "doctor", code=5).out
    assert "left behind by a crash: " in told
    [run] = inside(project.folder, "runs", "--json").data
    assert run["state"] == "crashed"
    assert inside(project.folder, "logs", run["run"], "--json").data["run"]["state"] == "crashed"
    assert f"! run {run['run']} crashed; the next apply goes on" in inside(project.folder, "status").out
    [found] = inside(project.folder, "status", "--json").data
    assert not found["runs"]
    assert [each["run"] for each in found["crashed"]] == [run["run"]]
    assert headrace(project.folder, "cancel", run["run"]).out == f"Run {run['run']} is not at work: crashed.\n"
    (project.folder / "gate").unlink()
    headrace(project.folder, "apply")
    assert inside(project.folder, "doctor").out.endswith("All is well.\n")
