"""Rows put together entity by entity.

Rows are sorted by one number each: the upper bits of a hash of the entity, and in the lower ones the position of the
row. That takes a fraction of the time that grouping by name does. Entities that share those bits come to stand mixed;
neighbours are compared by name, and where they differ under the same bits, those rows are grouped by name.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from headrace.features.cores import in_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Positions = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

SPREAD = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio: multiplied by it, neighbours come to lie far apart."""

_HASH = "_hash"
_NUMBER = "_number"
_POSITION = "_position"


def hashed(entity: Sequence[pl.Expr]) -> pl.Expr:
    """One hash of all columns that name an entity."""
    import polars as pl

    spread = pl.lit(SPREAD, dtype=pl.UInt64())
    return reduce(lambda one, other: (one * spread).xor(other), (each.hash() for each in entity))


def entity_by_entity(entities: pl.DataFrame) -> tuple[Positions, Positions]:
    """The positions of the rows entity by entity, ascending in each, and where in them each entity begins."""
    import numpy as np
    import polars as pl

    entities = entities.rechunk()  # gathering from many pieces takes far longer
    lower = np.uint64(2 ** entities.height.bit_length() - 1)
    hashes = _hashes(entities).to_numpy() & ~lower
    keys = pl.Series(hashes | np.arange(len(hashes), dtype=np.uint64)).sort().to_numpy()
    order, hashes = (keys & lower).view(np.int64), keys & ~lower
    begins = _begins(entities[order])
    mixed = hashes[1:][begins[1:] & (hashes[1:] == hashes[:-1])]
    if len(mixed):
        places = np.flatnonzero(np.isin(hashes, mixed))
        order[places] = order[places][_by_name(entities[order[places]])]
        begins = _begins(entities[order])
    return order, np.flatnonzero(begins)


def numbered(entities: pl.DataFrame, distinct: pl.DataFrame) -> Positions:
    """Where each entity stands among distinct ones; -1 where it does not, or where a part of it is null.

    They are joined by hash, and then the names are compared.
    """
    import numpy as np
    import polars as pl

    entities, distinct = entities.rechunk(), distinct.rechunk()  # gathering from many pieces takes far longer
    ours, theirs = (pl.DataFrame({_HASH: _hashes(each)}).lazy() for each in (entities, distinct))
    pairs = ours.with_row_index(_POSITION).join(theirs.with_row_index(_NUMBER), on=_HASH)
    place, number = pairs.select(_POSITION, _NUMBER).collect()
    same = np.empty(len(place), dtype=np.bool_)

    def compare(part: slice) -> None:
        columns = zip(entities.get_columns(), distinct.get_columns(), strict=True)
        alike = [one.gather(place[part]) == other.gather(number[part]) for one, other in columns]
        same[part] = pl.select(pl.all_horizontal(alike).fill_null(value=False)).to_series().to_numpy()

    in_parts(len(place), compare)
    found = np.full(entities.height, -1, dtype=np.int64)
    found[place.to_numpy()[same]] = number.to_numpy()[same]
    return found


def _hashes(entities: pl.DataFrame) -> pl.Series:
    import polars as pl

    return entities.select(hashed([pl.col(name) for name in entities.columns])).to_series()


def _begins(entities: pl.DataFrame) -> Flags:
    """Which rows are of another entity than the one before."""
    import numpy as np
    import polars as pl

    names = [pl.col(name) for name in entities.columns]
    other = pl.any_horizontal(each.ne_missing(each.shift()) for each in names)
    begins = np.ones(entities.height, dtype=np.bool_)

    def compare(part: slice) -> None:
        first = max(part.start, 1)
        begins[first : part.stop] = entities[first - 1 : part.stop].select(other).to_series().to_numpy()[1:]

    in_parts(entities.height, compare)
    return begins


def _by_name(entities: pl.DataFrame) -> Positions:
    """The positions entity by entity, in the order in which entities first appear."""
    import polars as pl

    runs = entities.with_row_index(_POSITION).group_by(entities.columns, maintain_order=True).agg(_POSITION)
    return runs.get_column(_POSITION).explode(empty_as_null=False).cast(pl.Int64).to_numpy()
