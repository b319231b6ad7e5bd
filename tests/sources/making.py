"""Files of every kind, made of one frame."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
from typing import TYPE_CHECKING

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import orc

from headrace.errors import HeadraceError
from headrace.sources.files import files
from headrace.sources.parse import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Unpack

    import polars as pl

    from headrace.sources.options import Options


def csv(frame: pl.DataFrame) -> bytes:
    return frame.write_csv().encode()


def ndjson(frame: pl.DataFrame) -> bytes:
    return "".join(json.dumps(row, default=str) + "\n" for row in frame.to_dicts()).encode()


def parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def arrow_orc(frame: pl.DataFrame) -> bytes:
    table = frame.to_arrow()
    plain = [
        (column.name, pa.string() if pa.types.is_large_string(column.type) else column.type) for column in table.schema
    ]
    file = io.BytesIO()
    orc.write_table(table.cast(pa.schema(plain)), file)
    return file.getvalue()


def avro(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_avro(file)
    return file.getvalue()


def xlsx(frame: pl.DataFrame) -> bytes:
    return workbook({"Sheet": [frame.columns, *frame.rows()]})


def workbook(sheets: Mapping[str, Sequence[Sequence[object]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def zstd(content: bytes) -> bytes:
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


MAKERS: dict[str, Callable[[pl.DataFrame], bytes]] = {
    "csv": csv,
    "ndjson": ndjson,
    "parquet": parquet,
    "orc": arrow_orc,
    "avro": avro,
    "xlsx": xlsx,
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zst": zstd,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def parsed(
    name: str, content: bytes | str, schema: Mapping[str, Any] | None = None, **options: Unpack[Options]
) -> pl.DataFrame:
    plain = content.encode() if isinstance(content, str) else content
    return parse(name, plain, files(name, schema=schema, **options))


def refused(
    name: str, content: bytes | str, schema: Mapping[str, Any] | None = None, **options: Unpack[Options]
) -> HeadraceError:
    with pytest.raises(HeadraceError) as caught:
        parsed(name, content, schema, **options)
    assert caught.value.__cause__ is None, "it comes again at each try: a cause would mark it as worth a retry"
    return caught.value
