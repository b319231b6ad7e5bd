"""Entities told apart by fingerprints of 128 bits, and rows put together by them.

A fingerprint is two hashes of what names an entity. That two of n entities have the same one is as likely as n^2 to
2^129: for a billion entities 10^-21, far less than that a memory chip errs meanwhile. Names are not read again.

Rows are sorted by one number each: the upper bits of the first hash, and in the lower ones the position of the row.
That takes a fraction of the time that sorting by fingerprints does. Entities that share those bits come to stand mixed,
and only their rows are sorted again, by all bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from headrace.features.cores import LONG, in_parts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Positions = npt.NDArray[np.int64]
    Numbers = npt.NDArray[np.uint32]
    Hashes = npt.NDArray[np.uint64]
    Flags = npt.NDArray[np.bool_]
    Places = Positions | Numbers | Flags | slice

SPREAD = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio: multiplied by it, neighbours come to lie far apart."""

_FIRST, _SECOND, _SEED = "_first_print", "_second_print", 0x5EED


def hashed(entity: Sequence[pl.Expr], seed: int = 0) -> pl.Expr:
    """One hash of all that names an entity. The one without a seed is the first of its fingerprint."""
    import polars as pl

    spread = pl.lit(SPREAD, dtype=pl.UInt64())
    return reduce(lambda one, other: (one * spread).xor(other), (each.hash(seed) for each in entity))


def printed(entity: Sequence[pl.Expr]) -> dict[str, pl.Expr]:
    """The columns that hold the fingerprint of an entity."""
    return {_FIRST: hashed(entity), _SECOND: hashed(entity, _SEED)}


@dataclass(frozen=True, slots=True)
class Prints:
    """The fingerprints of some rows, one by one."""

    first: Hashes
    second: Hashes

    @classmethod
    def of(cls, entities: pl.DataFrame) -> Self:
        """Those of entities, whose columns name them."""
        import numpy as np
        import polars as pl

        found = cls(np.empty(entities.height, dtype=np.uint64), np.empty(entities.height, dtype=np.uint64))
        names = [pl.col(name) for name in entities.columns]

        def work(part: slice) -> None:
            both = cls.read(entities[part].select(**printed(names)))
            found.first[part], found.second[part] = both.first, both.second

        in_parts(entities.height, work, LONG)
        return found

    @classmethod
    def read(cls, rows: pl.DataFrame) -> Self:
        """Those of rows that were read with the columns that `printed` says."""
        return cls(rows.get_column(_FIRST).to_numpy(), rows.get_column(_SECOND).to_numpy())

    def __len__(self) -> int:
        return len(self.first)

    def at(self, places: Places) -> Prints:
        """Those at some places."""
        return Prints(self.first[places], self.second[places])

    def like(self, other: Prints) -> Flags:
        """Which are the same in both."""
        same: Flags = self.first == other.first
        same &= self.second == other.second
        return same


@dataclass(frozen=True, slots=True)
class Grouped:
    """Positions of rows, entity by entity and ascending in each.

    `numbers` says of each place the number of its entity, `starts` of each entity where it begins, and `entities` are
    the entities by number, sorted by fingerprint.
    """

    order: Positions
    numbers: Numbers
    starts: Positions
    entities: Prints


def entity_by_entity(prints: Prints) -> Grouped:
    """The rows by entity."""
    import numpy as np

    order, begins = _by_hash(prints.first)
    found = _grouped(prints, order, begins)
    mixed = _mixed(prints, found)
    if not len(mixed):
        return found
    places = np.flatnonzero(np.isin(found.numbers, mixed))
    rows = order[places]
    rows = rows[np.lexsort((rows, prints.second[rows], prints.first[rows]))]
    order[places] = rows
    begins[places[1:]] |= ~prints.at(rows[1:]).like(prints.at(rows[:-1]))
    return _grouped(prints, order, begins)


def together(prints: Prints) -> Positions:
    """The positions in the order of fingerprints, nearly: enough that those of an entity are near each other."""
    return _by_hash(prints.first)[0]


def found_among(prints: Prints, entities: Prints) -> Positions:
    """The number of each among entities that are sorted by fingerprint and differ; -1 where it is not among them.

    Of equal ones that stand next to each other only the first is searched for.
    """
    import numpy as np

    begins = np.ones(len(prints), dtype=np.bool_)
    begins[1:] = ~prints.at(slice(1, None)).like(prints.at(slice(-1)))
    asked = prints.at(begins)
    found: Positions = np.full(len(asked), -1, dtype=np.int64)
    numbers, ends = (np.searchsorted(entities.first, asked.first, side=side) for side in ("left", "right"))
    rest = np.arange(len(asked))
    while len(rest):  # nearly always once: a second time where entities have the same first hash
        there = numbers < ends
        rest, numbers, ends = rest[there], numbers[there], ends[there]
        same = asked.at(rest).like(entities.at(numbers))
        found[rest[same]] = numbers[same]
        rest, numbers, ends = rest[~same], numbers[~same] + 1, ends[~same]
    numbers = np.cumsum(begins) - 1
    return found[numbers]


def _by_hash(hashes: Hashes) -> tuple[Positions, Flags]:
    """The positions by the upper bits of hashes, ascending in each, and which have others than the one before."""
    import numpy as np
    import polars as pl

    size = len(hashes)
    lower = np.uint64(2 ** size.bit_length() - 1)
    packed, order, begins = np.empty(size, np.uint64), np.empty(size, np.int64), np.ones(size, np.bool_)

    def pack(part: slice) -> None:
        packed[part] = hashes[part] & ~lower | np.arange(part.start, part.stop, dtype=np.uint64)

    in_parts(size, pack)
    keys = pl.Series(packed).sort().to_numpy()

    def unpack(part: slice) -> None:
        order[part] = keys[part] & lower
        first = max(part.start, 1)
        begins[first : part.stop] = keys[first : part.stop] ^ keys[first - 1 : part.stop - 1] > lower

    in_parts(size, unpack)
    return order, begins


def _mixed(prints: Prints, found: Grouped) -> Numbers:
    """The numbers under which rows of several entities stand."""
    import numpy as np

    numbers: Numbers = np.empty(len(prints), dtype=np.uint32)  # in the order of the rows, as is read fastest
    other = np.empty(len(prints), dtype=np.bool_)

    def turn(part: slice) -> None:
        numbers[found.order[part]] = found.numbers[part]

    def compare(part: slice) -> None:
        other[part] = ~prints.at(part).like(found.entities.at(numbers[part]))

    in_parts(len(prints), turn)
    in_parts(len(prints), compare)
    return np.unique(numbers[other])


def _grouped(prints: Prints, order: Positions, begins: Flags) -> Grouped:
    import numpy as np

    starts = np.flatnonzero(begins)
    numbers = np.cumsum(begins, dtype=np.uint32)
    numbers -= np.uint32(1)
    return Grouped(order, numbers, starts, prints.at(order[starts]))
