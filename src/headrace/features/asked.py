"""Which rows of a view labels can see, told roughly while rows are read: what nobody sees is not sorted, nor kept.

Time is cut into buckets, a few to the longest window, and each label marks those that its window reaches, for its
entity. Marks are places in one table, found by hash. A row is kept where its place is marked. As different entities
may meet in one place, some rows are kept that nobody sees; none is lost that somebody does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.features.grouping import SPREAD, hashed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Hashes = npt.NDArray[np.uint64]
    Flags = npt.NDArray[np.bool_]
    Positions = npt.NDArray[np.int64]

_SPARSE = 8
"""So many places there are for each mark, as far as the table may grow."""
_DENSE = 2
"""With fewer the table would keep nearly all rows, and is not made."""
_LEAST_BITS, _MOST_BITS = 16, 26


class Asked:
    """What labels ask for: whose rows, up to which moments (microseconds), and how far back from them (None: all)."""

    def __init__(self, entities: pl.DataFrame, cutoffs: Positions, over: int | None) -> None:
        self._kinds = entities.dtypes
        self._end = int(cutoffs.max()) if len(cutoffs) else None
        self._first = int(cutoffs.min()) - over if len(cutoffs) and over is not None else None
        marks = _Marks(len(cutoffs), over)
        self._marks = None if marks.dense else marks
        if self._marks is not None:
            self._marks.add(entities.select(self._hash(entities.columns)).to_series().to_numpy(), cutoffs)

    def rows(self, entity: Sequence[str], time: pl.Expr) -> pl.Expr:
        """Whether somebody may see a row, by the columns that name its entity and its time, which may be null."""
        import polars as pl

        if self._end is None:
            return pl.lit(value=False)
        kind = pl.Datetime("us", "UTC")
        seen = time < pl.lit(self._end, dtype=kind)
        if self._first is not None:
            seen &= time >= pl.lit(self._first, dtype=kind)
        if self._marks is None:
            return seen
        told = [self._hash(entity), time.to_physical()]
        return seen & pl.map_batches(told, self._marks.there, return_dtype=pl.Boolean(), is_elementwise=True)

    def _hash(self, entity: Sequence[str]) -> pl.Expr:
        """The hash of an entity, in the types in which rows and labels are compared."""
        import polars as pl

        return hashed([pl.col(name).cast(kind) for name, kind in zip(entity, self._kinds, strict=True)])


class _Marks:
    """The table of marks for so many labels."""

    def __init__(self, labels: int, over: int | None) -> None:
        import numpy as np

        # A bucket is more than a quarter of the window and at most half of it. Without a window there are two: the
        # times before 1970, which are negative, and all others.
        self._over = over
        self._shift = 63 if over is None else max(over.bit_length() - 2, 0)
        self._reach = 2 if over is None else (over >> self._shift) + 2
        bits = min(max((_SPARSE * self._reach * labels).bit_length(), _LEAST_BITS), _MOST_BITS)
        self.dense = 2**bits < _DENSE * self._reach * labels
        self._down = np.uint64(64 - bits)
        self._table: Flags = np.zeros(0 if self.dense else 2**bits, dtype=np.bool_)

    def add(self, hashes: Hashes, cutoffs: Positions) -> None:
        """Mark what labels reach."""
        import numpy as np

        for bucket in range(self._reach):
            if self._over is None:
                times = np.full(len(cutoffs), -bucket, dtype=np.int64)
            else:
                times = np.minimum(cutoffs - self._over + (bucket << self._shift), cutoffs - 1)
            self._table[self._places(hashes, times)] = True

    def there(self, told: Sequence[pl.Series]) -> pl.Series:
        """Whether the places of hashes and times are marked."""
        import polars as pl

        hashes, times = told
        return pl.Series(self._table[self._places(hashes.to_numpy(), times.fill_null(0).to_numpy())])

    def _places(self, hashes: Hashes, times: Positions) -> Positions:
        """Where in the table an entity and the bucket of a time have their place."""
        import numpy as np

        found = (times >> self._shift).view(np.uint64) * np.uint64(SPREAD)
        found ^= hashes
        found >>= self._down
        return found.view(np.int64)
