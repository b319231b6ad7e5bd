"""Which files of a table become one, and that they hold the same rows then."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, chain
from typing import TYPE_CHECKING

import polars as pl

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from headrace.adapters.delta_log import Files

COMMITS = 40
"""A log of so many entries is worth to be begun anew, also where no file is to become one: empty appends have none."""
_SMALL = 2**20
_LARGE = 64 * 2**20
"""Bytes. Small files are always worth it, large ones never."""


def tail(files: Files) -> Files:
    """The files at the end that are to become one.

    A file is among them if it is not more than twice as large as all behind it. So each row is written again only when
    the rows behind it have become as many, and a table of n rows has about log n files.
    """
    size = count = 0
    for file in reversed(files):
        if file.size >= _LARGE or (count and file.size > max(2 * size, _SMALL)):
            break
        size += file.size
        count += 1
    return files[len(files) - count :]


def merged(files: Files, parts: Sequence[int], least: int) -> list[Files]:
    """The files that are to become one, at the end of each part, where they are so many; parts begin with a file."""
    found: list[Files] = []
    begin = 0
    rows = list(accumulate(file.rows for file in files))
    for end in accumulate(parts or [rows[-1]]):
        after = bisect_right(rows, end)
        small = tail(files[begin:after])
        if len(small) >= least:
            found.append(small)
        begin = after
    return found


def after(files: Files, gone: Sequence[Files], instead: Sequence[Files]) -> Files:
    """The files in their order, with others in the place of those that became one."""
    first = {old[0]: new for old, new in zip(gone, instead, strict=True)}
    away = set(chain(*gone))
    return tuple(chain(*(first.get(file, () if file in away else (file,)) for file in files)))


def frames(directory: Path, files: Files) -> Iterator[pl.DataFrame]:
    """The rows of files, one after the other."""
    for file in files:
        yield pl.read_parquet(directory / file.name, glob=False, hive_partitioning=False)


def check_same(directory: Path, files: Files, other: Path, merged: Files) -> None:
    """Raise HR643 unless the merged files hold the rows of the files, in their order."""
    if not files:
        return
    paths = [directory / file.name for file in files]
    before = pl.scan_parquet(paths, glob=False, hive_partitioning=False)
    start = 0
    for file, rows in zip(merged, frames(other, merged), strict=True):
        if not rows.equals(before.slice(start, file.rows).collect()):
            raise HeadraceError("HR643", f"{directory}: rows {start} to {start + file.rows}")
        start += file.rows
    if start != sum(file.rows for file in files):
        raise HeadraceError("HR643", f"{directory}: {start} rows")
