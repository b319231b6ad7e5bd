from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake.exceptions import DeltaError

from headrace.adapters.durable import (
    Folders,
    file_digest,
    link_or_copy,
    remove_file,
    rename_file,
    storage_errors,
    write_file,
)
from headrace.errors import HeadraceError


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are synced, in order."""
    seen: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        seen.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def test_content_is_synced_before_it_has_a_name_and_the_name_after(tmp_path: Path, syncs: list[str]) -> None:
    write_file(tmp_path / "temporary", b"abc")
    assert syncs == [str(tmp_path / "temporary")]
    rename_file(tmp_path / "temporary", tmp_path / "name")
    assert syncs[1:] == [str(tmp_path)]
    assert (tmp_path / "name").read_bytes() == b"abc"


def test_a_new_file_replaces_none(tmp_path: Path) -> None:
    write_file(tmp_path / "file", b"abc")
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "file", b"abd")


def test_a_removal_is_synced(tmp_path: Path, syncs: list[str]) -> None:
    (tmp_path / "file").touch()
    remove_file(tmp_path / "file")
    assert not (tmp_path / "file").exists()
    assert syncs == [str(tmp_path)]
    remove_file(tmp_path / "none" / "file")


def test_the_names_of_new_folders_are_synced_once(tmp_path: Path, syncs: list[str]) -> None:
    folders = Folders()
    folders.make(tmp_path / "a" / "b")
    assert syncs[:2] == [str(tmp_path / "a"), str(tmp_path)]
    syncs.clear()
    folders.make(tmp_path / "a" / "b")
    assert syncs == []
    folders.make(tmp_path / "a" / "c")
    assert syncs == [str(tmp_path / "a")]


def test_a_folder_that_another_process_made_is_synced_too(tmp_path: Path, syncs: list[str]) -> None:
    (tmp_path / "a").mkdir()
    Folders().make(tmp_path / "a")
    assert syncs[0] == str(tmp_path)


def test_a_folder_that_went_away_is_made_again(tmp_path: Path) -> None:
    folders = Folders()
    folders.make(tmp_path / "a")
    (tmp_path / "a").rmdir()
    folders.make(tmp_path / "a")
    assert (tmp_path / "a").is_dir()


def test_a_second_name_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").samefile(tmp_path / "b")


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_where_there_are_no_links_it_is_a_copy(
    tmp_path: Path, syncs: list[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_bytes(b"abc")
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"abc"
    assert syncs == [str(tmp_path / "b")]


def test_a_link_to_nothing_is_no_copy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        link_or_copy(tmp_path / "a", tmp_path / "b")


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "full"), "HR636"),
        (OSError(errno.EDQUOT, "full"), "HR636"),
        (OSError(errno.EROFS, "closed"), "HR637"),
        (PermissionError(errno.EACCES, "closed"), "HR637"),
        (DeltaError("Generic LocalFileSystem error: No space left on device (os error 28)"), "HR636"),
    ],
)
def test_what_a_user_can_remedy_has_a_code(tmp_path: Path, error: Exception, code: str) -> None:
    with pytest.raises(HeadraceError) as raised, storage_errors(tmp_path):
        raise error
    assert raised.value.code == code
    assert str(tmp_path) in raised.value.what
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), ValueError("other"), HeadraceError("HR630", "x")])
def test_other_errors_stay_what_they_are(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as raised, storage_errors(tmp_path):
        raise error
    assert raised.value is error


FILL = """
import resource, sys
from hashlib import md5
from pathlib import Path
import polars as pl
from headrace.adapters.artefacts import FileArtefactStore
from headrace.adapters.delta import DeltaTableStore
from headrace.adapters.manifests import FileManifestStore
from headrace.errors import HeadraceError
from headrace.ports.records import Manifest

root = Path(sys.argv[1])
tables, artefacts, manifests = DeltaTableStore(root / "t"), FileArtefactStore(root / "a"), FileManifestStore(root / "m")
base = tables.write("0" * 64, "table", pl.DataFrame({"a": ["x"]}))
rows = pl.DataFrame({"a": [md5(b"%d" % number).hexdigest() for number in range(10_000)]})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for act in (
    lambda: tables.write("1" * 64, "table", rows),
    lambda: tables.write("2" * 64, "table", rows, base),
    lambda: artefacts.put(bytes(200_000)),
    lambda: manifests.put(Manifest("3" * 64, facts={"text": "x" * 200_000})),
):
    try:
        act()
    except HeadraceError as error:
        print(error.code)
left = [path.name for path in root.rglob("*") if path.is_file() and path.stat().st_size > 90_000]
print(left, len(tables.paths()), len(artefacts.paths()), list(manifests.keys()))
print(tables.scan(tables.write("2" * 64, "table", rows.head(1), base)).collect().height)
"""


def test_a_disk_that_is_full_is_said_so_and_nothing_half_is_left(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FILL, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["HR636", "HR636", "HR636", "HR636", "[] 1 0 []", "2"]
