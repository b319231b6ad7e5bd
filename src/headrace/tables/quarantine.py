"""One pass over a frame: rows that keep the contract, and rows that are set aside with the rule and the value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from headrace.errors import HeadraceError, did_you_mean
from headrace.tables.contract import keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.tables.contract import Column, Contract

_WIDER = {
    "Int64": (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32),
    "Float64": (pl.Float32, pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32),
    "String": (pl.Categorical, pl.Enum),
}
RULE, COLUMN, VALUE, BATCH = "_rule", "_column", "_value", "_batch"


@dataclass(frozen=True, slots=True)
class Split:
    """The rows that keep a contract, those that do not, and how many broke which rule first."""

    clean: pl.DataFrame
    quarantined: pl.DataFrame
    counts: Mapping[str, int]


def split(frame: pl.DataFrame, contract: type[Contract], *, table: str, batch: str | None = None) -> Split:
    """Set aside the rows that break a rule. Columns must be those of the contract (HR406, HR407), in any order.

    A quarantined row keeps its columns, and tells the first rule that it breaks, the column, the value as text, and the
    batch. Of rows that share a key the first one stays.
    """
    typed = conformed(frame, contract, table)
    checks = [check for column in contract.__columns__ for check in _checks(column)]
    names = keys(contract)
    if names:
        doubled = ~pl.struct(names).is_first_distinct()
        checks.append((f"{', '.join(names)} is unique", names[0], doubled))
    if not checks:
        return Split(typed, _with_reasons(typed.clear(), [], batch), {})
    broken = [condition.fill_null(value=False) for _, _, condition in checks]
    bad = typed.select(pl.any_horizontal(broken)).to_series()
    quarantined = _with_reasons(typed, checks, batch).filter(bad)
    counts = dict(quarantined.group_by(RULE).len().sort(RULE).iter_rows())
    return Split(typed.filter(~bad), quarantined, counts)


def conformed(frame: pl.DataFrame, contract: type[Contract], table: str) -> pl.DataFrame:
    """The columns of the contract, in its order and types; widening only. Raises HR406 (names) and HR407 (types)."""
    wanted = [column.name for column in contract.__columns__]
    for name in wanted:
        if name not in frame.columns:
            hint = did_you_mean(name, frame.columns)
            raise HeadraceError("HR406", f"{table} has no column {name!r}, which its contract names", fix=hint)
    extra = [name for name in frame.columns if name not in wanted]
    if extra:
        raise HeadraceError("HR408", f"{table} has columns that its contract does not name: {', '.join(extra)}")
    return frame.select(_cast(column, frame.schema[column.name], table) for column in contract.__columns__)


def _cast(column: Column, found: pl.DataType, table: str) -> pl.Expr:
    expression = pl.col(column.name)
    if column.type == "Datetime":
        if isinstance(found, pl.Datetime):
            zoned = expression if found.time_zone else expression.dt.replace_time_zone("UTC")
            return zoned.dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC"))
    elif found == getattr(pl, column.type) or found in _WIDER.get(column.type, ()):
        return expression.cast(getattr(pl, column.type))
    if found == pl.Null:
        return expression.cast(pl.Datetime("us", "UTC") if column.type == "Datetime" else getattr(pl, column.type))
    raise HeadraceError("HR407", f"{table}.{column.name} is {found}, and its contract says {column.type}")


def _checks(column: Column) -> list[tuple[str, str, pl.Expr]]:
    """Each rule of a column: its text, the column, and the expression that is true for a breach."""
    value, rules, name = pl.col(column.name), column.rules, column.name
    found: list[tuple[str, pl.Expr]] = []
    if not column.nullable:
        missing = value.is_null() | value.is_nan() if column.type == "Float64" else value.is_null()
        found.append((f"{name} is not null", missing))
    for word, symbol in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
        limit = getattr(rules, word)
        if limit is not None:
            found.append((f"{name} {symbol} {limit}", ~getattr(value, word)(limit)))
    if rules.isin is not None:
        found.append((f"{name} in {rules.isin}", ~value.is_in(list(rules.isin))))
    if rules.matches is not None:
        found.append((f"{name} matches {rules.matches}", ~value.str.contains(f"^(?:{rules.matches})$")))
    if rules.min_length is not None:
        found.append((f"{name} has at least {rules.min_length} characters", value.str.len_chars() < rules.min_length))
    if rules.max_length is not None:
        found.append((f"{name} has at most {rules.max_length} characters", value.str.len_chars() > rules.max_length))
    return [(text, name, condition) for text, condition in found]


def _with_reasons(
    frame: pl.DataFrame, checks: list[tuple[str, str, pl.Expr]], batch: str | None
) -> pl.DataFrame:
    """The frame with the first broken rule of each row, its column and its value as text, and the batch."""
    rule = column = value = pl.lit(None, pl.String)
    for text, name, condition in reversed(checks):
        hit = condition.fill_null(value=False)
        rule = pl.when(hit).then(pl.lit(text)).otherwise(rule)
        column = pl.when(hit).then(pl.lit(name)).otherwise(column)
        value = pl.when(hit).then(pl.col(name).cast(pl.String)).otherwise(value)
    return frame.with_columns(
        rule.alias(RULE), column.alias(COLUMN), value.alias(VALUE), pl.lit(batch, pl.String).alias(BATCH)
    )


def doubles(frame: pl.DataFrame, names: tuple[str, ...], batch: str | None) -> pl.DataFrame:
    """Rows that share their key with a row of an earlier batch, with that as the reason."""
    return frame.with_columns(
        pl.lit(f"{', '.join(names)} is unique").alias(RULE),
        pl.lit(names[0]).alias(COLUMN),
        pl.col(names[0]).cast(pl.String).alias(VALUE),
        pl.lit(batch, pl.String).alias(BATCH),
    )
