"""One file to one Parquet artefact, in bounded memory: the types of its columns are what all of its rows say.

Most files have the types that their first piece has. So the pieces are written as they are read, until one has other
types; then the rest is only looked at, and the file is read once more with the types that all of it has.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO

import polars as pl

from headrace.errors import HeadraceError
from headrace.sources.csvfile import OtherTypesError
from headrace.sources.hive import partitions, with_partitions
from headrace.sources.kinds import kind_of
from headrace.sources.origin import Landing
from headrace.sources.parse import parse
from headrace.sources.pieces import Digested, unknown
from headrace.sources.readers import CsvReader, NdjsonReader, ParquetReader, UndecidedError
from headrace.sources.sinking import ParquetSink, ahead, side_by_side
from headrace.sources.types import landable
from headrace.sources.unpack import unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from headrace.ports.records import Batch
    from headrace.ports.stores import ArtefactStore
    from headrace.sources.readers import Reader
    from headrace.sources.spec import FileSpec

    Types = Mapping[str, pl.DataType]
    _Found = tuple[pl.DataFrame, Types]

_PIECES = 64
"""A piece is one part in so many of the memory that may be used: it is there as bytes, text, columns and pages."""
_LEAST, _MOST = 2**20, 2**23
"""Bytes of a piece. Larger ones are slower: their memory is given back to the system, and asked for again."""
_STREAMED = ("csv", "ndjson", "parquet")
_UNCERTAIN = frozenset({"HR316", "HR330"})
"""Errors that hang on the type of the whole column: a number that no type holds is none in a column of texts."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that was observed: the batch, how it is opened, how it is read, and how much memory may be used.

    `known` answers the digest of the open file where that is known without reading it.
    """

    batch: Batch
    opened: Callable[[], AbstractContextManager[BinaryIO]]
    spec: FileSpec
    memory: int
    known: Callable[[BinaryIO], str | None] = unknown

    @property
    def piece(self) -> int:
        """Bytes of one piece."""
        return min(max(_LEAST, self.memory // _PIECES), _MOST)

    @contextmanager
    def read(self) -> Iterator[Digested]:
        """The bytes that were observed. Raises HR312 when they are others, whatever else is wrong with them."""
        with self.opened() as raw:
            file = Digested(self.batch.id, raw, self.known)
            try:
                yield file
            except (HeadraceError, UndecidedError):
                self._check(file)
                raise
            self._check(file)

    def _check(self, file: Digested) -> None:
        if file.digest() != self.batch.digest:
            raise HeadraceError("HR312", f"{self.batch.id} changed after it was observed")


def land(arrival: Arrival, store: ArtefactStore) -> Landing:
    """Put the rows of a file into the store.

    Raises:
        HeadraceError: HR304 to HR312, HR316, HR317 and HR323 to HR330, with the file and, where there is one, the line.
    """
    content = _small(arrival)
    if content is None:
        try:
            return _streamed(arrival, store)
        except UndecidedError:
            with arrival.read() as file:
                content = file.read()
    frame = parse(arrival.batch.id, content, arrival.spec)
    landed = io.BytesIO()
    frame.write_parquet(landed, compression="zstd")
    return Landing(store.put(landed.getvalue(), ".parquet"), _texts(frame), frame.height)


def _small(arrival: Arrival) -> bytes | None:
    """The content of a file that is read at once: because it is one piece, or because its kind asks for it."""
    name, spec = arrival.batch.id, arrival.spec
    kind = kind_of(name)
    whole = kind.format not in _STREAMED or spec.dialect.comment is not None
    if not whole and arrival.batch.size > arrival.piece:
        return None
    with arrival.read() as file:
        content = file.read()
    if whole or not kind.compression or not content:
        return content
    try:
        unpacked(name, content, kind.compression, replace(spec.limits, bytes=arrival.piece))
    except HeadraceError as error:
        if error.code != "HR323":
            raise
        return None
    return content


def _streamed(arrival: Arrival, store: ArtefactStore) -> Landing:
    pass_over = _Pass(arrival)
    folder = store.scratch()
    path = folder / "rows.parquet"
    try:
        with ParquetSink(path, arrival.memory // _PIECES) as rows:
            types = pass_over.hopeful(rows)
        if types is not None:
            path.unlink(missing_ok=True)
            with ParquetSink(path, arrival.memory // _PIECES) as rows:
                pass_over.certain(rows, types)
        ref = store.adopt(path, ".parquet", rows.digest)
    finally:
        path.unlink(missing_ok=True)
        folder.rmdir()
    return Landing(ref, rows.schema, rows.count)


class _Pass:
    """Reads a file from start to end."""

    def __init__(self, arrival: Arrival) -> None:
        self._arrival = arrival
        self._name, self._spec = arrival.batch.id, arrival.spec
        self._keys = partitions(self._name) if self._spec.hive else {}
        inside = {column: of for column, of in self._spec.schema.items() if column not in self._keys}
        self._reader = _reader(arrival, replace(self._spec, schema=inside))

    def hopeful(self, rows: ParquetSink) -> Types | None:
        """Write the rows with the types of the first ones. Where that does not hold: the types that all have."""
        types: Types | None = None
        holds = True

        def looked_at(piece: Any) -> tuple[Any, _Found | None]:  # noqa: ANN401
            return piece, self._fitting(piece, types) if holds else None

        with self._arrival.read() as file, ahead(self._reader.pieces(file)) as pieces:
            first = map(looked_at, islice(pieces, 1))
            with side_by_side(looked_at, pieces) as others:
                for piece, found in chain(first, others):
                    if found is not None and holds:
                        frame, types = found
                        rows.add(frame)
                    else:
                        holds = False
                        types = self._wider(piece, types)
        self._reader.finish(types or {})
        return None if holds else types

    def certain(self, rows: ParquetSink, types: Types) -> None:
        """Write the rows with types that all of them have."""
        with (
            self._arrival.read() as file,
            ahead(self._reader.pieces(file)) as pieces,
            side_by_side(lambda piece: self._sure(piece, types), pieces) as frames,
        ):
            for frame in frames:
                rows.add(frame)

    def _sure(self, piece: Any, types: Types) -> pl.DataFrame:  # noqa: ANN401
        """The rows of a piece with types that it is known to have. Raises UndecidedError where it does not."""
        try:
            return self._whole(self._reader.rows(piece, types), types)
        except OtherTypesError:
            raise UndecidedError from None
        except HeadraceError as error:
            if error.code in _UNCERTAIN:
                raise UndecidedError from None
            raise

    def _wider(self, piece: Any, types: Types | None) -> Types:  # noqa: ANN401
        """The types that the rows before a piece and its own have together. Raises UndecidedError."""
        if types is None:
            return self._reader.types(piece)
        if self._fitting(piece, types) is not None:
            return types
        return self._reader.both(types, self._reader.types(piece))

    def _fitting(self, piece: Any, types: Types | None) -> _Found | None:  # noqa: ANN401
        """The rows of a piece as they are landed, and their types, if it has these types, or any that can be landed."""
        try:
            frame = self._reader.rows(piece, types)
            types = types or self._types(frame)
            return self._whole(frame, types), types
        except OtherTypesError:
            return None
        except HeadraceError as error:
            if error.code not in _UNCERTAIN:
                raise
            return None

    def _types(self, frame: pl.DataFrame) -> Types:
        return {
            each.name: pl.Null()
            if each.null_count() == each.len() and each.name not in self._spec.schema
            else each.dtype
            for each in frame
        }

    def _whole(self, frame: pl.DataFrame, types: Types) -> pl.DataFrame:
        """The rows as they are landed: with partitions, and a column without a value in the whole file as Null."""
        if self._spec.hive:
            frame = with_partitions(self._name, frame, self._spec.schema)
        known = [name for name, kind in types.items() if not isinstance(kind, pl.Null)]
        return landable(self._name, frame, {*self._spec.schema, *known})


def _reader(arrival: Arrival, spec: FileSpec) -> Reader:
    name, size = arrival.batch.id, arrival.piece
    kind = kind_of(name)
    if kind.format == "parquet":
        return ParquetReader(name, spec, size)
    reader = CsvReader if kind.format == "csv" else NdjsonReader
    return reader(name, arrival.batch.size, spec, kind, size)


def _texts(frame: pl.DataFrame) -> dict[str, str]:
    return {name: str(kind) for name, kind in frame.schema.items()}
