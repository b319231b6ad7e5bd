"""Files as a source: which ones there are, and their content digests."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError, did_you_mean
from headrace.ports.records import Batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

KINDS = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True)
class Files:
    """A pattern of files. `schema` gives the types of columns that shall not be inferred, `nulls` the texts for none."""

    pattern: str
    schema: Mapping[str, type[pl.DataType] | pl.DataType] = field(default_factory=dict)
    nulls: tuple[str, ...] = ("",)

    def settings(self) -> dict[str, object]:
        """What of this decides the rows that are made of a file; where the files lie does not."""
        return {"schema": {name: str(kind) for name, kind in self.schema.items()}, "nulls": self.nulls}

    def observe(self, project: Path) -> tuple[Batch, ...]:
        """Every matching file with the digest of its content. Raises HR301 where none matches, HR302 for no access."""
        paths = sorted(path for path in project.glob(self.pattern) if path.is_file())
        if not paths:
            raise HeadraceError("HR301", f"no file matches {self.pattern}", fix=self._hint(project))
        cache = _DigestCache(project)
        with ThreadPoolExecutor(max_workers=4) as pool:
            batches = tuple(pool.map(lambda path: cache.batch(path), paths))
        cache.save()
        return batches

    def _hint(self, project: Path) -> str | None:
        folder = Path(self.pattern).parent
        near = [path.relative_to(project).as_posix() for path in project.glob("*/*/") if path.is_dir()]
        if (project / folder).is_dir():
            return f"{folder} exists, and holds nothing of this pattern: put files there, or correct the pattern."
        return f"There is no folder {folder}: {did_you_mean(folder.as_posix(), near)}"


def files(
    pattern: str,
    *,
    schema: Mapping[str, type[pl.DataType] | pl.DataType] | None = None,
    nulls: Sequence[str] = ("",),
) -> Files:
    """Files of a pattern below the project's folder, such as ``files("data/flights/*.csv.gz")``.

    CSV (plain or gzipped) and Parquet. A file is read once; it is read again when its content changes. The types of a
    CSV's columns are inferred from all of its rows; `schema` declares those that shall not be. `nulls` are the texts
    that stand for a missing value. Times without a zone are taken as UTC. Raises HR303 for another kind of file.
    """
    if not pattern.endswith(KINDS):
        raise HeadraceError("HR303", f"files({pattern!r}) names no kind of file that can be read")
    return Files(pattern, dict(schema or {}), tuple(nulls))


class _DigestCache:
    """Digests of files that have not changed since they were last hashed, by size, times and inode."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._path = project / ".headrace" / "cache" / "digests.json"
        self._known = self._load()
        self._seen: dict[str, list[object]] = {}

    def _load(self) -> dict[str, list[object]]:
        try:
            content = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}  # only a cache: it is made anew
        return content if isinstance(content, dict) else {}

    def batch(self, path: Path) -> Batch:
        name = path.relative_to(self._project).as_posix()
        try:
            stat = path.stat()
            mark = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
            known = self._known.get(name)
            digest = str(known[-1]) if known is not None and known[:-1] == mark else _digest(path)
        except OSError as error:
            raise HeadraceError("HR302", f"{name} cannot be read: {error.strerror}") from error
        self._seen[name] = [*mark, digest]
        return Batch(name, digest, stat.st_size)

    def save(self) -> None:
        merged = {**self._known, **self._seen}
        if merged == self._known:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial = self._path.with_suffix(f".{id(self)}.partial")
            partial.write_text(json.dumps(merged))
            partial.replace(self._path)
        except OSError:
            return  # a read-only folder can be planned in; hashing again costs only time


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
