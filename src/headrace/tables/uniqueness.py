"""Rows that share a key, or a value that is to be unique, with an earlier row: over all batches, in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from headrace.tables.breaches import BATCH, BETWEEN, COLUMN, RULE, VALUE, Split, added, told
from headrace.tables.repeated import repeated
from headrace.tables.rules import FAIL, QUARANTINE, WARN, answer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.tables.contract import Contract


@dataclass(frozen=True, slots=True)
class Unique:
    """Columns whose values, taken together, no two rows share. Rows with a null in one of them are left out."""

    text: str
    names: tuple[str, ...]
    on_breach: str | None = None
    key: bool = False

    def answer(self, table: str) -> str:
        """What a breach does, where the table answers `table`: "quarantine", "fail" or "warn" (all rows stay)."""
        return answer_of(self.on_breach, table, needed=self.key)

    def later(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that come after another one of the same values."""
        present = rows.drop_nulls(self.names)
        return present.filter(repeated(present, self.names))


def unique_rules(contract: type[Contract]) -> list[Unique]:
    """What is unique by the contract: the key first, then single columns, in order."""
    together = tuple(each.name for each in contract.__columns__ if each.key)
    said = [each.rules.on_breach for each in contract.__columns__ if each.key and each.rules.on_breach]
    of_key = [Unique(_text(together), together, FAIL if FAIL in said else next(iter(said), None), key=True)]
    single = [each for each in contract.__columns__ if each.rules.unique and (each.name,) != together]
    return [
        *(of_key if together else ()),
        *(Unique(_text((each.name,)), (each.name,), each.rules.on_breach) for each in single),
    ]


def _text(names: tuple[str, ...]) -> str:
    return f"{', '.join(names)} is unique"


def set_doubles_aside(
    parts: Sequence[Split],
    batches: Sequence[str | None],
    contract: type[Contract],
    answer: str = QUARANTINE,
    settled: tuple[str, ...] = (),
) -> list[Split]:
    """Of rows that share what is to be unique, keep the first one: in the first part that has one, by its order.

    The rules are applied one after the other, each to the rows that the rules before it have kept; those that only
    warn come last, and keep all rows. `answer` is what a breach does where a rule does not say; the columns in
    `settled` are unique already.
    """
    declared = [rule for rule in unique_rules(contract) if rule.names != settled]
    rules = sorted(declared, key=lambda rule: rule.answer(answer) == WARN)
    names = list(dict.fromkeys(name for rule in rules for name in rule.names))
    if not names or not parts:
        return list(parts)
    left = pl.concat([part.clean.select(names) for part in parts]).with_row_index("_row")
    broken = np.full(left.height, -1, dtype=np.int64)
    warned: list[tuple[Unique, np.ndarray]] = []
    for number, rule in enumerate(rules):
        later = rule.later(left)
        if later.height and rule.answer(answer) == WARN:
            warned.append((rule, later.get_column("_row").to_numpy()))
        elif later.height:
            broken[later.get_column("_row").to_numpy()] = number
            left = left.join(later.select("_row"), on="_row", how="anti", maintain_order="left")
    if left.height == len(broken) and not warned:
        return list(parts)
    ends = np.cumsum([part.clean.height for part in parts])
    pieces = np.split(broken, ends[:-1])
    counts = [
        {rule.text: int(np.diff(np.searchsorted(places, [begin, end])).item()) for rule, places in warned}
        for begin, end in zip([0, *ends], ends, strict=False)
    ]
    return [
        _set_aside(Split(part.clean, part.quarantined, added([part.counts, more])), batch, piece, rules)
        for part, batch, piece, more in zip(parts, batches, pieces, counts, strict=True)
    ]


def _set_aside(part: Split, batch: str | None, broken: np.ndarray, rules: Sequence[Unique]) -> Split:
    """One part without its doubles. `broken` has, for each clean row, the number of the rule it breaks, or -1."""
    aside = [part.quarantined]
    counts = {}
    for number, rule in enumerate(rules):
        rows = part.clean.filter(pl.Series(broken == number))
        if rows.height:
            counts[rule.text] = rows.height
            aside.append(with_reason(rows, rule, batch))
    clean = part.clean.filter(pl.Series(broken < 0)) if counts else part.clean
    return Split(clean, pl.concat(aside), added([part.counts, counts]))


def with_reason(rows: pl.DataFrame, rule: Unique, batch: str | None) -> pl.DataFrame:
    """Rows that are set aside for a rule."""
    return rows.with_columns(
        pl.lit(rule.text).alias(RULE),
        pl.lit(", ".join(rule.names)).alias(COLUMN),
        _values(rule.names).alias(VALUE),
        pl.lit(batch, pl.String).alias(BATCH),
    )


def with_doubles(aside: pl.LazyFrame, clean: pl.LazyFrame, contract: type[Contract]) -> pl.LazyFrame:
    """Rows that were set aside, each told as well where a clean row has its key, or a value that is to be unique.

    Asked when they are looked at: which rows are clean changes with each batch, and what was set aside stays.
    """
    there = set(aside.collect_schema()) & set(clean.collect_schema())
    for rule in unique_rules(contract):
        if there.issuperset(rule.names):
            names = list(rule.names)
            taken = clean.select(names).join(aside.select(names), on=names, how="semi").unique()
            hits = taken.with_columns(pl.lit(value=True).alias("_hit"))
            joined = aside.join(hits, on=names, how="left", maintain_order="left")
            new = pl.col("_hit").fill_null(value=False) & ~told(rule.text)
            texts = {RULE: pl.lit(rule.text), COLUMN: pl.lit(", ".join(names)), VALUE: _values(names)}
            more = [
                pl.when(new).then(pl.concat_str([column, text], separator=BETWEEN)).otherwise(column).alias(column)
                for column, text in texts.items()
            ]
            aside = joined.with_columns(more).drop("_hit")
    return aside


def _values(names: Sequence[str]) -> pl.Expr:
    return pl.concat_str([pl.col(name).cast(pl.String) for name in names], separator=", ")
