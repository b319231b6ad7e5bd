"""The most frequent values of a column, in bounded memory. Exact up to so many different values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from headrace.monitors.counts import SEEN

if TYPE_CHECKING:
    from collections.abc import Sequence

_VALUE, _COUNT = "value", "count"


class Frequent:
    """How often values occur, of a column that comes in batches.

    J. Misra, D. Gries, Finding repeated elements, 1982, merged as by P. Agarwal and others, Mergeable summaries, 2012.
    With more than `most` different values, the count of the next one is taken off all: counts are too small by `error`
    at most, and a value that is not kept occurs `error` times at most. That is never more than rows / most.
    """

    def __init__(self, dtype: pl.DataType, most: int = SEEN) -> None:
        self.error = 0
        self._most = most
        self._counts = pl.DataFrame(schema={_VALUE: dtype, _COUNT: pl.Int64})

    def add(self, values: pl.Series) -> None:
        """Count the values of a batch, nulls aside."""
        one = pl.lit(1, pl.Int64).alias(_COUNT)
        batch = values.drop_nulls().alias(_VALUE).to_frame().select(_VALUE, one)
        counts = pl.concat([self._counts, _summed(batch)]).group_by(_VALUE).agg(pl.col(_COUNT).sum())
        if counts.height > self._most:
            over = int(counts[_COUNT].top_k(self._most + 1).sort()[0])
            counts = counts.with_columns(pl.col(_COUNT) - over).filter(pl.col(_COUNT) > 0)
            self.error += over
        self._counts = counts

    @property
    def different(self) -> int | None:
        """How many different values there are; None where they were too many to keep."""
        return None if self.error else self._counts.height

    @property
    def kept(self) -> pl.Series:
        """The values that are still counted."""
        return self._counts[_VALUE]

    def top(self, count: int, column: pl.LazyFrame | None = None) -> list[tuple[object, int]]:
        """The most frequent values and how often they occur, of equally frequent ones the smaller first.

        Where there were too many to keep, `column` is read again to count exactly those that were kept, and only such
        are told of which no other value can occur more often: none, where all values are rare.

        Raises:
            ValueError: Too many to keep, and no `column`.
        """
        counts = self._counts
        if self.error:
            if column is None:
                message = "the column is needed to count its most frequent values"
                raise ValueError(message)
            counts = self._counted(column).filter(pl.col(_COUNT) > self.error)
        order: Sequence[bool] = [True, False]
        told = counts.sort(_COUNT, _VALUE, descending=order).head(count)
        return [(value, int(often)) for value, often in told.select(_VALUE, _COUNT).iter_rows()]

    def _counted(self, column: pl.LazyFrame) -> pl.DataFrame:
        named = column.select(pl.all().alias(_VALUE))
        known = named.filter(pl.col(_VALUE).is_in(self.kept.implode()))
        counted = known.group_by(_VALUE).agg(pl.len().cast(pl.Int64).alias(_COUNT))
        return counted.collect(engine="streaming")


def _summed(batch: pl.DataFrame) -> pl.DataFrame:
    return batch.group_by(_VALUE).agg(pl.col(_COUNT).sum())
