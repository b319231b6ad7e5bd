"""One pass over a frame: rows that keep the contract, and rows that are set aside with the rules and the values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from headrace.tables.breaches import BATCH, BETWEEN, COLUMN, RULE, VALUE, Split
from headrace.tables.compiled import broken
from headrace.tables.conform import conformed
from headrace.tables.rules import QUARANTINE, WARN, answer_of
from headrace.tables.statements import statements
from headrace.tables.uniqueness import set_doubles_aside

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.tables.contract import Contract
    from headrace.tables.statements import Statement

_NONE: Mapping[str, pl.Series] = {}


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of one row: its text, its column or columns, and the expression that is true for a breach, never null.

    `on_breach` says what a breach does, where it is not what the table says; `refers`: it asks for the key of a table.
    """

    text: str
    column: str
    breach: pl.Expr
    value: pl.Expr
    on_breach: str | None = None
    needed: bool = False
    refers: bool = False

    def answer(self, table: str) -> str:
        """What a breach does, where the table answers `table`: "quarantine", "fail" or "warn" (the row stays)."""
        return answer_of(self.on_breach, table, needed=self.needed)


def checks(contract: type[Contract], known: Mapping[str, pl.Series] = _NONE) -> list[Check]:
    """The rules of one row. `known` holds, for each column that references another table, the keys of that table."""
    floats = [each.name for each in contract.__columns__ if each.type == "Float64"]
    return [check_of(each, floats, known) for each in statements(contract)]


def check_of(statement: Statement, floats: Sequence[str], known: Mapping[str, pl.Series]) -> Check:
    """A rule of one row for Polars. NaN in one of the columns `floats` is no value."""
    names = statement.names
    if statement.references is None:
        breach = broken(statement.says, pl, floats)
    else:
        breach = ~pl.col(names[0]).is_in(known[names[0]].implode(), nulls_equal=False).fill_null(value=True)
    texts = [pl.col(name).cast(pl.String).fill_null("null") for name in names]
    value = texts[0] if len(texts) == 1 else pl.concat_str(texts, separator=", ")
    refers = statement.references is not None
    return Check(statement.text, ", ".join(names), breach, value, statement.on_breach, statement.needed, refers)


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
    frame: pl.LazyFrame | pl.DataFrame,
    contract: type[Contract],
    *,
    table: str,
    batch: str | None = None,
    known: Mapping[str, pl.Series] = _NONE,
    answer: str = QUARANTINE,
) -> Split:
    """What `split` does, by the rules that look at one row only.

    `known` holds the keys of the tables that are referenced, by column. `answer` is what a breach does where the rule
    does not say: a row that breaks none but rules that warn stays. It counts for them like any other.
    """
    typed = conformed(frame.lazy().collect(), contract, table)
    return asked_by(typed, checks(contract, known), contract, batch=batch, answer=answer)


def asked_by(
    typed: pl.DataFrame, found: Sequence[Check], contract: type[Contract], *, batch: str | None, answer: str
) -> Split:
    """Rows of a contract, split by these of its rules alone."""
    if not found:
        return Split(_without_nan(typed, contract, answer), _reasons(typed.clear(), [], batch), {})
    masks = typed.select(check.breach.alias(str(n)) for n, check in enumerate(found))
    sums = masks.sum().row(0)
    hits = [(check, mask) for check, mask, count in zip(found, masks.get_columns(), sums, strict=True) if count]
    counts = {check.text: int(mask.sum()) for check, mask in hits}
    bad = [mask for check, mask in hits if check.answer(answer) != WARN]
    if not bad:
        return Split(_without_nan(typed, contract, answer), _reasons(typed.clear(), [], batch), counts)
    aside = pl.select(pl.any_horizontal(bad)).to_series()
    met = [(check, mask.filter(aside)) for check, mask in hits]
    clean = _without_nan(typed.filter(~aside), contract, answer)
    return Split(clean, _reasons(typed.filter(aside), met, batch), counts)


def _without_nan(frame: pl.DataFrame, contract: type[Contract], answer: str) -> pl.DataFrame:
    """Clean rows say in one way only that there is no number: null."""
    floats = [
        each.name
        for each in contract.__columns__
        if each.type == "Float64"
        and (each.nullable or answer_of(each.rules.on_breach, answer, needed=each.key) == WARN)
    ]
    return frame.with_columns(pl.col(floats).fill_nan(None)) if floats else frame


def _reasons(aside: pl.DataFrame, hits: list[tuple[Check, pl.Series]], batch: str | None) -> pl.DataFrame:
    """The rows with why they were set aside: each check with a truth value for each row."""
    broken = [(check, pl.when(pl.lit(hit))) for check, hit in hits]
    return aside.with_columns(
        _joined([when.then(pl.lit(check.text)) for check, when in broken]).alias(RULE),
        _joined([when.then(pl.lit(check.column)) for check, when in broken]).alias(COLUMN),
        _joined([when.then(check.value) for check, when in broken]).alias(VALUE),
        pl.lit(batch, pl.String).alias(BATCH),
    )


def _joined(texts: list[Any]) -> pl.Expr:
    return pl.concat_str(texts, separator=BETWEEN, ignore_nulls=True) if texts else pl.lit(None, pl.String)
