"""A view of an incremental table, grown: the rows of its base stay, and those that the table got since go behind them.

A row of a class of features is made of one row of the table, so that new rows of the table are all that a new version
has to look at, and all that it writes. Rows are read by visible time; those that arrive late, with a visible time among
the rows that are there, or right at the last of them, lie at the end all the same. A version says from which moment on
its rows are not in order (`unsettled`), and only what is visible from then on is sorted when it is read: as a row is
visible no earlier than it is known, that is most often the overlap of two batches. Of rows with the same times the keys
of the contract decide, which are stored for that (`_tie_0`); where there are none, the row that arrived later is newer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast

from headrace.features.moments import EVENT_TIME, TIE, VISIBLE_AT
from headrace.tables.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from headrace.ports.records import Facts, Manifest, Ref, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step

ROWS = "features"
"""The output of a version of a view."""

_MOST = 0.5
"""The share of rows that may be out of order: beyond it a version is made anew, in order."""


@dataclass(frozen=True, slots=True)
class Grown:
    """What a version adds: the rows of its table that are new, and what it goes behind."""

    base: Version
    rows: pl.LazyFrame

    @property
    def ref(self) -> Ref:
        """Where the rows of the base lie."""
        return self.base.manifest.outputs[ROWS]


def grown(step: Step, context: Context) -> Grown | None:
    """What is new since the base of a step; None where there is none, or its table is no longer its beginning.

    That is so where rows of the table changed or went away, and where the table of the base has been collected.
    """
    base = step.base
    if base is None or base.generation != step.generation:
        return None
    ((table, key),) = base.inputs
    before: Manifest | None = context.stores.manifests.get(key)
    if before is None:
        return None
    now = context.versions[table].manifest.outputs[TABLE]
    rows = context.stores.tables.added(now, before.outputs[TABLE])
    return None if rows is None else Grown(base, rows)


def facts_of(found: Grown, new: pl.DataFrame, entity: Sequence[str], stores: Stores) -> Facts | None:
    """What is known of a version that has grown; None where too many of its rows would be out of order.

    Also where the rows have other columns than those of the base.
    """
    import polars as pl

    facts = found.base.manifest.facts
    if {name: str(kind) for name, kind in new.schema.items()} != facts["stored"]:
        return None
    there = stores.tables.scan(found.ref)
    unsettled = _unsettled(facts, new)
    if unsettled is not None:
        late = pl.col(VISIBLE_AT) >= unsettled
        count = there.select(late.sum()).collect().item() + new.select(late.sum()).item()
        if count > _MOST * (facts["rows"] + new.height):
            return None
    names = [*entity]
    entities = pl.concat([there.select(names), new.lazy().select(names)]).unique().select(pl.len()).collect().item()
    ends = [facts[name] for name in ("first_visible", "last_visible") if facts[name] is not None]
    ends += [] if new.is_empty() else [cast("datetime", new[VISIBLE_AT][place]).isoformat() for place in (0, -1)]
    moments = sorted(map(datetime.fromisoformat, ends))
    return {
        **facts,
        "rows": facts["rows"] + new.height,
        "entities": entities,
        "first_visible": moments[0].isoformat() if moments else None,
        "last_visible": moments[-1].isoformat() if moments else None,
        "unsettled": None if unsettled is None else unsettled.isoformat(),
    }


def _unsettled(facts: Facts, new: pl.DataFrame) -> datetime | None:
    """From when on rows are out of order, once new rows lie behind those that there are."""
    before = None if facts["unsettled"] is None else datetime.fromisoformat(facts["unsettled"])
    if new.is_empty() or facts["last_visible"] is None:
        return before
    first = cast("datetime", new[VISIBLE_AT][0])
    if first > datetime.fromisoformat(facts["last_visible"]):
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
