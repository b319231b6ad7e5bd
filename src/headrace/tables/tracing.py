"""Which rows of its inputs a row of a table was made of: found by running the function on fewer and fewer of them.

No row carries where it came from. That is looked for when somebody asks: the rows of an input are halved for as long as
the function still makes the row of one of the halves. It costs about two runs of the function for each input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from headrace.errors import HeadraceError
from headrace.tables.conform import conformed
from headrace.tables.making import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.tables.table import Table

AT: Final = "_headrace_at"
"""Numbers the rows of an input; the function does not see it."""


def traced(table: Table, row: pl.DataFrame, inputs: Sequence[pl.DataFrame]) -> list[pl.DataFrame] | None:
    """For each input, the rows that are needed to make a row; None where the function does not make it of all of them.

    Rows of an input are left as they are, however many, where the row is made of several of them, as a sum is.
    """
    found = list(inputs)

    def makes(at: int, part: pl.DataFrame) -> bool:
        return _makes(table, row, [part if number == at else each for number, each in enumerate(found)])

    if not _makes(table, row, found):
        return None
    for at in range(len(found)):
        found[at] = _narrowed(lambda part, at=at: makes(at, part), found[at])  # type: ignore[misc]
    return found


def _narrowed(makes: Callable[[pl.DataFrame], bool], rows: pl.DataFrame) -> pl.DataFrame:
    while rows.height > 1:
        half = rows.height // 2
        part = next((part for part in (rows[:half], rows[half:]) if makes(part)), None)
        if part is None:
            break
        rows = part
    return rows


def _makes(table: Table, row: pl.DataFrame, inputs: Sequence[pl.DataFrame]) -> bool:
    """Whether the function makes the row of these rows. One that fails on them does not."""
    recipe = Recipe(table.name, table.function, table._frames, None)  # noqa: SLF001 - of this stage
    try:
        made = recipe.rows([each.drop(AT).lazy() for each in inputs]).clean
        if table.contract is not None:
            made = conformed(made, table.contract, table.name)
    except HeadraceError:
        return False
    wanted = [_same(row.get_column(name), made.schema[name]) for name in row.columns if name in made.columns]
    return bool(made.select(pl.all_horizontal(wanted).any()).item()) if len(wanted) == row.width else False


def _same(value: pl.Series, kind: pl.DataType) -> pl.Expr:
    column = pl.col(value.name)
    if kind.is_float():
        column = column.fill_nan(None)
        value = value.fill_nan(None)
    return column.cast(value.dtype, strict=False).eq_missing(pl.lit(value.item(), value.dtype))
