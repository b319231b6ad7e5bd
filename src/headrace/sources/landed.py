"""What is looked up in landed batches: which columns hold nulls, and where a value stands in the file it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.ports.mappings import differences
from headrace.sources.misfits import refuse_rounded, told

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import polars as pl

    from headrace.ports.records import Facts, Ref
    from headrace.ports.stores import ArtefactStore

_ROUNDED = ("Int64", "UInt64")


def columns_with_nulls(path: Path) -> list[str]:
    """The columns of a landed batch that hold a null, in order; those without statistics are looked through."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    names = metadata.schema.to_arrow_schema().names
    nulls: dict[str, int] = dict.fromkeys(names, 0)
    unknown = set()
    for group in range(metadata.num_row_groups):
        for at in range(metadata.num_columns):
            column = metadata.row_group(group).column(at)
            statistics = column.statistics
            if statistics is None or not statistics.has_null_count:
                unknown.add(column.path_in_schema)
            else:
                nulls[column.path_in_schema] += statistics.null_count
    if unknown:
        import polars as pl

        counted = pl.scan_parquet(path).select(pl.col(sorted(unknown)).null_count()).collect()
        nulls.update(counted.row(0, named=True))
    return [name for name in names if nulls[name]]


class Lookup:
    """Landed batches by id, for messages that name a value and its place; `place` says where a row of one stands."""

    def __init__(self, outputs: Mapping[str, Ref], artefacts: ArtefactStore, place: Callable[[str, int], str]) -> None:
        self._outputs = outputs
        self._artefacts = artefacts
        self._place = place

    def example(self, batch: str, column: str, kind: str) -> str:
        """The first value of a batch that does not fit a type, and where it stands."""
        values = self._frame(batch).select(column).collect().get_column(column)
        return told(values, kind, lambda row: self._place(batch, row))

    def refuse_rounded(self, facts: Facts, before: Facts | None) -> None:
        """Raises HR330 where a column is read as floats, and a whole number of a batch is more than a float keeps.

        What was looked at for the version `before` is not looked at again.
        """
        for column, kind in facts["schema"].items():
            if kind != "Float64":
                continue
            seen = before["batches"] if before is not None and before["schema"].get(column) == kind else {}
            whole = [at for at, schema in enumerate(facts["schemas"]) if schema.get(column) in _ROUNDED]
            new = differences(seen, facts["batches"]) if whole else {}
            batches = [batch for batch, (was, of) in new.items() if was is None and of and of["schema"] in whole]
            refuse_rounded(column, ((batch, self._frame(batch)) for batch in batches), self._place)

    def _frame(self, batch: str) -> pl.LazyFrame:
        import polars as pl

        return pl.scan_parquet(self._artefacts.path(self._outputs[batch]))
