"""Which values a column, or several together, have had before: by hashes of eight bytes a row, on the disk if many.

As long as the values of a single column rise from row to row, which numbers and times of records often do, none of them
came before, and there is nothing to keep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

_IN_MEMORY = 16_000_000
"""Hashes; more lie in files, parted by their first bits."""
_PARTS_BITS = 4
_HASH = "_hash"
_CHUNK = 200_000
"""Rows that are hashed together where that is made up for."""


class Seen:
    """The hashes of the values of some columns. Rows with a null in one of them are left out. `folder` may be made.

    `rows` are those that were added, in order, and maybe more behind them.
    """

    def __init__(self, names: tuple[str, ...], folder: Path, rows: Callable[[], pl.LazyFrame]) -> None:
        self._names = names
        self._folder = folder
        self._rows = rows
        self._rising = 0 if len(names) == 1 else -1
        self._last: Any = None
        self._hashes: list[np.ndarray] = []
        self.kept = 0
        """How many hashes are in memory."""
        self._spilled = False

    def add(self, rows: pl.DataFrame) -> None:
        """Some more rows."""
        if self._rising >= 0 and self._rises(rows.get_column(self._names[0])):
            self._rising += rows.height
            return
        skipped, self._rising = self._rising, -1
        if skipped > 0:
            before = self._rows().select(self._names).head(skipped)
            for chunk in before.collect_batches(chunk_size=_CHUNK, maintain_order=True):
                self._hash(chunk)
        self._hash(rows)

    def _rises(self, values: pl.Series) -> bool:
        """Whether each value is greater than the one before it."""
        if not (values.dtype.is_integer() or values.dtype.is_temporal()):
            return False
        present = values.drop_nulls()
        if present.is_empty():
            return True
        if self._last is not None and not present[0] > self._last:
            return False
        self._last = present[-1]
        return bool((present.slice(1) > present.head(-1)).all())

    def _hash(self, rows: pl.DataFrame) -> None:
        hashes = hashed(rows.select(self._names).drop_nulls())
        self._hashes.append(hashes)
        self.kept += len(hashes)
        if self.kept > _IN_MEMORY:
            self._spill()

    def doubled(self) -> np.ndarray:
        """The hashes that more than one row has, sorted. No two rows share their values when there is none."""
        if not self._spilled:
            return _twice(self._hashes)
        self._spill()
        parts = [_twice([np.fromfile(path, dtype=np.uint64)]) for path in sorted(self._folder.iterdir())]
        for path in self._folder.iterdir():
            path.unlink()
        self._folder.rmdir()
        return np.concatenate(parts)

    def among(self, rows: pl.DataFrame, hashes: np.ndarray) -> pl.DataFrame:
        """The rows that have one of these hashes."""
        present = rows.drop_nulls(self._names)
        found = hashed(present.select(self._names))
        places = np.minimum(np.searchsorted(hashes, found), len(hashes) - 1)
        return present.filter(pl.Series(hashes[places] == found))

    def _spill(self) -> None:
        """Move the hashes to files. Names sort by the first bits, and so do the hashes of all files in order."""
        self._folder.mkdir(exist_ok=True)
        hashes = np.concatenate(self._hashes) if self._hashes else np.empty(0, dtype=np.uint64)
        parts = hashes >> np.uint64(64 - _PARTS_BITS)
        for part in range(1 << _PARTS_BITS):
            with (self._folder / f"{part:02}").open("ab") as file:
                hashes[parts == part].tofile(file)
        self._hashes, self.kept, self._spilled = [], 0, True


def hashed(values: pl.DataFrame) -> np.ndarray:
    """The hashes of rows."""
    return values.hash_rows(seed=17).to_numpy()


def _twice(parts: list[np.ndarray]) -> np.ndarray:
    """The values that are there more than once, sorted."""
    values = pl.Series(_HASH, np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64))
    if values.n_unique() == values.len():
        return np.empty(0, dtype=np.uint64)
    ordered = np.sort(values.to_numpy())
    again: np.ndarray = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return again
