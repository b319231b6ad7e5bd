"""What is known of rows that break a contract: the columns that are added to them, and how they are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


def told(rule: str) -> pl.Expr:
    """Whether a row that was set aside breaks this rule."""
    said = pl.concat_str([pl.lit(BETWEEN), pl.col(RULE), pl.lit(BETWEEN)])
    return said.str.contains(f"{BETWEEN}{rule}{BETWEEN}", literal=True)


def counted(aside: pl.DataFrame, rules: Iterable[str]) -> dict[str, int]:
    """How many rows that were set aside break each of these rules; one that breaks several counts for each."""
    texts = list(rules)
    if not texts:
        return {}
    sums = aside.select(told(text).sum().alias(str(place)) for place, text in enumerate(texts)).row(0)
    return {text: int(count) for text, count in zip(texts, sums, strict=True) if count}
