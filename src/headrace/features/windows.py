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
from functools import cached_property
from typing import TYPE_CHECKING, cast

from headrace.errors import HeadraceError
from headrace.features.cores import in_parts
from headrace.features.grouping import entity_by_entity, numbered
from headrace.features.moments import VISIBLE_AT
from headrace.features.runs import alike, extremes, smaller
from headrace.features.spread import spread_of

if TYPE_CHECKING:
    from datetime import timedelta

    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from headrace.features.spread import Spread

    Positions = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

_KEYS = 2**63
"""Keys are smaller than this."""
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


@dataclass(frozen=True, slots=True)
class Repeats:
    """Of the values that are not missing, numbered in the order of the layout: where each was there before.

    `before` is how many of them stand before each position. `last` is 1 more than where the value was last before in
    the rows of its entity, 0 where it was not; `first` is where it was first. Both count from the first of the entity.
    """

    before: Positions
    last: npt.NDArray[np.uint32]
    first: npt.NDArray[np.uint32]

    def distinct(self, start: Positions, low: Positions, high: Positions) -> Positions:
        """How many different values lie between two positions each, of an entity that begins at `start`.

        Of each value, the one is counted that was last there before `low`, or not at all.
        """
        begin, end = self.before[low], self.before[high]
        return smaller(self.last, begin, end, begin - self.before[start] + 1)


class Layout:
    """Rows of a view that are sorted by visible time, laid out entity by entity; `entities` says whose each row is."""

    def __init__(self, rows: pl.DataFrame, entities: pl.DataFrame) -> None:
        import numpy as np

        self.rows = rows
        self.times: Positions = rows.get_column(VISIBLE_AT).to_physical().to_numpy()
        self.order, starts = entity_by_entity(entities)
        # Where each entity begins. The last place, which -1 finds as well, is for entities without rows.
        self.starts: Positions = np.append(starts, 0)
        self._first = entities[self.order[starts]]
        # A row is found by one number: that of its entity, and its time. Where both do not fit into 64 bits, its
        # position stands for its time.
        self._begin, span = (int(self.times[0]), int(self.times[-1] - self.times[0]) + 1) if rows.height else (0, 0)
        self._timed = (len(starts) + 1) * (span + 1) < _KEYS
        self._scale = span + 1 if self._timed else rows.height + 1
        ticks = self.times[self.order] - self._begin if self._timed else self.order
        lengths = np.diff(np.append(starts, rows.height))
        self.keys: Positions = np.repeat(np.arange(len(starts), dtype=np.int64) * self._scale, lengths) + ticks
        self._sums: dict[str, Sums] = {}
        self._spreads: dict[str, Spread] = {}
        self._repeats: dict[str, Repeats] = {}
        self._before: dict[str, Positions] = {}

    def groups(self, entities: pl.DataFrame) -> Positions:
        """The number of each label's entity; -1 where the view has no row of it, or where it is null."""
        return numbered(entities, self._first)

    def wanted(self, groups: Positions, moments: Positions) -> Positions:
        """What to look for among the keys to find where the rows of entities end that were visible before moments."""
        import numpy as np

        if self._timed:
            return groups * self._scale + np.clip(moments - self._begin, 0, self._scale - 1)
        return groups * self._scale + _search(self.times, moments, _sorting(moments))

    def sums(self, column: str) -> Sums:
        """The prefix sums of a column, made once."""
        if column not in self._sums:
            self._sums[column] = _sums(self.present(column))
        return self._sums[column]

    def spread(self, column: str) -> Spread:
        """The prefix sums of which deviations are made, made once."""
        if column not in self._spreads:
            self._spreads[column] = spread_of(self.present(column))
        return self._spreads[column]

    def repeats(self, column: str) -> Repeats:
        """Where each value of a column was there before, made once."""
        if column not in self._repeats:
            self._repeats[column] = self._repeated(column)
        return self._repeats[column]

    def present(self, column: str) -> pl.Series:
        """The values of a column in the order of the layout, with null for what is missing."""
        return present(self.rows.get_column(column)).gather(self.order)

    def before(self, column: str) -> Positions:
        """How many values of a column that are not missing stand before each position, made once."""
        import numpy as np

        if column not in self._before:
            here = self.present(column).is_not_null().to_numpy()
            self._before[column] = np.concatenate([[0], np.cumsum(here, dtype=np.int64)])
        return self._before[column]

    def _repeated(self, column: str) -> Repeats:
        import numpy as np

        before, values = self.before(column), self.present(column)
        here = np.flatnonzero(np.diff(before))
        groups = np.repeat(np.arange(len(self.starts) - 1), np.diff(np.append(self.starts[:-1], len(values))))[here]
        places = np.arange(len(here)) - before[self.starts[groups]]
        last, first = alike(groups, _codes(values.drop_nulls()), places)
        return Repeats(before, last, first)


class Sight:
    """What label rows see of a layout: `high` is where the rows end that became visible before the cut-off of each.

    `cutoffs` are microseconds; `known` is False for a label of which nobody can say what it sees.
    """

    def __init__(self, layout: Layout, entities: pl.DataFrame, cutoffs: Positions, known: Flags) -> None:

        self.layout = layout
        self.cutoffs = cutoffs
        self.known = known
        self._groups = layout.groups(entities)
        self.starts = layout.starts[self._groups]
        wanted = layout.wanted(self._groups, cutoffs)
        self._order = _sorting(wanted)  # the cache likes to be asked in order; earlier cut-offs are nearly so
        self.high = _search(layout.keys, wanted, self._order)

    def low(self, over: timedelta | None) -> Positions:
        """Where the rows begin that became visible no longer ago than this."""
        if over is None:
            return self.starts
        wanted = self.layout.wanted(self._groups, self.cutoffs - microseconds(over))
        return _search(self.layout.keys, wanted, self._order)


class Window:
    """The rows that each label row sees and that became visible no longer ago than `over`."""

    def __init__(self, sight: Sight, over: timedelta | None) -> None:
        self._sight = sight
        self._layout = sight.layout
        self._over = over

    @cached_property
    def _low(self) -> Positions:
        return self._sight.low(self._over)

    @cached_property
    def _newest(self) -> pl.Series:
        return self._rows_at(self._sight.high - 1)

    def rows(self) -> pl.Series:
        """How many rows."""
        return self._where_known(self._sight.high - self._low)

    def mean(self, column: str) -> pl.Series:
        """The mean of the values that are not missing."""
        import polars as pl

        sums = self._layout.sums(column)
        held = sums.values(self._low, self._sight.high)
        found = sums.of(self._low, self._sight.high).cast(pl.Float64)
        some = pl.Series(self._sight.known & (held > 0))
        mean = pl.select(pl.when(some).then(found / pl.Series(held))).to_series()
        return mean if sums.unit is None else mean * sums.unit

    def total(self, column: str) -> pl.Series:
        """The sum of the values that are not missing. Raises HR456 for one that needs more than 64 bits."""
        import polars as pl

        sums = self._layout.sums(column)
        found = sums.of(self._low, self._sight.high)
        if sums.unit is not None:
            return self._where_known(found.cast(pl.Float64) * sums.unit)
        total = found.cast(pl.Int64, strict=False)
        if total.null_count():
            raise HeadraceError("HR456", f"a total of {column!r} is {found.filter(total.is_null())[0]}")
        return self._where_known(total)

    def deviation(self, column: str) -> pl.Series:
        """The sample deviation of the values that are not missing."""
        layout, low, high = self._layout, self._low, self._sight.high
        before = layout.before(column)
        return self._where_known(layout.spread(column).deviation(low, high, before[high] - before[low]))

    def extreme(self, column: str, *, largest: bool) -> pl.Series:
        """The smallest or largest of the values that are not missing."""
        import numpy as np
        import polars as pl

        values, before = self._layout.present(column), self._layout.before(column)
        plain = values.drop_nulls().to_physical()
        plain = plain.cast(pl.UInt8) if plain.dtype == pl.Boolean else plain
        plain = plain + 0.0 if plain.dtype.is_float() else plain  # of two zeros, the one without a sign
        low, high = before[self._low], before[self._sight.high]
        found = pl.Series("", extremes(plain.to_numpy(), low, high, np.maximum if largest else np.minimum))
        some = pl.Series(self._sight.known & (high > low))
        return pl.select(pl.when(some).then(found.cast(values.dtype))).to_series()

    def distinct(self, column: str) -> pl.Series:
        """How many different values that are not missing."""
        found = self._layout.repeats(column).distinct(self._sight.starts, self._low, self._sight.high)
        return self._where_known(found)

    def newest(self, column: str) -> pl.Series:
        """The value in the newest row."""
        return self._layout.rows.get_column(column).gather(self._newest)

    def latest(self, column: str) -> pl.Series:
        """The newest value that is not missing."""
        import numpy as np

        values = present(self._layout.rows.get_column(column))
        if not values.null_count():
            return values.gather(self._newest)
        held = values.is_not_null().to_numpy()[self._layout.order]
        newest = np.maximum.accumulate(np.where(held, np.arange(len(held)), -1))
        newest = np.append(newest, -1)  # what -1 finds: before the first row there is no value
        return values.gather(self._rows_at(newest[self._sight.high - 1]))

    def _rows_at(self, places: Positions) -> pl.Series:
        """The rows at places of the layout; null where a place is before the window, or nobody can say."""
        import numpy as np
        import polars as pl

        sight, layout = self._sight, self._layout
        if not layout.rows.height:
            return pl.repeat(None, len(places), dtype=pl.Int64, eager=True)
        seen = sight.known & (places >= sight.starts)
        rows = layout.order[np.where(seen, places, 0)]
        if self._over is not None:
            seen &= layout.times[rows] >= sight.cutoffs - microseconds(self._over)
        return pl.select(pl.when(pl.Series(seen)).then(pl.Series(rows))).to_series()

    def _where_known(self, values: pl.Series | Positions) -> pl.Series:
        import polars as pl

        return pl.select(pl.when(pl.Series(self._sight.known)).then(pl.Series("", values))).to_series()


def present(values: pl.Series) -> pl.Series:
    """The values, with null for every number that is not finite."""
    import polars as pl

    if not values.dtype.is_float() or values.is_finite().all():
        return values
    return pl.select(pl.when(values.is_finite()).then(values)).to_series()


def microseconds(length: timedelta) -> int:
    """A duration as a whole number of microseconds, exactly."""
    return (length.days * 86_400 + length.seconds) * 1_000_000 + length.microseconds


def _codes(values: pl.Series) -> Positions:
    """A number for each value, the same for equal ones."""
    import polars as pl

    if values.dtype in (pl.String, pl.Categorical, pl.Enum):
        values = values.cast(pl.String).cast(pl.Categorical).to_physical()
    values = values + 0.0 if values.dtype.is_float() else values.to_physical()  # of two zeros, the one without a sign
    return values.rank("dense").cast(pl.Int64).to_numpy()


def _sorting(values: Positions) -> Positions:
    """The order that sorts values, found on all cores."""
    import polars as pl

    return pl.Series(values).arg_sort().to_numpy()


def _search(sorted_values: Positions, wanted: Positions, order: Positions) -> Positions:
    """How many values are smaller than each wanted one. `order` sorts the wanted ones, or nearly: for speed only."""
    import numpy as np

    found = np.empty(len(wanted), dtype=np.int64)

    def search(part: slice) -> None:
        here = order[part]
        found[here] = np.searchsorted(sorted_values, wanted[here], side="left")

    in_parts(len(wanted), search)
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
