"""How a table grows: new batches come, old ones change or go away, and what is left is what a rebuild would have made.

Rows that share a key are settled again only where a batch that came or went has one of them. For that, every row that
could be in the table is kept: those that lost lie beside it, the newest (or the first) of a batch and a key before the
others of it, so that the next best of them can take the place of a row that goes away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from headrace.ports.mappings import changed
from headrace.tables.breaches import BATCH, RULE, added, counted
from headrace.tables.layout import Layout, Run
from headrace.tables.picking import among, near, numbers, only
from headrace.tables.repeated import repeated
from headrace.tables.shape import Shape, settled
from headrace.tables.uniqueness import with_reason
from headrace.tables.upsert import ROW, superseded

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from headrace.ports.records import Facts, Json
    from headrace.ports.stores import Draft
    from headrace.tables.breaches import Split
    from headrace.tables.mending import Mending

Sizes = dict[str | None, dict[str, Any]]
_NONE: np.ndarray = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Before:
    """What a table grows from: the facts and rows of the base, and those of its batches that changed or went away."""

    facts: Facts
    clean: pl.LazyFrame
    aside: pl.LazyFrame | None
    superseded: pl.LazyFrame | None
    gone: frozenset[str] = frozenset()

    @property
    def layout(self) -> Layout:
        """How its clean rows lie."""
        return Layout.from_json(self.facts["layout"])


@dataclass(slots=True)
class Delta:
    """What changes of one output: rows of the base that go, by number, and rows that come."""

    rows: pl.DataFrame | Draft
    less: np.ndarray = field(default_factory=lambda: _NONE)


@dataclass(slots=True)
class Grown:
    """A table under construction: what changes of each output, how the rows lie, and what each batch came to.

    `pieces` are how many of the new rows lie together, and `places` where each of them goes among those of the base.
    """

    clean: Delta
    layout: Layout
    pieces: Sequence[int]
    aside: Delta | None
    superseded: Delta | None
    sizes: Mapping[str | None, Mapping[str, Any]]
    new_aside: int
    places: Sequence[int] = ()
    mended: Mapping[str, Json] = field(default_factory=dict)
    left_out: Collection[str] = ()


def grown(
    splits: Sequence[Split],
    batches: Sequence[str | None],
    shape: Shape,
    before: Before | None = None,
    mending: Mending | None = None,
) -> Grown | None:
    """Add batches, checked row by row, to what is left of a base; None where only a rebuild can tell what stays.

    That is where several columns are unique each for itself, or rows were mended, and a row shares a value with one
    that is there. Rows are mended where everything is made from the beginning, or where nothing else comes.
    """
    settle = partial(settled, shape=shape)
    gone = None
    if mending is not None and before is not None and before.aside is not None:
        onto = mending.onto(before.clean.head(0).collect(), before.aside.with_row_index(ROW).collect(), settle)
        splits, batches, lost, gone = onto.parts, onto.batches, onto.lost, onto.gone
    else:
        splits, lost = settle(splits, batches)
        if mending is not None:
            splits, batches, lost = mending.mended(splits, batches, lost, settle)
    making = _Making(shape, splits, batches, lost)
    if before is not None:
        making.leave_out(before)
        if gone is not None:
            making.let_mended_go(gone)
        if not making.settle(before):
            return None
    made = making.done(before)
    made.mended = {} if mending is None else mending.told
    return made


class _Making:
    """The parts of a table while they are put together."""

    def __init__(
        self, shape: Shape, splits: Sequence[Split], batches: Sequence[str | None], lost: Sequence[pl.DataFrame]
    ) -> None:
        self.shape = shape
        self.clean = [(batch, split.clean) for batch, split in zip(batches, splits, strict=True)]
        self.aside = [split.quarantined for split in splits]
        self.lost = list(lost)
        self.sizes: Sizes = {
            batch: {
                "rows": split.clean.height,
                "quarantined": split.quarantined.height,
                "rules": dict(split.counts),
                "superseded": lost[place].height if lost else 0,
            }
            for place, (batch, split) in enumerate(zip(batches, splits, strict=True))
        }
        self.kept: Mapping[str, Facts] = {}
        self.less = {"clean": _NONE, "aside": _NONE, "superseded": _NONE}
        self.mended = _NONE
        self.again = 0

    def leave_out(self, before: Before) -> None:
        """Take the batches out that changed or went away."""
        self.kept = before.facts["batches"]
        if not before.gone:
            return
        self.less["clean"] = before.layout.of_batches(before.gone)
        for output, rows in (("aside", before.aside), ("superseded", before.superseded)):
            if rows is not None:
                gone = rows.select(BATCH).with_row_index(ROW).filter(pl.col(BATCH).is_in(sorted(before.gone)))
                self.less[output] = numbers(gone.collect())

    def let_mended_go(self, rows: pl.DataFrame) -> None:
        """Take rows out that were set aside, and are mended by what comes: none that stays depends on them."""
        self.mended = numbers(rows)
        for (batch,), part in rows.partition_by(BATCH, as_dict=True).items():
            name = str(batch)
            self.count(name, "quarantined", -part.height)
            rules = self.sizes[name]["rules"]
            for rule, count in counted(part, rules).items():
                rules[rule] -= count

    def settle(self, before: Before) -> bool:
        """Settle what rows of the base share with rows that came or went; answers whether that could be done."""
        groups = self.shape.groups
        if not self.shape.simple:
            return not any(self._shared(before, names) for names in groups)
        if groups:
            _Settling(self, before, groups[0]).settle()
        return True

    def losers(self, before: Before, names: tuple[str, ...] | None = None) -> list[tuple[str, pl.LazyFrame]]:
        """The rows of the base that lost, numbered, by the output that they lie in."""
        rules = [rule.text for rule in self.shape.rules if names in (None, rule.names)]
        found = []
        if before.superseded is not None:
            found.append(("superseded", before.superseded.with_row_index(ROW)))
        if before.aside is not None and rules:
            found.append(("aside", before.aside.with_row_index(ROW).filter(pl.col(RULE).is_in(rules))))
        return found

    def touched(self, before: Before, names: tuple[str, ...]) -> pl.LazyFrame:
        """The values that rows share which came or went: of every row that could be in the table."""
        came = [rows.select(names) for _, rows in self.clean]
        texts = [rule.text for rule in self.shape.rules]
        if texts:
            came += [rows.filter(pl.col(RULE).is_in(texts)).select(names) for rows in self.aside]
        came += [rows.select(names) for rows in self.lost]
        went = [only(before.clean.select(names), self.less["clean"]).select(names)]
        for output, rows in self.losers(before):
            went.append(rows.filter(among(self.less[output])).select(names))
        return pl.concat([*(rows.lazy() for rows in came), *went]).drop_nulls().unique()

    def _shared(self, before: Before, names: tuple[str, ...]) -> bool:
        touched = self.touched(before, names).collect()
        for output, rows in [("clean", before.clean.with_row_index(ROW)), *self.losers(before)]:
            close = near(rows.select(ROW, *names), touched)
            met = close.join(touched.lazy(), on=list(names), how="semi").collect()
            gone = np.union1d(self.less[output], self.mended if output == "aside" else _NONE)
            if len(np.setdiff1d(numbers(met), gone)):
                return True
        return False

    def count(self, batch: str | None, what: str, by: int, rule: str | None = None) -> None:
        """Correct what a batch came to."""
        if batch is not None and batch not in self.sizes:
            of = self.kept[batch]
            self.sizes[batch] = {**of, "rules": dict(of.get("rules", {}))}
        sizes = self.sizes[batch]
        sizes[what] = sizes.get(what, 0) + by
        if rule is not None:
            sizes["rules"][rule] = sizes["rules"].get(rule, 0) + by

    def done(self, before: Before | None) -> Grown:
        """Everything put together."""
        shape = self.shape
        clean, aside, lost = self.clean, self.aside, self.lost
        if before is not None and not clean:
            clean = [(None, before.clean.head(0).collect())]
        if before is not None and before.aside is not None and not aside:
            aside = [before.aside.head(0).collect()]
        if before is not None and before.superseded is not None and not lost:
            lost = [before.superseded.head(0).collect()]
        rows, added_runs = _arranged(clean, shape)
        layout = Layout() if before is None else before.layout
        return Grown(
            clean=Delta(rows, self.less["clean"]),
            layout=layout.changed(self.less["clean"], added_runs),
            pieces=added_runs.pieces(),
            aside=Delta(pl.concat(aside), np.union1d(self.less["aside"], self.mended))
            if shape.contract is not None
            else None,
            superseded=Delta(pl.concat(lost), self.less["superseded"]) if shape.upsert is not None else None,
            sizes=self._sizes(() if before is None else before.gone),
            new_aside=sum(rows.height for rows in self.aside) - self.again,
            places=layout.places(added_runs),
        )

    def _sizes(self, gone: Collection[str]) -> Mapping[str | None, Mapping[str, Any]]:
        made = {batch: _tidy(of) for batch, of in self.sizes.items()}
        return made if None in made else changed(self.kept, made, gone)  # type: ignore[return-value, arg-type]


class _Settling:
    """Which row of each touched key stays, of those that came and those that are there."""

    def __init__(self, making: _Making, before: Before, names: tuple[str, ...]) -> None:
        self._making = making
        self._before = before
        self._names = names
        self._upsert = making.shape.upsert
        self._order = [] if self._upsert is None else [self._upsert.order]
        self._wanted = [*dict.fromkeys((*names, *self._order))]

    def settle(self) -> None:
        """Move rows between the table and those that lost."""
        making, before = self._making, self._before
        touched = making.touched(before, self._names).collect()
        old = self._met(before.clean.with_row_index(ROW), touched, "clean")
        old = old.with_columns(pl.Series(BATCH, before.layout.batches_at(old.get_column(ROW).to_numpy()), pl.String))
        [(output, rows)] = making.losers(before, self._names)
        lost = self._met(rows, touched, output)
        if old.is_empty() and lost.is_empty():
            return
        contenders = self._contenders(old, lost)
        beaten = repeated(contenders, self._names)
        stays, goes = contenders.filter(~beaten), contenders.filter(beaten)
        self._let_go(goes, lost, output)
        self._bring_back(stays.filter(pl.col("_kind") == 1), output)

    def _met(self, rows: pl.LazyFrame, touched: pl.DataFrame, output: str) -> pl.DataFrame:
        """The rows of the base that have a touched key, less those that go with their batch."""
        columns = [ROW, *self._wanted] if output == "clean" else [ROW, *self._wanted, BATCH]
        close = near(rows.select(columns), touched)
        met = close.join(touched.lazy(), on=self._names, how="semi").collect()
        gone = self._making.less[output]
        return met.filter(~among(gone)) if len(gone) else met

    def _contenders(self, old: pl.DataFrame, lost: pl.DataFrame) -> pl.DataFrame:
        """The rows that may stay, the best of each key first: there already (0), among those that lost (1), new (2)."""
        met = pl.concat([old, lost.select(old.columns)]).select(self._names).unique()
        parts = [(old, 0, -1), (lost, 1, -1)]
        for place, (batch, rows) in enumerate(self._making.clean):
            new = rows.select(self._wanted).with_row_index(ROW).with_columns(pl.lit(batch, pl.String).alias(BATCH))
            parts.append((new.join(met, on=self._names, how="semi"), 2, place))
        everything = pl.concat(
            [
                rows.select(ROW, *self._wanted, BATCH).with_columns(_kind=pl.lit(kind), _place=pl.lit(place))
                for rows, kind, place in parts
            ]
        )
        descending = [*(True for _ in self._order), self._upsert is not None, False, False]
        return everything.sort([*self._order, BATCH, "_kind", ROW], descending=descending, nulls_last=True)

    def _let_go(self, goes: pl.DataFrame, lost: pl.DataFrame, output: str) -> None:
        """Let rows go out of the table: of the base, and of what came. They go before what their batch lost already."""
        making, before = self._making, self._before
        gone = goes.filter(pl.col("_kind") == 0)
        if gone.height:
            rows = only(before.clean, numbers(gone)).collect()
            rows = rows.join(gone.select(ROW, BATCH), on=ROW, how="left", maintain_order="left")
            making.less["clean"] = np.union1d(making.less["clean"], numbers(gone))
            for (batch,), part in rows.partition_by(BATCH, as_dict=True, maintain_order=True).items():
                self._lose(part.drop(ROW, BATCH), None if batch is None else str(batch), output)
            self._move_behind(gone, lost, output)
        for (place,), part in goes.filter(pl.col("_kind") == 2).partition_by("_place", as_dict=True).items():  # noqa: PLR2004
            batch, rows = making.clean[int(place)]
            left = np.ones(rows.height, dtype=np.bool_)
            left[numbers(part)] = False
            making.clean[int(place)] = (batch, rows.filter(pl.Series(left)))
            self._lose(rows.filter(pl.Series(~left)), batch, output)

    def _lose(self, rows: pl.DataFrame, batch: str | None, output: str) -> None:
        """Lay rows beside the table, before those of the same batch that came."""
        making = self._making
        making.count(batch, "rows", -rows.height)
        if output == "superseded":
            making.lost.insert(0, superseded(rows, batch))
            making.count(batch, "superseded", rows.height)
        else:
            rule = next(each for each in making.shape.rules if each.names == self._names)
            making.aside.insert(0, with_reason(rows, rule, batch))
            making.count(batch, "quarantined", rows.height, rule.text)

    def _move_behind(self, gone: pl.DataFrame, lost: pl.DataFrame, output: str) -> None:
        """Lay what the same batches had lost of the same keys behind the rows that they lose now."""
        making = self._making
        on = [BATCH, *self._names]
        moved = lost.join(gone.select(on), on=on, how="semi", nulls_equal=True).sort(ROW)
        if moved.is_empty():
            return
        found = only(self._lost_rows(output), numbers(moved)).collect().drop(ROW)
        making.less[output] = np.union1d(making.less[output], numbers(moved))
        (making.lost if output == "superseded" else making.aside).append(found)
        making.again += found.height if output == "aside" else 0

    def _lost_rows(self, output: str) -> pl.LazyFrame:
        rows = self._before.superseded if output == "superseded" else self._before.aside
        if rows is None:
            message = f"the base has no {output}"
            raise RuntimeError(message)
        return rows

    def _bring_back(self, best: pl.DataFrame, output: str) -> None:
        """Let rows that had lost take their place in the table."""
        making = self._making
        if best.is_empty():
            return
        found = only(self._lost_rows(output), numbers(best)).collect()
        making.less[output] = np.union1d(making.less[output], numbers(best))
        columns = making.clean[0][1].columns if making.clean else [*self._before.facts["columns"]]
        rule = None if output == "superseded" else next(r.text for r in making.shape.rules if r.names == self._names)
        for (batch,), part in found.partition_by(BATCH, as_dict=True, maintain_order=True).items():
            name = None if batch is None else str(batch)
            making.clean.append((name, part.select(columns)))
            making.count(name, "rows", part.height)
            making.count(name, "superseded" if rule is None else "quarantined", -part.height, rule)


def _arranged(parts: Sequence[tuple[str | None, pl.DataFrame]], shape: Shape) -> tuple[pl.DataFrame, Layout]:
    """The rows as they will lie, partition by partition and batch by batch, and how they do."""
    rows = pl.concat([part for _, part in parts])
    if shape.partition is None:
        return rows, Layout().plus(Run(batch, part.height) for batch, part in parts)
    names = shape.partition.names(rows, shape.name)
    places = np.repeat(np.arange(len(parts)), [part.height for _, part in parts])
    order = pl.DataFrame({"partition": names, "place": places}).with_row_index(ROW).sort("partition", "place", ROW)
    runs = order.group_by("partition", "place", maintain_order=True).len()
    found = Layout().plus(Run(parts[place][0], count, partition) for partition, place, count in runs.iter_rows())
    return rows[order.get_column(ROW)], found


def _tidy(sizes: Mapping[str, Any]) -> dict[str, Any]:
    """What a batch came to, without what it has none of."""
    rules = added([{rule: count for rule, count in sizes["rules"].items() if count}])
    more = {"superseded": sizes["superseded"]} if sizes.get("superseded") else {}
    return {
        "rows": sizes["rows"],
        "quarantined": sizes["quarantined"],
        **more,
        **({"rules": rules} if rules else {}),
    }
