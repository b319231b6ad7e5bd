"""What `plan`, `apply` and the rest say of a source that cannot be observed: the same error, and exit code 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli import golden
from tests.cli.commands import headrace, inside
from tests.support.two_sources import TwoSources

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> TwoSources:
    """Both sources were there and are published; then the database is lost, and new orders come in."""
    project = TwoSources(tmp_path / "shop")
    project.write_batch("01", range(3))
    project.customers("Ada")
    project.apply()
    project.lose()
    return project


def normal(project: TwoSources, text: str) -> str:
    return golden.normal(text).replace(str(project.folder), "<project>")


def test_it_is_told_and_the_rest_goes_on(project: TwoSources) -> None:
    standing = inside(project.folder, "plan", "--exit-code", code=1).out
    assert standing.endswith("Nothing to do: 1 not observed, 2 waiting.\n")
    project.write_batch("02", range(3, 5))
    planned = inside(project.folder, "plan", "--exit-code", code=1)
    golden.check("plan_unobserved", normal(project, planned.out))
    told = inside(project.folder, "plan", "--json", code=1).data
    assert {step["node"]: step["action"] for step in told["steps"]} == {
        "orders": "make",
        "daily": "make",
        "customers": "unobserved",
        "named": "blocked",
        "both": "blocked",
    }
    applied = headrace(project.folder, "apply", code=1)
    golden.check("apply_unobserved", normal(project, applied.out))
    assert "  x customers cannot be observed: HR341 " in applied.err
    again = headrace(project.folder, "apply", "--json", code=1).data
    assert again["unobserved"] == told["unobserved"]
    assert (again["failed"], again["skipped"], again["published"]) == ({}, ["named", "both"], [])
    error = again["unobserved"]["customers"]
    assert f"{error['code']} {error['what']}" in planned.out
    assert f"{error['code']} {error['what']}" in applied.out
    found = inside(project.folder, "runs", "--json").data
    assert [(run["state"], run["summary"]["unobserved"]) for run in found[:2]] == [("failed", told["unobserved"])] * 2
    assert "1 unobserved" in inside(project.folder, "runs").out
    assert error["what"] in inside(project.folder, "logs", found[0]["run"], "customers").out
    seen = f"  ! customers could not be observed by run {found[0]['run']}: HR341 {error['what']}\n"
    assert seen in inside(project.folder, "status").out
    assert inside(project.folder, "status", "--json").data[0]["unobserved"] == told["unobserved"]


def test_once_it_is_back_a_run_says_so_though_it_makes_nothing(project: TwoSources) -> None:
    assert headrace(project.folder, "apply", "--json", code=1).data["run"]
    project.mend()
    assert "nothing to make; nothing published." in headrace(project.folder, "apply").out
    assert inside(project.folder, "runs", "--json").data[0]["state"] == "done"
    assert inside(project.folder, "status", "--json").data[0]["unobserved"] == {}
    assert headrace(project.folder, "apply").out == "Nothing to do.\n"


def test_a_step_that_fails_counts_for_more(project: TwoSources) -> None:
    (project.folder / "data" / "02.csv").write_bytes(b"")
    assert "cannot be observed: HR341" in headrace(project.folder, "apply", code=3).out


def test_what_does_not_depend_on_it_does_not_tell_of_it(project: TwoSources) -> None:
    assert inside(project.folder, "plan", "--only", "daily").out == "Nothing to do.\n"
    assert "HR341" in inside(project.folder, "plan", "--only", "both", code=1).out


def test_a_backfill_that_is_only_shown_tells_of_it(project: TwoSources) -> None:
    project.edit("cast(pl.Float64)", "cast(pl.Float64) * 2")
    shown = headrace(project.folder, "backfill", "daily", code=1).out
    assert "  x customers cannot be observed: HR341" in shown
    assert "Published with it" not in shown
    told = headrace(project.folder, "backfill", "daily", "--json", code=1).data
    assert (list(told["unobserved"]), told["downstream"]) == (["customers"], [])
    done = headrace(project.folder, "backfill", "daily", "--yes", "--json", code=1).data
    assert (done["applied"]["published"], list(done["applied"]["unobserved"])) == (["daily"], ["customers"])
