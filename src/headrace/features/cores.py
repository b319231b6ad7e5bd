"""Work on long arrays, shared among the cores. NumPy does it on one, as does Polars within a step."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHORT = 2**14
"""The rows of a part for NumPy: what it makes of them on the way is so small that it takes no new memory.

To be given pages, which is work of the system, takes longer than most of what is done with the numbers in them.
"""
LONG = 2**16
"""The rows of a part for Polars, of which each call costs more."""
_HANDS = 4
"""How many runs of parts are handed to each core, so that none waits long for another; each costs something."""


def parts(size: int, length: int = SHORT) -> list[slice]:
    """Slices of at most this length that make up so many rows."""
    return [slice(begin, min(begin + length, size)) for begin in range(0, size, length)]


def in_parts(size: int, work: Callable[[slice], None], length: int = SHORT) -> None:
    """Call `work` with slices that make up so many rows, side by side where there are many."""
    import polars as pl

    slices = parts(size, length)
    cores = min(pl.thread_pool_size(), len(slices))
    if cores <= 1:
        _each(work, slices)
        return
    hands = min(cores * _HANDS, len(slices))
    runs = [slices[len(slices) * hand // hands : len(slices) * (hand + 1) // hands] for hand in range(hands)]
    with ThreadPoolExecutor(cores) as threads:
        list(threads.map(partial(_each, work), runs))


def _each(work: Callable[[slice], None], slices: Sequence[slice]) -> None:
    for part in slices:
        work(part)
