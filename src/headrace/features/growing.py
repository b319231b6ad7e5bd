"""A view of an incremental table, grown: the rows of its base stay, and those that the table got since go behind them.

A row of a class of features is made of one row of the table, so that new rows of the table are all that a new version
has to look at, and all that it writes. Where rows of the table changed or went away, their keys tell which rows of the
view they are: these are left out, and the files that held them are written again.

Rows are read by visible time; those that arrive late, with a visible time among the rows that are there, or right at
the last of them, lie at the end all the same. A version says from which moment on its rows are not in order
(`unsettled`), and only what is visible from then on is sorted when it is read: as a row is visible no earlier than it
is known, that is most often the overlap of two batches. Of rows with the same times the keys of the contract decide,
which are stored for that (`_tie_0`); where there are none, the row that arrived later is newer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast

from headrace.features.moments import EVENT_TIME, TIE, VISIBLE_AT
from headrace.tables.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

    from headrace.ports.records import Facts, Manifest, Ref, Version
    from headrace.ports.stores import Difference, Stores
    from headrace.ports.work import Context, Step

ROWS = "features"
"""The output of a version of a view."""

_MOST = 0.5
"""The share of rows that may be out of order: beyond it a version is made anew, in order."""


@dataclass(frozen=True, slots=True)
class Grown:
    """What a version has else than its base: rows of the base that it leaves out, by number, and new ones."""

    base: Version
    less: Sequence[int]
    new: pl.DataFrame

    @property
    def ref(self) -> Ref:
        """Where the rows of the base lie."""
        return self.base.manifest.outputs[ROWS]

    def shared(self, stores: Stores) -> pl.LazyFrame:
        """The rows of the base that stay."""
        import polars as pl

        rows = stores.tables.scan(self.ref)
        if not self.less:
            return rows
        here = pl.int_range(pl.len()).is_in(pl.Series(self.less).implode())
        return rows.filter(~here)


def grown(step: Step, context: Context, rows: Callable[[pl.LazyFrame], pl.DataFrame]) -> Grown | None:
    """What is to be changed in the base of a step; `rows` makes rows of the view of rows of its table.

    None where there is no base, or its table has been collected or shares little with that of now; where rows of the
    table went away and no key says which rows of the view these are; and where the rows have other columns.
    """
    base, stores = step.base, context.stores
    if base is None or base.generation != step.generation:
        return None
    ((table, key),) = base.inputs
    before: Manifest | None = stores.manifests.get(key)
    if before is None:
        return None
    now = context.versions[table].manifest.outputs[TABLE]
    found = stores.tables.difference(now, before.outputs[TABLE])
    return None if found is None else _changed(base, found, rows, stores)


def _changed(
    base: Version, found: Difference, rows: Callable[[pl.LazyFrame], pl.DataFrame], stores: Stores
) -> Grown | None:
    """The same, of the rows in which the tables differ."""
    new = rows(found.new)
    if {name: str(kind) for name, kind in new.schema.items()} != base.manifest.facts.get("stored"):
        return None
    if found.gone is None:
        return Grown(base, (), new)
    ties = [name for name in new.columns if name.startswith(TIE)]
    gone = rows(found.gone)
    if not ties or gone.schema != new.schema:
        return None
    gone, new = (
        one.join(other, on=new.columns, how="anti", nulls_equal=True, maintain_order="left")
        for one, other in ((gone, new), (new, gone))
    )
    there = stores.tables.scan(base.manifest.outputs[ROWS]).select(ties).with_row_index("_place")
    places = there.join(gone.lazy().select(ties), on=ties, how="semi").select("_place").collect()
    return Grown(base, sorted(places["_place"].to_list()), new)


def facts_of(found: Grown, entity: Sequence[str], stores: Stores) -> Facts | None:
    """What is known of a version that has grown; None where too many of its rows would be out of order."""
    import polars as pl

    facts, new = found.base.manifest.facts, found.new
    there = found.shared(stores).select(*entity, VISIBLE_AT)
    last = there.select(pl.col(VISIBLE_AT).max()).collect().item()
    unsettled = _unsettled(facts, last, new)
    every = pl.concat([there, new.lazy().select(*entity, VISIBLE_AT)])
    late = pl.lit(value=False) if unsettled is None else pl.col(VISIBLE_AT) >= unsettled
    told = every.select(
        pl.len().alias("rows"),
        pl.struct(*entity).n_unique().alias("entities"),
        pl.col(VISIBLE_AT).min().alias("first_visible"),
        pl.col(VISIBLE_AT).max().alias("last_visible"),
        late.sum().alias("late"),
    )
    (known,) = told.collect().to_dicts()
    if known.pop("late") > _MOST * known["rows"]:
        return None
    moments = {"unsettled": unsettled, **{name: known[name] for name in ("first_visible", "last_visible")}}
    return {**facts, **known, **{name: each and each.isoformat() for name, each in moments.items()}}


def _unsettled(facts: Facts, last: datetime | None, new: pl.DataFrame) -> datetime | None:
    """From when on rows are out of order, once new rows lie behind those that there are, up to `last`."""
    before = None if facts["unsettled"] is None else datetime.fromisoformat(facts["unsettled"])
    if new.is_empty() or last is None:
        return before
    first = cast("datetime", new[VISIBLE_AT][0])
    if first > last:
        return before
    return first if before is None else min(first, before)


def settled(rows: pl.LazyFrame, facts: Facts) -> pl.LazyFrame:
    """The rows of a version in order, without what only the order needs."""
    import polars as pl

    ties = [name for name in facts.get("stored", ()) if name.startswith(TIE)]
    if facts.get("unsettled") is not None:
        late = pl.col(VISIBLE_AT) >= datetime.fromisoformat(facts["unsettled"])
        order = (VISIBLE_AT, EVENT_TIME, *ties)
        rows = pl.concat([rows.filter(~late), rows.filter(late).sort(*order, maintain_order=True)])
    return rows.drop(ties)
