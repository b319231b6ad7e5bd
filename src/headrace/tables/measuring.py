"""What the rules of a whole table measure: all of them in one pass over its rows."""

from __future__ import annotations

from math import isnan, log
from typing import TYPE_CHECKING, Any, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from headrace.tables.measures import Measure

FLOOR: Final = 1e-4
"""The share that counts for an empty cell, as in `monitors.distances`: without it one would make PSI infinite."""
_CELLS: Final = 10
_CATEGORIES: Final = 50
_MICROSECONDS: Final = 1e6


def measured(rows: pl.LazyFrame, measures: Iterable[Measure]) -> dict[str, float | None]:
    """The value of each measure by its name, those that are relative left out; None where there is no value at all."""
    wanted = {each.name: each for each in measures if not each.relative}
    if not wanted:
        return {}
    types = rows.collect_schema()
    row = rows.select(_expression(each, types).alias(name) for name, each in wanted.items()).collect(engine="streaming")
    return {
        name: None if value is None or isnan(value) else float(value) for name, value in row.row(0, named=True).items()
    }


def _expression(measure: Measure, types: Mapping[str, pl.DataType]) -> pl.Expr:
    if measure.of is None:
        return pl.len()
    column = pl.col(measure.of)
    if measure.kind in _MEASURED:
        return _MEASURED[measure.kind](column, measure.argument)
    found: pl.Expr = getattr(column, measure.kind)()
    return found.dt.epoch("us") / _MICROSECONDS if isinstance(types[measure.of], pl.Datetime) else found


def _age(column: pl.Expr, behind: Any) -> pl.Expr:  # noqa: ANN401 - the name of a column, or a moment
    newest = pl.col(behind).max() if isinstance(behind, str) else pl.lit(behind)
    return (newest - column.max()).dt.total_microseconds() / _MICROSECONDS


_MEASURED: Final[Mapping[str, Callable[[pl.Expr, Any], pl.Expr]]] = {
    "nulls": lambda column, _: column.null_count() / pl.len(),
    "share": lambda column, value: (column == pl.lit(value)).sum() / pl.len(),
    "distinct": lambda column, _: column.drop_nulls().n_unique(),
    "quantile": lambda column, level: column.quantile(float(level), interpolation="lower"),
    "age": _age,
}


def psi(column: str, rows: pl.LazyFrame, before: pl.LazyFrame) -> float | None:
    """The population stability index of a column of `rows` against `before`: the sum of (a - e) ln(a / e).

    Numbers are counted between the deciles of `before`, other values one by one, of many values all but the 50 most
    frequent ones together. No value is a cell of its own. None where one side has no rows.
    """
    if before.collect_schema()[column].is_numeric():
        counts = _numbers(column, (before, rows))
    else:
        counts = _categories(column, (before, rows))
    sums = [sum(each) for each in counts]
    if not all(sums):
        return None
    shares = [(e / sums[0], a / sums[1]) for e, a in zip(*counts, strict=True)]
    pairs = [(max(e, FLOOR), max(a, FLOOR)) for e, a in shares if e or a]
    return sum(((a - e) * log(a / e) for e, a in pairs), 0.0)


def _numbers(column: str, sides: Sequence[pl.LazyFrame]) -> list[list[int]]:
    levels = [cell / _CELLS for cell in range(1, _CELLS)]
    value = pl.col(column)
    found = sides[0].select(value.quantile(levels, interpolation="lower").alias(column)).collect(engine="streaming")
    listed = found.get_column(column)
    edges = listed.explode() if isinstance(listed.dtype, pl.List) else listed
    cells = sorted(set(edges.drop_nulls().to_list()))
    below = [(value <= edge).sum().alias(str(place)) for place, edge in enumerate(cells)]
    counts = []
    for side in sides:
        *up_to, present, nulls = (
            side.select(*below, value.count().alias("present"), value.null_count().alias("nulls"))
            .collect(engine="streaming")
            .row(0)
        )
        steps = [*up_to, present]
        counts.append([more - less for less, more in zip([0, *steps], steps, strict=False)] + [nulls])
    return counts


def _categories(column: str, sides: Sequence[pl.LazyFrame]) -> list[list[int]]:
    tables = [dict(side.group_by(column).len().collect(engine="streaming").iter_rows()) for side in sides]
    often = sorted(tables[0], key=lambda value: (-tables[0][value], str(value)))[:_CATEGORIES]
    return [
        [*(table.get(value, 0) for value in often), sum(table.values()) - sum(table.get(value, 0) for value in often)]
        for table in tables
    ]
