"""Rows that were seen somewhere that may change: kept in the store as they were seen, and found again when they land.

What is seen and never published is an artefact that no version refers to, which `headrace gc` removes.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Self

from headrace.errors import HeadraceError
from headrace.ports.mappings import at_hand
from headrace.ports.records import Batch, Ref
from headrace.sources.origin import Landing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import polars as pl

    from headrace.ports.outside import Outlook, Outside
    from headrace.ports.records import Facts, Version
    from headrace.ports.stores import ArtefactStore
    from headrace.ports.work import Context
    from headrace.sources.peeking import Peek

_OWN = frozenset({"digest", "bytes", "rows", "schema", "nulls", "types"})
"""The facts of a batch that the source itself records."""
_NUMBERED = re.compile(r"/(\d+)-[0-9a-f]+$")


class Staging:
    """A Parquet file that is written in pieces and then moved into the store. A context manager."""

    def __init__(self, artefacts: ArtefactStore) -> None:
        import pyarrow.parquet as pq

        from headrace.sources.content import RowsDigest

        self._artefacts = artefacts
        self._file = artefacts.scratch() / "rows.parquet"
        self._parquet = pq
        self._writer: pq.ParquetWriter | None = None
        self.digest = RowsDigest()
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
        self._file.unlink(missing_ok=True)
        self._file.parent.rmdir()

    def add(self, frame: pl.DataFrame) -> None:
        """More rows, of the same columns and types."""
        table = frame.to_arrow()
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self._file, table.schema, compression="zstd")
        self.digest.add(frame)
        if frame.height:
            self._writer.write_table(table)
            self.rows += frame.height

    def begin(self, columns: pl.DataFrame) -> None:
        """The columns and their types, of rows that may never come."""
        if self._writer is None:
            self.add(columns.clear())

    def scan(self) -> pl.LazyFrame:
        """What was written, once no more comes."""
        import polars as pl

        self._close()
        return pl.scan_parquet(self._file)

    def kept(self) -> tuple[Ref, int]:
        """Move what was written into the store; where it lies there, and its size in bytes."""
        self._close()
        size = self._file.stat().st_size
        return self._artefacts.adopt(self._file, ".parquet"), size

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def landed(batch: Batch, context: Context) -> Landing:
    """A batch whose rows lie in the store since they were seen. Raises HR350 where they do not any more."""
    import polars as pl

    ref = Ref("artefact", batch.location, PurePosixPath(batch.location).name.partition(".")[0])
    try:
        path = context.stores.artefacts.path(ref)
    except HeadraceError as error:
        raise HeadraceError("HR350", f"{batch.id}: {error.what}") from error
    schema = {name: str(kind) for name, kind in pl.read_parquet_schema(path).items()}
    rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
    return Landing(ref, schema, rows, batch.facts)


def glimpsed(batch: Batch, outside: Outside) -> Peek | None:
    """What a plan can tell of a batch whose rows lie in the store already; None where they do not any more."""
    import polars as pl

    from headrace.sources.landed import columns_with_nulls
    from headrace.sources.peeking import Peek

    try:
        path = outside.stores.artefacts.path(Ref("artefact", batch.location, ""))
    except HeadraceError:
        return None
    schema = {name: str(kind) for name, kind in pl.read_parquet_schema(path).items()}
    return Peek(schema, columns_with_nulls(path))


def batches_of(version: Version, ids: Iterable[str]) -> dict[str, Batch]:
    """Batches of a version, as they were observed, by id."""
    wanted = list(ids)
    recorded: Mapping[str, Facts] = at_hand(version.manifest.facts["batches"], len(wanted))
    digests, outputs = at_hand(version.batches, len(wanted)), at_hand(version.manifest.outputs, len(wanted))
    return {
        each: Batch(
            each,
            digests[each],
            recorded[each]["bytes"],
            outputs[each].path,
            {name: value for name, value in recorded[each].items() if name not in _OWN},
        )
        for each in wanted
    }


def known(outlook: Outlook) -> dict[str, Batch]:
    """The batches that the environment has, and those that it leaves out on purpose, as far as they are still kept.

    An excluded batch was seen: what it holds is not to come in again by another one.
    """
    found = {} if outlook.before is None else batches_of(outlook.before, outlook.before.batches)
    missing = outlook.excluded - found.keys()
    if missing:
        for version in reversed(outlook.made()):
            more = batches_of(version, missing & version.batches.keys())
            found.update(more)
            missing -= more.keys()
    return found


def next_number(outlook: Outlook, batches: Iterable[str]) -> int:
    """The number of the batch that comes after those that there are, and those that are left out."""
    numbers = [_NUMBERED.search(each) for each in (*batches, *outlook.excluded)]
    return 1 + max((int(found[1]) for found in numbers if found), default=0)
