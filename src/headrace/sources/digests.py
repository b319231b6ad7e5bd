"""The digests of files, remembered for as long as size, times and inode say that a file is the same."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

from headrace.errors import HeadraceError
from headrace.ports.records import Batch
from headrace.sources.hashing import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Mark: TypeAlias = tuple[int, ...]
"""Size, times and inode of a file."""

_SETTLED = 2_000_000_000
"""Nanoseconds. A file that was changed less than this before it was hashed may change again with the same times."""
_THREADS = 4
_MANY = 32
_MUCH = 2**20
"""Files, and bytes in files, that are hashed again rather than written down."""
_PROJECTS = 8
_LOADED: dict[Path, tuple[Mark, dict[str, tuple[Mark, Batch]]]] = {}
"""What was read from the files of these projects."""


class DigestCache:
    """Digests by name, size, times and inode, in a file of the project.

    It is only a cache: one that cannot be read is made again, one that cannot be written costs hashing again. It is not
    written for a few small files among many, which are rather hashed a few times.
    """

    def __init__(self, project: Path) -> None:
        self._project = project
        self._path = project / ".headrace" / "cache" / "digests.json"

    def batches(self, files: Mapping[str, os.stat_result]) -> tuple[Batch, ...]:
        """Files as batches, in their order. Raises HR302 where one cannot be read."""
        known, written = self._load()
        found = {name: _same(known.get(name), stat, written) for name, stat in files.items()}
        hashed = [name for name, batch in found.items() if batch is None]
        with ThreadPoolExecutor(max_workers=_THREADS) as pool:
            digests = pool.map(self._digest, [self._project / name for name in hashed])
            for name, digest in zip(hashed, digests, strict=True):
                found[name] = Batch(name, digest, files[name].st_size)
        batches = {name: batch for name, batch in found.items() if batch is not None}
        if self._worth([batches[name].size for name in hashed], len(files)):
            others = {name: each for name, each in known.items() if name not in files}
            self._save({**others, **{name: (_mark(files[name]), batch) for name, batch in batches.items()}}, others)
        return tuple(batches.values())

    def known(self, name: str, found: os.stat_result) -> str | None:
        """The digest of a file, by what is found of it now; None where it would have to be read."""
        known, written = self._load()
        batch = _same(known.get(name), found, written)
        return None if batch is None else batch.digest

    def _digest(self, path: Path) -> str:
        try:
            with path.open("rb", buffering=0) as content:
                return digest_of(content)
        except OSError as error:
            name = path.relative_to(self._project) if path.is_relative_to(self._project) else path
            raise HeadraceError("HR302", f"{name} cannot be read: {error.strerror}") from error

    @staticmethod
    def _worth(hashed: Sequence[int], files: int) -> bool:
        """Whether to write down what was hashed: so many bytes in each file, of so many files."""
        many = len(hashed) >= _MANY or _MANY * len(hashed) > files
        return bool(hashed) and (many or sum(hashed) > _MUCH)

    def _load(self) -> tuple[dict[str, tuple[Mark, Batch]], int]:
        """What is remembered, and when it was written. What was read last is not read again."""
        try:
            stat = self._path.stat()
            mark = _mark(stat)
            loaded = _LOADED.get(self._path)
            if loaded is None or loaded[0] != mark:
                content = json.loads(self._path.read_bytes())
                known = {name: ((*of[:-1],), Batch(name, of[-1], of[0])) for name, of in content.items()}
                while len(_LOADED) >= _PROJECTS:
                    _LOADED.pop(next(iter(_LOADED)), None)
                loaded = _LOADED[self._path] = (mark, known)
        except (OSError, ValueError, AttributeError, TypeError, LookupError):
            return {}, 0
        return loaded[1], stat.st_mtime_ns

    def _save(self, known: Mapping[str, tuple[Mark, Batch]], others: Iterable[str]) -> None:
        partial = self._path.with_suffix(f".{os.getpid()}-{id(self)}.partial")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            gone = {name for name in others if not (self._project / name).exists()}
            kept = {name: [*mark, batch.digest] for name, (mark, batch) in known.items() if name not in gone}
            partial.write_text(json.dumps(kept))
            partial.replace(self._path)
        except OSError:
            return  # a project that cannot be written can still be looked at


def _same(known: tuple[Mark, Batch] | None, found: os.stat_result, written: int) -> Batch | None:
    """What is known of a file, if it is the same still. `written` is when that was written down, in nanoseconds."""
    if known is None:
        return None
    mark, batch = known
    _, changed, renamed, _ = mark
    return batch if mark == _mark(found) and max(changed, renamed) < written - _SETTLED else None


def _mark(found: os.stat_result) -> Mark:
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
