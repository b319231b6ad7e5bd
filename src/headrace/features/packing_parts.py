"""Parts of the entries of a column: its values, sums, and what only some of the features ask for (see `packed`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from headrace.features.runs import extremes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from headrace.features.packed import Packed
    from headrace.features.spread import Spread
    from headrace.features.windows import Layout

    Positions = npt.NDArray[np.int64]

_CODES = {"float": "<f8", "boolean": "u1"}


@dataclass(frozen=True, slots=True)
class Values:
    """All values of a column that are not missing, in the order of the layout; for text with the ends of each."""

    content: bytes
    size: int
    ends: Positions | None = None

    def between(self, first: int, last: int) -> bytes:
        """The values from one number up to before another."""
        if self.ends is None:
            return self.content[self.size * first : self.size * last]
        start = int(self.ends[first])
        ends = self.ends[first : last + 1] - start + 4 * (last + 1 - first)
        return bytes(ends.astype("<u4").tobytes()) + self.content[start : int(self.ends[last])]


class Part(Protocol):
    """What stands behind the sums of a column."""

    def of(self, group: int, rows: tuple[int, int, int], values: tuple[int, int]) -> Iterator[bytes]:
        """The part of the entity with a number.

        `rows` are where its rows begin, where those begin that are kept, and where they end, in the order of the
        layout; `values` are the first of its values that is kept and where they end, in the order of all values.
        """


def more_of(
    packed: Packed, layout: Layout, bounds: tuple[Positions, Positions], values: Values | None
) -> Iterator[Part]:
    """The parts of a column, in order. `bounds` are where the rows of each entity begin, and those that are kept."""
    if packed.spread:
        yield _Spread(layout.spread(packed.name), packed.spread)
    if packed.extremes and values is not None:
        yield _Extremes(packed, layout, bounds, values)
    if packed.codes:
        yield _Codes(packed.name, layout, bounds)


class _Spread:
    """Sums and sums of squares, for deviations."""

    def __init__(self, spread: Spread, width: int) -> None:
        self._columns = [spelled(spread.sums), spelled(spread.squares)]
        self._width = width

    def of(self, group: int, rows: tuple[int, int, int], values: tuple[int, int]) -> Iterator[bytes]:  # noqa: ARG002
        start, kept, end = rows
        for column in self._columns:
            yield column[self._width * start : self._width * (start + 1)]
            yield column[self._width * kept : self._width * (end + 1)]


class _Extremes:
    """The smallest and the largest of the folded values; of no meaning where there is none."""

    def __init__(self, packed: Packed, layout: Layout, bounds: tuple[Positions, Positions], values: Values) -> None:
        import numpy as np

        before = layout.before(packed.name)
        low, high = (before[each] for each in bounds)
        numbers = np.frombuffer(values.content, dtype=_CODES.get(packed.kind, "<i8"))
        self._pairs = np.stack([extremes(numbers, low, high, pick) for pick in (np.minimum, np.maximum)], axis=1)

    def of(self, group: int, rows: tuple[int, int, int], values: tuple[int, int]) -> Iterator[bytes]:  # noqa: ARG002
        yield self._pairs[group].tobytes()


class _Codes:
    """Which values are alike, and how many different ones were folded."""

    def __init__(self, name: str, layout: Layout, bounds: tuple[Positions, Positions]) -> None:
        starts, kept = bounds
        repeats = layout.repeats(name)
        self._folded = repeats.distinct(starts, starts, kept)
        self._codes = repeats.first.astype("<u4")

    def of(self, group: int, rows: tuple[int, int, int], values: tuple[int, int]) -> Iterator[bytes]:  # noqa: ARG002
        first, last = values
        yield int(self._folded[group]).to_bytes(8, "little")
        yield self._codes[first:last].tobytes()


def spelled(prefix: pl.Series) -> bytes:
    """Prefix sums as numbers of 64 or 128 bits."""
    import numpy as np
    import polars as pl

    if prefix.dtype != pl.Int128:
        return prefix.to_numpy().astype("<i8").tobytes()
    low = prefix.cast(pl.UInt64, wrap_numerical=True)
    high = (prefix - low.cast(pl.Int128)) // pl.Series([2**64], dtype=pl.Int128)
    halves = np.empty((len(prefix), 2), dtype="<u8")
    halves[:, 0] = low.to_numpy()
    halves[:, 1] = high.cast(pl.Int64).to_numpy().view(np.uint64)
    return halves.tobytes()
