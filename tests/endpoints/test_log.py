"""The log of one process: nothing that was written is lost, nothing is dropped in silence, nothing is raised."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from headrace.adapters.segments import FileSegments
from headrace.endpoints.log import Limits
from headrace.endpoints.log_lines import predictions
from headrace.ports import failpoints
from tests.support.predictions import batch, log_in, logged

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.errors import HeadraceError

ROOT = Path(__file__).parents[2]
SOON = Limits(pause=0.001)
ANSWER = """
import os, sys
from pathlib import Path
from headrace.ports import failpoints
from tests.support.predictions import batch, log_in
log = log_in(Path(sys.argv[1]))
while True:
    ids = log.ids(3)
    log.append(batch(ids))
    os.write(1, " ".join(ids).encode() + b"\\n")
"""


def recorded(folder: Path) -> list[str]:
    """The ids of every whole record; no line may be damaged."""
    store = FileSegments(folder)
    lines = [line for each in store.all() for line in predictions(store.content(each) or b"")]
    return [each.id for line in lines if line is not None for each in line] + ["damaged"] * lines.count(None)


class Told(list["HeadraceError | None"]):
    """What a log reported, for those who wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._news = Event()

    def append(self, problem: HeadraceError | None) -> None:
        super().append(problem)
        self._news.set()

    def wait_for(self, count: int) -> None:
        while len(self) < count:
            assert self._news.wait(20)
            self._news.clear()


class Disk:
    """A disk that can be full: for writing, for new files, for syncs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full: set[str] = set()
        for name in ("write", "fsync", "open"):
            monkeypatch.setattr(os, name, self.guarded(name, getattr(os, name)))

    def guarded(self, name: str, real: Callable[..., int]) -> Callable[..., int]:
        def call(*args: object) -> int:
            if name in self.full:
                raise OSError(errno.ENOSPC, "the disk is full")
            return real(*args)

        return call


def test_ids_name_their_segment_and_count(tmp_path: Path) -> None:
    with log_in(tmp_path) as log:
        first, [last] = log.ids(1297), log.ids(1)
        segment = FileSegments(tmp_path).all()[0]
        assert [first[0], first[35], first[36], first[1295], first[1296]] == [
            f"{segment}-{each}" for each in ("000", "00z", "010", "0zz", "100")
        ]
        assert last == f"{segment}-101"
        log.ids(36**3 - 1298)
        [large] = log.ids(1)
        assert large == f"{segment}-1000"
        assert log.ids(0) == []


def test_a_batch_is_written_when_append_returns(tmp_path: Path) -> None:
    with log_in(tmp_path) as log:
        ids = log.ids(3)
        log.append(batch(ids))
        assert recorded(tmp_path) == ids
        assert (log.written, log.dropped, log.waiting, log.failed_writes, log.last_error) == (3, 0, 0, 0, "")
    assert [each.id for each in FileSegments(tmp_path).sealed()] == [ids[0].partition("-")[0]]
    log.close()


def test_a_batch_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with log_in(tmp_path) as log:
        writes: list[bytes] = []
        real = os.write

        def write(descriptor: int, line: bytes) -> int:
            writes.append(line)
            return real(descriptor, line)

        monkeypatch.setattr(os, "write", write)
        log.append(batch(log.ids(64)))
        assert len(writes) == 1


@pytest.mark.parametrize("limits", [Limits(segment=1, pause=0.001), Limits(age=0.0, pause=0.001)])
def test_a_segment_is_sealed_when_it_is_large_or_old(tmp_path: Path, limits: Limits) -> None:
    store = FileSegments(tmp_path)
    ids: list[str] = []
    with log_in(tmp_path, limits=limits) as log:
        for number in itertools.count(1):
            given_now = log.ids(1)
            log.append(batch(given_now))
            ids += given_now
            if len(store.sealed()) >= 3:
                break
            assert number < 100_000
    assert sorted(recorded(tmp_path)) == sorted(ids)


@pytest.mark.parametrize("what", ["write", "fsync"])
def test_a_full_disk_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    disk, told = Disk(monkeypatch), Told()
    with log_in(tmp_path, told, SOON) as log:
        disk.full = {what}
        ids = log.ids(6)
        for at in (0, 2, 4):
            log.append(batch(ids[at : at + 2]))
        told.wait_for(1)
        assert log.failed_writes > 0
        assert "full" in log.last_error
        assert (log.waiting, log.dropped) == (6 if what == "write" else 0, 0)
        disk.full = set()
        told.wait_for(2)
        assert (log.waiting, log.dropped, log.written) == (0, 0, 6)
        [problem, end] = told
        assert problem is not None
        assert (problem.code, end) == ("HR930", None)
    FileSegments(tmp_path).seal_orphans()
    assert sorted(recorded(tmp_path)) == sorted(ids)


def test_a_server_starts_with_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged(tmp_path, 1)
    disk, told = Disk(monkeypatch), Told()
    disk.full = {"open"}
    with log_in(tmp_path, told, SOON) as log:
        ids = log.ids(2)
        log.append(batch(ids))
        told.wait_for(1)
        disk.full = set()
        told.wait_for(2)
        assert (log.waiting, log.dropped, log.written) == (0, 0, 2)
    assert set(ids) < set(recorded(tmp_path))


def test_a_segment_that_cannot_be_sealed_is_sealed_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    with monkeypatch.context() as full:
        full.setattr(failpoints, "_armed", failpoints._Armed("segment.seal.before=ENOSPC"))  # noqa: SLF001 - as by the variable
        ids = []
        with log_in(tmp_path, told, Limits(segment=1, pause=0.001)) as log:
            for _ in range(3):
                ids.append(log.ids(1)[0])
                log.append(batch(ids[-1:]))
            told.wait_for(1)
        assert (log.written, log.dropped) == (3, 0)
    store = FileSegments(tmp_path)
    assert list(store.sealed()) == []
    assert store.seal_orphans().torn == 0
    assert sorted(recorded(tmp_path)) == sorted(ids)
    assert len(store.sealed()) == len(store.all())


def test_what_does_not_fit_into_memory_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, told = Disk(monkeypatch), Told()
    with log_in(tmp_path, told, Limits(kept=3_000, pause=0.001)) as log:
        disk.full = {"write"}
        given_ids = [log.ids(2) for _ in range(20)]
        for ids in given_ids:
            log.append(batch(ids))
        assert 0 < log.waiting < 40
        assert log.waiting + log.dropped == 40
        kept = log.waiting
        disk.full = set()
        told.wait_for(2)
    assert recorded(tmp_path) == [each for ids in given_ids for each in ids][-kept:]


def test_what_cannot_be_written_at_the_end_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, told = Disk(monkeypatch), Told()
    with log_in(tmp_path, told, SOON) as log:
        disk.full = {"write", "fsync"}
        log.append(batch(log.ids(5)))
    assert (log.dropped, log.waiting, log.written) == (5, 0, 0)
    assert [each.code for each in told if each is not None] == ["HR930"]


def test_a_record_that_cannot_be_spelled_is_counted(tmp_path: Path) -> None:
    told = Told()
    circle: dict[str, object] = {}
    circle["self"] = circle
    with log_in(tmp_path, told, SOON) as log:
        spoiled = replace(batch(log.ids(1)), rows=[circle])
        log.append(spoiled)
        ids = log.ids(1)
        log.append(batch(ids))
        told.wait_for(2)
        assert (log.dropped, log.written) == (1, 1)
    assert recorded(tmp_path) == ids


@settings(max_examples=8, deadline=None)
@given(acknowledged=some.integers(min_value=0, max_value=3_000))
def test_kill_9_loses_nothing_that_was_answered(tmp_path_factory: pytest.TempPathFactory, acknowledged: int) -> None:
    folder = tmp_path_factory.mktemp("log")
    process = subprocess.Popen(
        [sys.executable, "-c", ANSWER, str(folder)], stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True
    )
    assert process.stdout is not None
    answered = [process.stdout.readline() for _ in range(acknowledged)]
    process.send_signal(signal.SIGKILL)
    answered += process.stdout.read().splitlines(keepends=True)
    process.stdout.close()
    process.wait()
    ids = {each for line in answered if line.endswith(b"\n") for each in line.decode().split()}
    FileSegments(folder).seal_orphans()
    found = recorded(folder)
    assert len(found) == len(set(found))
    assert "damaged" not in found
    assert ids <= set(found)
    assert len(set(found) - ids) <= 3
