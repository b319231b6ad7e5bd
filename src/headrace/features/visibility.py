"""When a feature row can be seen: the one rule that training and serving share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from datetime import timedelta

VISIBLE = "_visible_at"
EVENT = "_event_time"
MOMENT = pl.Datetime("us", "UTC")


def visible(rows: pl.LazyFrame, known_at: str, delay: timedelta) -> pl.LazyFrame:
    """The rows with the moment from which each can be seen: known-at plus delay. What is not known yet is left out."""
    moment = pl.col(known_at).cast(MOMENT) + delay
    return rows.with_columns(moment.alias(VISIBLE)).filter(pl.col(VISIBLE).is_not_null())


def in_order(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Sorted by visibility, then event time, then row order: of rows that become visible together, the last one counts."""
    return rows.sort(VISIBLE, EVENT, maintain_order=True, nulls_last=False)
