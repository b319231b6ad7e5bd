"""Work on long arrays, shared among the cores. NumPy does it on one, as does Polars within a step."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAST = 50_000
"""The rows of a part: with fewer, handing them over takes as long as the work."""


def in_parts(size: int, work: Callable[[slice], None]) -> None:
    """Call `work` with slices that make up so many rows, side by side where there are many."""
    import polars as pl

    parts = max(min(pl.thread_pool_size(), size // _LEAST), 1)
    slices = [slice(size * part // parts, size * (part + 1) // parts) for part in range(parts)]
    if parts == 1:
        work(slices[0])
        return
    with ThreadPoolExecutor(parts) as threads:
        list(threads.map(work, slices))
