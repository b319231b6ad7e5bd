"""Artefacts as files of one folder, named by the SHA-256 of their content."""

from __future__ import annotations

import hashlib
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.adapters.durable import (
    Folders,
    file_digest,
    remove_file,
    rename_file,
    storage_errors,
    sync_file,
    write_file,
)
from headrace.adapters.places import place_of
from headrace.adapters.scratch import Scratch
from headrace.errors import HeadraceError
from headrace.ports.failpoints import failpoint
from headrace.ports.records import Ref

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SUFFIX = re.compile(r"(\.[A-Za-z0-9_-]+)*")


class FileArtefactStore:
    """Artefacts below `root`, as `ab/abcdef...SUFFIX`. See `headrace.ports.stores.ArtefactStore`."""

    def __init__(self, root: Path) -> None:
        self._root = Path(root)
        self._scratch = Scratch(self._root)
        self._folders = Folders()

    def put(self, content: bytes, suffix: str = "") -> Ref:
        """Store bytes durably. Raises HR636 when the disk is full, HR637 when the store cannot be written."""
        digest = hashlib.sha256(content).hexdigest()
        with storage_errors(self._root):
            temporary = self._scratch.path()
            failpoint("artefact.write.before")
            try:
                write_file(temporary, content)
                failpoint("artefact.write.after")
                return self._name(temporary, digest, suffix)
            finally:
                temporary.unlink(missing_ok=True)

    def adopt(self, file: Path, suffix: str = "", digest: str = "") -> Ref:
        """Move a finished file in, durably: renamed where it lies on the same file system, copied else."""
        with storage_errors(self._root):
            failpoint("artefact.write.before")
            with self._near(file) as staged:
                sync_file(staged)
                failpoint("artefact.write.after")
                ref = self._name(staged, digest or file_digest(staged), suffix)
            file.unlink(missing_ok=True)  # it is still there where it was copied
            return ref

    def get(self, ref: Ref) -> bytes:
        """The bytes, checked against their digest. Raises HR633 when missing, HR634 when changed."""
        content = self.path(ref).read_bytes()
        _compare(hashlib.sha256(content).hexdigest(), ref)
        return content

    def path(self, ref: Ref) -> Path:
        """A local path to read from. Raises HR633 when it is missing."""
        path = place_of(self._root, ref, "artefact")
        if not path.is_file():
            raise HeadraceError("HR633", f"{path} is missing")
        return path

    def verify(self, ref: Ref) -> None:
        """Raise HR633 when the file is missing and HR634 when it is not what was written."""
        _compare(file_digest(self.path(ref)), ref)

    def paths(self) -> Sequence[str]:
        """Every artefact that the store holds, sorted."""
        return sorted(path.relative_to(self._root).as_posix() for path in self._root.glob("[!.]*/[!.]*"))

    def size(self, path: str) -> int:
        """Bytes on disk; 0 for what is not there."""
        place = place_of(self._root, path)
        return place.stat().st_size if place.is_file() else 0

    def remove(self, path: str) -> None:
        """Remove an artefact; removing what is not there is no error."""
        with storage_errors(self._root):
            remove_file(place_of(self._root, path))
            self.sweep()

    def scratch(self) -> Path:
        """A new folder on the same file system, for files under construction. It lives as long as this store."""
        with storage_errors(self._root):
            return self._scratch.folder()

    def sweep(self) -> int:
        """Remove what dead processes left under construction. Answers how many processes that were."""
        return self._scratch.sweep()

    @contextmanager
    def _near(self, file: Path) -> Iterator[Path]:
        """The file, or a copy of it where it lies on another file system, from which no file can be renamed."""
        copy = self._scratch.path()
        if file.stat().st_dev == copy.parent.stat().st_dev:
            yield file
            return
        try:
            shutil.copyfile(file, copy)
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    def _name(self, temporary: Path, digest: str, suffix: str) -> Ref:
        """Give a finished file its lasting name. A file that has it already is replaced: it may be damaged."""
        if not _SUFFIX.fullmatch(suffix):
            message = f"a suffix looks like .bin or .tar.gz, not like {suffix!r}"
            raise ValueError(message)
        path = f"{digest[:2]}/{digest}{suffix}"
        target = self._root / path
        self._folders.make(target.parent)
        failpoint("artefact.rename.before")
        rename_file(temporary, target)
        failpoint("artefact.rename.after")
        return Ref("artefact", path, digest)


def _compare(digest: str, ref: Ref) -> None:
    if digest != ref.digest:
        raise HeadraceError("HR634", f"artefact {ref.path} has the digest {digest}")
