"""One pass over a frame: rows that keep the contract, and rows that are set aside with the rules and the values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from headrace.tables.breaches import BATCH, BETWEEN, COLUMN, RULE, VALUE, Split
from headrace.tables.conform import conformed, dtype_of
from headrace.tables.rules import LIMITS, whole
from headrace.tables.uniqueness import set_doubles_aside

if TYPE_CHECKING:
    from headrace.tables.contract import Column, Contract


@dataclass(frozen=True, slots=True)
class Check:
    """One rule: its text, its column, and the expression that is true for a breach."""

    text: str
    column: str
    breach: pl.Expr


def split(
    frame: pl.LazyFrame | pl.DataFrame, contract: type[Contract], *, table: str, batch: str | None = None
) -> Split:
    """Set aside the rows that break a contract.

    A quarantined row keeps its columns, and tells the rules that it breaks (`_rule`), their columns (`_column`), the
    values there as text (`_value`), each joined by "; " in the same order, and the batch that it came from (`_batch`).
    Of the rows that keep all other rules and share a key, or a value that is to be unique, the first one stays.

    Args:
        frame: The rows, with exactly the columns of the contract, in any order.
        contract: The contract.
        table: What the rows are called in an error.
        batch: The batch that they came from.

    Raises:
        HeadraceError: HR406 for a missing column, HR407 for a wrong type, HR408 for a column too many.
    """
    single = keep_rows(frame, contract, table=table, batch=batch)
    return set_doubles_aside([single], [batch], contract)[0]


def keep_rows(
    frame: pl.LazyFrame | pl.DataFrame, contract: type[Contract], *, table: str, batch: str | None = None
) -> Split:
    """What `split` does, by the rules that look at one row only."""
    typed = conformed(frame.lazy().collect(), contract, table)
    checks = [check for column in contract.__columns__ for check in _checks(column)]
    broken = typed.select(check.breach.fill_null(value=False).alias(str(n)) for n, check in enumerate(checks))
    sums = broken.sum().row(0) if checks else ()
    counts = {check.text: int(count) for check, count in zip(checks, sums, strict=True) if count}
    if not counts:
        return Split(_without_nan(typed, contract), _reasons(typed.clear(), [], batch), {})
    bad = broken.select(pl.any_horizontal(pl.all())).to_series()
    hits = broken.filter(bad).get_columns()
    met = [(check, hit) for check, hit in zip(checks, hits, strict=True) if check.text in counts]
    return Split(_without_nan(typed.filter(~bad), contract), _reasons(typed.filter(bad), met, batch), counts)


def _without_nan(frame: pl.DataFrame, contract: type[Contract]) -> pl.DataFrame:
    """Clean rows say in one way only that there is no number: null."""
    floats = [each.name for each in contract.__columns__ if each.type == "Float64" and each.nullable]
    return frame.with_columns(pl.col(floats).fill_nan(None)) if floats else frame


def _checks(column: Column) -> list[Check]:
    """The rules of a column. A null breaks none of them but the one that forbids it."""
    rules, name = column.rules, column.name
    value = pl.col(name).fill_nan(None) if column.type == "Float64" else pl.col(name)
    found: list[tuple[str, pl.Expr]] = []
    if not column.nullable:
        found.append(("is not null", value.is_null()))
    for word, symbol in LIMITS.items():
        limit = getattr(rules, word)
        if limit is not None:
            found.append((f"{symbol} {_spelled(limit)}", ~getattr(value, word)(pl.lit(limit, dtype_of(column)))))
    if rules.isin is not None:
        allowed = pl.Series(list(rules.isin), dtype=dtype_of(column))
        found.append((f"in {_listed(rules.isin)}", ~value.is_in(allowed.implode())))
    if rules.matches is not None:
        found.append((f"matches {rules.matches}", ~value.str.contains(whole(rules.matches))))
    if rules.min_length is not None:
        found.append((f"has at least {rules.min_length} characters", value.str.len_chars() < rules.min_length))
    if rules.max_length is not None:
        found.append((f"has at most {rules.max_length} characters", value.str.len_chars() > rules.max_length))
    return [Check(f"{name} {text}", name, breach) for text, breach in found]


def _listed(values: tuple[Any, ...]) -> str:
    return "(" + ", ".join(repr(each) if isinstance(each, str) else _spelled(each) for each in values) + ")"


def _spelled(value: object) -> str:
    """A value as the user wrote it: the limit 0 of a float is 0, not 0.0."""
    return f"{value:.0f}" if isinstance(value, float) and value == int(value) else str(value)


def _reasons(aside: pl.DataFrame, hits: list[tuple[Check, pl.Series]], batch: str | None) -> pl.DataFrame:
    """The rows with why they were set aside: each check with a truth value for each row."""
    broken = [(check, pl.when(pl.lit(hit))) for check, hit in hits]
    values = [when.then(pl.col(check.column).cast(pl.String).fill_null("null")) for check, when in broken]
    return aside.with_columns(
        _joined([when.then(pl.lit(check.text)) for check, when in broken]).alias(RULE),
        _joined([when.then(pl.lit(check.column)) for check, when in broken]).alias(COLUMN),
        _joined(values).alias(VALUE),
        pl.lit(batch, pl.String).alias(BATCH),
    )


def _joined(texts: list[Any]) -> pl.Expr:
    return pl.concat_str(texts, separator=BETWEEN, ignore_nulls=True) if texts else pl.lit(None, pl.String)
