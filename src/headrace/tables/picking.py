"""Rows of a table picked by their numbers, or left out, without reading the files that hold none of them."""

from __future__ import annotations

import numpy as np
import polars as pl

from headrace.tables.upsert import ROW


def numbers(rows: pl.DataFrame) -> np.ndarray:
    """The numbers of the rows, ascending."""
    return np.sort(rows.get_column(ROW).to_numpy().astype(np.int64))


def left_of(rows: pl.LazyFrame, less: np.ndarray) -> pl.LazyFrame:
    """The rows without those of these numbers."""
    return rows.with_row_index(ROW).filter(~among(less)).drop(ROW)


def among(numbers: np.ndarray) -> pl.Expr:
    """Whether a row has one of these numbers."""
    return pl.col(ROW).is_in(pl.Series(numbers, dtype=pl.UInt32).implode())


def near(rows: pl.LazyFrame, touched: pl.DataFrame) -> pl.LazyFrame:
    """The rows between the least and the greatest touched values: files without any, by their bounds, are not read.

    A table whose keys rise grows by what it gets then, and not by what it has.
    """
    if touched.is_empty():
        return rows
    for values in touched:
        if values.dtype.is_integer() or values.dtype.is_temporal():
            rows = rows.filter(pl.col(values.name).is_between(pl.lit(values.min()), pl.lit(values.max())))
    return rows


def only(rows: pl.LazyFrame, numbers: np.ndarray) -> pl.LazyFrame:
    """The rows of these numbers, in order and numbered. Only the files from the first to the last of them are read."""
    first, after = (int(numbers[0]), int(numbers[-1]) + 1) if len(numbers) else (0, 0)
    return rows.slice(first, after - first).with_row_index(ROW, offset=first).filter(among(numbers))
