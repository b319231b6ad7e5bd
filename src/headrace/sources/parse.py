"""One file to one frame, strictly: what is wrong is said with the file and the line, and nothing is guessed."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import polars as pl

from headrace.errors import HeadraceError, did_you_mean
from headrace.sources.records import records
from headrace.sources.times import dates, moments, recognised
from headrace.sources.types import landable

if TYPE_CHECKING:
    from headrace.sources.files import Files
    from headrace.sources.records import Records

_BOM = b"\xef\xbb\xbf"
_TRUTH = {"true": True, "false": False}


def parse(name: str, content: bytes, spec: Files) -> pl.DataFrame:
    """The rows of one file. `name` decides what kind of file it is.

    Raises:
        HeadraceError: HR304 to HR311, HR316 and HR317, with the file and, where there is one, the line.
    """
    if not content:
        raise HeadraceError("HR304", f"{name} is empty (0 bytes)")
    frame = _parquet(name, content, spec) if name.endswith(".parquet") else _csv(name, _text(name, content), spec)
    return landable(name, frame, spec.schema)


def _text(name: str, content: bytes) -> bytes:
    """The text of a CSV file, decompressed."""
    if not name.endswith(".gz"):
        return content.removeprefix(_BOM)
    try:
        text = gzip.decompress(content)
    except EOFError:
        raise HeadraceError("HR305", f"{name} ends in the middle of its compressed data") from None
    except (OSError, zlib.error) as error:
        raise HeadraceError("HR306", f"{name}: {error}") from None
    if not text:
        raise HeadraceError("HR304", f"{name} is empty (0 bytes after it was decompressed)")
    return text.removeprefix(_BOM)


def _csv(name: str, text: bytes, spec: Files) -> pl.DataFrame:
    lines = records(name, text)
    _refuse_missing(name, spec, lines.names)
    frame = _read(name, text, spec)
    if frame.height != len(lines.blank):
        raise HeadraceError(
            "HR311", f"{name}: {len(lines.blank)} lines follow the header, and {frame.height} were read"
        )
    inferred = [column.name for column in frame if column.dtype == pl.String and column.name not in spec.schema]
    columns = [recognised(frame.get_column(column)) for column in inferred]
    columns += [_declared(name, frame.get_column(column), kind, lines) for column, kind in spec.schema.items()]
    frame = frame.with_columns(columns)
    if len(lines.names) > 1 and lines.blank.any():
        frame = frame.filter(pl.Series(~lines.blank))
    return frame


def _read(name: str, text: bytes, spec: Files) -> pl.DataFrame:
    """Parse the text: numbers and truth values inferred from all rows, the rest and what is declared as text."""
    try:
        return pl.read_csv(
            text,
            null_values=list(spec.null_values),
            infer_schema_length=None,
            schema_overrides=dict.fromkeys(spec.schema, pl.String),
            try_parse_dates=False,
        )
    except pl.exceptions.PolarsError as error:
        raise HeadraceError("HR311", f"{name}: {_first_line(error)}") from None


def _refuse_missing(name: str, spec: Files, found: tuple[str, ...]) -> None:
    for column in spec.schema:
        if column not in found:
            fix = f"Correct schema= or the file: {did_you_mean(column, found)}"
            raise HeadraceError("HR310", f"{name} has no column {column!r}, which schema= declares", fix=fix)


def _declared(name: str, column: pl.Series, kind: pl.DataType, lines: Records) -> pl.Series:
    """A column of texts as the declared type. Raises HR311 with the first text that is none."""
    found = _converted(column, kind)
    wrong = found.is_null() & column.is_not_null()
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        what = f"{name}, line {lines.line(row)}: {column[row]!r} in column {column.name!r} is no {kind}"
        raise HeadraceError("HR311", what)
    return found


def _converted(column: pl.Series, kind: pl.DataType) -> pl.Series:
    """Texts as another type; null where a text does not fit it exactly."""
    if isinstance(kind, pl.Date):
        return dates(column)
    if isinstance(kind, pl.Datetime):
        return moments(column)
    if isinstance(kind, pl.Boolean):
        return column.str.to_lowercase().replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)
    if isinstance(kind, pl.Decimal):
        digits = column.str.extract(r"\.(\d*?)0*$").str.len_chars().fill_null(0)
        return column.set(digits > kind.scale, None).cast(kind, strict=False)
    return column.cast(kind, strict=False)


def _parquet(name: str, content: bytes, spec: Files) -> pl.DataFrame:
    """Read by Arrow, which refuses a damaged file; Polars ends the process on some of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
        table.validate(full=True)
        frame = pl.DataFrame(table)
    except (pa.ArrowException, OSError, UnicodeDecodeError, pl.exceptions.PanicException) as error:
        raise HeadraceError("HR311", f"{name} is no readable Parquet file: {_first_line(error)}") from None
    except pl.exceptions.PolarsError as error:
        raise HeadraceError("HR316", f"{name}: {_first_line(error)}") from None
    _refuse_missing(name, spec, tuple(frame.columns))
    try:
        return frame.with_columns([frame.get_column(column).cast(kind) for column, kind in spec.schema.items()])
    except pl.exceptions.PolarsError as error:
        raise HeadraceError("HR311", f"{name}: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
