"""A column as a database delivered it, in the type that it lands in: exactly, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from headrace.errors import HeadraceError
from headrace.sources.declared import recast
from headrace.sources.types import dtype

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""Microseconds of the first and of the last moment of the years 1 to 9999."""
_DAY = 86_400_000_000


def landed_column(where: str, column: pl.Series, kind: str, *, cursor: str | None = None) -> pl.Series:
    """The column as the type that `kind` names; texts are read as it, other values stay what they are.

    Raises:
        HeadraceError: HR311 for a value that is none of the type, and for a time outside of the years 1 to 9999, which
            infinity is; HR316 for a type that cannot be landed, HR330 for a number that a float does not keep.
    """
    target = pl.Null() if kind == "Null" else dtype(kind)
    found = column if column.dtype == target else recast(where, column, target, _place(column, cursor))
    _refuse_far(where, found)
    return found


def _place(column: pl.Series, cursor: str | None) -> Callable[[int], str]:
    """There are no lines in a database: the value itself has to tell which row it is."""
    return lambda _: f"the cursor {cursor!r}" if column.name == cursor else "a row"


def _refuse_far(where: str, column: pl.Series) -> None:
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        bounds = (_FIRST, _LAST)
    elif isinstance(kind, pl.Date):
        bounds = (_FIRST // _DAY, _LAST // _DAY)
    else:
        return
    far = ~column.to_physical().is_between(*bounds)
    if far.any():
        what = f"{where}: column {column.name!r} holds infinity, or a time outside of the years 1 to 9999"
        raise HeadraceError("HR311", what, fix="Select it as a text, or leave such rows out by a query.")
