"""A clock of the machine that goes back between two runs, or far ahead: nothing breaks, and nothing is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from headrace.adapters.clocks import SimulatedClock
from headrace.runtime.observer import Observer
from tests.support.projects import ORDERS, Project

if TYPE_CHECKING:
    from pathlib import Path


def apply(project: Project, at: datetime, seed: int) -> None:
    with project.opened() as workspace:
        workspace.clock = SimulatedClock(at, seed)  # type: ignore[assignment]
        applied = workspace.apply(workspace.question(), Observer())
        assert not applied.failed
        workspace.ledger.verify()


def test_a_clock_that_goes_back(tmp_path: Path) -> None:
    project = Project(tmp_path / "shop", ORDERS)
    project.write_batch("01", range(3))
    apply(project, datetime(2030, 6, 1, tzinfo=UTC), 1)
    project.write_batch("02", range(3, 6))
    apply(project, datetime(2001, 1, 1, tzinfo=UTC), 2)
    project.write_batch("03", range(6, 8))
    apply(project, datetime(2090, 1, 1, tzinfo=UTC), 3)
    assert project.ids() == list(range(8))
    with project.opened() as workspace:
        published = [change.key for change in workspace.ledger.history("prod", "orders")]
        assert len(set(published)) == 3  # in the order in which they were written, whatever the clock said
        assert published[-1] == workspace.ledger.snapshot("prod").pointers["orders"]
        garbage = workspace.garbage()
        assert workspace.ledger.snapshot("prod").pointers["orders"] not in {each.key for each in garbage.versions}
