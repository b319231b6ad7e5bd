"""Where the rows of a table lie: which batch, and which partition, each run of them came from, in the stored order.

The rows of a partition follow each other, and so do the partitions by name: new rows go behind those of their
partition. So files of a partition can become one, and the order of the rows stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np

from headrace.ports.mappings import PieceList, listed, total

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from headrace.ports.records import Json

ROWS_OF_A_FILE: Final = 250_000
"""Batches that follow each other share a file of about so many rows."""

_SHORT: Final = 2
"""A stored run without a partition: batch, rows."""


@dataclass(frozen=True, slots=True)
class Run:
    """Rows that follow each other: how many, of which batch (None: made from all at once), of which partition."""

    batch: str | None
    rows: int
    partition: str | None = None

    def to_json(self, *, shown: bool) -> Json:
        """Plain data; `shown` is whether the runs of the table have partitions."""
        return [self.batch, self.rows, *([self.partition] if shown else [])]


@dataclass(frozen=True, slots=True)
class Layout:
    """The runs of a table, in the order of its rows. What was `stored` of a long one is read where it is asked for.

    `more` are the runs behind those; the first of them goes on with the last stored one where it `joins` it.
    """

    more: tuple[Run, ...] = ()
    stored: PieceList | None = None
    joins: bool = False

    @classmethod
    def from_json(cls, data: Json) -> Layout:
        """The inverse of `to_json`."""
        return cls((), data) if isinstance(data, PieceList) else cls(tuple(Run(*each) for each in data))

    def to_json(self) -> Json:
        """Plain data, in pieces where it is long."""
        if self.stored is None:
            shown = any(run.partition is not None for run in self.more)
            return listed([run.to_json(shown=shown) for run in self.more])
        shown = len(self.stored[0]) > _SHORT
        return self.stored.plus([run.to_json(shown=shown) for run in self.more], instead=int(self.joins))

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs."""
        if self.stored is None:
            return self.more
        stored = [Run(*each) for each in self.stored]
        return (*stored[: len(stored) - self.joins], *self.more)

    @property
    def rows(self) -> int:
        """All rows."""
        rows = sum(run.rows for run in self.more)
        if self.stored is None:
            return rows
        return rows + self.stored.tree.fold(_rows, total) - (self.stored[-1][1] if self.joins else 0)

    def of_batches(self, batches: Collection[str]) -> np.ndarray:
        """The numbers of the rows that came from these batches, ascending."""
        runs = self.runs
        found = [
            np.arange(end - run.rows, end, dtype=np.int64)
            for run, end in zip(runs, _ends(runs), strict=True)
            if run.batch in batches
        ]
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)

    def slices(self, partitions: Collection[str]) -> list[tuple[int, int]]:
        """Where the rows of these partitions begin, and how many follow."""
        runs = self.runs
        starts = [end - run.rows for run, end in zip(runs, _ends(runs).tolist(), strict=True)]
        return [(start, run.rows) for run, start in zip(runs, starts, strict=True) if run.partition in partitions]

    def batches_at(self, numbers: np.ndarray) -> list[str | None]:
        """The batch that each of these rows came from."""
        if not len(numbers):
            return []
        runs = self.runs
        return [runs[place].batch for place in np.searchsorted(_ends(runs), numbers, side="right")]

    def plus(self, runs: Iterable[Run]) -> Layout:
        """The layout when these runs come after it."""
        if self.stored is None:
            return Layout(_joined([*self.more, *runs]))
        last = Run(*self.stored[-1])
        more = _joined([*self.more, *runs] if self.joins else [last, *self.more, *runs])
        joins = self.joins or more[0] != last
        return Layout(more if joins else more[1:], self.stored, joins)

    def changed(self, numbers: np.ndarray, added: Layout) -> Layout:
        """The layout when these rows, ascending, are left out, and others come to it, each behind its partition."""
        if not len(numbers) and not _parted(added.runs):
            return self.plus(added.runs)
        coming: dict[int, list[Run]] = {}
        for run in added.runs:
            coming.setdefault(self._behind(run.partition), []).append(run)
        found = coming.get(0, [])
        for place, run in enumerate(self._less(numbers), start=1):
            found += [run, *coming.get(place, ())]
        return Layout(_joined(found))

    def pieces(self, most: float = ROWS_OF_A_FILE) -> list[int]:
        """How many rows each file gets: a partition begins a file, and so does a batch when the file is long enough."""
        return [rows for _, rows in self._pieces(most)]

    def places(self, added: Layout, most: float = ROWS_OF_A_FILE) -> list[int]:
        """For each piece of what comes to it, how many rows of this layout lie before it; none without partitions."""
        if not _parted(added.runs):
            return []
        ends = [0, *_ends(self.runs).tolist()]
        return [ends[self._behind(partition)] for partition, _ in added._pieces(most)]

    def _pieces(self, most: float) -> list[tuple[str | None, int]]:
        found: list[tuple[str | None, int]] = []
        for partition, runs in groupby(self.runs, key=lambda run: run.partition):
            rows = 0
            for run in runs:
                if rows >= most:
                    found.append((partition, rows))
                    rows = 0
                rows += run.rows
            found.append((partition, rows))
        return found

    def _behind(self, partition: str | None) -> int:
        """How many runs lie before new rows of a partition."""
        if partition is None:
            return len(self.runs)
        there = (place for place, run in enumerate(self.runs, start=1) if (run.partition or "") <= partition)
        return max(there, default=0)

    def _less(self, numbers: np.ndarray) -> list[Run]:
        """The runs, some perhaps empty, without these rows."""
        runs = self.runs
        if not len(numbers):
            return list(runs)
        lost = np.bincount(np.searchsorted(_ends(runs), numbers, side="right"), minlength=len(runs))
        return [replace(run, rows=run.rows - int(less)) for run, less in zip(runs, lost, strict=True)]

    def partitions(self) -> dict[str, int]:
        """The rows of each partition, sorted; empty for a table without."""
        found: dict[str, int] = {}
        for run in self.runs:
            if run.partition is not None:
                found[run.partition] = found.get(run.partition, 0) + run.rows
        return dict(sorted(found.items()))

    def partitions_of(self) -> dict[str, list[str]]:
        """For each batch, the partitions that have rows of it, sorted."""
        found: dict[str, set[str]] = {}
        for run in self.runs:
            if run.batch is not None and run.partition is not None:
                found.setdefault(run.batch, set()).add(run.partition)
        return {batch: sorted(names) for batch, names in found.items()}


def _parted(runs: Iterable[Run]) -> bool:
    return any(run.partition is not None for run in runs)


def _ends(runs: Sequence[Run]) -> np.ndarray:
    return np.cumsum([run.rows for run in runs], dtype=np.int64)


def _rows(runs: Mapping[str, Json]) -> int:
    return sum(run[1] for run in runs.values())


def _joined(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The runs without empty ones, and neighbours of one batch and partition as one."""
    joined: list[Run] = []
    for run in runs:
        if not run.rows:
            continue
        if joined and (joined[-1].batch, joined[-1].partition) == (run.batch, run.partition):
            joined[-1] = replace(run, rows=joined[-1].rows + run.rows)
        else:
            joined.append(run)
    return tuple(joined)
