"""One file to one frame, strictly: what is wrong is said with the file and the line, and nothing is guessed."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from typing import TYPE_CHECKING

import polars as pl

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from headrace.sources.files import Files

UTC = pl.Datetime("us", "UTC")


def parse(name: str, content: bytes, spec: Files) -> pl.DataFrame:
    """The rows of one file. Raises HR304 to HR311."""
    frame = _parquet(name, content) if name.endswith(".parquet") else _csv(name, _text(name, content), spec)
    empty = [column for column in frame.columns if frame[column].null_count() == frame.height]
    frame = frame.with_columns(pl.col(empty).cast(pl.Null)) if empty and not spec.schema else frame
    return frame.with_columns(_in_utc(column, kind) for column, kind in frame.schema.items() if _is_time(kind))


def _is_time(kind: pl.DataType) -> bool:
    return isinstance(kind, pl.Datetime)


def _in_utc(column: str, kind: pl.DataType) -> pl.Expr:
    zone = getattr(kind, "time_zone", None)
    expression = pl.col(column)
    placed = expression.dt.replace_time_zone("UTC") if zone is None else expression.dt.convert_time_zone("UTC")
    return placed.cast(UTC)


def _text(name: str, content: bytes) -> bytes:
    if not content:
        raise HeadraceError("HR304", f"{name} is empty (0 bytes)")
    if not name.endswith(".gz"):
        return content
    try:
        return gzip.decompress(content)
    except EOFError as error:
        raise HeadraceError("HR305", f"{name} ends in the middle of its compressed data") from error
    except (OSError, zlib.error) as error:
        raise HeadraceError("HR306", f"{name} is not a gzip file: {error}") from error


def _csv(name: str, text: bytes, spec: Files) -> pl.DataFrame:
    header = _header(name, text)
    unknown = sorted(set(spec.schema) - set(header))
    if unknown:
        raise HeadraceError("HR310", f"{name} has no column {unknown[0]!r}, which schema= declares")
    try:
        return pl.read_csv(
            text,
            null_values=list(spec.nulls),
            infer_schema_length=None,
            schema_overrides=dict(spec.schema),
            try_parse_dates=True,
        )
    except pl.exceptions.PolarsError as error:
        raise _explained(name, text, header, error) from error


def _header(name: str, text: bytes) -> list[str]:
    try:
        first = text.split(b"\n", 1)[0].decode()
    except UnicodeDecodeError as error:
        raise HeadraceError("HR308", f"{name}, line 1: not UTF-8") from error
    header = next(csv.reader([first.rstrip("\r").removeprefix("\ufeff")]), [])
    if not header:
        raise HeadraceError("HR304", f"{name} has no header line")
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise HeadraceError("HR309", f"{name} has two columns called {twice[0]!r}")
    return header


def _explained(name: str, text: bytes, header: list[str], error: Exception) -> HeadraceError:
    """What is wrong with a file that Polars refused: the first ragged or undecodable line, else Polars' own words."""
    for number, line in enumerate(text.split(b"\n"), 1):
        try:
            line.decode()
        except UnicodeDecodeError:
            return HeadraceError("HR308", f"{name}, line {number}: not UTF-8")
    reader = csv.reader(io.StringIO(text.decode(), newline=""))
    for row in reader:
        if row and len(row) != len(header):
            found = f"{len(row)} fields where the header has {len(header)}"
            return HeadraceError("HR307", f"{name}, line {reader.line_num}: {found}")
    return HeadraceError("HR311", f"{name} cannot be parsed: {str(error).splitlines()[0]}")


def _parquet(name: str, content: bytes) -> pl.DataFrame:
    if not content:
        raise HeadraceError("HR304", f"{name} is empty (0 bytes)")
    try:
        return pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise HeadraceError("HR311", f"{name} is no readable Parquet file: {str(error).splitlines()[0]}") from error
