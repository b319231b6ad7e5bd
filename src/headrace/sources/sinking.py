"""What goes on at once while a file is landed: reading some pieces, making rows of others, writing those before."""

from __future__ import annotations

import hashlib
import io
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Full, Queue
from threading import Thread
from typing import IO, TYPE_CHECKING, Any, cast

import polars as pl
from polars.io.plugins import register_io_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from concurrent.futures import Future
    from pathlib import Path
    from types import TracebackType
    from typing import Self

ROWS_OF_A_GROUP = 250_000
_LEAST, _MOST = 2, 8
"""How many pieces are worked on at once, with as many as there are cores in between."""
_PATIENCE = 0.1
"""Seconds between two looks at whether the engine still takes frames: only one that failed does not."""


@contextmanager
def ahead(items: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """The same items, each asked for by a thread while the one before it is looked at; none after the block."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        yield _ahead(items, thread)


def _ahead(items: Iterator[Any], thread: ThreadPoolExecutor) -> Iterator[Any]:
    end = object()
    coming = thread.submit(next, items, end)
    while (item := coming.result()) is not end:
        coming = thread.submit(next, items, end)
        yield item


@contextmanager
def side_by_side(work: Callable[[Any], Any], items: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """What a function makes of the items, in their order, some of them at once; nothing goes on after the block.

    Polars works on all cores, but what goes before and comes after it does not: two pieces fill each other's gaps.
    """
    threads = min(max(_LEAST, pl.thread_pool_size()), _MOST)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        yield _side_by_side(work, items, pool, threads)


def _side_by_side(
    work: Callable[[Any], Any], items: Iterator[Any], pool: ThreadPoolExecutor, threads: int
) -> Iterator[Any]:
    end = object()
    coming: deque[Future[Any]] = deque()
    while (item := _next(items, end, coming)) is not end:
        coming.append(pool.submit(work, item))
        if len(coming) == threads:
            yield coming.popleft().result()
    while coming:
        yield coming.popleft().result()


def _next(items: Iterator[Any], end: object, coming: Iterable[Future[Any]]) -> Any:  # noqa: ANN401
    try:
        return next(items, end)
    except Exception:
        for each in coming:
            each.result()  # what is wrong with an item before this one is said first
        raise


class _Unfailing(io.RawIOBase):
    """A file that keeps what goes wrong to itself: with an error of a write the engine would wait for ever."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._sha = hashlib.sha256()
        self.failure: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:  # noqa: ANN401 - whatever has bytes
        left = memoryview(content)
        try:
            while self.failure is None and left:
                written = self._file.write(left)
                self._sha.update(left[:written])
                left = left[written:]
        except OSError as error:
            self.failure = error
        return len(content)

    def digest(self) -> str:
        return self._sha.hexdigest()


class ParquetSink:
    """Frames of one schema on their way into a Parquet file, which is complete when the block ends without an error.

    The streaming engine writes it. A group has no more than 250,000 rows, and takes about as many bytes of memory as
    `group` says, by the size of the first frame.
    """

    def __init__(self, path: Path, group: int) -> None:
        self._path = path
        self._group = group
        self._frames: Queue[pl.DataFrame | None] = Queue(maxsize=1)
        self._schema: pl.Schema | None = None
        self._thread: Thread | None = None
        self._failure: BaseException | None = None
        self._broken = False
        self.count = 0
        self.digest = ""
        """The SHA-256 of the file, once it is complete."""

    @property
    def schema(self) -> Mapping[str, str]:
        """The columns and their types as text; none before the first frame."""
        return {name: str(kind) for name, kind in (self._schema or {}).items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._thread is None:
            return
        self._broken = kind is not None
        self._give(None)
        self._thread.join()
        if self._failure is not None and not self._broken:
            raise self._failure

    def add(self, frame: pl.DataFrame) -> None:
        """Write some more rows, soon. What went wrong with those before is raised here, or when the block ends."""
        if self._schema is None:
            self._schema = frame.schema
            self._thread = Thread(target=self._write, args=(self._rows_of_a_group(frame),))
            self._thread.start()
        if frame.schema != self._schema:
            message = f"a piece of {dict(frame.schema)} after one of {dict(self._schema)}"
            raise ValueError(message)
        self.count += frame.height
        self._give(frame)

    def _rows_of_a_group(self, frame: pl.DataFrame) -> int:
        return min(max(1, self._group * frame.height // max(1, int(frame.estimated_size()))), ROWS_OF_A_GROUP)

    def _give(self, frame: pl.DataFrame | None) -> None:
        while self._failure is None:
            try:
                self._frames.put(frame, timeout=_PATIENCE)
            except Full:
                continue
            return
        if frame is not None:
            raise self._failure

    def _write(self, group: int) -> None:
        rows = register_io_source(self._taken, schema=self._schema or pl.Schema())
        try:
            with self._path.open("wb", buffering=0) as file, _Unfailing(file) as target:
                self._target = target
                rows.sink_parquet(
                    cast("IO[bytes]", target), compression="lz4", row_group_size=group, maintain_order=True
                )
            self._failure, self.digest = target.failure, target.digest()
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that gives the frames
            self._failure = error

    def _taken(self, *_: object) -> Iterator[pl.DataFrame]:
        """The frames as they come; columns or rows are never picked, as the query does nothing but write."""
        while (frame := self._frames.get()) is not None and self._target.failure is None:
            yield frame
