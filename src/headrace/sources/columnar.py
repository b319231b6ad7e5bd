"""Files that bring their types along: Parquet, ORC and Avro."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from headrace.errors import HeadraceError
from headrace.sources.avrocodec import without_codec
from headrace.sources.avroschema import refuse_unreadable
from headrace.sources.declared import recast, refuse_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow.parquet as pq

    from headrace.sources.pieces import Digested
    from headrace.sources.spec import FileSpec

_MOST = 1_000_000
"""Rows of one piece."""
_FIX_DECIMAL = "Write the column as a decimal of up to 38 digits."
_CALLED = {"parquet": "Parquet", "orc": "ORC", "avro": "Avro"}


def read_columnar(name: str, content: bytes, spec: FileSpec, kind: str) -> pl.DataFrame:
    """The rows of a Parquet, ORC or Avro file, cast to the declared types where every value fits.

    Raises:
        HeadraceError: HR309 for two columns of one name, HR310, HR311 for a damaged file or a value that does not fit,
            HR316 for a type that cannot be landed, HR323 for a file that unpacks to more than it may.
    """
    read: Callable[[str, bytes, FileSpec], pl.DataFrame] = {"parquet": _parquet, "orc": _orc, "avro": _avro}[kind]
    with _coded(name, kind):
        frame = read(name, content, spec)
    return piece_rows(name, frame, spec)


def piece_rows(name: str, frame: pl.DataFrame, spec: FileSpec, before: int = 0) -> pl.DataFrame:
    """Rows of a file with its declared columns cast; `before` rows come before them. Raises HR310, HR311, HR330."""
    refuse_missing(name, spec.schema, frame.columns)
    return frame.with_columns(
        [
            recast(name, frame.get_column(column), kind, lambda row: f"row {before + row + 1}")
            for column, kind in spec.schema.items()
        ]
    )


def parquet_pieces(name: str, file: Digested, spec: FileSpec, size: int) -> Iterator[pl.DataFrame]:
    """The rows of a Parquet file, some at a time: about `size` bytes. At least one piece, if without rows.

    Raises:
        HeadraceError: As `read_columnar`.
    """
    file.digest()
    with _coded(name, "parquet"):
        opened = _opened(name, file.again(), spec)
        rows = opened.metadata.num_rows
        batch = max(1, size * rows // max(1, _unpacked(opened)))
        if not rows:
            yield pl.DataFrame(opened.read())
        for piece in opened.iter_batches(min(batch, _MOST)):
            piece.validate(full=True)
            yield pl.DataFrame(piece)


@contextmanager
def _coded(name: str, kind: str) -> Iterator[None]:
    """What the libraries raise, as HR311 for a damaged file and HR316 for a type that cannot be landed."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, pl.exceptions.PanicException) as error:
        raise HeadraceError("HR311", f"{name} is no readable {_CALLED[kind]} file: {_first_line(error)}") from None
    except pl.exceptions.PolarsError as error:
        if kind == "avro":
            raise HeadraceError("HR311", f"{name} is no readable Avro file: {_first_line(error)}") from None
        raise HeadraceError("HR316", f"{name}: {_first_line(error)}") from None


def _parquet(name: str, content: bytes, spec: FileSpec) -> pl.DataFrame:
    """Read by Arrow, which refuses a damaged file; Polars ends the process on some of them."""
    table = _opened(name, pa.BufferReader(content), spec).read()
    table.validate(full=True)
    return pl.DataFrame(table)


def _opened(name: str, source: object, spec: FileSpec) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(source, page_checksum_verification=True)
    spec.limits.check_size(name, _unpacked(file))
    _check_columns(name, file.schema_arrow)
    return file


def _unpacked(file: pq.ParquetFile) -> int:
    """Bytes that the columns take without compression."""
    return sum(file.metadata.row_group(number).total_byte_size for number in range(file.num_row_groups))


def _orc(name: str, content: bytes, spec: FileSpec) -> pl.DataFrame:
    """Stripe by stripe, so that a file that unpacks to too much is left before all of it is in memory."""
    from pyarrow import orc

    file = orc.ORCFile(pa.BufferReader(content))
    _check_columns(name, file.schema)
    stripes, size = [], 0
    for number in range(file.nstripes):
        stripes.append(file.read_stripe(number))
        size += stripes[-1].nbytes
        spec.limits.check_size(name, size)
    table = pa.Table.from_batches(stripes, file.schema)
    table.validate(full=True)
    return pl.DataFrame(table)


def _avro(name: str, content: bytes, spec: FileSpec) -> pl.DataFrame:
    refuse_unreadable(name, content)
    frame = pl.read_avro(io.BytesIO(without_codec(name, content, spec.limits)))
    spec.limits.check_size(name, int(frame.estimated_size()))
    return frame


def _check_columns(name: str, schema: pa.Schema) -> None:
    """Raises HR309, HR316 and HR325 for what Polars stumbles over, or would call otherwise."""
    columns = schema.names
    if "" in columns:
        raise HeadraceError("HR325", f"{name}: column {columns.index('') + 1} has no name")
    long = next((field for field in schema if pa.types.is_decimal256(field.type)), None)
    if long is not None:
        raise HeadraceError("HR316", f"{name}: column {long.name!r} is of type {long.type}", fix=_FIX_DECIMAL)
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise HeadraceError("HR309", f"{name} has two columns called {twice[0]!r}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
