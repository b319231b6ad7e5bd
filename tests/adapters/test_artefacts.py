from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from headrace.adapters.artefacts import FileArtefactStore
from headrace.errors import HeadraceError
from headrace.testing.stores import ArtefactStoreSuite


class TestFileArtefactStore(ArtefactStoreSuite):
    def make_store(self, folder: Path) -> FileArtefactStore:
        return FileArtefactStore(folder / "artefacts")


@pytest.fixture
def store(tmp_path: Path) -> FileArtefactStore:
    return FileArtefactStore(tmp_path / "artefacts")


@pytest.mark.parametrize("damage", [b"", b"abd", b"abcd"])
def test_damage_is_found_and_mended_by_another_put(store: FileArtefactStore, damage: bytes) -> None:
    ref = store.put(b"abc")
    store.path(ref).write_bytes(damage)
    for act in (store.verify, store.get):
        with pytest.raises(HeadraceError, match="HR634"):
            act(ref)
    assert store.put(b"abc") == ref
    assert store.get(ref) == b"abc"


def test_what_is_missing_has_a_code(store: FileArtefactStore) -> None:
    ref = store.put(b"abc")
    store.path(ref).unlink()
    for act in (store.verify, store.get, store.path):
        with pytest.raises(HeadraceError, match="HR633"):
            act(ref)


def test_a_file_from_another_file_system_is_copied_in(store: FileArtefactStore, tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")  # noqa: S108 - a file system of its own on every Linux
    if elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("one file system")
    folder = elsewhere / f"headrace-{tmp_path.name}"
    folder.mkdir()
    try:
        (folder / "file").write_bytes(b"abc")
        assert store.get(store.adopt(folder / "file")) == b"abc"
        assert not (folder / "file").exists()
    finally:
        shutil.rmtree(folder)


def test_a_file_that_cannot_be_adopted_stays(store: FileArtefactStore) -> None:
    file = store.scratch() / "file"
    file.write_bytes(b"abc")
    with pytest.raises(ValueError, match="suffix"):
        store.adopt(file, "/../x")
    assert file.read_bytes() == b"abc"


def test_nothing_is_left_in_the_scratch_space(store: FileArtefactStore, tmp_path: Path) -> None:
    store.put(b"abc")
    assert list((tmp_path / "artefacts" / ".scratch").glob("*/*")) == []
