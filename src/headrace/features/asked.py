"""Which rows of a view labels can see, told roughly while rows are read: what nobody sees is not sorted, nor kept.

Time is cut into buckets, a few to the longest window, and each label marks those that its window reaches, for its
entity. Marks are bits in one table, found by hash. A row is kept where its bit is set. As different entities may
meet in one place, some rows are kept that nobody sees; none is lost that somebody does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.features.cores import parts
from headrace.features.grouping import SPREAD, hashed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Hashes = npt.NDArray[np.uint64]
    Positions = npt.NDArray[np.int64]

_BLOCK, _IN_BLOCK = 3, 7
"""The bits of a bucket's number below that of its block, and the mask that leaves them."""
_SPARSE = 16
"""So many places there are for each label, as far as the table may grow."""
_DENSE = 4
"""With fewer the table would keep nearly all rows, and is not made."""
_LEAST_BITS, _MOST_BITS = 16, 26
_SOME = 4_096
"""So many labels, or a few more, say how far their times are spread."""


class Asked:
    """What labels ask for: whose rows, up to which moments (microseconds), and how far back from them (None: all).

    `hashes` are the first ones of their entities' fingerprints.
    """

    def __init__(self, hashes: Hashes, cutoffs: Positions, over: int | None) -> None:
        self._end = int(cutoffs.max()) if len(cutoffs) else None
        self._first = int(cutoffs.min()) - over if len(cutoffs) and over is not None else None
        sparse = 0 < _DENSE * len(cutoffs) <= 2 ** _bits(len(cutoffs))
        self._marks = _Marks(hashes, cutoffs, over) if sparse else None

    def rows(self, entity: Sequence[pl.Expr], time: pl.Expr) -> pl.Expr:
        """Whether somebody may see a row, by what names its entity, in the types of the labels, and its time.

        The time may be null: nobody sees a row that is not known yet.
        """
        import polars as pl

        if self._end is None:
            return pl.lit(value=False)
        kind = pl.Datetime("us", "UTC")
        seen = time < pl.lit(self._end, dtype=kind)
        if self._first is not None:
            seen &= time >= pl.lit(self._first, dtype=kind)
        if self._marks is None:
            return seen
        told = [hashed(entity), time.to_physical()]
        return seen & pl.map_batches(told, self._marks.there, return_dtype=pl.Boolean(), is_elementwise=True)


class _Marks:
    """The table of what labels reach: a bit for each bucket of time, eight of them in a byte, a block."""

    def __init__(self, hashes: Hashes, cutoffs: Positions, over: int | None) -> None:
        import numpy as np
        import polars as pl

        # A bucket is more than an eighth of the window and at most a quarter, so that a window lies in two blocks.
        # Without a window there are two buckets: the times before 1970, which are negative, and all others.
        self._shift = 63 if over is None else max(over.bit_length() - 3, 0)
        bits = _bits(len(cutoffs))
        # Rows come nearly in the order of time. A block has its places next to each other, for the cache's sake.
        some = pl.Series(cutoffs[:: len(cutoffs) // _SOME + 1] >> self._shift >> _BLOCK)
        near = bits - some.n_unique().bit_length()
        self._far, self._near = np.uint64(64 - bits), np.uint64(64 - near)
        self._table = np.zeros(2**bits, dtype=np.uint8)
        for part in parts(len(cutoffs)):
            first = np.full(len(cutoffs[part]), -1) if over is None else (cutoffs[part] - over) >> self._shift
            reach = ((cutoffs[part] - 1) >> self._shift) - first + 1
            marks = ((1 << reach) - 1) << (first & _IN_BLOCK)
            for step in range(2):
                places = self._places(hashes[part], (first >> _BLOCK) + step)
                self._mark(places, (marks >> 8 * step).astype(np.uint8))

    def _mark(self, places: Positions, marks: npt.NDArray[np.uint8]) -> None:
        """Set marks. Of those that meet in a place one gets there, and the others try again: `ufunc.at` is slower."""
        while len(places):
            self._table[places] |= marks
            missed = (self._table[places] & marks) != marks
            places, marks = places[missed], marks[missed]

    def there(self, told: Sequence[pl.Series]) -> pl.Series:
        """Whether the places of hashes and times are marked."""
        import numpy as np
        import polars as pl

        hashes, times = told[0].to_numpy(), told[1].fill_null(0).to_numpy()
        found = np.empty(len(times), dtype=np.bool_)
        for part in parts(len(times)):
            buckets = times[part] >> self._shift
            marks = self._table[self._places(hashes[part], buckets >> _BLOCK)]
            marks >>= (buckets & _IN_BLOCK).astype(np.uint8)
            found[part] = (marks & 1).view(np.bool_)
        return pl.Series(found)

    def _places(self, hashes: Hashes, blocks: Positions) -> Positions:
        """Where in the table an entity and a block have their place."""
        import numpy as np

        found = blocks.view(np.uint64) * np.uint64(SPREAD)
        found >>= self._far
        found ^= hashes >> self._near
        return found.view(np.int64)


def _bits(labels: int) -> int:
    """How many bits number the places of a table for so many labels."""
    return min(max((_SPARSE * labels).bit_length(), _LEAST_BITS), _MOST_BITS)
