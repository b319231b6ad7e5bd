"""Rows on their way into a table: taken piece by piece, written to files as soon as there are enough of them.

The files are those that the table will have: on the disk, with their digests, only their names are still missing. What
is less than a file stays in memory, so that a small table costs no file more than it has.
"""

from __future__ import annotations

import shutil
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from headrace.adapters.delta_schema import fitted, stored
from headrace.adapters.durable import file_digest, link_or_copy, storage_errors, sync_file
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from headrace.ports.stores import RowsFile

ROWS_OF_A_GROUP = 250_000
ROWS_OF_A_FILE = 1_000_000
_FILES = 16
"""The rows of a file take at most one part in so many of the memory that may be used."""


@dataclass(frozen=True, slots=True)
class Written:
    """A file without its lasting name: where it is, its size in bytes, its SHA-256 and its rows."""

    path: Path
    size: int
    sha256: str
    rows: int


class RowsDraft:
    """See `headrace.ports.stores.Draft`. Its folder, on the file system of the store, goes when nobody needs it."""

    def __init__(self, folder: Path, name: str, memory: int) -> None:
        self._folder = folder
        self._name = name
        self._memory = memory
        self._waiting: list[pl.DataFrame] = []
        self._files: list[tuple[Path, int, Future[tuple[int, str]]]] = []
        self._thread: ThreadPoolExecutor | None = None
        self._stored: pl.Schema | None = None
        self.schema = pl.Schema()
        self.height = 0
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self.schema.names()

    def is_empty(self) -> bool:
        """Whether no row came."""
        return self.height == 0

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows. Raises HR638, HR640 and HR642 as `TableStore.write`, HR641 for other columns than those before."""
        self.schema = self.schema or frame.schema
        frame = stored(frame, self._name)
        if self._stored is None:
            self._stored = frame.schema
        elif frame.schema != self._stored:
            frame = fitted(frame, self._stored, self._name)
        if frame.height or not (self._waiting or self._files):
            self._waiting.append(frame)
            self.height += frame.height
        while self._full():
            self._flush(ROWS_OF_A_FILE)

    def cut(self) -> None:
        """Begin a file with the rows that come next."""
        if self.height:
            self._waiting = [frame for frame in self._waiting if frame.height]
        while self.height and self._waiting:
            self._flush(ROWS_OF_A_FILE)

    def link(self, file: RowsFile) -> bool:
        """Take a file as it is, under a second name; False where its columns are not those that would be written.

        Raises HR636 to HR638 and HR642.
        """
        empty = pl.read_parquet(file.path, n_rows=0, glob=False, hive_partitioning=False)
        schema = stored(empty, self._name).schema
        if list(schema.items()) != list(empty.schema.items()) or self._stored not in (None, schema):
            return False
        self.schema, self._stored = self.schema or schema, schema
        self._waiting = [frame for frame in self._waiting if frame.height]
        while self._waiting:
            self._flush(ROWS_OF_A_FILE)
        path = self._next()
        with storage_errors(self._folder):
            link_or_copy(file.path, path)
            settled: Future[tuple[int, str]] = Future()
            settled.set_result((path.stat().st_size, file.sha256))
        self._files.append((path, file.rows, settled))
        self.height += file.rows
        return True

    def extend(self, frames: Iterable[pl.DataFrame]) -> None:
        """Take rows of several frames."""
        for frame in frames:
            self.add(frame)

    def lazy(self) -> pl.LazyFrame:
        """The rows so far, in order."""
        parts = [pl.scan_parquet(path, glob=False, hive_partitioning=False) for path, _, _ in self._files]
        return pl.concat([*parts, *(frame.lazy() for frame in self._waiting)])

    def head(self, count: int) -> pl.DataFrame:
        """The first rows; none of them, after the files have gone into a table, to tell the types."""
        return self.lazy().head(count).collect() if count else pl.DataFrame(schema=self._stored)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows so far, some at a time."""
        for path, rows, _ in self._files:
            yield from _slices(path, rows)
        yield from self._waiting

    def fitted(self, base: Mapping[str, pl.DataType], folder: Path) -> RowsDraft:
        """The rows with the columns of a base; written anew where they are others. Raises HR641."""
        if self._stored is not None and list(base.items()) == list(self._stored.items()):
            return self
        other = RowsDraft(folder, self._name, self._memory)
        for path, rows, _ in self._files:
            other.extend(fitted(frame, base, self._name) for frame in _slices(path, rows))
            other.cut()
        other.extend(fitted(frame, base, self._name) for frame in self._waiting)
        return other

    def files(self) -> list[Written]:
        """Every row in a file, on the disk; at least one file. Nothing can be added after this. Raises HR642."""
        if self._stored is None:
            raise HeadraceError("HR642", f"the rows for table {self._name} have no columns")
        while self._waiting:
            self._flush(ROWS_OF_A_FILE)
        found = [Written(path, *_of(future), rows) for path, rows, future in self._files]
        if self._thread is not None:
            self._thread.shutdown()
        return found

    def _next(self) -> Path:
        return self._folder / f"rows{len(self._files)}"

    def _full(self) -> bool:
        rows = sum(frame.height for frame in self._waiting)
        return rows >= ROWS_OF_A_FILE or sum(frame.estimated_size() for frame in self._waiting) > self._memory // _FILES

    def _flush(self, most: int) -> None:
        """Write the rows that wait, `most` of them, into a file; another thread syncs and digests it meanwhile."""
        rows = pl.concat(self._waiting, rechunk=True)
        rest = rows.slice(most)
        rows = rows.head(most).rechunk()
        self._waiting = [rest] if rest.height else []
        path = self._next()
        with storage_errors(self._folder):
            rows.write_parquet(path, row_group_size=ROWS_OF_A_GROUP)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1)
        self._files.append((path, rows.height, self._thread.submit(_settled, path)))


def _slices(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    """The rows of a file, some at a time, at least one frame."""
    scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    return (scan.slice(start, ROWS_OF_A_GROUP).collect() for start in range(0, max(rows, 1), ROWS_OF_A_GROUP))


def _settled(path: Path) -> tuple[int, str]:
    sync_file(path)
    return path.stat().st_size, file_digest(path)


def _of(future: Future[tuple[int, str]]) -> tuple[int, str]:
    return future.result()
