"""A digest of rows that follows from their values alone: not from their order, nor from the pieces they came in."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

_BITS = 2**64


class RowsDigest:
    """Adds up the hashes of rows, so that databases may answer in any order."""

    def __init__(self) -> None:
        self._schema: Mapping[str, str] = {}
        self._rows = 0
        self._sums = (0, 0)

    def add(self, frame: pl.DataFrame) -> None:
        """More rows, of the same columns."""
        self._schema = {name: str(kind) for name, kind in frame.schema.items()}
        if frame.is_empty():
            return
        import duckdb

        self._rows += frame.height
        texts = frame.lazy().select(
            pl.concat_str([_spelled(name, kind) for name, kind in frame.schema.items()]).alias("row")
        )
        with duckdb.connect(":memory:") as connection:
            connection.register("rows", texts.collect().to_arrow())
            query = "SELECT sum(md5_number_lower(row)), sum(md5_number_upper(row)) FROM rows"
            found = connection.execute(query).fetchone() or (0, 0)
        self._sums = ((self._sums[0] + int(found[0])) % _BITS, (self._sums[1] + int(found[1])) % _BITS)

    def hexdigest(self) -> str:
        """The digest of all rows so far, and of their columns."""
        return hashlib.sha256(repr((list(self._schema.items()), self._rows, self._sums)).encode()).hexdigest()


def _spelled(name: str, kind: pl.DataType) -> pl.Expr:
    """A value as a text of known length, so that neighbours cannot be taken for one another."""
    column = pl.col(name)
    if isinstance(kind, pl.Datetime | pl.Date):
        column = column.to_physical()
    text = column.cast(pl.String)
    return pl.concat_str([text.str.len_bytes().cast(pl.String), pl.lit(":"), text]).fill_null("-")
