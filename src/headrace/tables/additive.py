"""Whether a function gives for two batches together what it gives for each: what an incremental table promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from headrace.errors import HeadraceError
from headrace.tables.frames import call, collected, convert, to_lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

SAMPLE: Final = 1_000
"""Rows of a batch that are looked at: the first ones."""
_SHOWN: Final = 3


def refuse_dependent(name: str, function: Callable[..., Any], kind: str, batches: Sequence[pl.LazyFrame]) -> None:
    """Call the function with the beginnings of two batches, apart and together, and compare the rows that it returns.

    Of one batch, the halves are taken. The order of rows does not matter, how often each is there does. A sample proves
    nothing good: a function may depend on other rows in a way that these do not show.

    Raises:
        HeadraceError: HR417 where the rows differ, and what `frames` raises for what the function returns.
    """
    first, second = _parts(batches)
    if not first.height or not second.height:
        return

    def made(rows: pl.DataFrame) -> pl.DataFrame:
        result = to_lazy(call(function, [convert(rows.lazy(), kind)], name), name)
        return collected(result, function, name)

    together, one, two = made(pl.concat([first, second])), made(first), made(second)
    if not together.schema == one.schema == two.schema:
        raise HeadraceError(
            "HR417", f"{name} returns columns of {_types(one)} for one part, {_types(together)} for both"
        )
    apart = pl.concat([one, two])
    if _counted(apart) != _counted(together):
        sizes = f"{first.height} and {second.height} rows"
        raise HeadraceError("HR417", f"{name} makes {apart.height} rows of {sizes} apart, {_what(apart, together)}")


def _parts(batches: Sequence[pl.LazyFrame]) -> tuple[pl.DataFrame, pl.DataFrame]:
    found = [each.head(SAMPLE).collect() for each in batches[:2]]
    if len(found) == 1:
        half = found[0].height // 2
        return found[0].head(half), found[0].slice(half)
    return found[0], found[1]


def _counted(rows: pl.DataFrame) -> dict[int, int]:
    """How often each row is there, by a hash of it."""
    counts = rows.hash_rows(seed=1).value_counts()
    return dict(counts.iter_rows())


def _what(apart: pl.DataFrame, together: pl.DataFrame) -> str:
    if apart.height != together.height:
        return f"and {together.height} of them together"
    columns = [
        name for name in apart.columns if _counted(apart.select(name)) != _counted(together.select(name))
    ] or apart.columns
    return f"and other ones together: see {', '.join(columns[:_SHOWN])}"


def _types(rows: pl.DataFrame) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in rows.schema.items())
