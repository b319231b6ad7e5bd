"""The rows of a view, entity by entity, and what a label row sees of them.

Rows are laid out in the order of entity, visible time, tie order. What a label sees in a window is then one run of
them, from `low` up to before `high`, and both ends are found by binary search. Counts are `high - low`; sums are the
difference of two prefix sums; the newest row is the one before `high`.

Prefix sums of floats would lose what small values say next to large ones, for ever after. They are taken in integers
of 128 bits instead: each value is written as a multiple of a unit that is 2^(126 - b) times smaller than the largest
magnitude in the column, where b is the number of bits of the row count, so that no sum overflows. What is cut off is
less than one unit for each value, so that the sum of n values is off by less than n units, and by the one rounding to
a float. With ten million rows the unit is 2^-102 of the largest magnitude: a value keeps all of its 53 bits as long
as it is not 5 * 10^14 times smaller than the largest one. Sums do not depend on the order of the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from headrace.errors import HeadraceError
from headrace.features.moments import VISIBLE_AT

if TYPE_CHECKING:
    from datetime import timedelta

    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Positions = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

_GROUP = "_group"
_POSITION = "_position"
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


class Layout:
    """Rows of a view that are sorted by visible time, laid out entity by entity; `entities` says whose each row is."""

    def __init__(self, rows: pl.DataFrame, entities: pl.DataFrame) -> None:
        import numpy as np
        import polars as pl

        self.rows = rows
        names = entities.columns
        runs = entities.lazy().with_row_index(_POSITION).group_by(names).agg(_POSITION).collect()
        self._groups = runs.select(*names, pl.int_range(pl.len(), dtype=pl.Int64).alias(_GROUP))
        lengths = runs.select(pl.col(_POSITION).list.len()).to_series().to_numpy()
        self.order = runs.get_column(_POSITION).explode(empty_as_null=False).cast(pl.Int64).to_numpy()
        # A row is found by one number: that of its entity times the number of rows, plus its position by time.
        self._keys = np.repeat(np.arange(runs.height, dtype=np.int64) * rows.height, lengths) + self.order
        self._times = rows.get_column(VISIBLE_AT).to_physical().to_numpy()
        self._sums: dict[str, Sums] = {}

    def groups(self, entities: pl.DataFrame) -> Positions:
        """The number of each label's entity; -1 where the view has no row of it, or where it is null."""
        found = entities.join(self._groups, on=entities.columns, how="left", maintain_order="left")
        return found.get_column(_GROUP).fill_null(-1).to_numpy()

    def before(self, groups: Positions, times: Positions | None) -> Positions:
        """How many rows of the layout come before the first row of the entity that is visible at `times` or later.

        None asks for the first row of the entity. For -1 the answer is 0, at every time.
        """
        keys = groups * self.rows.height
        return _search(self._keys, keys if times is None else keys + _search(self._times, times))

    def sums(self, column: str) -> Sums:
        """The prefix sums of a column, made once."""
        if column not in self._sums:
            self._sums[column] = _sums(present(self.rows.get_column(column)).gather(self.order))
        return self._sums[column]


@dataclass(frozen=True, slots=True)
class Window:
    """What each label row sees: rows `low` to before `high` of the layout; `known` is False where nobody can say."""

    layout: Layout
    low: Positions
    high: Positions
    known: Flags

    def rows(self) -> pl.Series:
        """How many rows."""
        return self._where_known(self.high - self.low)

    def mean(self, column: str) -> pl.Series:
        """The mean of the values that are not missing."""
        import polars as pl

        sums = self.layout.sums(column)
        held = sums.values(self.low, self.high)
        found = sums.of(self.low, self.high).cast(pl.Float64)
        mean = pl.select(pl.when(pl.Series(self.known & (held > 0))).then(found / pl.Series(held))).to_series()
        return mean if sums.unit is None else mean * sums.unit

    def total(self, column: str) -> pl.Series:
        """The sum of the values that are not missing. Raises HR456 for one that needs more than 64 bits."""
        import polars as pl

        sums = self.layout.sums(column)
        found = sums.of(self.low, self.high)
        if sums.unit is not None:
            return self._where_known(found.cast(pl.Float64) * sums.unit)
        total = found.cast(pl.Int64, strict=False)
        if total.null_count():
            raise HeadraceError("HR456", f"a total of {column!r} is {found.filter(total.is_null())[0]}")
        return self._where_known(total)

    def newest(self, column: str) -> pl.Series:
        """The value in the newest row."""
        return self._taken(self.layout.rows.get_column(column), self.high - 1)

    def latest(self, column: str) -> pl.Series:
        """The newest value that is not missing."""
        import numpy as np

        values = present(self.layout.rows.get_column(column))
        if not values.null_count():
            return self._taken(values, self.high - 1)
        held = values.is_not_null().to_numpy()[self.layout.order]
        newest = np.maximum.accumulate(np.where(held, np.arange(len(held)), -1))
        newest = np.concatenate([[-1], newest])  # the newest value before each position
        return self._taken(values, newest[self.high])

    def _taken(self, values: pl.Series, places: Positions) -> pl.Series:
        """The values at places of the layout; null where a place is before the window, or nobody can say."""
        import numpy as np
        import polars as pl

        seen = self.known & (places >= self.low)
        order = self.layout.order
        rows = order[np.where(seen, places, 0)] if len(order) else np.zeros(len(places), dtype=np.int64)
        return values.gather(pl.select(pl.when(pl.Series(seen)).then(pl.Series(rows))).to_series())

    def _where_known(self, values: Any) -> pl.Series:  # noqa: ANN401 - a Series or an array
        import polars as pl

        return pl.select(pl.when(pl.Series(self.known)).then(pl.Series("", values))).to_series()


def present(values: pl.Series) -> pl.Series:
    """The values, with null for every number that is not finite."""
    import polars as pl

    if not values.dtype.is_float() or values.is_finite().all():
        return values
    return pl.select(pl.when(values.is_finite()).then(values)).to_series()


def microseconds(length: timedelta) -> int:
    """A duration as a whole number of microseconds, exactly."""
    return (length.days * 86_400 + length.seconds) * 1_000_000 + length.microseconds


def _search(sorted_values: Positions, wanted: Positions) -> Positions:
    """How many values are smaller than each wanted one. They are asked for in order, which the cache likes."""
    import numpy as np

    order = np.argsort(wanted)
    found = np.empty(len(wanted), dtype=np.int64)
    found[order] = np.searchsorted(sorted_values, wanted[order], side="left")
    return found


def _sums(values: pl.Series) -> Sums:
    """The prefix sums of values that stand in the order of the layout."""
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
