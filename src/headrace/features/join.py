"""The point-in-time join: for each label row what was visible of its entity strictly before its cut-off.

Every label row comes out once, in its place. A row whose cut-off is null, or whose entity is null, has null for every
feature: nobody can say what was visible. An entity of which nothing is visible has no rows (see `aggregates`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError, did_you_mean
from headrace.features.asked import Asked
from headrace.features.grouping import Prints, printed, together
from headrace.features.moments import VISIBLE_AT, moment
from headrace.features.windows import Labels, Layout, Sight, Window, microseconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl

    from headrace.features.aggregates import Aggregate
    from headrace.features.grouping import Hashes
    from headrace.features.windows import Positions


@dataclass(frozen=True, slots=True)
class ViewRows:
    """The rows of one view, ready to be joined.

    `rows` hold the entity, `_visible_at`, and the columns that the features are made of. They may stand in any order
    of visible time; of rows of one entity that became visible at the same moment, the later one counts as newer.
    `on` are the columns of the labels that name the entity, in the order of `entity`. A column of the result is named
    `prefix` plus the name of the feature. `name` is for messages.
    """

    name: str
    rows: pl.LazyFrame | pl.DataFrame
    entity: tuple[str, ...]
    on: tuple[str, ...]
    features: Mapping[str, Aggregate]
    prefix: str = ""

    def columns(self) -> tuple[str, ...]:
        """The names of the columns that the join adds."""
        return tuple(self.prefix + name for name in self.features)


def point_in_time(labels: pl.LazyFrame | pl.DataFrame, views: Sequence[ViewRows], *, cutoff: str) -> pl.DataFrame:
    """The label rows, each with the features that were visible strictly before its cut-off.

    Args:
        labels: One row for each label, in any order.
        views: What to join. Their features become columns, after those of the labels.
        cutoff: The column of the labels that holds the cut-off.

    Returns:
        Exactly one row for each label row, in the same order.

    Raises:
        HeadraceError: HR452 for a column that the labels lack, HR453 for entities of different types, HR454 for a
            name that appears twice, HR455 for a cut-off that is no time, HR456 for a total beyond 64 bits.
    """
    import polars as pl

    frame = labels.lazy().collect()
    _refuse_missing((cutoff,), frame, "the cut-off")
    _refuse_doubles(frame.columns, views)
    time = frame.select(moment(cutoff, frame.schema[cutoff], what="the cut-off")).to_series().to_physical()
    found = [column for view in views for column in _features(frame, time.cast(pl.Int64), view)]
    return frame.with_columns(found)


def _features(labels: pl.DataFrame, cutoffs: pl.Series, view: ViewRows) -> Iterator[pl.Series]:
    """The columns of one view. `cutoffs` are microseconds."""
    import polars as pl

    _refuse_missing(view.on, labels, f"the entity of {view.name}")
    kinds = _common_kinds(labels, view)
    named = zip(view.on, kinds.items(), strict=True)
    theirs = labels.select(pl.col(column).cast(kind).alias(name) for column, (name, kind) in named)
    known = (cutoffs.is_not_null() & theirs.select(pl.all_horizontal(pl.all().is_not_null())).to_series()).to_numpy()
    prints, times = Prints.of(theirs), cutoffs.fill_null(0).to_numpy()
    some = slice(None) if known.all() else known
    entity = [pl.col(name).cast(kind) for name, kind in kinds.items()]
    with ThreadPoolExecutor(1) as aside:
        order = aside.submit(together, prints)
        seen = _seen(view, entity, (prints.first[some], times[some]))
        rows = _sorted(view, printed(entity), seen)
    sight = Sight(Layout(rows, Prints.read(rows)), Labels(prints, times, known), order.result())
    windows = {over: Window(sight, over) for over in {each.over for each in view.features.values()}}
    for name, each in view.features.items():
        yield each.measure(windows[each.over]).alias(view.prefix + name)


def _seen(view: ViewRows, entity: Sequence[pl.Expr], labels: tuple[Hashes, Positions]) -> pl.Expr | None:
    """Which rows labels may see, by the hashes of their entities and their cut-offs.

    None for all, where a feature is counted in a unit that each of them has a part in.
    """
    kinds = view.rows.lazy().collect_schema()
    features = view.features.values()
    if any(each.column is not None and each.scaled(kinds[each.column]) for each in features):
        return None
    overs = [each.over for each in features]
    longest = None if None in overs else max((microseconds(over) for over in overs if over is not None), default=0)
    return Asked(*labels, longest).rows(entity, _time(view))


def in_order(view: ViewRows) -> pl.DataFrame:
    """The rows by visible time, with what names their entities."""
    import polars as pl

    return _sorted(view, {name: pl.col(name) for name in view.entity})


def _sorted(view: ViewRows, whose: Mapping[str, pl.Expr], seen: pl.Expr | None = None) -> pl.DataFrame:
    """The rows by visible time; what is sorted already, as stored rows are, is not sorted again.

    They have the columns that the features are made of, and those that say `whose` they are. Of all rows, those `seen`.
    """
    import polars as pl

    values = {each.column: pl.col(each.column) for each in view.features.values() if each.column}
    found = view.rows.lazy() if seen is None else view.rows.lazy().filter(seen)
    rows = found.select(**{**whose, **values, VISIBLE_AT: _time(view)}).collect()
    rows = rows.rechunk()  # one piece: rows are gathered from it
    times = rows.get_column(VISIBLE_AT)
    if times.null_count() or not times.is_sorted():
        return rows.filter(pl.col(VISIBLE_AT).is_not_null()).sort(VISIBLE_AT, maintain_order=True)
    return rows


def _time(view: ViewRows) -> pl.Expr:
    """When a row became visible, in microseconds."""
    kind = view.rows.lazy().collect_schema()[VISIBLE_AT]
    return moment(VISIBLE_AT, kind, what=f"the visible time of {view.name}", up=True)


def _common_kinds(labels: pl.DataFrame, view: ViewRows) -> dict[str, pl.DataType]:
    """The types in which the entities of the rows and those of the labels are compared, by the names of the view."""
    schema = view.rows.lazy().collect_schema()
    found = {}
    for name, column in zip(view.entity, view.on, strict=True):
        kinds = schema[name], labels.schema[column]
        kind = _common(*kinds)
        if kind is None:
            what = f"{column!r} of the labels is {kinds[1]}, {name!r} of {view.name} is {kinds[0]}"
            raise HeadraceError("HR453", what)
        found[name] = kind
    return found


def _common(ours: pl.DataType, theirs: pl.DataType) -> pl.DataType | None:
    """The type as which two columns that name an entity are compared; None where they cannot be."""
    import polars as pl

    if ours.is_integer() and theirs.is_integer():
        wide = (pl.UInt64, pl.Int128, pl.UInt128)
        return pl.Int128() if ours in wide or theirs in wide else pl.Int64()
    texts = (pl.String, pl.Categorical, pl.Enum)
    if ours in texts and theirs in texts:
        return pl.String()
    return ours if ours == theirs else None


def _refuse_missing(names: Sequence[str], labels: pl.DataFrame, what: str) -> None:
    for name in names:
        if name not in labels.columns:
            fix = did_you_mean(name, labels.columns)
            raise HeadraceError("HR452", f"{what}: the labels have no column {name!r}", fix=fix[:1].upper() + fix[1:])


def _refuse_doubles(labels: Sequence[str], views: Sequence[ViewRows]) -> None:
    owner = dict.fromkeys(labels, "the labels")
    for view in views:
        for name in view.columns():
            if name in owner:
                raise HeadraceError("HR454", f"{view.name} gives a column {name!r}, and so do {owner[name]}")
            owner[name] = f"the features of {view.name}"
