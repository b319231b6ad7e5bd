"""A large table in one streaming pass: the rows of the function are checked and counted as they come.

Clean rows and those that are set aside are poured into drafts, whose files become those of the table. A file that the
table has as it is is only linked. Of what is to be unique only hashes are kept. Where two of them are equal, the rows
themselves are compared, in a second pass.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from headrace.ports.mappings import pieced
from headrace.tables.breaches import added
from headrace.tables.frames import failed, is_failure
from headrace.tables.growing import Delta, Grown
from headrace.tables.layout import Layout, Run
from headrace.tables.linking import is_given, scan, warned
from headrace.tables.making import refuse_other_columns
from headrace.tables.newest import Newest
from headrace.tables.rules import WARN
from headrace.tables.seen import Seen
from headrace.tables.spilling import Spill
from headrace.tables.uniqueness import with_reason
from headrace.tables.upsert import PART, superseded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from headrace.graph.node import RowsNode
    from headrace.ports.records import Facts
    from headrace.ports.stores import Draft, RowsFile
    from headrace.ports.work import Context
    from headrace.sources.source import Source
    from headrace.tables.making import Recipe
    from headrace.tables.partitions import Partition
    from headrace.tables.shape import Shape
    from headrace.tables.uniqueness import Unique

_CHUNK = 200_000
"""Rows that are looked at together."""
_STEP = 50_000
"""Rows that are poured once more together."""
_BYTES_OF_A_CELL = 16
_LARGE = 16
"""Inputs of more than one part in so many of the memory that may be used are poured."""
_SETTLED = 4
"""New batches up to so many times as large are settled with their base rather than made once more with all others."""


def is_large(inputs: Iterable[Facts], batches: Sequence[str] | None, memory: int) -> bool:
    """Whether the rows of these inputs, or of some batches, are too many to be in memory at once.

    That is told by the facts of their versions.
    """
    cells = 0
    for facts in inputs:
        rows = facts.get("rows", 0) if batches is None else sum(facts["batches"][batch]["rows"] for batch in batches)
        cells += rows * len(facts.get("schema", ()))
    return bool(cells * _BYTES_OF_A_CELL > memory // _LARGE)


def can_be_settled(taken: Sequence[RowsNode], batches: Sequence[str], context: Context) -> bool:
    """Whether new batches, though poured where that suffices, are few enough rows to be settled with others at once."""
    facts = [context.versions[each.name].manifest.facts for each in taken]
    return not is_large(facts, batches, _SETTLED * context.memory)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the function is called with: the batch (None: all rows), a frame for each input.

    `files` hold the rows of the only frame, where a table may have such files as they are.
    """

    batch: str | None
    frames: Sequence[pl.LazyFrame]
    files: Sequence[RowsFile] = ()


def large_inputs(taken: Sequence[RowsNode], batches: Sequence[str] | None, context: Context) -> list[Inputs] | None:
    """The inputs of the function, once for all rows, or for each of the batches of a source; None for few rows."""
    if not is_large([context.versions[each.name].manifest.facts for each in taken], batches, context.memory):
        return None
    if batches is None:
        frames = [each.read(context.versions[each.name], context.stores) for each in taken]
        return [Inputs(None, frames, _files(taken[0], None, context) if len(taken) == 1 else ())]
    source = cast("Source", taken[0])
    found = source.read_batches(context.versions[source.name], context.stores, batches)
    return [Inputs(batch, [frame], _files(source, batch, context)) for batch, frame in found]


def _files(node: RowsNode, batch: str | None, context: Context) -> list[RowsFile]:
    """The files that hold the rows of a source as they are read: of one batch, or of all."""
    from headrace.sources.source import Source

    if not isinstance(node, Source):
        return []
    return node.files(context.versions[node.name], context.stores, None if batch is None else [batch]) or []


def poured(recipe: Recipe, shape: Shape, batches: Sequence[Inputs], context: Context) -> Grown:
    """A table of batches."""
    scratch = context.stores.artefacts.scratch()
    try:
        pouring = Pouring(recipe, shape, context.stores.tables.draft, Scratch(scratch, context.memory))
        for number, inputs in enumerate(batches):
            context.progress(number, len(batches))
            pouring.pour(inputs)
        context.progress(len(batches), len(batches))
        made = pouring.done()
        made.left_out = recipe.left_out
        return made
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Scratch:
    """A folder for what is too much for memory, and how much memory may be used."""

    folder: Path
    memory: int


@dataclass(slots=True)
class _Came:
    """What came of one batch so far."""

    rows: int = 0
    aside: int = 0
    older: int = 0
    counts: dict[str, int] = field(default_factory=dict)


class Pouring:
    """A table that is made from nothing, batch by batch. `draft` makes drafts by name."""

    def __init__(self, recipe: Recipe, shape: Shape, draft: Callable[[str], Draft], scratch: Scratch) -> None:
        self._recipe, self._shape, self._draft, self._scratch = recipe, shape, draft, scratch
        self._clean, self._aside = draft(shape.name), draft(f"{shape.name}.quarantine")
        self._newest: Newest | None = None
        self._older: Draft | None = None
        if shape.upsert is not None:
            self._newest = Newest(shape.upsert, scratch.folder / "keys", scratch.memory)
            self._older = draft(f"{shape.name}.superseded")
        self._came: dict[str | None, _Came] = {}
        rules = sorted(shape.rules, key=lambda rule: rule.answer(shape.answer) == WARN)
        folders = [scratch.folder / str(place) for place in range(len(rules))]
        self._seen = {rule: Seen(rule.names, folder, self._so_far) for rule, folder in zip(rules, folders, strict=True)}

    def pour(self, inputs: Inputs) -> None:
        """Call the function, and take its rows. Raises what `Recipe.rows` raises, and HR414."""
        self._came[inputs.batch] = _Came()
        result = self._recipe.asked(inputs.frames)
        laid = self._newest is None and self._shape.partition is None
        if not laid or not inputs.files or not is_given(result, inputs.frames[0]):
            self._take(result, inputs.batch)
            return
        for file in inputs.files:
            if not self._linked(file, inputs.batch):
                self._take(scan(file.path), inputs.batch)

    def _linked(self, file: RowsFile, batch: str | None) -> bool:
        """Take a file as it is, if it can be taken so."""
        counts = warned(file.path, self._recipe)
        if counts is None or not self._clean.link(file):
            return False
        rows = scan(file.path)
        for names, seen in ((list(rule.names), seen) for rule, seen in self._seen.items()):
            for chunk in rows.select(names).collect_batches(chunk_size=_CHUNK, maintain_order=True):
                seen.add(chunk)
        self._aside.add(self._recipe.checked(rows.head(0).collect(), batch).quarantined)
        self._add(batch, file.rows, 0, counts)
        return True

    def _take(self, result: pl.LazyFrame, batch: str | None) -> None:
        """Take rows, those that break the contract aside."""
        for chunk in self._chunks(result):
            split = self._recipe.checked(chunk, batch)
            if self._clean.columns:
                refuse_other_columns(self._shape.name, self._clean.schema, split.clean, (next(iter(self._came)), batch))
            self._put(split.clean)
            self._aside.add(split.quarantined)
            self._add(batch, split.clean.height, split.quarantined.height, split.counts)

    def _so_far(self) -> pl.LazyFrame:
        return self._clean.lazy()

    def _put(self, rows: pl.DataFrame) -> None:
        """Take clean rows: where the newest of a key stays, until all are there."""
        if self._newest is not None:
            self._newest.add(rows)
        else:
            for seen in self._seen.values():
                seen.add(rows)
        self._clean.add(rows)

    def _add(self, batch: str | None, rows: int, aside: int, counts: Mapping[str, int]) -> None:
        came = self._came[batch]
        came.rows += rows
        came.aside += aside
        came.counts = added([came.counts, counts])

    def done(self) -> Grown:
        """The table, doubles set aside."""
        if self._newest is not None:
            self._supersede(self._newest)
        doubled = {rule: found for rule, seen in self._seen.items() if len(found := seen.doubled())}
        if doubled:
            self._set_aside(doubled)
        sizes: dict[Any, dict[str, Any]] = {
            batch: {
                "rows": came.rows,
                "quarantined": came.aside,
                **({"superseded": came.older} if came.older else {}),
                **({"rules": came.counts} if came.counts else {}),
            }
            for batch, came in self._came.items()
        }
        kept: Mapping[Any, dict[str, Any]] = sizes if None in sizes else pieced(sizes)
        layout = Layout().plus(Run(batch, came.rows) for batch, came in self._came.items())
        if self._shape.partition is not None:
            layout = self._part(self._shape.partition)
        return Grown(
            clean=Delta(self._clean),
            layout=layout,
            pieces=layout.pieces(math.inf),
            aside=None if self._shape.contract is None else Delta(self._aside),
            superseded=None if self._older is None else Delta(self._older),
            sizes=kept,
            new_aside=sum(came.aside for came in self._came.values()),
        )

    def _supersede(self, newest: Newest) -> None:
        """Pour the clean rows once more, less those that a newer one of their key supersedes."""
        rows, self._newest, older = self._by_batch(self._clean), None, cast("Draft", self._older)
        empty, lost = self._clean.head(0), newest.lost()
        self._clean = self._draft(self._shape.name)
        older.add(superseded(empty, None))
        self._put(empty)
        for batch, first, part in rows:
            gone = lost[first : first + part.height]
            self._put(part.filter(pl.Series(~gone)))
            newest.lose(part.filter(pl.Series(gone)), np.flatnonzero(gone) + first, batch)
            self._add(batch, -int(gone.sum()), 0, {})
            self._came[batch].older += int(gone.sum())
        for part in newest.losers():
            older.add(part)

    def _part(self, partition: Partition) -> Layout:
        """Pour the clean rows once more, partition by partition, and tell how they lie then."""
        batches = list(self._came)
        spill = Spill(self._scratch.folder / "parts", self._scratch.memory)
        for batch, _, part in self._by_batch(self._clean):
            names = partition.names(part, self._shape.name)
            spill.add(part.with_columns(pl.lit(batches.index(batch)).alias(PART)), names)
        empty = self._clean.head(0)
        partition.names(empty, self._shape.name)
        self._clean, runs = self._draft(self._shape.name), list[Run]()
        self._clean.add(empty)
        for name, frames in spill.parts():
            self._clean.cut()
            for frame in frames:
                counts = frame.group_by(PART, maintain_order=True).len().iter_rows()
                runs += [Run(batches[place], count, name) for place, count in counts]
                self._clean.add(frame.drop(PART))
        return Layout().plus(runs)

    def _by_batch(self, draft: Draft) -> Iterator[tuple[str | None, int, pl.DataFrame]]:
        """The rows of a draft, some of a batch at a time, each with the number of the first one."""
        ends = np.cumsum([came.rows for came in self._came.values()])
        return _pieces(draft, list(self._came), ends)

    def _chunks(self, result: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        """What the function returns, at least one chunk. What its query raises becomes HR423."""
        empty = True
        try:
            for chunk in result.collect_batches(chunk_size=_CHUNK, maintain_order=True):
                empty = False
                yield chunk
        except BaseException as error:
            if not is_failure(error):
                raise
            raise failed(self._recipe.function, self._recipe.name, error) from error
        if empty:
            yield result.head(0).collect()

    def _set_aside(self, doubled: dict[Unique, np.ndarray]) -> None:
        """Pour the clean rows once more, less those that come after another one of the same values."""
        broken, warned = self._doubles(doubled)
        clean = self._draft(self._shape.name)
        batches = list(self._came)
        ends = np.cumsum([came.rows for came in self._came.values()])
        for rule, rows in warned.items():
            for batch, count in _by_batch(rows, ends, batches):
                self._count(batch, rule, count, 0)
        for batch, first, part in _pieces(self._clean, batches, ends):
            clean.add(self._parted(part, batch, broken, first))
        self._clean = clean

    def _parted(
        self, rows: pl.DataFrame, batch: str | None, broken: dict[Unique, np.ndarray], first: int
    ) -> pl.DataFrame:
        """The rows that stay of some of a batch; the others are set aside. `first` is the number of the first row."""
        stays = np.ones(rows.height, dtype=np.bool_)
        for rule, numbers in broken.items():
            low, high = np.searchsorted(numbers, [first, first + rows.height])
            places = numbers[low:high] - first
            if len(places):
                stays[places] = False
                self._aside.add(with_reason(rows[places], rule, batch))
                self._count(batch, rule, len(places), -len(places))
        return rows.filter(pl.Series(stays)) if not stays.all() else rows

    def _count(self, batch: str | None, rule: Unique, count: int, rows: int) -> None:
        self._add(batch, rows, -rows, {rule.text: count})

    def _doubles(self, doubled: dict[Unique, np.ndarray]) -> tuple[dict[Unique, np.ndarray], dict[Unique, np.ndarray]]:
        """The numbers of the rows that come after another one of the same values: those that go, those that stay.

        The rules are applied one after the other, each to the rows that the rules before it have kept; those that only
        warn come last. Only rows whose hash another row has are compared.
        """
        names = list(dict.fromkeys(name for rule in self._seen for name in rule.names))
        met: dict[Unique, list[pl.DataFrame]] = {rule: [] for rule in doubled}
        begin = 0
        for chunk in self._clean.frames():
            rows = chunk.select(names).with_row_index("_row", offset=begin)
            for rule, hashes in doubled.items():
                met[rule].append(self._seen[rule].among(rows, hashes))
            begin += chunk.height
        broken: dict[Unique, np.ndarray] = {}
        warned: dict[Unique, np.ndarray] = {}
        gone = np.empty(0, dtype=np.int64)
        for rule, parts in met.items():
            rows = pl.concat(parts)
            left = rows.filter(~pl.col("_row").is_in(pl.Series(gone, dtype=pl.UInt32).implode()))
            numbers = rule.later(left).get_column("_row").to_numpy().astype(np.int64)
            if rule.answer(self._shape.answer) == WARN:
                warned[rule] = numbers
            else:
                broken[rule] = numbers
                gone = np.union1d(gone, numbers)
        return broken, warned


def _pieces(
    draft: Draft, batches: Sequence[str | None], ends: np.ndarray
) -> Iterator[tuple[str | None, int, pl.DataFrame]]:
    """The rows of a draft, some of a batch at a time, where the batches end at these numbers."""
    begin = 0
    for chunk in (part for frame in draft.frames() for part in frame.iter_slices(_STEP)):
        end = begin + chunk.height
        for place, batch in enumerate(batches):
            first, after = max(begin, int(ends[place - 1]) if place else 0), min(end, int(ends[place]))
            if first < after:
                yield batch, first, chunk.slice(first - begin, after - first)
        begin = end


def _by_batch(rows: np.ndarray, ends: np.ndarray, batches: Sequence[str | None]) -> Iterator[tuple[str | None, int]]:
    """How many of the rows came from each batch."""
    counts = np.bincount(np.searchsorted(ends, rows, side="right"), minlength=len(batches))
    return ((batch, int(count)) for batch, count in zip(batches, counts, strict=True) if count)
