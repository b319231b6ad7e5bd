"""Which rows come after another one of the same values: most often none or few do, and that is found out cheaply.

To tell the first of equal values, a table of all values is built, on one core. To sort eight bytes a row takes several
cores a sixth of that time, and leaves only those rows to compare whose bytes another row has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence


def repeated(rows: pl.DataFrame, names: Sequence[str]) -> pl.Series:
    """For each row whether one before it has the same values in these columns; null equals null."""
    keys = rows.select(names)
    marks = _marks(keys)
    ordered = marks.sort()
    twice = ordered.slice(1).filter(ordered.slice(1) == ordered.head(-1)).unique()
    if twice.is_empty():
        return pl.repeat(value=False, n=rows.height, eager=True)
    suspects = marks.is_in(twice.implode())
    values = pl.col(names[0]) if len(names) == 1 else pl.struct(names)
    again = ~keys.filter(suspects).select(values.is_first_distinct()).to_series()
    return suspects.scatter(suspects.arg_true(), again)


def _marks(keys: pl.DataFrame) -> pl.Series:
    """Eight bytes for each row, the same for the same values."""
    first = keys.to_series()
    if keys.width == 1 and not first.null_count() and (first.dtype == pl.Int64 or first.dtype.is_temporal()):
        return first.to_physical()
    return keys.hash_rows(seed=17)
