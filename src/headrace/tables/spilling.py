"""Rows on the disk that are taken again by label: runs of them, each sorted by label, as of an external sort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LABEL: Final = "_label"
_GROUP: Final = 20_000
"""Rows of a run that are read together."""
_SHARE: Final = 32
"""A run takes one part in so many of the memory that may be used, and its sorted copy as much."""


class Spill:
    """Rows with a label each. Those of one label keep their order. `folder` may be made."""

    def __init__(self, folder: Path, memory: int) -> None:
        self._folder = folder
        self._most = memory // _SHARE
        self._waiting: list[pl.DataFrame] = []
        self._size = 0.0
        self._runs: list[tuple[pl.LazyFrame, dict[Any, tuple[int, int]]]] = []

    def add(self, rows: pl.DataFrame, labels: pl.Series) -> None:
        """Some more rows, and the label of each."""
        if rows.is_empty():
            return
        self._waiting.append(rows.with_columns(labels.alias(_LABEL)))
        self._size += self._waiting[-1].estimated_size()
        if self._size > self._most:
            self._folder.mkdir(exist_ok=True)
            path = self._folder / f"{len(self._runs)}.parquet"
            rows, where = self._sorted()
            rows.write_parquet(path, row_group_size=_GROUP)
            self._runs.append((pl.scan_parquet(path, glob=False, hive_partitioning=False), where))

    def parts(self) -> Iterator[tuple[Any, Iterator[pl.DataFrame]]]:
        """The labels, sorted, and the rows of each, some at a time. Nothing can be added any more."""
        if self._waiting:
            rows, where = self._sorted()
            self._runs.append((rows.lazy(), where))
        for label in sorted({label for _, where in self._runs for label in where}):
            yield label, (rows.slice(*where[label]).collect() for rows, where in self._runs if label in where)

    def _sorted(self) -> tuple[pl.DataFrame, dict[Any, tuple[int, int]]]:
        """What waits, by label, and where the rows of each label are: from which one on, and how many."""
        rows = pl.concat(self._waiting).sort(_LABEL, maintain_order=True)
        self._waiting, self._size = [], 0.0
        counts = rows.group_by(_LABEL, maintain_order=True).len(name="n")
        counts = counts.with_columns(start=pl.col("n").cum_sum() - pl.col("n"))
        where = {label: (start, count) for label, count, start in counts.iter_rows()}
        return rows.drop(_LABEL), where
