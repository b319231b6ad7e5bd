"""Segments as files: sealed once, whole lines only, what dead writers left is found."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.adapters import segments as module
from headrace.adapters.segments import FileSegments
from headrace.errors import HeadraceError
from headrace.ports.predictions import Orphans, SealedSegment

ROOT = Path(__file__).parents[2]
DIE = """
import os, signal, sys
from pathlib import Path
from headrace.adapters.segments import FileSegments
segment = FileSegments(Path(sys.argv[1])).begin(sys.argv[2])
for line in sys.argv[3:]:
    segment.write(line.encode())
os.kill(os.getpid(), signal.SIGKILL)
"""


def die(folder: Path, segment: str, *lines: str) -> None:
    """Have a process write and die."""
    subprocess.run([sys.executable, "-c", DIE, str(folder), segment, *lines], check=False, cwd=ROOT)


@pytest.fixture
def store(tmp_path: Path) -> FileSegments:
    return FileSegments(tmp_path)


def test_a_segment_from_its_beginning_to_its_end(store: FileSegments, tmp_path: Path) -> None:
    assert (store.content("s1"), list(store.all()), list(store.sealed())) == (None, [], [])
    segment = store.begin("s1")
    segment.write(b"one\n")
    segment.sync()
    segment.write(b"two\n")
    assert (store.content("s1"), store.all(), list(store.sealed())) == (b"one\ntwo\n", ["s1"], [])
    assert store.seal_orphans() == Orphans()
    segment.seal()
    assert (store.content("s1"), store.all(), store.sealed()) == (b"one\ntwo\n", ["s1"], [SealedSegment("s1", 8)])
    store.remove(["s1", "s0"])
    assert (store.content("s1"), list(store.all())) == (None, [])
    store.remove([])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_empty_segment_vanishes(store: FileSegments) -> None:
    store.begin("s1").seal()
    die_later = store.begin("s2")
    assert store.all() == ["s2"]
    die_later.seal()
    assert list(store.all()) == []


def test_what_is_being_written_is_left_out(store: FileSegments, tmp_path: Path) -> None:
    store.begin("s1").write(b"one\ntw")
    assert store.content("s1") == b"one\n"
    assert (tmp_path / "open" / "s1").read_bytes() == b"one\ntw"


def test_what_the_dead_left_is_sealed_by_anybody(store: FileSegments, tmp_path: Path) -> None:
    die(tmp_path, "s1", "one\n", "two\n")
    die(tmp_path, "s2", "three\n", "fo")
    die(tmp_path, "s3")
    (tmp_path / "open" / ".s4").touch()
    assert store.seal_orphans() == Orphans(segments=3, torn=1)
    assert store.sealed() == [SealedSegment("s1", 8), SealedSegment("s2", 6)]
    assert store.content("s2") == b"three\n"
    assert list((tmp_path / "open").iterdir()) == []
    assert store.seal_orphans() == Orphans()


def test_two_names_of_one_file_as_a_power_cut_may_leave(store: FileSegments, tmp_path: Path) -> None:
    die(tmp_path, "s1", "one\n")
    (tmp_path / "sealed" / "s1").hardlink_to(tmp_path / "open" / "s1")
    store.seal_orphans()
    assert store.sealed() == [SealedSegment("s1", 4)]
    assert list((tmp_path / "open").iterdir()) == []


def test_a_line_that_is_taken_in_parts(store: FileSegments, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = store.begin("s1")
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:2]))
    segment.write(b"twelve\n")
    assert (store.content("s1"), segment.size) == (b"twelve\n", 7)


class Filling:
    """A disk that takes so many bytes more, and may not even take them back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int, *, stuck: bool = False) -> None:
        self.room, self.real = room, os.write
        monkeypatch.setattr(os, "write", self.write)
        if stuck:
            monkeypatch.setattr(os, "ftruncate", self.refuse)

    def write(self, descriptor: int, line: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "full")
        written = self.real(descriptor, line[: self.room])
        self.room -= written
        return written

    def refuse(self, *_: object) -> None:
        raise OSError(errno.EIO, "stuck")


def test_half_a_line_is_taken_back(store: FileSegments, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = store.begin("s1")
    segment.write(b"one\n")
    disk = Filling(monkeypatch, 3)
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            segment.write(b"twelve\n")
    disk.room = 100
    segment.write(b"two\n")
    assert (store.content("s1"), segment.size) == (b"one\ntwo\n", 8)


def test_half_a_line_that_stays_stands_alone(store: FileSegments, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = store.begin("s1")
    disk = Filling(monkeypatch, 3, stuck=True)
    with pytest.raises(OSError, match="full"):
        segment.write(b"twelve\n")
    disk.room = 100
    segment.write(b"two\n")
    segment.write(b"three\n")
    assert (store.content("s1"), segment.size) == (b"twe\ntwo\nthree\n", 14)


def test_a_segment_that_cannot_be_begun_leaves_nothing(
    store: FileSegments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.begin("s1").seal()

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(module, "sync_folder", full)
    with pytest.raises(HeadraceError) as refused:
        store.begin("s2")
    assert refused.value.code == "HR636"
    assert list((tmp_path / "open").iterdir()) == []


def test_an_orphan_stays_where_the_disk_takes_nothing(
    store: FileSegments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(tmp_path, "s1", "one\n")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(HeadraceError) as refused:
            store.seal_orphans()
    assert refused.value.code == "HR636"
    assert store.seal_orphans() == Orphans(segments=1)
    assert store.content("s1") == b"one\n"
