"""Upserts: of the rows of one key the newest stays, by a declared column and then by where they came from.

The rows that lose are kept beside the table, so that one of them comes back when the batch of the winner goes away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from headrace.errors import HeadraceError, suggestion
from headrace.tables.breaches import BATCH
from headrace.tables.contract import keys, marked
from headrace.tables.repeated import repeated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.tables.breaches import Split
    from headrace.tables.contract import Contract

ROW: Final = "_row"
PART: Final = "_part"


@dataclass(frozen=True, slots=True)
class Upsert:
    """Which rows are of one key, and the column by which the newest of them is found (nulls are the oldest)."""

    names: tuple[str, ...]
    order: str


def upsert_of(name: str, contract: type[Contract] | None, declared: bool | str) -> Upsert | None:  # noqa: FBT001
    """What a table declares: nothing, the known-at column of its contract (True), or a column of it.

    Raises HR482 without a contract that has a key, HR483 where the column is not there or is not declared.
    """
    if declared is False:
        return None
    names = keys(contract)
    if contract is None or not names:
        raise HeadraceError("HR482", f"{name} has {'no contract' if contract is None else 'a contract without a key'}")
    columns = [each.name for each in contract.__columns__]
    order = marked(contract, "known_at") if declared is True else declared
    if order is None:
        raise HeadraceError("HR483", f"{name}: upsert=True, and {contract.__name__} marks no column as known_at")
    if order not in columns:
        raise HeadraceError("HR483", f"{name}: there is no column {order!r}", fix=suggestion(str(order), columns))
    return Upsert(names, order)


def supersede(
    parts: Sequence[Split], batches: Sequence[str | None], upsert: Upsert
) -> tuple[list[Split], list[pl.DataFrame]]:
    """The parts with the newest row of each key, and for each part the rows that lost, the newest of a key first.

    Of rows that are equally new, the one of the later part stays, and in one part the later row.
    """
    wanted = [*dict.fromkeys((*upsert.names, upsert.order))]
    if not parts:
        return [], []
    rows = pl.concat([part.clean.select(*wanted, pl.lit(place).alias(PART)) for place, part in enumerate(parts)])
    ranked = rows.with_row_index(ROW).drop_nulls(upsert.names)
    ranked = ranked.sort([upsert.order, ROW], descending=True, nulls_last=True)
    beaten = ranked.filter(repeated(ranked, upsert.names))
    losers = beaten.select(ROW, PART).partition_by(PART, as_dict=True) if len(beaten) else {}
    made, lost = [], []
    start = 0
    for place, (part, batch) in enumerate(zip(parts, batches, strict=True)):
        found = losers.get((place,))
        if found is None:
            made.append(part)
            lost.append(superseded(part.clean.clear(), batch))
        else:
            numbers = found.get_column(ROW).to_numpy().astype(np.int64) - start
            kept = np.ones(part.clean.height, dtype=np.bool_)
            kept[numbers] = False
            made.append(replace(part, clean=part.clean.filter(pl.Series(kept))))
            lost.append(superseded(part.clean[numbers], batch))
        start += part.clean.height
    return made, lost


def superseded(rows: pl.DataFrame, batch: str | None) -> pl.DataFrame:
    """Rows that lost, as they are kept: with the batch that they came from."""
    return rows.with_columns(pl.lit(batch, pl.String).alias(BATCH))
