"""Which rows of an overlap were landed before: each of them is recognised as often as it was, by all of its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from headrace.ports.records import Ref

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headrace.ports.reading import Mark
    from headrace.ports.records import Batch
    from headrace.ports.stores import Stores

_LEFT, _NUMBER, _MET = "_left", "_number", "_met"


class Seen:
    """The landed rows from a value of the cursor on, and how many of each are still to be met.

    Where the columns have changed since, a row is told by those that both have.
    """

    def __init__(self, frames: Iterable[pl.DataFrame]) -> None:
        self._groups: dict[tuple[str, ...], _Group] = {}
        for frame in frames:
            self._groups.setdefault(tuple(frame.columns), _Group()).frames.append(frame)

    @classmethod
    def of(cls, batches: Iterable[Batch], cursor: str, since: Mark | None, stores: Stores) -> Seen:
        """The rows of batches from a value on. Raises HR633 where one of them is missing."""
        found = []
        for batch in batches if since is not None else ():
            path = stores.artefacts.path(Ref("artefact", batch.location, ""))
            rows = pl.scan_parquet(path).filter(pl.col(cursor) >= pl.lit(since)).collect()
            if rows.height:
                found.append(rows)
        return cls(found)

    def without(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of a piece that were not landed before."""
        for group in self._groups.values():
            if frame.height:
                frame = group.without(frame)
        return frame


class _Group:
    """Landed rows with the same columns."""

    def __init__(self) -> None:
        self.frames: list[pl.DataFrame] = []
        self._left: pl.DataFrame | None = None

    def without(self, frame: pl.DataFrame) -> pl.DataFrame:
        columns = [name for name in frame.columns if name in self.frames[0].columns]
        if self._left is None:
            like = pl.concat([_like(each, frame, columns) for each in self.frames])
            self._left = _counted(like, columns, _LEFT)
        numbered = frame.with_columns(pl.int_range(pl.len()).over(columns).alias(_NUMBER))
        matched = numbered.join(self._left, on=columns, how="left", nulls_equal=True, maintain_order="left")
        met = _counted(matched.filter(pl.col(_NUMBER) < pl.col(_LEFT)), columns, _MET)
        left = self._left.join(met, on=columns, how="left", nulls_equal=True)
        self._left = left.select(*columns, pl.col(_LEFT) - pl.col(_MET).fill_null(0))
        return matched.filter(pl.col(_NUMBER) >= pl.col(_LEFT).fill_null(0)).select(frame.columns)


def _counted(rows: pl.DataFrame, columns: Sequence[str], name: str) -> pl.DataFrame:
    return rows.group_by(columns).agg(pl.len().cast(pl.Int64).alias(name))


def _like(rows: pl.DataFrame, frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Landed rows in the types of a piece; those with a value that the type of the piece does not hold are no such."""
    cast = rows.select(pl.col(name).cast(frame.schema[name], strict=False) for name in columns)
    lost = pl.any_horizontal(
        pl.lit(value=False), *(cast[name].is_null() & rows[name].is_not_null() for name in columns)
    )
    return cast.filter(~lost)
