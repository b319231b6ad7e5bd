"""Which files a change of a table touches: rows that are left out of the base, and how new rows are cut into files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from headrace.adapters.delta_log import DataFile, Files


def cut(rows: pl.DataFrame, pieces: Sequence[int]) -> Iterator[pl.DataFrame]:
    """The rows of each file: all in one unless pieces are asked for; no file for no rows."""
    start = 0
    for length in pieces or [rows.height]:
        if length:
            yield rows.slice(start, length)
        start += length
    if start != rows.height:
        message = f"pieces of {start} rows, and there are {rows.height}"
        raise ValueError(message)


def touched(files: Files, less: Sequence[int]) -> Iterator[tuple[DataFile, np.ndarray]]:
    """The files that lose rows, each with the numbers of these rows in the file."""
    numbers = np.asarray(less, dtype=np.int64)
    start = 0
    for file in files:
        first, after = np.searchsorted(numbers, [start, start + file.rows])
        if after > first:
            yield file, numbers[first:after] - start
        start += file.rows
    if len(numbers) and (numbers[0] < 0 or numbers[-1] >= start):
        message = f"rows {numbers[0]} to {numbers[-1]} are to be left out, and there are {start}"
        raise ValueError(message)


def rest(directory: Path, file: DataFile, gone: np.ndarray, most: int) -> Iterator[pl.DataFrame]:
    """The rows of a file without some of them, `most` at a time; none if all are gone."""
    if len(gone) == file.rows:
        return
    kept = np.ones(file.rows, dtype=np.bool_)
    kept[gone] = False
    rows = pl.scan_parquet(directory / file.name, glob=False, hive_partitioning=False)
    for start in range(0, file.rows, most):
        stays = kept[start : start + most]
        if stays.any():
            yield rows.slice(start, most).collect().filter(pl.Series(stays))
