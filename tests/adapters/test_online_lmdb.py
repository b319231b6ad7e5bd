"""The online store as LMDB files: the conformance suite, and what only files can do wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.online_lmdb import LmdbOnlineStore
from headrace.errors import HeadraceError
from headrace.ports.online import digest_of
from headrace.testing.online import GENERATION, OnlineStoreSuite, some

if TYPE_CHECKING:
    from pathlib import Path

FILL = """
import sys
from pathlib import Path
from headrace.adapters.online_lmdb import LmdbOnlineStore
LmdbOnlineStore(Path(sys.argv[1])).fill(sys.argv[2], [(b"a", b"1")])
"""


class TestLmdbOnlineStore(OnlineStoreSuite):
    def make_store(self, folder: Path) -> LmdbOnlineStore:
        return LmdbOnlineStore(folder)


@pytest.fixture
def store(tmp_path: Path) -> LmdbOnlineStore:
    made = LmdbOnlineStore(tmp_path)
    made.fill(GENERATION, some(1_000).items())
    return made


def file_of(folder: Path) -> Path:
    (found,) = folder.glob("[!.]*/*.lmdb")
    return found


def refused(code: str) -> pytest.RaisesExc[HeadraceError]:
    return pytest.RaisesExc(HeadraceError, check=lambda error: error.code == code)


def fill(folder: Path, failpoint: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", FILL, str(folder), GENERATION],
        env={**os.environ, "HEADRACE_FAILPOINT": failpoint},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("store")
def test_a_changed_file_is_found(tmp_path: Path) -> None:
    path = file_of(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with refused("HR471"):
        LmdbOnlineStore(tmp_path).verify(GENERATION, digest_of(some(1_000).items()))


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("size", [0, 100, 8192, -1])
def test_a_cut_file_is_not_read(tmp_path: Path, size: int) -> None:
    path = file_of(tmp_path)
    content = path.read_bytes()[:size]
    path.unlink()
    path.write_bytes(content)
    for act in (
        lambda: LmdbOnlineStore(tmp_path).get(GENERATION, [b"a"]),
        lambda: LmdbOnlineStore(tmp_path).verify(GENERATION, digest_of(some(1_000).items())),
    ):
        with refused("HR471"):
            act()


def test_a_file_of_something_else_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / GENERATION[:2] / f"{GENERATION}.lmdb"
    path.parent.mkdir()
    path.write_bytes(b"something else" * 10_000)
    with refused("HR471"):
        LmdbOnlineStore(tmp_path).get(GENERATION, [b"a"])


def test_killed_before_the_name_nothing_is_there_and_after_it_everything(tmp_path: Path) -> None:
    store = LmdbOnlineStore(tmp_path)
    assert fill(tmp_path, "online.fill.before").returncode < 0
    assert not store.complete(GENERATION)
    assert store.sweep() == 1
    assert fill(tmp_path, "online.fill.after").returncode < 0
    assert store.get(GENERATION, [b"a"]) == [b"1"]


def test_a_full_disk_is_a_coded_error(tmp_path: Path) -> None:
    done = fill(tmp_path, f"online.fill.before={errno.errorcode[errno.ENOSPC]}")
    assert "HR473" in done.stderr
    assert not LmdbOnlineStore(tmp_path).complete(GENERATION)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_too_large_is_a_coded_error(tmp_path: Path) -> None:
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n{FILL}"
    code = code.replace('[(b"a", b"1")]', '[(b"a", bytes(1_000_000))]')
    command = [sys.executable, "-c", code, str(tmp_path), GENERATION]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "HR473" in done.stderr, done.stderr


def test_two_stores_of_one_process_share_what_is_open(store: LmdbOnlineStore, tmp_path: Path) -> None:
    other = LmdbOnlineStore(tmp_path)
    assert store.get(GENERATION, [b"key00000001"]) == other.get(GENERATION, [b"key00000001"])
    store.drop(GENERATION)
    assert other.get(GENERATION, [b"key00000001"]) == [b"v"], "who has it open reads on"
    with refused("HR470"):
        LmdbOnlineStore(tmp_path).get(GENERATION, [b"key00000001"])


def test_listing_and_removing_does_without_the_library(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["lmdb"] = None
from pathlib import Path
from headrace.adapters.online_lmdb import LmdbOnlineStore
store = LmdbOnlineStore(Path(sys.argv[1]))
print(store.generations(), store.sweep(), store.complete("a"), store.drop("a"))
store.fill("a", ())
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout == "[] 0 False None\n"
    assert "HR478" in done.stderr
