from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.adapters.manifests import FileManifestStore
from headrace.errors import HeadraceError
from headrace.ports.records import Manifest
from headrace.testing.stores import ManifestStoreSuite, key_of

if TYPE_CHECKING:
    from pathlib import Path


class TestFileManifestStore(ManifestStoreSuite):
    def make_store(self, folder: Path) -> FileManifestStore:
        return FileManifestStore(folder / "manifests")


@pytest.fixture
def store(tmp_path: Path) -> FileManifestStore:
    return FileManifestStore(tmp_path)


def only_file(root: Path) -> Path:
    (path,) = root.glob("[!.]*/*.json")
    return path


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, b"[]", b"{}", b"\xff", b'{"manifest": {}, "sha256": ""}'])
def test_a_damaged_manifest_is_an_error(store: FileManifestStore, tmp_path: Path, damage: bytes) -> None:
    store.put(Manifest(key_of(1)))
    only_file(tmp_path).write_bytes(damage)
    with pytest.raises(HeadraceError, match="HR635"):
        store.get(key_of(1))
    store.put(Manifest(key_of(1)))
    assert store.get(key_of(1)) == Manifest(key_of(1))


def test_an_edited_manifest_is_an_error(store: FileManifestStore, tmp_path: Path) -> None:
    store.put(Manifest(key_of(1), facts={"rows": 12345}))
    path = only_file(tmp_path)
    path.write_text(path.read_text().replace("12345", "12346"))
    with pytest.raises(HeadraceError, match="changed"):
        store.get(key_of(1))


def test_a_manifest_of_another_key_is_an_error(store: FileManifestStore, tmp_path: Path) -> None:
    store.put(Manifest(key_of(1)))
    path = only_file(tmp_path)
    path.rename(path.with_name(f"{key_of(2)}.json"))
    with pytest.raises(HeadraceError, match="the manifest of"):
        store.get(key_of(2))


def test_facts_are_read_back_as_json_has_them(store: FileManifestStore) -> None:
    store.put(Manifest(key_of(1), facts={"tuple": (1, 2), "names": {10: "a", 9: "b"}}))
    found = store.get(key_of(1))
    assert found is not None
    assert found.facts == {"tuple": [1, 2], "names": {"10": "a", "9": "b"}}


@pytest.mark.parametrize("key", ["..", "a/b", "a", "%", "é"])
def test_any_key_is_a_key(store: FileManifestStore, key: str) -> None:
    store.put(Manifest(key))
    assert list(store.keys()) == [key]
    assert store.get(key) == Manifest(key)
