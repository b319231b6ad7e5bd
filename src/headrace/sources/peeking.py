"""What new batches look like before they are landed: read cheaply, for people who read a plan. Nothing follows from it.

Small files are read as they will be landed. Of larger ones the names of the columns are read, from the first lines or
the footer; nothing is said about their types, where a file does not bring them along, or about nulls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from headrace.errors import HeadraceError
from headrace.ports.mappings import changed, differences
from headrace.sources.kinds import kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from headrace.ports.records import Batch, Facts, Version
    from headrace.sources.kinds import Kind
    from headrace.sources.spec import FileSpec

MOST = 32
"""Batches that are looked at for one plan."""
_SMALL = 256 * 2**10
"""Bytes. A file up to this size is read whole, also when it is compressed."""
_BEGINNING = 64 * 2**10
_UNKNOWN = "Null"


@dataclass(frozen=True, slots=True)
class Peek:
    """The columns of a batch with their types (Null: not known), and those with nulls (None: not known).

    Or `error`: why it cannot be landed.
    """

    schema: Mapping[str, str]
    nulls: Sequence[str] | None = None
    error: HeadraceError | None = None


def peek(batch: Batch, opened: AbstractContextManager[BinaryIO], spec: FileSpec) -> Peek | None:
    """What can be seen of a file; None where that is nothing, as in a file that is gone by now."""
    kind = kind_of(batch.id)
    try:
        with opened as file:
            if batch.size <= _SMALL:
                return _whole(batch.id, file.read(), spec)
            return _beginning(batch, file, spec, kind)
    except (HeadraceError, OSError):
        return None  # it is told when the file is landed, by what reads all of it


def _whole(name: str, content: bytes, spec: FileSpec) -> Peek:
    from headrace.sources.parse import parse

    try:
        frame = parse(name, content, spec)
    except HeadraceError as error:
        return Peek({}, error=error)
    holding = [column.name for column in frame if column.null_count()]
    return Peek({name: str(kind) for name, kind in frame.schema.items()}, holding)


def _beginning(batch: Batch, file: BinaryIO, spec: FileSpec, kind: Kind) -> Peek | None:
    from headrace.sources.hive import partitions

    keys = dict.fromkeys(partitions(batch.id), _UNKNOWN) if spec.hive else {}
    if kind.format == "csv":
        return Peek({**dict.fromkeys(_header(batch, file, spec, kind), _UNKNOWN), **keys})
    if kind.format in ("parquet", "orc"):
        return Peek({**_footer(batch.id, file, spec, kind), **keys})
    return None


def _header(batch: Batch, file: BinaryIO, spec: FileSpec, kind: Kind) -> Sequence[str]:
    from headrace.sources.pieces import Digested, line_pieces
    from headrace.sources.records import records

    text = next(line_pieces(batch.id, Digested(batch.id, file), batch.size, spec, kind, _BEGINNING))
    return [name for name in records(batch.id, text, spec.dialect).names if name]


def _footer(name: str, file: BinaryIO, spec: FileSpec, kind: Kind) -> dict[str, str]:
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import orc

    from headrace.sources.types import landable

    try:
        schema: Any = pq.read_schema(file) if kind.format == "parquet" else orc.ORCFile(file).schema
        frame = pl.DataFrame(schema.empty_table())
    except (pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise HeadraceError("HR311", f"{name}: {error}") from None
    frame = landable(name, frame, frame.columns)
    return {each: str(spec.schema.get(each, of)) for each, of in frame.schema.items()}


def foreseen(before: Version, batches: Mapping[str, str], peeks: Mapping[str, Peek]) -> Facts:
    """The facts that a version of these batches would have, as far as can be seen: for `headrace.sources.changes`.

    `batches` are ids and digests; one that was not landed before and was not looked at is left out. A column of a type
    that cannot be seen is taken to be as it was.
    """
    facts = before.manifest.facts
    gone = [batch for batch, (was, _) in differences(before.batches, batches).items() if was is not None]
    schemas, nulls = list(facts["schemas"]), list(facts.get("nulls", ()))
    found: dict[str, Facts] = {}
    for batch, seen in peeks.items():
        if seen.error is not None:
            continue
        found[batch] = {"schema": len(schemas), **({} if seen.nulls is None else {"nulls": len(nulls)})}
        schemas.append(dict(seen.schema))
        nulls.append(list(seen.nulls or ()))
    return {"batches": changed(facts["batches"], found, gone), "schemas": schemas, "nulls": nulls}
