"""The digests of files, remembered for as long as size, times and inode say that a file is the same."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Self

from headrace.errors import HeadraceError
from headrace.ports.records import Batch

if TYPE_CHECKING:
    from pathlib import Path

_SETTLED = 2_000_000_000
"""Nanoseconds. A file that was changed less than this before it was hashed may change again with the same times."""


class DigestCache:
    """Digests by name, size, times and inode, in a file of the project; written when the block ends.

    It is only a cache: one that cannot be read is made again, one that cannot be written costs hashing again.
    """

    def __init__(self, project: Path) -> None:
        self._project = project
        self._path = project / ".headrace" / "cache" / "digests.json"
        self._known, self._written = self._load()
        self._seen: dict[str, list[int | str]] = {}
        self._hashed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._hashed:
            self._save()

    def batch(self, name: str) -> Batch:
        """A file as a batch. Raises HR302 where it cannot be read. Threads may call this at the same time."""
        path = self._project / name
        try:
            mark = _mark(path.stat())
            known = self._known.get(name)
            settled = max(mark[1:3]) + _SETTLED < self._written
            digest = str(known[-1]) if settled and known is not None and known[:-1] == mark else self._digest(path)
        except OSError as error:
            raise HeadraceError("HR302", f"{name} cannot be read: {error.strerror}") from error
        self._seen[name] = [*mark, digest]
        return Batch(name, digest, mark[0])

    def _digest(self, path: Path) -> str:
        self._hashed = True
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()

    def _load(self) -> tuple[dict[str, list[int | str]], int]:
        try:
            content = json.loads(self._path.read_bytes())
            written = self._path.stat().st_mtime_ns
        except (OSError, ValueError):
            return {}, 0
        if not isinstance(content, dict) or not all(isinstance(mark, list) and mark for mark in content.values()):
            return {}, 0
        return content, written

    def _save(self) -> None:
        partial = self._path.with_suffix(f".{os.getpid()}-{id(self)}.partial")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            others = {name: mark for name, mark in self._known.items() if (self._project / name).exists()}
            partial.write_text(json.dumps({**others, **self._seen}))
            partial.replace(self._path)
        except OSError:
            return  # a project that cannot be written can still be looked at


def _mark(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
