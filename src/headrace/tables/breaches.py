"""What is known of rows that break a contract: the columns that are added to them, and how they are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import polars as pl

RULE, COLUMN, VALUE, BATCH = "_rule", "_column", "_value", "_batch"
BETWEEN = "; "
"""Stands between several rules, columns or values of one row."""


@dataclass(frozen=True, slots=True)
class Split:
    """The rows that keep a contract, those that do not, and how many rows broke which rule.

    A row that breaks several rules counts for each of them.
    """

    clean: pl.DataFrame
    quarantined: pl.DataFrame
    counts: Mapping[str, int]


def added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Several counts as one, sorted by rule."""
    total: dict[str, int] = {}
    for each in counts:
        for rule, count in each.items():
            if count:
                total[rule] = total.get(rule, 0) + count
    return dict(sorted(total.items()))
