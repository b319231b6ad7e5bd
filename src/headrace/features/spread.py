"""Standard deviations of windows, out of prefix sums of a column and of its squares.

In floats, the difference of two large sums of squares says nothing of a small spread. Here both are whole numbers. The
values are counted from the middle of the column, c = (smallest + largest) / 2, in units so small that a value keeps
w = min(52, (126 - b) / 2) bits, where b is the number of bits of the row count: no sum of squares then overflows 128
bits. Of n values x with the sums S and Q of x and x^2, m = floor(S / n) and r = S - n * m,

    sum((x - mean)^2)  =  Q - m * S - m * r  -  r^2 / n

(put S = n * m + r into Q - S^2 / n). All but the last term is exact in 128 bits, since |m * S| <= n * max(x)^2, and no
smaller than r^2 / n: nothing is lost that was rounded before. The deviation is that of a sample, the root of this over
n - 1, as pandas, Polars and `stddev_samp` of SQL have it. Whole numbers that lie close together are exact up to the
division. Otherwise a value is off by less than a unit, which is 2^(1 - w) of the largest distance from c, and the
deviation by less than two. With ten million rows that is 2^-49 of how far apart the values of the column are.
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
_MANTISSA = 52
_SMALL = 62
"""Sums of fewer bits than this are kept in 64."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Prefix sums of a column, counted from its middle, and of the squares, from 0, in units of `unit`."""

    sums: pl.Series
    squares: pl.Series
    unit: float

    def deviation(self, low: Positions, high: Positions, held: Positions) -> pl.Series:
        """The sample deviation between two positions each; null where fewer than two of the values are held."""
        import polars as pl

        count = pl.Series("n", held)
        total = self.sums.gather(high) - self.sums.gather(low)
        squares = self.squares.gather(high) - self.squares.gather(low)
        frame = pl.DataFrame({"n": count, "s": total, "q": squares}).lazy()
        mean = pl.col("s") // pl.col("n").cast(total.dtype)
        left = pl.col("s") - pl.col("n").cast(total.dtype) * pl.col("m")
        exact = (pl.col("q") - pl.col("m") * pl.col("s") - pl.col("m") * pl.col("r")).cast(pl.Float64)
        rest = pl.col("r").cast(pl.Float64)
        square = pl.max_horizontal(exact - rest * rest / pl.col("n"), pl.lit(0.0))
        found = (square / (pl.col("n") - 1)).sqrt() * self.unit
        frame = frame.with_columns(m=mean).with_columns(r=left)
        return frame.select(pl.when(pl.col("n") > 1).then(found)).collect().to_series()


def deviation_of(count: int, total: int, squares: int, unit: float) -> float | None:
    """The same of one window, to the last bit."""
    if count < 2:  # noqa: PLR2004 - a single value has no spread
        return None
    mean, left = divmod(total, count)
    exact = float(squares - mean * total - mean * left)
    rest = float(left)
    return math.sqrt(max(exact - rest * rest / count, 0.0) / (count - 1)) * unit


def spread_of(values: pl.Series) -> Spread:
    """The prefix sums of values in the order of a layout; null is a missing value, and no number is not finite."""
    import polars as pl

    whole, largest, unit = _counted(values)
    fits = len(values) * largest**2 < 2**_SMALL
    whole = whole.cast(pl.Int64 if fits else pl.Int128)
    start = pl.Series(values.name, [0], dtype=whole.dtype)
    sums, squares = (pl.concat([start, each.cum_sum()]) for each in (whole, whole * whole))
    return Spread(sums, squares, unit)


def _counted(values: pl.Series) -> tuple[pl.Series, int, float]:
    """The values as whole numbers, counted from their middle, with 0 where one is missing; the largest; their unit."""
    import polars as pl

    bits = min(_MANTISSA, (_SIGNIFICANT - len(values).bit_length()) // 2)
    if not values.dtype.is_float():
        whole = values.cast(pl.Int64 if values.dtype == pl.Boolean else pl.Int128)
        low, high = cast("int", whole.min() or 0), cast("int", whole.max() or 0)
        middle = (low + high) // 2
        largest = max(high - middle, middle - low)
        whole = (whole - pl.Series([middle], dtype=whole.dtype)).fill_null(0)
        if largest < 2**bits:
            return whole, largest, 1.0
        distances = whole.cast(pl.Float64)
    else:
        numbers = values.cast(pl.Float64)
        below, above = cast("float", numbers.min() or 0.0), cast("float", numbers.max() or 0.0)
        distances = (numbers - (below / 2 + above / 2)).fill_null(0.0)
    extreme = max((abs(cast("float", each or 0.0)) for each in (distances.min(), distances.max())), default=0.0)
    _, exponent = math.frexp(extreme)
    shift = min(bits - exponent, 1000)
    return (distances * math.ldexp(1.0, shift)).cast(pl.Int128), 2**bits, math.ldexp(1.0, -shift)
