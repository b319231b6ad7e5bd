"""Threads that write at the same moment share a commit; each learns what became of its own items."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from threading import Barrier, Condition, Event
from typing import TYPE_CHECKING, cast

import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.adapters.sqlite import SqliteDatabase
from headrace.errors import HeadraceError
from headrace.ledger.group import Group, Request
from headrace.ledger.ledger import SqlLedger
from headrace.ports.ledger import AddVersion, Answer, ConsumeSignal, SendSignal
from headrace.testing.ledgers import version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from headrace.adapters.sqlite import SqliteConnection


class Commits:
    """Stands for the database: keeps the first group waiting, and fails when it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.entered, self.go_on = Event(), Event()
        self.error: BaseException | None = None

    def __call__(self, group: Sequence[Request]) -> None:
        ids = [item.id for request in group for item in request.items if isinstance(item, ConsumeSignal)]
        self.groups.append(ids)
        if len(self.groups) == 1:
            self.entered.set()
            self.go_on.wait(30)
        elif self.error is not None:
            raise self.error
        for request in group:
            request.answers = [Answer(item.id) for item in request.items if isinstance(item, ConsumeSignal)]


def gather(commits: Commits, count: int) -> tuple[Future[list[Answer]], list[Future[list[Answer]]]]:
    """One submission that leads, and `count` that wait meanwhile and are then released together."""
    group = Group(commits)
    with ThreadPoolExecutor(count + 1) as pool:
        first = pool.submit(group.submit, [ConsumeSignal(0)])
        assert commits.entered.wait(30)
        rest = [pool.submit(group.submit, [ConsumeSignal(number)]) for number in range(1, count + 1)]
        while group.waiting < count:
            os.sched_yield()
        commits.go_on.set()
    return first, rest


def test_those_who_wait_share_one_commit() -> None:
    commits = Commits()
    first, rest = gather(commits, 7)
    assert [group == [0] for group in commits.groups] == [True, False]
    assert sorted(commits.groups[1]) == list(range(1, 8))
    assert [answers.result() for answers in (first, *rest)] == [[Answer(number)] for number in range(8)]


def test_a_failed_commit_is_raised_in_every_thread_of_the_group() -> None:
    commits = Commits()
    commits.error = HeadraceError("HR613", "full")
    first, rest = gather(commits, 3)
    assert first.result() == [Answer(0)]
    errors = [future.exception() for future in rest]
    assert [isinstance(error, HeadraceError) and error.code for error in errors] == ["HR613"] * 3
    assert len({id(error) for error in errors}) == 3


def test_an_interrupted_leader_leaves_the_others_in_no_doubt_about_the_doubt() -> None:
    commits = Commits()
    commits.error = KeyboardInterrupt()
    _, rest = gather(commits, 3)
    errors = [future.exception() for future in rest]
    assert sum(isinstance(error, KeyboardInterrupt) for error in errors) == 1
    assert sum(isinstance(error, HeadraceError) and error.code == "HR618" for error in errors) == 2


def test_an_interrupted_follower_withdraws_its_items(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Condition):
        def wait(self, timeout: float | None = None) -> bool:
            del timeout
            raise KeyboardInterrupt

    commits = Commits()
    group = Group(commits)
    monkeypatch.setattr(group, "_changed", Interrupted())
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(group.submit, [ConsumeSignal(0)])
        assert commits.entered.wait(30)
        with pytest.raises(KeyboardInterrupt):
            group.submit([ConsumeSignal(1)])
        commits.go_on.set()
        leader.result()
    assert group.submit([ConsumeSignal(2)]) == [Answer(2)]
    assert commits.groups == [[0], [2]]


class Counting(SqliteDatabase):
    """Counts its transactions that write."""

    commits = 0

    @contextmanager
    def writing(self) -> Iterator[SqliteConnection]:
        self.commits += 1
        with super().writing() as connection:
            yield connection


def test_there_are_fewer_commits_than_items(tmp_path: Path) -> None:
    threads, rounds = 8, 30
    database = Counting(tmp_path / "ledger.db")
    barrier = Barrier(threads)

    def work(thread: int) -> None:
        barrier.wait()
        for number in range(rounds):
            ledger.write(AddVersion(version_of(number, f"node{thread}")))

    with closing(SqlLedger(database, SimulatedClock())) as ledger, ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
        assert ledger.verify() == threads * rounds
        assert database.commits < threads * rounds / 2


def test_an_item_that_breaks_half_way_leaves_no_trace_and_stops_nobody(tmp_path: Path) -> None:
    database = Counting(tmp_path / "ledger.db")
    with closing(SqlLedger(database, SimulatedClock())) as ledger:
        before = database.commits
        broken = replace(version_of(2), node=cast("str", None))
        items = (
            AddVersion(version_of(1)),
            AddVersion(broken),
            SendSignal("refresh", "prod"),
            AddVersion(version_of(3)),
        )
        answers = ledger.write(*items)
        error = answers[1].error
        assert error is not None
        assert error.code == "HR601"
        assert "NOT NULL" in error.what
        assert [answer.error for answer in answers if answer is not answers[1]] == [None] * 3
        assert [version.key for version in ledger.versions()] == ["table-1", "table-3"]
        assert ledger.verify() == 3
        assert database.commits - before == 2  # the second one with savepoints
