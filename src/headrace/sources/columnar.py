"""FileSpec that bring their types along: Parquet, ORC and Avro."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from headrace.errors import HeadraceError
from headrace.sources.declared import refuse_missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.sources.spec import FileSpec

_CALLED = {"parquet": "Parquet", "orc": "ORC", "avro": "Avro"}


def read_columnar(name: str, content: bytes, spec: FileSpec, kind: str) -> pl.DataFrame:
    """The rows of a Parquet, ORC or Avro file, cast to the declared types where every value fits.

    Raises:
        HeadraceError: HR309 for two columns of one name, HR310, HR311 for a damaged file or a value that does not fit,
            HR316 for a type that cannot be landed, HR323 for a file that unpacks to more than it may.
    """
    read: Callable[[str, bytes, FileSpec], pl.DataFrame] = {"parquet": _parquet, "orc": _orc, "avro": _avro}[kind]
    try:
        frame = read(name, content, spec)
    except (pa.ArrowException, OSError, UnicodeDecodeError, pl.exceptions.PanicException) as error:
        raise HeadraceError("HR311", f"{name} is no readable {_CALLED[kind]} file: {_first_line(error)}") from None
    except pl.exceptions.PolarsError as error:
        if kind == "avro":
            raise HeadraceError("HR311", f"{name} is no readable Avro file: {_first_line(error)}") from None
        raise HeadraceError("HR316", f"{name}: {_first_line(error)}") from None
    refuse_missing(name, spec.schema, frame.columns)
    try:
        return frame.with_columns([frame.get_column(column).cast(spec.schema[column]) for column in spec.schema])
    except pl.exceptions.PolarsError as error:
        raise HeadraceError("HR311", f"{name}: {_first_line(error)}") from None


def _parquet(name: str, content: bytes, spec: FileSpec) -> pl.DataFrame:
    """Read by Arrow, which refuses a damaged file; Polars ends the process on some of them."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    spec.limits.check_size(name, sum(file.metadata.row_group(n).total_byte_size for n in range(file.num_row_groups)))
    _refuse_twice(name, file.schema_arrow.names)
    table = file.read()
    table.validate(full=True)
    return pl.DataFrame(table)


def _orc(name: str, content: bytes, spec: FileSpec) -> pl.DataFrame:
    """Stripe by stripe, so that a file that unpacks to too much is left before all of it is in memory."""
    from pyarrow import orc

    file = orc.ORCFile(pa.BufferReader(content))
    _refuse_twice(name, file.schema.names)
    stripes, size = [], 0
    for number in range(file.nstripes):
        stripes.append(file.read_stripe(number))
        size += stripes[-1].nbytes
        spec.limits.check_size(name, size)
    table = pa.Table.from_batches(stripes, file.schema)
    table.validate(full=True)
    return pl.DataFrame(table)


def _avro(name: str, content: bytes, spec: FileSpec) -> pl.DataFrame:
    frame = pl.read_avro(io.BytesIO(content))
    spec.limits.check_size(name, int(frame.estimated_size()))
    return frame


def _refuse_twice(name: str, columns: list[str]) -> None:
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise HeadraceError("HR309", f"{name} has two columns called {twice[0]!r}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
