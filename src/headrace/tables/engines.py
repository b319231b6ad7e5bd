"""A contract over frames outside of a pipeline, of whatever library: `check(Departure, frame)`.

Frames that lie in memory (Polars, pandas, Arrow) go through the rules of a pipeline. Those that an engine computes when
it is asked (DuckDB, Spark, Ibis) are asked through Narwhals: the rules go to the engine, and the counts come back.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import HeadraceError, did_you_mean
from headrace.tables.compiled import broken
from headrace.tables.expressions import Expression
from headrace.tables.rules import QUARANTINE, WARN, answer_of
from headrace.tables.statements import statements
from headrace.tables.uniqueness import unique_rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from headrace.tables.contract import Contract
    from headrace.tables.statements import Statement

_INTEGERS: Final = ("Int64", "Int32", "Int16", "Int8", "UInt32", "UInt16", "UInt8")
_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "String": ("String", "Categorical", "Enum"),
    "Int64": _INTEGERS,
    "Float64": ("Float64", "Float32", *_INTEGERS[1:]),
    "Boolean": ("Boolean",),
    "Datetime": ("Datetime",),
    "Date": ("Date",),
}
_BAD, _NTH = "_headrace_bad", "_headrace_nth"


@dataclass(frozen=True, slots=True)
class Report:
    """What a contract says of a frame: how many rows it has, how many of them broke which rule, and which these are.

    `broken` holds the rows that break a rule, those that only warn left aside, as a frame of the library that was
    given; an engine computes them when they are asked for. `unasked` are rules that were not asked: references whose
    table was not given, and rules of the whole table, which are about what is published.
    """

    rows: int
    counts: Mapping[str, int]
    broken: Any
    unasked: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every rule that was asked is kept."""
        return not self.counts


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked: the contract, its rules, and the frames of the tables that it references, by column."""

    contract: type[Contract]
    rules: Sequence[Statement]
    others: Mapping[str, Any]
    unasked: tuple[str, ...]

    def key_of(self, column: str) -> str:
        """The column of the referenced table that holds its key."""
        table = _referenced(self.contract)[column]
        return next(str(each.name) for each in table.contract.__columns__ if each.key)


def check(contract: type[Contract], frame: object, **references: object) -> Report:
    """Ask the rules of rows of a contract of a frame outside of a pipeline: ``check(Departure, frame)``.

    Args:
        contract: The contract.
        frame: A frame of Polars, pandas, Arrow, DuckDB, Spark, Ibis: rows with exactly the columns of the contract.
        **references: For a column that references another table, a frame that holds the key of that table.

    Raises:
        HeadraceError: HR406 to HR408 for columns that do not fit, HR438 for no frame, HR439 for another column.
    """
    import narwhals as nw

    declared = _referenced(contract)
    for name in references:
        if name not in declared:
            raise HeadraceError("HR439", f"check({contract.__name__}, ..., {name}=...): {did_you_mean(name, declared)}")
    every = statements(contract)
    asked = [each for each in every if each.references is None or each.names[0] in references]
    unasked = [each.text for each in every if each not in asked] + [each.text for each in contract.__whole__]
    others = {column: _frame(other) for column, other in references.items()}
    found, what = _frame(frame), _Asked(contract, asked, others, tuple(unasked))
    return _of_memory(what, found) if isinstance(found, nw.DataFrame) else _of_engine(what, found)


def _referenced(contract: type[Contract]) -> dict[str, Any]:
    """The table that each column with a reference names, by column."""
    return {each.name: each.rules.references for each in contract.__columns__ if each.rules.references is not None}


def _frame(frame: object) -> Any:  # noqa: ANN401 - a frame of Narwhals, of either kind
    import narwhals as nw

    try:
        return nw.from_native(frame)
    except TypeError as error:
        kind = type(frame)
        raise HeadraceError("HR438", f"{kind.__module__}.{kind.__qualname__}") from error


def _of_memory(asked: _Asked, frame: Any) -> Report:  # noqa: ANN401 - a frame of Narwhals
    """The broken rows are taken out of the frame as it was given, in their order."""
    import polars as pl

    from headrace.tables.conform import conformed
    from headrace.tables.quarantine import check_of

    contract = asked.contract
    rows = conformed(_as_declared(frame.to_polars(), contract), contract, contract.__name__, exactly=True)
    floats = [each.name for each in contract.__columns__ if each.type == "Float64"]
    known = {column: _in_memory(other).get_column(asked.key_of(column)) for column, other in asked.others.items()}
    checks = [check_of(each, floats, known) for each in asked.rules]
    masks = rows.select(each.breach.alias(str(n)) for n, each in enumerate(checks)).get_columns()
    counts = {each.text: int(mask.sum()) for each, mask in zip(checks, masks, strict=True) if mask.any()}
    stop = [mask for each, mask in zip(checks, masks, strict=True) if each.answer(QUARANTINE) != WARN]
    bad = functools.reduce(operator.or_, stop, pl.repeat(value=False, n=rows.height, eager=True))
    for rule in sorted(unique_rules(contract), key=lambda each: each.answer(QUARANTINE) == WARN):
        later = rule.later(rows.with_row_index(_NTH).filter(~bad)).get_column(_NTH)
        if len(later):
            counts[rule.text] = len(later)
            if rule.answer(QUARANTINE) != WARN:
                bad = bad | pl.arange(rows.height, eager=True).is_in(later.cast(pl.Int64).implode())
    return Report(rows.height, dict(sorted(counts.items())), frame.filter(bad.to_list()).to_native(), asked.unasked)


def _in_memory(frame: Any) -> pl.DataFrame:  # noqa: ANN401 - a frame of Narwhals, of either kind
    import narwhals as nw

    found: pl.DataFrame = (frame if isinstance(frame, nw.DataFrame) else frame.collect("polars")).to_polars()
    return found


def _as_declared(frame: pl.DataFrame, contract: type[Contract]) -> pl.DataFrame:
    """What pandas lost of the types: numbers with a gap are floats, days are moments, no value is an object."""
    import polars as pl

    wanted = {each.name: each.type for each in contract.__columns__}
    found = []
    for values in frame.get_columns():
        present = values.fill_nan(None).drop_nulls() if values.dtype.is_float() else values.drop_nulls()
        if present.is_empty() and values.dtype == pl.String:
            found.append(values.cast(pl.Null))
        elif (
            values.dtype == pl.Float64
            and wanted.get(values.name) == "Int64"
            and bool((present == present.floor()).all())
        ):
            found.append(values.fill_nan(None).cast(pl.Int64))
        elif isinstance(values.dtype, pl.Datetime) and wanted.get(values.name) == "Date" and _are_days(present):
            found.append(values.cast(pl.Date))
        else:
            found.append(values)
    return pl.DataFrame(found)


def _are_days(moments: pl.Series) -> bool:
    """Whether moments are days, which pandas has no type for."""
    return getattr(moments.dtype, "time_zone", None) is None and bool((moments == moments.dt.truncate("1d")).all())


def _of_engine(asked: _Asked, frame: Any) -> Report:  # noqa: ANN401 - a frame of Narwhals
    """One query for all counts, and one for the rows, when they are asked for.

    An engine knows no order of rows: which one of those that share a value is told does not follow the order of the
    frame, how many are does.
    """
    import narwhals as nw

    schema = {name: str(kind) for name, kind in frame.collect_schema().items()}
    _refuse_columns(schema, asked.contract)
    floats = [each.name for each in asked.contract.__columns__ if schema[each.name].startswith("Float")]
    naive = {name for name, kind in schema.items() if kind.startswith("Datetime") and "time_zone=None" in kind}
    flags = [f"_headrace_{n}" for n in range(len(asked.rules))]
    marked = frame
    for flag, each in zip(flags, asked.rules, strict=True):
        if each.references is None:
            marked = marked.with_columns(broken(_zoned(each.says, naive), nw, floats).alias(flag))
        else:
            marked = _marked_strangers(marked, asked, each.names[0], flag)
    answers = [answer_of(each.on_breach, QUARANTINE, needed=each.needed) for each in asked.rules]
    stop = [nw.col(flag) for flag, answer in zip(flags, answers, strict=True) if answer != WARN]
    marked = marked.with_columns((nw.any_horizontal(*stop, ignore_nulls=True) if stop else nw.lit(False)).alias(_BAD))  # noqa: FBT003 - a literal
    texts = [each.text for each in asked.rules]
    for rule in sorted(unique_rules(asked.contract), key=lambda each: each.answer(QUARANTINE) == WARN):
        flag = f"_headrace_{len(flags)}"
        present = functools.reduce(operator.and_, [~nw.col(name).is_null() for name in rule.names])
        nth = nw.col(rule.names[0]).cum_count().over(*rule.names, _BAD, order_by=list(schema))
        marked = marked.with_columns(nth.alias(_NTH))
        marked = marked.with_columns((~nw.col(_BAD) & present & (nw.col(_NTH) > 1)).alias(flag))
        if rule.answer(QUARANTINE) != WARN:
            marked = marked.with_columns((nw.col(_BAD) | nw.col(flag)).alias(_BAD))
        flags, texts = [*flags, flag], [*texts, rule.text]
    sums = [nw.col(flag).cast(nw.Int64).sum().alias(flag) for flag in flags]
    row = marked.select(nw.len().alias(_NTH), *sums).collect("polars").to_polars().row(0)
    counts = {text: int(count) for text, count in zip(texts, row[1:], strict=True) if count}
    rows = marked.filter(nw.col(_BAD)).select(*schema)
    return Report(int(row[0]), dict(sorted(counts.items())), rows.to_native(), asked.unasked)


def _refuse_columns(schema: Mapping[str, str], contract: type[Contract]) -> None:
    """Raise HR406 to HR408 where the columns of an engine's frame are not those of the contract."""
    name = contract.__name__
    wanted = {each.name: each.type for each in contract.__columns__}
    for column, kind in wanted.items():
        if column not in schema:
            raise HeadraceError("HR406", f"{name}: there is no column {column!r}: {did_you_mean(column, schema)}")
        if schema[column].partition("(")[0] not in _KINDS[kind]:
            raise HeadraceError("HR407", f"{name}.{column} is {schema[column]}, and the contract says {kind}")
    extra = [column for column in schema if column not in wanted]
    if extra:
        raise HeadraceError("HR408", f"{name}: there are columns that it does not name: {', '.join(extra)}")


def _zoned(expression: Expression, naive: set[str]) -> Expression:
    """An expression whose moments have no zone, where a column that it is about has none: that is UTC."""
    if not naive.intersection(expression.columns()):
        return expression

    def plain(value: Any) -> Any:  # noqa: ANN401 - a part of an expression
        if isinstance(value, Expression):
            return _zoned_all(value)
        if isinstance(value, tuple):
            return tuple(plain(each) for each in value)
        return value.replace(tzinfo=None) if isinstance(value, datetime) else value

    def _zoned_all(found: Expression) -> Expression:
        return Expression(found.operation, tuple(plain(each) for each in found.parts))

    return _zoned_all(expression)


def _marked_strangers(frame: Any, asked: _Asked, column: str, flag: str) -> Any:  # noqa: ANN401 - frames of Narwhals
    """The frame, with whether the value of a column is none of the keys that it refers to."""
    import narwhals as nw

    keys = _in_memory(asked.others[column]).get_column(asked.key_of(column)).unique().to_list()
    stranger = ~nw.col(column).is_in(keys) if keys else ~nw.col(column).is_null()
    return frame.with_columns(stranger.fill_null(False).alias(flag))  # noqa: FBT003 - positional in Narwhals
