"""How files that may be larger than memory are read piece by piece: rows, and which types go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from headrace.errors import HeadraceError
from headrace.sources.columnar import parquet_pieces, piece_rows
from headrace.sources.csvfile import OtherTypesError, read_text, text_types
from headrace.sources.declared import refuse_missing
from headrace.sources.ndjson import read_lines
from headrace.sources.pieces import line_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headrace.sources.kinds import Kind
    from headrace.sources.pieces import Digested
    from headrace.sources.spec import FileSpec
    from headrace.sources.texts import Text

    Types = Mapping[str, pl.DataType]

_INTEGERS = (pl.Int64, pl.UInt64)
_TEXTS = (pl.String, pl.Date, pl.Datetime)


class UndecidedError(Exception):
    """Only the whole file at once tells what its types are, or what is wrong with it."""


class Reader(Protocol):
    """One kind of file. What a piece is only the reader knows."""

    def pieces(self, file: Digested) -> Iterator[Any]:
        """The file in pieces."""

    def rows(self, piece: Any, types: Types | None) -> pl.DataFrame:  # noqa: ANN401
        """The rows of a piece; with `types`, of exactly those. Raises OtherTypesError where a value is of another."""

    def types(self, piece: Any) -> Types:  # noqa: ANN401
        """The types of a piece on its own; Null where it has no value. Raises UndecidedError."""

    def both(self, one: Types, other: Types) -> Types:
        """The types that the rows of two pieces have together. Raises UndecidedError."""

    def finish(self, types: Types) -> None:
        """Refuse a file that turned out to have these columns, where it may not."""


class CsvReader:
    """CSV: the type of a column is what all of its texts are."""

    def __init__(self, name: str, packed: int, spec: FileSpec, kind: Kind, size: int) -> None:
        self._name, self._packed, self._spec, self._kind, self._size = name, packed, spec, kind, size

    def pieces(self, file: Digested) -> Iterator[Text]:
        """Lines, each time after the header."""
        return line_pieces(self._name, file, self._packed, self._spec, self._kind, self._size)

    def rows(self, piece: Text, types: Types | None) -> pl.DataFrame:
        """The rows of a piece."""
        return read_text(self._name, piece, self._spec, types)

    def types(self, piece: Text) -> Types:
        """The types of a piece on its own."""
        try:
            return text_types(self._name, piece, self._spec)
        except HeadraceError as error:
            if error.code != "HR316":
                raise
            raise UndecidedError from error

    def both(self, one: Types, other: Types) -> Types:
        """Numbers go together as floats, anything else as texts."""
        return {column: _csv_type(kind, other[column]) for column, kind in one.items()}

    def finish(self, types: Types) -> None:
        """The header was checked with each piece."""


def _csv_type(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    if one == other or isinstance(other, pl.Null):
        return one
    if isinstance(one, pl.Null):
        return other
    if pl.Int128 in (one, other):
        raise UndecidedError  # what Polars makes of these hangs on what else is in the column
    return pl.Float64() if one.is_numeric() and other.is_numeric() else pl.String()


class NdjsonReader(CsvReader):
    """NDJSON: each value brings its type along, and a line may lack a column, or bring a new one."""

    def rows(self, piece: Text, types: Types | None) -> pl.DataFrame:
        """The rows of a piece."""
        frame = read_lines(self._name, piece, self._spec.schema)
        if types is None:
            return frame
        if not frame.columns and frame.is_empty():
            return pl.DataFrame(schema=types)
        other = {name: types[name] for name in frame.columns if _differs(frame.schema[name], types.get(name))}
        if other:
            frame = read_lines(self._name, piece, {**self._spec.schema, **other})
        return frame.select(
            pl.col(name).cast(kind) if name in frame.columns else pl.lit(None, kind).alias(name)
            for name, kind in types.items()
        )

    def types(self, piece: Text) -> Types:
        """The types of a piece on its own."""
        try:
            return dict(read_lines(self._name, piece, self._spec.schema).schema)
        except HeadraceError as error:
            raise UndecidedError from error

    def both(self, one: Types, other: Types) -> Types:
        """Numbers go together as floats, times as texts, and nothing else does."""
        names = dict.fromkeys((*one, *other))
        return {name: _json_type(one.get(name, pl.Null()), other.get(name, pl.Null())) for name in names}

    def finish(self, types: Types) -> None:
        """Raises HR304 for a file without a line, HR310 for a declared column that no line has."""
        if not types:
            raise HeadraceError("HR304", f"{self._name} has no line with a JSON object")
        refuse_missing(self._name, self._spec.schema, types)


def _differs(found: pl.DataType, wanted: pl.DataType | None) -> bool:
    """Whether a column is to be read again as another type. Raises OtherTypesError where that would be wrong."""
    if found == wanted or (wanted is not None and isinstance(found, pl.Null)):
        return False
    if wanted is None or not (
        (isinstance(found, _INTEGERS) and wanted == pl.Float64) or (isinstance(found, _TEXTS) and wanted == pl.String)
    ):
        raise OtherTypesError
    return True


def _json_type(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    if one == other or isinstance(other, pl.Null):
        return one
    if isinstance(one, pl.Null):
        return other
    if one.is_numeric() and other.is_numeric() and pl.Float64 in (one, other):
        return pl.Float64()
    if isinstance(one, _TEXTS) and isinstance(other, _TEXTS):
        return pl.String()
    raise UndecidedError


class ParquetReader:
    """Parquet: the file says what its types are; only whether a column has any value is to be seen."""

    def __init__(self, name: str, spec: FileSpec, size: int) -> None:
        self._name, self._spec, self._size = name, spec, size

    def pieces(self, file: Digested) -> Iterator[tuple[pl.DataFrame, int]]:
        """Some rows at a time, each with how many come before."""
        before = 0
        for piece in parquet_pieces(self._name, file, self._spec, self._size):
            yield piece, before
            before += piece.height

    def rows(self, piece: tuple[pl.DataFrame, int], types: Types | None) -> pl.DataFrame:
        """The rows of a piece, declared columns cast."""
        frame = piece_rows(self._name, piece[0], self._spec, piece[1])
        for name, kind in (types or {}).items():
            if isinstance(kind, pl.Null) and frame.get_column(name).null_count() < frame.height:
                raise OtherTypesError
        return frame

    def types(self, piece: tuple[pl.DataFrame, int]) -> Types:
        """The types of a piece on its own."""
        frame = piece_rows(self._name, piece[0], self._spec, piece[1])
        return {each.name: pl.Null() if each.null_count() == each.len() else each.dtype for each in frame}

    def both(self, one: Types, other: Types) -> Types:
        """A column has a type as soon as it has a value."""
        return {name: other[name] if isinstance(kind, pl.Null) else kind for name, kind in one.items()}

    def finish(self, types: Types) -> None:
        """The columns were checked with each piece."""
