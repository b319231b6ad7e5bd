"""A Parquet file that grows by frames of one schema, written by the streaming engine while the next ones are read."""

from __future__ import annotations

from queue import Full, Queue
from threading import Thread
from typing import TYPE_CHECKING

import polars as pl
from polars.io.plugins import register_io_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

ROWS_OF_A_GROUP = 250_000
_PATIENCE = 0.1
"""Seconds between two looks at whether the engine still takes frames: only one that failed does not."""


class ParquetSink:
    """Rows on their way into a Parquet file, which is complete when the block ends without an error.

    A group has as many rows as the first frame, and no more than 250,000: one that waits to be written takes no more
    memory than a frame does. Equal rows give equal bytes, however they are cut into frames behind the first one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames: Queue[pl.DataFrame | None] = Queue(maxsize=1)
        self._schema: pl.Schema | None = None
        self._thread: Thread | None = None
        self._failure: BaseException | None = None
        self._broken = False
        self.count = 0

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
            self._thread = Thread(target=self._write, args=(min(max(frame.height, 1), ROWS_OF_A_GROUP),))
            self._thread.start()
        if frame.schema != self._schema:
            message = f"a piece of {dict(frame.schema)} after one of {dict(self._schema)}"
            raise ValueError(message)
        self.count += frame.height
        self._give(frame)

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
        try:
            rows = register_io_source(self._taken, schema=self._schema or pl.Schema())
            rows.sink_parquet(self._path, compression="lz4", row_group_size=group, maintain_order=True)
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that gives the frames
            self._failure = error

    def _taken(self, *_: object) -> Iterator[pl.DataFrame]:
        """The frames as they come; columns or rows are never picked, as the query does nothing but write."""
        while (frame := self._frames.get()) is not None:
            yield frame
