"""Whatever fsspec reads (SFTP, FTP, Hadoop, GitHub, ...) as a store of objects."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from headrace.adapters.durable import pour
from headrace.adapters.objects_marks import mark_of
from headrace.errors import HeadraceError
from headrace.ports.objects import Found

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_ETAGS = ("ETag", "etag", "checksum", "md5", "sha")
_TIMES = ("mtime", "LastModified", "last_modified", "modified", "updated", "created")
_CHUNK = 8 * 2**20


class FsspecObjects:
    """See `headrace.ports.objects.Objects`. `options` are those of `[storage]` for this root."""

    def __init__(self, root: str, options: Mapping[str, Any]) -> None:
        import fsspec

        self._root = root
        with _told(root):
            try:
                self._files, self._base = fsspec.core.url_to_fs(root, **options)
            except ImportError as error:
                raise HeadraceError("HR364", f"{root}: {error}") from None
            except TypeError as error:
                raise HeadraceError("HR366", f"[storage] of {root}: {error}") from None

    def find(self, prefix: str) -> Iterator[Found]:
        """See `Objects`."""
        folder = prefix.rpartition("/")[0]
        with _told(self._root):
            try:
                listed: dict[str, dict[str, Any]] = self._files.find(self._path(folder), detail=True)
            except FileNotFoundError:
                raise HeadraceError("HR360", f"there is no {self._root}") from None
        for path, info in listed.items():
            yield self._found(self._key(path), info)

    def look(self, key: str) -> Found | None:
        """See `Objects`."""
        with _told(self._root):
            try:
                return self._found(key, self._files.info(self._path(key)))
            except FileNotFoundError:
                return None

    def fetch(self, found: Found, target: Path) -> None:
        """See `Objects`."""
        name = f"{self._root}/{found.key}"
        with _told(self._root):
            try:
                with self._files.open(self._path(found.key), "rb") as source:
                    pour(iter(partial(source.read, _CHUNK), b""), target)
            except FileNotFoundError:
                raise HeadraceError("HR302", f"{name} cannot be read: it is gone") from None
        now = self.look(found.key)
        if now is None or (found.mark and now.mark != found.mark) or now.size != found.size != -1:
            raise HeadraceError("HR312", f"{name} changed after it was observed")

    def _path(self, key: str) -> str:
        return f"{self._base.rstrip('/')}/{key}" if key else str(self._base)

    def _key(self, path: str) -> str:
        return path.removeprefix(self._base.rstrip("/")).lstrip("/")

    @staticmethod
    def _found(key: str, info: Mapping[str, Any]) -> Found:
        etag = next((info[name] for name in _ETAGS if info.get(name)), None)
        changed = next((info[name] for name in _TIMES if info.get(name)), None)
        size = info.get("size")
        return Found(key, -1 if size is None else int(size), mark_of(etag, changed))


@contextmanager
def _told(root: str) -> Iterator[None]:
    """What the library raises, with a code."""
    try:
        yield
    except HeadraceError:
        raise
    except PermissionError as error:
        raise HeadraceError("HR361", f"{root}: {error}") from None
    except (OSError, ValueError) as error:
        code = "HR365" if isinstance(error, ValueError) else "HR362"
        raise HeadraceError(code, f"{root}: {error}") from None
