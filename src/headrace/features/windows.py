"""The rows of a view, entity by entity, and what a label row sees of them.

Rows are laid out in the order of entity, visible time, tie order. What a label sees in a window is then one run of
them, from `low` up to before `high`, and both ends are found by binary search. Counts are `high - low`; sums are the
difference of two prefix sums; the newest row is the one before `high`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.features.cores import LONG, in_parts
from headrace.features.grouping import entity_by_entity, found_among
from headrace.features.moments import VISIBLE_AT
from headrace.features.runs import alike, extremes, smaller
from headrace.features.spread import spread_of
from headrace.features.sums import sums_of

if TYPE_CHECKING:
    from datetime import timedelta

    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from headrace.features.grouping import Prints
    from headrace.features.spread import Spread
    from headrace.features.sums import Sums

    Positions = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]


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
    """Rows of a view that are sorted by visible time, laid out entity by entity; `prints` say whose each row is."""

    def __init__(self, rows: pl.DataFrame, prints: Prints) -> None:
        import numpy as np

        self.rows = rows
        self._grouped = entity_by_entity(prints)
        self.order = self._grouped.order
        self.entities = self._grouped.entities
        # Where each entity begins and ends. The last place, which -1 finds as well, is for entities without rows.
        self.starts: Positions = np.append(self._grouped.starts, 0)
        self._ends: Positions = np.append(np.append(self._grouped.starts, rows.height)[1:], 0)
        # The times in the order of the layout, and one behind them all.
        self.times: Positions = np.full(rows.height + 1, np.iinfo(np.int64).max)
        times = rows.get_column(VISIBLE_AT).to_physical().to_numpy()

        def gather(part: slice) -> None:
            self.times[part] = times[self.order[part]]

        in_parts(rows.height, gather)
        self._sums: dict[str, Sums] = {}
        self._spreads: dict[str, Spread] = {}
        self._repeats: dict[str, Repeats] = {}
        self._before: dict[str, Positions] = {}

    def until(self, groups: Positions, moments: Positions) -> Positions:
        """Where the rows of entities end that became visible before moments: steps that halve, for all at once."""
        import numpy as np

        low, high = self.starts[groups], self._ends[groups]
        before = low - 1
        step = 2 ** int((high - low).max(initial=0)).bit_length() // 2
        while step:
            asked = before + step
            there = asked < high
            there &= self.times[np.minimum(asked, len(self.times) - 1, out=asked)] < moments
            before += there * step
            step //= 2
        return before + 1

    def sums(self, column: str) -> Sums:
        """The prefix sums of a column, made once."""
        if column not in self._sums:
            self._sums[column] = sums_of(self.present(column))
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
        groups = self._grouped.numbers[here].astype(np.int64)
        places = np.arange(len(here)) - before[self.starts[groups]]
        last, first = alike(groups, _codes(values.drop_nulls()), places)
        return Repeats(before, last, first)


@dataclass(frozen=True, slots=True)
class Labels:
    """Whose each label is, and its cut-off in microseconds. `known` is False where nobody can say what a label sees."""

    prints: Prints
    cutoffs: Positions
    known: Flags


class Sight:
    """What label rows see of a layout: the rows from `starts` up to before `high` became visible before the cut-off.

    Labels are in an `order` that the cache likes: it gives their positions, those of an entity near each other.
    """

    def __init__(self, layout: Layout, labels: Labels, order: Positions) -> None:
        import numpy as np

        size = len(order)
        groups, starts, cutoffs = (np.empty(size, dtype=np.int64) for _ in range(3))
        known = np.empty(size, dtype=np.bool_)

        def find(part: slice) -> None:
            here = order[part]
            cutoffs[part], known[part] = labels.cutoffs[here], labels.known[here]
            groups[part] = found_among(labels.prints.at(here), layout.entities)
            starts[part] = layout.starts[groups[part]]

        in_parts(size, find)
        self.layout = layout
        self.order, self.known, self.cutoffs, self.starts = order, known, cutoffs, starts
        self._groups = groups
        self.high = self._until(0)

    @cached_property
    def _inverse(self) -> pl.Series:
        """Where in the order each label stands."""
        import numpy as np
        import polars as pl

        found = np.empty(len(self.order), dtype=np.uint32)
        found[self.order] = np.arange(len(self.order), dtype=np.uint32)
        return pl.Series(found)

    def low(self, over: timedelta | None) -> Positions:
        """Where the rows begin that became visible no longer ago than this."""
        return self.starts if over is None else self._until(microseconds(over))

    def _until(self, ago: int) -> Positions:
        """Where the rows end that became visible before so many microseconds before the cut-offs."""
        import numpy as np

        found: Positions = np.empty(len(self.order), dtype=np.int64)

        def find(part: slice) -> None:
            found[part] = self.layout.until(self._groups[part], self.cutoffs[part] - ago)

        in_parts(len(found), find)
        return found

    def told(self, values: pl.Series | Positions, some: Flags | None = None) -> pl.Series:
        """Values that stand in the order, label by label; null where nobody can say, and where there are not `some`."""
        import polars as pl

        here = pl.Series(self.known if some is None else self.known & some)
        return taken(pl.select(pl.when(here).then(pl.Series("", values))).to_series(), self._inverse)


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
        return self._sight.told(self._sight.high - self._low)

    def mean(self, column: str) -> pl.Series:
        """The mean of the values that are not missing."""
        import polars as pl

        sums = self._layout.sums(column)
        held = sums.values(self._low, self._sight.high)
        found = sums.of(self._low, self._sight.high).cast(pl.Float64) / pl.Series(held)
        return self._sight.told(found if sums.unit is None else found * sums.unit, held > 0)

    def total(self, column: str) -> pl.Series:
        """The sum of the values that are not missing. Raises HR456 for one that needs more than 64 bits."""
        import polars as pl

        sums = self._layout.sums(column)
        found = sums.of(self._low, self._sight.high)
        if sums.unit is not None:
            return self._sight.told(found.cast(pl.Float64) * sums.unit)
        total = found.cast(pl.Int64, strict=False)
        if total.null_count():
            raise HeadraceError("HR456", f"a total of {column!r} is {found.filter(total.is_null())[0]}")
        return self._sight.told(total)

    def deviation(self, column: str) -> pl.Series:
        """The sample deviation of the values that are not missing."""
        layout, low, high = self._layout, self._low, self._sight.high
        before = layout.before(column)
        return self._sight.told(layout.spread(column).deviation(low, high, before[high] - before[low]))

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
        return self._sight.told(found.cast(values.dtype), high > low)

    def distinct(self, column: str) -> pl.Series:
        """How many different values that are not missing."""
        found = self._layout.repeats(column).distinct(self._sight.starts, self._low, self._sight.high)
        return self._sight.told(found)

    def newest(self, column: str) -> pl.Series:
        """The value in the newest row."""
        return taken(self._layout.rows.get_column(column), self._newest)

    def latest(self, column: str) -> pl.Series:
        """The newest value that is not missing."""
        import numpy as np

        values = present(self._layout.rows.get_column(column))
        if not values.null_count():
            return taken(values, self._newest)
        held = values.is_not_null().to_numpy()[self._layout.order]
        newest = np.maximum.accumulate(np.where(held, np.arange(len(held)), -1))
        newest = np.append(newest, -1)  # what -1 finds: before the first row there is no value
        return taken(values, self._rows_at(newest[self._sight.high - 1]))

    def _rows_at(self, places: Positions) -> pl.Series:
        """The rows at places of the layout, label by label; null where a place is before the window, or unknown."""
        import numpy as np
        import polars as pl

        sight, layout = self._sight, self._layout
        if not layout.rows.height:
            return pl.repeat(None, len(places), dtype=pl.UInt32, eager=True)
        rows, seen = np.empty(len(places), dtype=np.uint32), np.empty(len(places), dtype=np.bool_)

        def look(part: slice) -> None:
            here = sight.known[part] & (places[part] >= sight.starts[part])
            found = np.where(here, places[part], 0)
            if self._over is not None:
                here &= layout.times[found] >= sight.cutoffs[part] - microseconds(self._over)
            labels = sight.order[part]
            rows[labels], seen[labels] = layout.order[found], here

        in_parts(len(places), look)
        return pl.select(pl.when(pl.Series(seen)).then(pl.Series(rows))).to_series()


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


def taken(values: pl.Series, rows: pl.Series) -> pl.Series:
    """The values in some rows, null where a row is."""
    import polars as pl

    found: dict[int, pl.Series] = {0: values.clear()}

    def take(part: slice) -> None:
        found[part.start] = values.gather(rows[part])

    in_parts(len(rows), take, LONG)
    return pl.concat([found[begin] for begin in sorted(found)], rechunk=True)
