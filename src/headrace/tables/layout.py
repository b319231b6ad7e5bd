"""Where the rows of a table lie: which batch, and which partition, each run of them came from, in the stored order.

The rows of a partition follow each other, and so do the partitions by name: new rows go behind those of their
partition. So files of a partition can become one, and the order of the rows stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from headrace.ports.records import Json

ROWS_OF_A_FILE: Final = 250_000
"""Batches that follow each other share a file of about so many rows."""


@dataclass(frozen=True, slots=True)
class Run:
    """Rows that follow each other: how many, of which batch (None: made from all at once), of which partition."""

    batch: str | None
    rows: int
    partition: str | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The runs of a table, in the order of its rows."""

    runs: tuple[Run, ...] = ()

    @classmethod
    def from_json(cls, data: Json) -> Layout:
        """The inverse of `to_json`."""
        return cls(tuple(Run(*each) for each in data))

    def to_json(self) -> Json:
        """Plain data."""
        shown = any(run.partition is not None for run in self.runs)
        return [[run.batch, run.rows, *([run.partition] if shown else [])] for run in self.runs]

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(run.rows for run in self.runs)

    def of_batches(self, batches: Collection[str]) -> np.ndarray:
        """The numbers of the rows that came from these batches, ascending."""
        ends = self._ends()
        found = [
            np.arange(end - run.rows, end, dtype=np.int64)
            for run, end in zip(self.runs, ends, strict=True)
            if run.batch in batches
        ]
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)

    def slices(self, partitions: Collection[str]) -> list[tuple[int, int]]:
        """Where the rows of these partitions begin, and how many follow."""
        starts = [end - run.rows for run, end in zip(self.runs, self._ends().tolist(), strict=True)]
        return [(start, run.rows) for run, start in zip(self.runs, starts, strict=True) if run.partition in partitions]

    def batches_at(self, numbers: np.ndarray) -> list[str | None]:
        """The batch that each of these rows came from."""
        return [self.runs[place].batch for place in np.searchsorted(self._ends(), numbers, side="right")]

    def plus(self, runs: Iterable[Run]) -> Layout:
        """The layout when these runs come after it."""
        return Layout(_joined([*self.runs, *runs]))

    def changed(self, numbers: np.ndarray, added: Layout) -> Layout:
        """The layout when these rows, ascending, are left out, and others come to it, each behind its partition."""
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
        if not any(run.partition is not None for run in added.runs):
            return []
        ends = [0, *self._ends().tolist()]
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
        if not len(numbers):
            return list(self.runs)
        lost = np.bincount(np.searchsorted(self._ends(), numbers, side="right"), minlength=len(self.runs))
        return [replace(run, rows=run.rows - int(less)) for run, less in zip(self.runs, lost, strict=True)]

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

    def _ends(self) -> np.ndarray:
        return np.cumsum([run.rows for run in self.runs], dtype=np.int64)


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
