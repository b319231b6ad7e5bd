"""Which row a mended one took the place of: it names that row by its content and its batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from headrace.tables.breaches import BATCH
from headrace.tables.conform import conformed
from headrace.tables.making import Recipe
from headrace.tables.mending import ID, identities, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from headrace.tables.contract import Contract
    from headrace.tables.table import Table

    Given: TypeAlias = Iterable[tuple[str | None, Sequence[pl.LazyFrame]]]


def replaced(
    table: Table, row: pl.DataFrame, batch: str, project: Path, others: Sequence[str], given: Given
) -> tuple[pl.DataFrame, str | None] | None:
    """The row that a mended one of this batch took the place of, and the batch of that row; None where it is not found.

    It is looked for in `others`, the mended batches, and in what the function makes of what it is `given` of each batch
    (None: of all at once).
    """
    contract = table.contract
    mended = None if contract is None else _read(project, batch, contract)
    if contract is None or mended is None:
        return None
    same = _plain(mended).join(_plain(row), on=row.columns, how="semi", nulls_equal=True)
    if same.is_empty():
        return None
    name = same.get_column(ID)[0]
    for each in others:
        rows = _read(project, each, contract) if each < batch else None
        found = None if rows is None else _named(rows.drop(ID), each, name)
        if found is not None:
            return found, each
    recipe = Recipe(table.name, table.function, table._frames, None)  # noqa: SLF001 - of this stage
    for of, frames in given:
        found = _named(conformed(recipe.rows(frames).clean, contract, table.name), of, name)
        if found is not None:
            return found, of
    return None


def _read(project: Path, batch: str, contract: type[Contract]) -> pl.DataFrame | None:
    """The rows of a mended batch; None where its file was taken away."""
    try:
        content = (project / batch).read_bytes()
    except FileNotFoundError:
        return None
    return read(batch, content, contract)


def _named(rows: pl.DataFrame, batch: str | None, name: str) -> pl.DataFrame | None:
    """The first row of a batch that has this name."""
    names = identities(rows.with_columns(pl.lit(batch, pl.String).alias(BATCH)))
    found = rows.filter(names == name).head(1)
    return None if found.is_empty() else found


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col(pl.Float64).fill_nan(None))
