"""Prefix sums of a column: what lies between two positions is the difference of two of them.

Those of floats would lose what small values say next to large ones, for ever after. They are taken in integers
of 128 bits instead: each value is written as a multiple of a unit that is 2^(126 - b) times smaller than the largest
magnitude in the column, where b is the number of bits of the row count, so that no sum overflows. What is cut off is
less than one unit for each value, so that the sum of n values is off by less than n units, and by the one rounding to
a float. With ten million rows the unit is 2^-102 of the largest magnitude: a value keeps all of its 53 bits as long
as it is not 5 * 10^14 times smaller than the largest one. Sums do not depend on the order of the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Positions = npt.NDArray[np.int64]

_SIGNIFICANT = 126


@dataclass(frozen=True, slots=True)
class Sums:
    """Prefix sums of a column in the order of the layout, from 0: in units of `unit`, and how many values they hold.

    `held` is None where no value is missing, since the positions themselves then say how many there are.
    """

    prefix: pl.Series
    held: Positions | None
    unit: float | None  # None: the column holds whole numbers

    def of(self, low: Positions, high: Positions) -> pl.Series:
        """The exact sums between two positions each, in units."""
        return self.prefix.gather(high) - self.prefix.gather(low)

    def values(self, low: Positions, high: Positions) -> Positions:
        """How many values lie between two positions each."""
        return high - low if self.held is None else self.held[high] - self.held[low]


def sums_of(values: pl.Series) -> Sums:
    """The prefix sums of values that stand in the order of a layout."""
    import numpy as np
    import polars as pl

    held = None
    if values.null_count():
        held = np.concatenate([[0], np.cumsum(values.is_not_null().to_numpy(), dtype=np.int64)])
        values = values.fill_null(value=False) if values.dtype == pl.Boolean else values.fill_null(0)
    whole, unit = _whole(values)
    prefix = pl.concat([pl.Series(values.name, [0], dtype=whole.dtype), whole.cum_sum()])
    return Sums(prefix, held, unit)


def _whole(values: pl.Series) -> tuple[pl.Series, float | None]:
    """The values as whole numbers whose sums do not overflow, and the unit that they count, for floats."""
    import polars as pl

    if values.dtype == pl.Boolean:
        return values.cast(pl.Int64), None
    smallest, greatest = cast("float", values.min() or 0), cast("float", values.max() or 0)
    largest = max(abs(smallest), abs(greatest))
    if not values.dtype.is_float():
        fits = int(largest) * len(values) < 2**63
        return values.cast(pl.Int64 if fits else pl.Int128), None
    _, exponent = math.frexp(largest)
    shift = min(_SIGNIFICANT - len(values).bit_length() - exponent, 1000)
    return (values.cast(pl.Float64) * math.ldexp(1.0, shift)).cast(pl.Int128), math.ldexp(1.0, -shift)
