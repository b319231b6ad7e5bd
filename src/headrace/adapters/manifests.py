"""Manifests as files of one folder, each with a checksum, written after everything that it names."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from headrace.adapters.durable import Folders, remove_file, rename_file, storage_errors, write_file
from headrace.adapters.places import safe_name
from headrace.adapters.scratch import Scratch
from headrace.errors import HeadraceError
from headrace.ports.failpoints import failpoint
from headrace.ports.pieces import checked, nothing
from headrace.ports.records import Manifest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from headrace.ports.pieces import Fetch
    from headrace.ports.records import Json

_ENDING = ".json"


class FileManifestStore:
    """Manifests below `root`, as `ab/abcdef....json`. See `headrace.ports.stores.ManifestStore`."""

    def __init__(self, root: Path) -> None:
        self._root = Path(root)
        self._scratch = Scratch(self._root)
        self._folders = Folders()

    def put(self, manifest: Manifest, known: Collection[str] = ()) -> None:
        """Store a manifest durably; one that the key had is replaced, for a version may be made again after damage.

        Pieces of it that are not known to lie in the ledger are stored with it.
        """
        target = self._path(manifest.key)
        with storage_errors(self._root):
            temporary = self._scratch.path()
            try:
                write_file(temporary, _encoded(manifest, known))
                self._folders.make(target.parent)
                failpoint("manifest.rename.before")
                rename_file(temporary, target)
                failpoint("manifest.rename.after")
            finally:
                temporary.unlink(missing_ok=True)

    def get(self, key: str, fetch: Fetch = nothing) -> Manifest | None:
        """The manifest of a key, None without one. Raises HR635 when it cannot be read or is not what was written.

        A manifest whose pieces lay in a ledger that is lost counts as none: what it names can be made again.
        """
        path = self._path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        return _decoded(content, path, key, fetch)

    def keys(self) -> Iterator[str]:
        """Every key that has a manifest, sorted."""
        for path in sorted(self._root.glob(f"[!.]*/[!.]*{_ENDING}")):
            yield unquote(path.name.removesuffix(_ENDING))

    def remove(self, key: str) -> None:
        """Remove a manifest, durably: what it names may be removed after it."""
        with storage_errors(self._root):
            remove_file(self._path(key))
            self.sweep()

    def sweep(self) -> int:
        """Remove what dead processes left under construction. Answers how many processes that were."""
        return self._scratch.sweep()

    def _path(self, key: str) -> Path:
        name = safe_name(key)
        return self._root / name[:2] / f"{name}{_ENDING}"


def _encoded(manifest: Manifest, known: Collection[str]) -> bytes:
    body = json.loads(json.dumps(manifest.to_json()))  # as it is read back: JSON has no tuples and no numbers as names
    pieces = {digest: text for tree in manifest.trees() for digest, text in tree.missing(known).items()}
    stored = {"manifest": body, "sha256": _checksum(body), **({"pieces": pieces} if pieces else {})}
    return json.dumps(stored, indent=1, sort_keys=True).encode()


def _decoded(content: bytes, path: Path, key: str, fetch: Fetch) -> Manifest | None:
    try:
        data = json.loads(content)
        body, own = data["manifest"], data.get("pieces", {})
        manifest = Manifest.from_json(body, lambda digests: _found(digests, own, fetch))
        checksum = data["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise HeadraceError("HR635", f"{path} is no manifest: {error}") from error
    if checksum != _checksum(body):
        raise HeadraceError("HR635", f"{path} was changed after it was written")
    if manifest.key != key:
        raise HeadraceError("HR635", f"{path} is the manifest of {manifest.key}")
    try:
        for digest, text in own.items():
            checked(digest, text)
    except HeadraceError as error:
        raise HeadraceError("HR635", f"{path}: {error.what}") from error
    return manifest if all(tree.is_whole() for tree in manifest.trees()) else None


def _found(digests: Sequence[str], own: Mapping[str, str], fetch: Fetch) -> Mapping[str, str]:
    """Pieces, out of the manifest or from elsewhere."""
    found = {digest: own[digest] for digest in digests if digest in own}
    rest = [digest for digest in digests if digest not in found]
    return {**found, **fetch(rest)} if rest else found


def _checksum(body: Json) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
