"""One file to one frame, strictly: what is wrong is said with the file and the line, and nothing is guessed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.sources.csvfile import read_csv
from headrace.sources.excel import read_xlsx
from headrace.sources.hive import partitions, with_partitions
from headrace.sources.kinds import kind_of
from headrace.sources.ndjson import read_ndjson
from headrace.sources.types import landable
from headrace.sources.unpack import unpacked

if TYPE_CHECKING:
    import polars as pl

    from headrace.sources.kinds import Kind
    from headrace.sources.spec import FileSpec


_TYPED = ("parquet", "orc", "avro")
"""Formats whose files tell the types of columns without any value."""


def parse(name: str, content: bytes, spec: FileSpec) -> pl.DataFrame:
    """The rows of one file. `name` decides what kind of file it is, and holds its partitions.

    Raises:
        HeadraceError: HR304 to HR311, HR316, HR317 and HR323 to HR330, with the file and, where there is one, the line.
    """
    if not content:
        raise HeadraceError("HR304", f"{name} is empty (0 bytes)")
    kind = kind_of(name)
    keys = partitions(name) if spec.hive else {}
    inside = replace(spec, schema={column: of for column, of in spec.schema.items() if column not in keys})
    frame = _read(name, unpacked(name, content, kind.compression, spec.limits), inside, kind)
    if spec.hive:
        frame = with_partitions(name, frame, spec.schema)
    told = (*frame.columns,) if kind.format in _TYPED else (*spec.schema, *keys)
    return landable(name, frame, told if frame.is_empty() else spec.schema)


def _read(name: str, content: bytes, spec: FileSpec, kind: Kind) -> pl.DataFrame:
    if kind.format == "csv":
        return read_csv(name, content, spec)
    if kind.format == "ndjson":
        return read_ndjson(name, content, spec)
    if kind.format == "xlsx":
        return read_xlsx(name, content, spec)
    from headrace.sources.columnar import read_columnar

    return read_columnar(name, content, spec, kind.format)
