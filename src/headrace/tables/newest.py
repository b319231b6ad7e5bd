"""The newest row of each key, of more rows than there is memory for: keys are settled a part of them at a time.

Keys go to the disk by their hash, so that all rows of one key are in the same part, and the rows that lose do as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from headrace.tables.repeated import repeated
from headrace.tables.seen import hashed
from headrace.tables.spilling import Spill
from headrace.tables.upsert import ROW, superseded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.tables.upsert import Upsert

_PARTS: Final = 64
"""The keys of one part in so many are in memory at once."""
_BATCH: Final = "_of"


class Newest:
    """Rows in their order, and which of them are not the newest of their key. `folder` may be made."""

    def __init__(self, upsert: Upsert, folder: Path, memory: int) -> None:
        self._names, self._order = list(upsert.names), upsert.order
        self._keys, self._losers = Spill(folder, memory), Spill(folder.with_name(f"{folder.name}-lost"), memory)
        self._rows = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Some more rows."""
        wanted = [*dict.fromkeys((*self._names, self._order))]
        keys = rows.select(wanted).with_row_index(ROW, offset=self._rows).drop_nulls(self._names)
        self._keys.add(keys, self._parts(keys))
        self._rows += rows.height

    def lost(self) -> np.ndarray:
        """For each row whether a newer one has its key; of rows that are equally new, the last one stays."""
        found = np.zeros(self._rows, dtype=np.bool_)
        for _, frames in self._keys.parts():
            ranked = self._ranked(pl.concat(frames))
            found[ranked.filter(repeated(ranked, self._names)).get_column(ROW).to_numpy()] = True
        return found

    def lose(self, rows: pl.DataFrame, numbers: np.ndarray, batch: str | None) -> None:
        """Take rows of a batch that lost, and their numbers."""
        rows = rows.with_columns(pl.Series(ROW, numbers), pl.lit(batch, pl.String).alias(_BATCH))
        self._losers.add(rows, self._parts(rows))

    def losers(self) -> Iterator[pl.DataFrame]:
        """The rows that lost, as they are kept: of a batch and a key, the newest first."""
        for _, frames in self._losers.parts():
            for (batch,), rows in self._ranked(pl.concat(frames)).partition_by(_BATCH, as_dict=True).items():
                yield superseded(rows.drop(ROW, _BATCH), None if batch is None else str(batch))

    def _ranked(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.sort([self._order, ROW], descending=True, nulls_last=True)

    def _parts(self, rows: pl.DataFrame) -> pl.Series:
        return pl.Series(hashed(rows.select(self._names)) % np.uint64(_PARTS))
