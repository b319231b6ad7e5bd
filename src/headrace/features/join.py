"""The point-in-time join: each label row with what was visible strictly before its cut-off, and nothing later.

Windows are differences of running sums at two moments, found by two as-of joins: exact for counts, integers and
booleans; for floats the error is that of a running sum in double precision (about 1e-16 of the sum of magnitudes).
Both sides are always sorted first: an as-of join of unsorted rows is silently wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from headrace.features.visibility import MOMENT, VISIBLE, in_order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from headrace.features.aggregates import Aggregate
    from headrace.features.view import JoinSpec

_ROW, _CUT, _SHIFTED = "_row", "_cut", "_shifted"


def point_in_time(
    labels: pl.DataFrame, joins: Sequence[tuple[JoinSpec, pl.LazyFrame]], *, cutoff: str
) -> pl.DataFrame:
    """Add the feature columns of each view to the label rows, which stay as they are, all of them, in their order.

    Args:
        labels: n rows, with the entity columns that each join names, and the cut-off.
        joins: Each view, how it is joined, and the rows of one version of it.
        cutoff: The column with the moment of each row's prediction, Datetime in UTC. A null sees nothing.

    Returns:
        n rows: the columns of `labels`, then those of each join, prefixed as it says.
    """
    found = labels
    for spec, rows in joins:
        found = found.hstack(_features(labels, spec, rows.collect(), cutoff))
    return found


def _features(labels: pl.DataFrame, spec: JoinSpec, rows: pl.DataFrame, cutoff: str) -> pl.DataFrame:
    """The columns of one join, in the order of the label rows."""
    entity = list(spec.view.entity)
    probes = labels.select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias(_ROW),
        pl.col(cutoff).cast(MOMENT).alias(_CUT),
        *(pl.col(column).alias(name) for column, name in zip(spec.on, entity, strict=True)),
    )
    asked = probes.drop_nulls()
    known = in_order(rows.drop_nulls(entity).lazy()).collect()
    if spec.view.windows:
        values = _windows(asked, known, entity, spec.view.windows)
    else:
        values = _last(asked, known, entity, spec.view.features, spec.view.ttl)
    complete = probes.select(_ROW).join(values, on=_ROW, how="left", maintain_order="left").drop(_ROW)
    return complete.rename({name: f"{spec.prefix}{name}" for name in complete.columns})


def _as_of(probes: pl.DataFrame, known: pl.DataFrame, entity: list[str], at: str) -> pl.DataFrame:
    """For each probe the last row of its entity that was visible strictly before `at`."""
    return probes.sort(at).join_asof(
        known,
        left_on=at,
        right_on=VISIBLE,
        by=entity,
        strategy="backward",
        allow_exact_matches=False,
        coalesce=False,
        check_sortedness=False,  # both sides were sorted just now; with `by` it cannot be checked, and warns
    )


def _last(
    asked: pl.DataFrame, known: pl.DataFrame, entity: list[str], names: Sequence[str], ttl: timedelta | None
) -> pl.DataFrame:
    """The features of the last visible row, null where its time to live is over."""
    found = _as_of(asked, known.select(*entity, VISIBLE, *names), entity, _CUT)
    if ttl is not None:
        fresh = pl.col(VISIBLE) >= pl.col(_CUT) - ttl
        found = found.with_columns(pl.when(fresh).then(pl.col(name)).otherwise(None).alias(name) for name in names)
    return found.select(_ROW, *names)


def _windows(
    asked: pl.DataFrame, known: pl.DataFrame, entity: list[str], windows: Sequence[tuple[str, Aggregate]]
) -> pl.DataFrame:
    running = _running(known, entity, windows)
    now = _as_of(asked, running, entity, _CUT)
    found = {None: now.sort(_ROW)}
    for length in {aggregate.over for _, aggregate in windows if aggregate.over is not None}:
        earlier = asked.with_columns((pl.col(_CUT) - length).alias(_SHIFTED))
        found[length] = _as_of(earlier, running, entity, _SHIFTED).sort(_ROW)
    columns = [_value(name, aggregate, found) for name, aggregate in windows]
    return found[None].select(_ROW).with_columns(columns)


def _running(known: pl.DataFrame, entity: list[str], windows: Sequence[tuple[str, Aggregate]]) -> pl.DataFrame:
    """Running counts and sums of each entity, in the order of visibility."""
    expressions = [pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(entity).alias("_n")]
    for column in sorted({each.column for _, each in windows if each.column is not None}):
        value = _number(known, column)
        if value is not None:
            expressions.append(value.fill_null(0).cum_sum().over(entity).alias(f"_sum_{column}"))
            expressions.append(value.is_not_null().cast(pl.Int64).cum_sum().over(entity).alias(f"_has_{column}"))
        expressions.append(pl.col(column).alias(f"_last_{column}"))
    return known.select(*entity, VISIBLE, *expressions)


def _number(known: pl.DataFrame, column: str) -> pl.Expr | None:
    """A column as something that can be summed, with NaN as null; None for what cannot be."""
    kind = known.schema[column]
    if kind.is_float():
        return pl.col(column).cast(pl.Float64).fill_nan(None)
    if kind.is_integer() or kind == pl.Boolean:
        return pl.col(column).cast(pl.Int64)
    return None


def _value(name: str, aggregate: Aggregate, found: dict[timedelta | None, pl.DataFrame]) -> pl.Series:
    now = found[None]
    before = found.get(aggregate.over) if aggregate.over is not None else None
    if aggregate.kind == "count":
        return _difference(now, before, "_n").alias(name)
    if aggregate.kind == "latest":
        return _latest(now, aggregate).alias(name)
    total = _difference(now, before, f"_sum_{aggregate.column}")
    if aggregate.kind == "total":
        return total.alias(name)
    has = _difference(now, before, f"_has_{aggregate.column}")
    frame = pl.DataFrame({"total": total, "has": has})
    return frame.select(pl.when(pl.col("has") > 0).then(pl.col("total") / pl.col("has")).alias(name)).to_series()


def _difference(now: pl.DataFrame, before: pl.DataFrame | None, column: str) -> pl.Series:
    present = now.get_column(column).fill_null(0)
    return present if before is None else present - before.get_column(column).fill_null(0)


def _latest(now: pl.DataFrame, aggregate: Aggregate) -> pl.Series:
    value = pl.col(f"_last_{aggregate.column}")
    if aggregate.over is None:
        return now.select(value).to_series()
    fresh = pl.col(VISIBLE) >= pl.col(_CUT) - aggregate.over
    return now.select(pl.when(fresh).then(value)).to_series()


