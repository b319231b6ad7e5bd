"""Applies of a supervisor, in real processes: one at a time, with the present code, and again after a failure."""

from __future__ import annotations

import os
import select
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.errors import HeadraceError
from headrace.project.applying import Applying
from headrace.project.loadedfiles import LoadedFiles
from headrace.runtime.observer import Observer
from tests.support.projects import Project
from tests.support.upheld import children_of, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.project.applying import Ended


@dataclass
class Applies:
    """A project, its applies, what they said and how they ended."""

    project: Project
    applying: Applying
    clock: SimulatedClock
    said: list[str]
    ended: list[tuple[str, Ended]] = field(default_factory=list)

    def ask(self, reason: str, *only: str) -> None:
        self.applying.ask(reason, frozenset(only), lambda ended: self.ended.append((reason, ended)))

    def until_ended(self) -> None:
        assert not self.applying.look()
        ready, _, _ = select.select(self.applying.waits_for, [], [], 90)
        assert ready
        while not self.applying.look():
            pass


@pytest.fixture
def applies(tmp_path: Path) -> Iterator[Applies]:
    with applies_in(tmp_path) as found:
        yield found


@contextmanager
def applies_in(folder: Path) -> Iterator[Applies]:
    project = Project(folder / "shop")
    project.write_batch("01", range(5))
    clock, said = SimulatedClock(), list[str]()
    with project.opened() as workspace:
        workspace.clock = clock  # type: ignore[assignment]  # what a clock is, it does
        applying = Applying(workspace, "prod", said.append)
        try:
            yield Applies(project, applying, clock, said)
        finally:
            applying.stop()


def test_what_is_asked_for_before_it_begins_is_done_at_once(applies: Applies) -> None:
    applies.ask("one", "raw")
    applies.ask("two", "orders")
    applies.until_ended()
    assert applies.said[0] == "Applying: one; two"
    assert [reason for reason, _ in applies.ended] == ["one", "two"]
    ended = applies.ended[0][1]
    assert (ended.code, ended.good) == (0, True)
    assert ended.of("made") == {"raw", "orders"}
    assert ended.run is not None
    assert ended.run in applies.said[1]


def test_what_is_asked_for_meanwhile_comes_next(applies: Applies) -> None:
    applies.ask("one", "raw")
    applies.applying.look()
    applies.ask("two", "orders")
    applies.until_ended()
    assert [reason for reason, _ in applies.ended] == ["one"]
    applies.until_ended()
    assert [ended.of("made") for _, ended in applies.ended] == [{"raw"}, {"orders"}]


def test_everything_is_asked_for_by_nothing_in_particular(applies: Applies) -> None:
    applies.ask("one", "raw")
    applies.ask("all")
    applies.until_ended()
    assert applies.ended[0][1].of("made") == {"raw", "orders", "by_shop"}
    applies.ask("again")
    applies.until_ended()
    assert applies.ended[-1][1].run is None
    assert not applies.ended[-1][1].of("made")


def test_who_asked_for_what_went_well_is_told_so_whatever_else_went_wrong(applies: Applies) -> None:
    applies.project.edit('rows.group_by("shop")', 'rows.group_by("shp")')
    applies.ask("one", "orders")
    applies.ask("two", "by_shop")
    applies.until_ended()
    assert {reason: ended.good for reason, ended in applies.ended} == {"one": True, "two": False}
    assert all(ended.of("made") == {"raw", "orders"} for _, ended in applies.ended)
    applies.clock.sleep(5)
    applies.until_ended()
    assert [reason for reason, _ in applies.ended] == ["one", "two", "two"]


def test_a_worker_that_was_killed_while_it_was_idle_is_replaced(applies: Applies) -> None:
    """It must not pass for an apply that ended well, which nobody would repeat."""
    applies.applying.keep_ready(wanted=True)
    applies.ask("one")
    applies.until_ended()
    [standby] = children_of(os.getpid(), "headrace.cli.standby")
    for zygote in children_of(standby, "zygote"):
        for worker in children_of(zygote, "zygote"):
            os.kill(worker, signal.SIGKILL)
    applies.project.write_batch("02", range(5, 9))
    applies.ask("two")
    applies.until_ended()
    if not applies.ended[-1][1].good:  # it was given the job before it was dead
        assert applies.ended[-1][1].error == "HR705"
        applies.clock.sleep(5)
        applies.until_ended()
    assert applies.ended[-1][1].of("made") == {"raw", "orders", "by_shop"}


def test_without_the_process_that_forks_workers_an_apply_fails_and_the_next_one_begins_afresh(tmp_path: Path) -> None:
    project = Project(tmp_path / "shop")
    project.write_batch("01", range(5))
    with project.opened() as workspace:
        workspace.apply(workspace.question(), Observer())
        project.write_batch("02", range(5, 9))
        [zygote] = children_of(os.getpid(), "zygote")
        for each in [*children_of(zygote, "zygote"), zygote]:
            os.kill(each, signal.SIGKILL)
        until(lambda: not children_of(zygote, "zygote"))
        with pytest.raises(HeadraceError, match="HR704"):
            workspace.apply(workspace.question(), Observer())
        assert set(workspace.apply(workspace.question(), Observer()).made) == {"raw", "orders", "by_shop"}


def test_a_failure_is_tried_again_after_longer_and_longer(applies: Applies) -> None:
    good = applies.project.code
    applies.project.edit("rows.with_columns", "rows.with_colums")
    applies.ask("one")
    applies.until_ended()
    assert applies.said[-1] == "The apply ended with 3; another one begins in 5 s"
    assert (applies.ended[0][1].good, applies.ended[0][1].code) == (False, 3)
    applies.applying.look()
    assert applies.applying.waits_for == ()
    applies.clock.sleep(5)
    applies.until_ended()
    assert applies.said[-1] == "The apply ended with 3; another one begins in 10 s"
    applies.project.write_code(good)
    applies.ask("two", "raw")  # ends the pause
    applies.until_ended()
    assert [(reason, ended.good) for reason, ended in applies.ended] == [
        ("one", False),
        ("one", False),
        ("one", True),
        ("two", True),
    ]
    assert applies.ended[-1][1].of("published") == {"orders", "by_shop"}


def test_one_that_stands_by_applies_the_present_code(applies: Applies) -> None:
    applies.applying.keep_ready(wanted=True)
    applies.ask("one")
    applies.until_ended()
    applies.project.edit("FACTOR = 1", "FACTOR = 3")
    applies.ask("two")
    applies.until_ended()
    assert {reason: ended.of("made") for reason, ended in applies.ended}["two"] == {"orders", "by_shop"}
    assert applies.project.rows("by_shop") == [("a", 5, 30.0)]


def test_one_process_does_one_apply_after_the_other(applies: Applies) -> None:
    applies.applying.keep_ready(wanted=True)
    made = []
    for number in range(2, 5):
        applies.project.write_batch(f"{number:02}", range(10 * number, 10 * number + 5))
        applies.ask("more")
        applies.until_ended()
        made.append(len(applies.project.ids()))
    assert made == [10, 15, 20]
    applies.applying.keep_ready(wanted=False)
    applies.ask("last")
    applies.until_ended()
    assert applies.ended[-1][1].run is None


def test_one_that_cannot_load_the_project_says_so_when_it_is_to_apply(applies: Applies) -> None:
    good = applies.project.code
    applies.project.write_code("import nothing_of_this_name")
    applies.applying.keep_ready(wanted=True)
    applies.ask("one")
    applies.until_ended()
    assert "HR804" in " ".join(applies.said)
    applies.project.write_code(good)
    applies.ask("two")
    applies.until_ended()
    assert applies.ended[-1][1].good


def test_it_can_be_stopped_at_any_time(tmp_path: Path) -> None:
    with applies_in(tmp_path) as applies:
        applies.applying.keep_ready(wanted=True)
        applies.applying.keep_ready(wanted=False)
        applies.applying.keep_ready(wanted=True)
        applies.ask("one")
        applies.applying.look()


def test_files_that_were_read_while_loading_are_noticed_when_they_change(tmp_path: Path) -> None:
    state = tmp_path / ".headrace"
    state.mkdir()
    query, later, own = tmp_path / "query.sql", tmp_path / "later.sql", state / "own"
    for path in (query, later, own):
        path.write_text("select 1")
    files = LoadedFiles(tmp_path, state)
    with files.watching():
        query.read_text()
        own.read_text()
        (tmp_path / "written").write_text("x")
    later.read_text()
    assert not files.changed()
    for path in (later, own, tmp_path / "written"):
        path.write_text("select 22")
    assert not files.changed()
    query.write_text("select 22")
    assert files.changed()
