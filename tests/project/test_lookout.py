"""The sources as a supervisor sees them: one that cannot be observed hides no other, and is missed and greeted once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.project.lookout import Lookout
from tests.support.two_sources import TwoSources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> TwoSources:
    project = TwoSources(tmp_path / "shop")
    project.write_batch("01", range(3))
    project.customers("Ada")
    return project


@pytest.fixture
def lookout(project: TwoSources) -> Iterator[Lookout]:
    with project.opened() as workspace:
        yield Lookout(workspace, "prod")


def problem(lookout: Lookout) -> str:
    """Why sources cannot be observed; nothing where all can."""
    return "" if lookout.problem is None else f"{lookout.problem.code} {lookout.problem.what}"


def test_one_that_is_lost_is_told_once_and_hides_no_other(project: TwoSources, lookout: Lookout) -> None:
    assert lookout.look() == []
    first = dict(lookout.digests or {})
    project.lose()
    assert lookout.look() == []
    assert problem(lookout), "it is told at once"
    assert lookout.look() == ["customers cannot be observed"]
    assert lookout.digests == first, "what it held last is not forgotten"
    assert lookout.look() == []
    project.write_batch("02", range(3, 5))
    assert lookout.look() == ["new data"]
    assert problem(lookout).startswith("HR341 customers: ")
    project.mend()
    assert lookout.look() == ["customers can be observed again"]
    assert not problem(lookout)
    assert lookout.look() == []


def test_one_that_comes_back_with_something_new_is_new_data(project: TwoSources, lookout: Lookout) -> None:
    lookout.look()
    project.lose()
    lookout.look()
    lookout.look()
    project.mend()
    project.customers("Ada Lovelace")
    assert lookout.look() == ["new data", "customers can be observed again"]


def test_one_that_was_never_seen_is_new_data_when_it_comes(project: TwoSources, lookout: Lookout) -> None:
    project.lose()
    assert lookout.look() == []
    assert (lookout.digests or {}).keys() == {"orders"}
    project.mend()
    assert lookout.look() == ["new data", "customers can be observed again"]


def test_a_mishap_of_a_moment_asks_for_nothing(project: TwoSources, lookout: Lookout) -> None:
    lookout.look()
    for _ in range(3):
        project.lose()
        assert lookout.look() == []
        project.mend()
        assert lookout.look() == []


def test_all_that_are_lost_are_named(project: TwoSources, lookout: Lookout) -> None:
    lookout.look()
    project.lose()
    (project.folder / "data" / "01.csv").unlink()
    lookout.look()
    assert lookout.look() == ["customers, orders cannot be observed"]
    assert "; orders: no file matches data/*.csv" in problem(lookout)


def test_since_when_each_of_them_changed_and_fails(project: TwoSources) -> None:
    clock = SimulatedClock()
    with project.opened() as workspace:
        workspace.clock = clock  # type: ignore[assignment]  # the lookout asks it what time it is
        lookout = Lookout(workspace, "prod")
        lookout.look()
        began = clock.now().timestamp()
        assert lookout.failing == {"orders": 0.0, "customers": 0.0}
        assert lookout.changed == {"orders": began, "customers": began}
        project.lose()
        clock.sleep(60)
        lookout.look()
        clock.sleep(60)
        project.write_batch("02", range(3, 5))
        lookout.look()
        assert lookout.failing == {"orders": 0.0, "customers": began + 60}
        assert lookout.changed == {"orders": began + 120, "customers": began}
        project.mend()
        lookout.look()
        assert lookout.failing == {"orders": 0.0, "customers": 0.0}
