"""Which rows of an overlap were landed before: each of them is recognised as often as it was, by all of its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from headrace.ports.records import Ref

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.ports.reading import Mark
    from headrace.ports.records import Batch
    from headrace.ports.stores import Stores

_LEFT, _NUMBER, _MET = "_left", "_number", "_met"


class Seen:
    """The landed rows from a value of the cursor on, and how many of each are still to be met."""

    def __init__(self, frames: list[pl.DataFrame], cursor: str) -> None:
        self._frames = frames
        self._cursor = cursor
        self._highest = max((frame[cursor].max() for frame in frames), default=None)  # type: ignore[type-var]  # of one type
        self._left: pl.DataFrame | None = None

    @classmethod
    def of(cls, batches: Iterable[Batch], cursor: str, since: Mark | None, stores: Stores) -> Seen:
        """The rows of batches from a value on. Raises HR633 where one of them is missing."""
        found = []
        for batch in batches if since is not None else ():
            path = stores.artefacts.path(Ref("artefact", batch.location, ""))
            rows = pl.scan_parquet(path).filter(pl.col(cursor) >= pl.lit(since)).collect()
            if rows.height:
                found.append(rows)
        return cls(found, cursor)

    def without(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of a piece that were not landed before."""
        if not self._frames or frame.is_empty():
            return frame
        columns = frame.columns
        if self._left is None:
            like = pl.concat([_like(each, frame) for each in self._frames])
            self._left = like.group_by(columns).agg(pl.len().cast(pl.Int64).alias(_LEFT))
        behind = pl.col(self._cursor) <= pl.lit(self._highest)
        numbered = frame.filter(behind).with_columns(pl.int_range(pl.len()).over(columns).alias(_NUMBER))
        matched = numbered.join(self._left, on=columns, how="left", nulls_equal=True, maintain_order="left")
        fresh = matched.filter(pl.col(_NUMBER) >= pl.col(_LEFT).fill_null(0)).select(columns)
        met = matched.filter(pl.col(_NUMBER) < pl.col(_LEFT)).group_by(columns).agg(pl.len().cast(pl.Int64).alias(_MET))
        left = self._left.join(met, on=columns, how="left", nulls_equal=True)
        self._left = left.select(*columns, pl.col(_LEFT) - pl.col(_MET).fill_null(0))
        return pl.concat([fresh, frame.filter(~behind)])


def _like(rows: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """Landed rows with the columns of a piece: where a column came in or went since, the others tell rows apart."""
    there = [name for name in frame.columns if name in rows.columns]
    cast = rows.select(
        pl.col(name).cast(kind, strict=False) if name in there else pl.lit(None, kind).alias(name)
        for name, kind in frame.schema.items()
    )
    lost = pl.any_horizontal(pl.lit(value=False), *(cast[name].is_null() & rows[name].is_not_null() for name in there))
    return cast.filter(~lost)
