"""The first value of a column that does not fit another type: what a person looks for when a type has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.sources.declared import EXACT, PADDED, converted
from headrace.sources.types import dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import polars as pl

_LONGEST = 60


def misfit(column: pl.Series, kind: str) -> int:
    """The first row whose value does not fit a type; the first one with a value where all of them would."""
    import polars as pl

    texts, wanted = column.cast(pl.String), dtype(kind)
    unfit = converted(texts, wanted).is_null() & texts.is_not_null()
    if wanted.is_numeric() and column.dtype == pl.String:
        unfit |= texts.str.contains(PADDED).fill_null(value=False)
    return int((unfit if unfit.any() else texts.is_not_null()).arg_max() or 0)


def told(column: pl.Series, kind: str, place: Callable[[int], str]) -> str:
    """That value, and where it stands."""
    row = misfit(column, kind)
    value = column[row]
    shown = repr(value) if isinstance(value, str) else str(value)
    return f"{shown[:_LONGEST]} in {place(row)}"


def refuse_rounded(column: str, frames: Iterable[tuple[str, pl.LazyFrame]], place: Callable[[str, int], str]) -> None:
    """Raises HR330 where a whole number of a batch would be rounded, because other batches hold fractions."""
    import polars as pl

    for batch, frame in frames:
        rounded = pl.col(column).abs() > EXACT
        found = frame.select(rounded.any().alias("any"), rounded.arg_max().alias("row")).collect().row(0)
        if found[0]:
            row = int(found[1])
            value = frame.select(pl.col(column)).slice(row, 1).collect().item()
            what = f"{batch}, {place(batch, row)}: {value} in column {column!r} is more than a float keeps"
            fix = f"Declare the column as text: schema={{{column!r}: pl.String}}; or as pl.Decimal(PRECISION, SCALE)."
            raise HeadraceError("HR330", what, fix=fix)
