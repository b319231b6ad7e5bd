"""The online store as LMDB files, one for each generation.

A generation is built in the scratch space and gets its lasting name when it is on the disk, so that a name means a
whole generation. Such a file never changes, and therefore needs none of LMDB's locks: any number of processes map it
into memory and share the pages, a writer of another generation does not disturb them, a killed reader leaves no slot
behind, and a forked child may go on with the map of its parent. Dropping a generation is removing its file; whoever
has it mapped reads on. One file for all generations would have to be locked, could only grow, and would give the room
of a dropped generation back to nobody but itself.

Behind the pages of LMDB each file has a trailer with the SHA-256 of them: a file that was cut or changed is found
without handing its pages to LMDB, which trusts them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote
from weakref import WeakValueDictionary

from headrace.adapters.durable import Folders, remove_file, rename_file, storage_errors, sync_file
from headrace.adapters.places import safe_name
from headrace.adapters.scratch import Scratch
from headrace.errors import HeadraceError
from headrace.ports.failpoints import failpoint
from headrace.ports.online import LONGEST_KEY, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import lmdb

    from headrace.ports.online import Entry

_ENDING = ".lmdb"
_MAGIC = b"headrace"
_TRAILER = len(_MAGIC) + 32
_FIRST_MAP = 1 << 24
_BATCH = 5_000
_OPEN = 64
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})  # LMDB takes a write that was cut for EIO

# LMDB refuses to open a file twice in one process, and two stores of one process may well lie over one folder.
_environments: WeakValueDictionary[tuple[int, int], lmdb.Environment] = WeakValueDictionary()
_opening = threading.Lock()


class LmdbOnlineStore:
    """Generations below `root`, as `ab/abcdef....lmdb`. See `headrace.ports.online.OnlineStore`."""

    def __init__(self, root: Path) -> None:
        self._root = Path(root)
        self._scratch = Scratch(self._root)
        self._folders = Folders()
        self._open: dict[str, lmdb.Environment] = {}

    def fill(self, generation: str, entries: Iterable[Entry]) -> int:
        """Write a generation. Raises HR473 when the disk is full, HR637 when it cannot be written, HR478."""
        if self.complete(generation):
            return self._count(generation)
        target = self._path(generation)
        with _coded(self._root):
            temporary = self._scratch.path()
            try:
                count = _written(temporary, entries)
                _seal(temporary)
                self._folders.make(target.parent)
                failpoint("online.fill.before")
                rename_file(temporary, target)
                failpoint("online.fill.after")
            finally:
                temporary.unlink(missing_ok=True)
        return count

    def complete(self, generation: str) -> bool:
        """Whether the generation has its name."""
        return self._path(generation).is_file()

    def get(self, generation: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of the keys. Raises HR470, HR471 and HR478."""
        environment = self._open.get(generation) or self._opened(generation)
        try:
            with environment.begin() as transaction:
                return [transaction.get(key) for key in keys]
        except Exception:
            with _coded(self._path(generation)):
                raise

    def entries(self, generation: str) -> Iterator[Entry]:
        """Every entry, sorted by key. Raises HR470, HR471 and HR478."""
        with _coded(self._path(generation)), self._opened(generation).begin() as transaction:
            yield from transaction.cursor()

    def generations(self) -> Sequence[str]:
        """Every generation that has its name, sorted."""
        found = self._root.glob(f"[!.]*/[!.]*{_ENDING}")
        return sorted(unquote(path.name.removesuffix(_ENDING)) for path in found)

    def size(self, generation: str) -> int:
        """Bytes of the file."""
        path = self._path(generation)
        return path.stat().st_size if path.is_file() else 0

    def drop(self, generation: str) -> None:
        """Remove the file, on the disk."""
        self._open.pop(generation, None)
        with _coded(self._root):
            remove_file(self._path(generation))

    def sweep(self) -> int:
        """Remove what dead processes left under construction."""
        return self._scratch.sweep()

    def verify(self, generation: str, digest: str) -> None:
        """Raise HR470 when the file is missing, HR471 when it is not what was written."""
        path = self._path(generation)
        if not path.is_file():
            raise _missing(generation, path)
        if _trailer(path) != _MAGIC + _digest_of_pages(path):
            raise HeadraceError("HR471", f"{path} was changed after it was written")
        if digest_of(self.entries(generation)) != digest:
            raise HeadraceError("HR471", f"{path} holds other entries than the manifest says")

    def close(self) -> None:
        """Forget the open files; each is closed when nobody reads it any more."""
        self._open.clear()

    def _count(self, generation: str) -> int:
        return int(self._opened(generation).stat()["entries"])

    def _path(self, generation: str) -> Path:
        name = safe_name(generation)
        return self._root / name[:2] / f"{name}{_ENDING}"

    def _opened(self, generation: str) -> lmdb.Environment:
        """The file of a generation, mapped; no more than the last few stay open."""
        found = self._open.get(generation)
        if found is None:
            found = _shared(self._path(generation), generation)
            while len(self._open) >= _OPEN:
                self._open.pop(next(iter(self._open)), None)
            self._open[generation] = found
        return found


def _library() -> None:
    """Raise HR478 unless LMDB is installed."""
    try:
        import lmdb  # noqa: F401
    except ImportError as error:
        raise HeadraceError("HR478", "the module lmdb is not installed") from error


def _shared(path: Path, generation: str) -> lmdb.Environment:
    """The file, mapped once in this process."""
    _library()
    import lmdb

    with _opening, _coded(path):
        try:
            status = path.stat()
        except FileNotFoundError:
            raise _missing(generation, path) from None
        identity = status.st_dev, status.st_ino
        found = _environments.get(identity)
        if found is None:
            found = lmdb.Environment(str(path), subdir=False, readonly=True, create=False, lock=False, readahead=False)
            pages = found.info()["last_pgno"] + 1
            if status.st_size != pages * found.stat()["psize"] + _TRAILER:
                raise HeadraceError("HR471", f"{path} has {status.st_size} bytes, which is not what was written")
            _environments[identity] = found
        return found


def _written(path: Path, entries: Iterable[Entry]) -> int:
    """Write entries as a new LMDB file, closed again. Answers how many they are."""
    _library()
    import lmdb

    environment = lmdb.Environment(str(path), subdir=False, lock=False, sync=False, map_size=_FIRST_MAP)
    count, last = 0, b""
    try:
        source = iter(entries)
        while batch := list(islice(source, _BATCH)):
            _put(environment, batch, last)
            count += len(batch)
            last = max(last, *(key for key, _ in batch))
    finally:
        environment.close()
    return count


def _put(environment: lmdb.Environment, batch: Sequence[Entry], last: bytes) -> None:
    """Write some entries in one transaction, in a map that is doubled until they fit. `last` is the largest key."""
    import lmdb

    while True:
        try:
            with environment.begin(write=True) as transaction:
                _put_all(transaction, batch, last)
        except lmdb.MapFullError:
            environment.set_mapsize(environment.info()["map_size"] * 2)
        else:
            return


def _put_all(transaction: lmdb.Transaction[bytes], batch: Sequence[Entry], last: bytes) -> None:
    for key, value in batch:
        if not 0 < len(key) <= LONGEST_KEY:
            message = f"a key of {len(key)} bytes"
            raise ValueError(message)
        if key > last:
            transaction.put(key, value, append=True)
            last = key
        elif not transaction.put(key, value, overwrite=False):
            message = f"two entries have the key {key!r}"
            raise ValueError(message)


def _seal(path: Path) -> None:
    """Give a finished file its trailer, and put it on the disk."""
    import lmdb

    environment = lmdb.Environment(str(path), subdir=False, readonly=True, create=False, lock=False)
    size = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    environment.close()
    os.truncate(path, size)
    digest = _digest_of_pages(path, size)
    with path.open("ab") as file:
        file.write(_MAGIC + digest)
    sync_file(path)


def _trailer(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _TRAILER, 0))
        return file.read()


def _digest_of_pages(path: Path, size: int | None = None) -> bytes:
    """The SHA-256 of a file less its trailer, or of its first bytes."""
    left = path.stat().st_size - _TRAILER if size is None else size
    found = hashlib.sha256()
    with path.open("rb") as file:
        while left > 0 and (piece := file.read(min(left, 1 << 20))):
            found.update(piece)
            left -= len(piece)
    return found.digest()


def _missing(generation: str, path: Path) -> HeadraceError:
    return HeadraceError("HR470", f"there is no generation {generation[:12]} in {path.parents[1]}")


@contextmanager
def _coded(path: Path) -> Iterator[None]:
    """Give errors of the system and of LMDB their codes: HR473, HR637, and HR471 for a file that LMDB cannot read."""
    try:
        with storage_errors(path):
            yield
    except HeadraceError as error:
        if error.code == "HR636":
            raise HeadraceError("HR473", error.what) from error
        raise
    except Exception as error:
        if not type(error).__module__.startswith("lmdb"):
            raise
        number = getattr(error, "code", 0)
        if number in _FULL:
            raise HeadraceError("HR473", f"{path}: {os.strerror(number)}") from error
        raise HeadraceError("HR471", f"{path}: {error}") from error
