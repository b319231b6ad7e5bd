"""The answers of an endpoint, a batch at a time: those in its table, and those that are still in the log."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.endpoints.log_lines import predictions
from headrace.endpoints.predictions import ROWS, prediction_of
from headrace.ports.predictions import predictions_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from headrace.endpoints.log_lines import Prediction
    from headrace.endpoints.predictions import Place

SIZE = 20_000
"""How many answers a batch has, at most."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which answers: of an endpoint, given at or after `since` and before `until`, no more than the `last` of them.

    Moments are microseconds since 1970.
    """

    endpoint: str
    since: int | None = None
    last: int | None = None
    until: int | None = None

    def began(self, at: int) -> bool:
        """Whether an answer of this moment is not too late."""
        return self.until is None or at < self.until


def answers(place: Place, wanted: Wanted, size: int = SIZE) -> Iterator[list[Prediction]]:
    """Each answer once, in no order that means anything. A branch has its own answers, not those of its base.

    A record moves from the log to the table, so they are read in this order, and what was met in the log is left out
    of the table.

    Raises:
        HeadraceError: HR630 to HR632 when the table is damaged.
    """
    first = _first(place, wanted)
    met: set[str] = set()
    batch: list[Prediction] = []
    for each in _in_log(place, wanted.endpoint):
        if (each.at, each.id) >= first and wanted.began(each.at) and each.id not in met:
            met.add(each.id)
            batch.append(each)
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch
    yield from _in_table(place, wanted, first, met, size)


def _first(place: Place, wanted: Wanted) -> tuple[int, str]:
    """The moment and the id of the earliest answer that is wanted."""
    since = -(1 << 63) if wanted.since is None else wanted.since
    if wanted.last is None:
        return since, ""
    in_log = _in_log(place, wanted.endpoint)
    found = {(each.at, each.id) for each in in_log if each.at >= since and wanted.began(each.at)}
    rows = _table(place, wanted)
    if rows is not None:
        newest = rows.select("at", "id").top_k(wanted.last, by=["at", "id"]).collect()
        found.update((at, identity) for at, identity in newest.iter_rows() if at >= since)
    latest = heapq.nlargest(wanted.last, found)
    return latest[-1] if latest else (since, "")


def _in_log(place: Place, endpoint: str) -> Iterator[Prediction]:
    for segment in dict.fromkeys(place.segments.all()):
        for line in predictions(place.segments.content(segment) or b""):
            yield from (each for each in line or () if each.endpoint == endpoint)


def _in_table(
    place: Place, wanted: Wanted, first: tuple[int, str], met: set[str], size: int
) -> Iterator[list[Prediction]]:
    import polars as pl

    rows = _table(place, wanted)
    height = 0 if rows is None else int(rows.select(pl.len()).collect().item())
    for start in range(0, height, size):
        if rows is None:
            return
        frame = rows.slice(start, size).filter(pl.col("at") >= first[0]).collect()
        found = [prediction_of(row) for row in frame.iter_rows(named=True)]
        batch = [each for each in found if (each.at, each.id) >= first and each.id not in met]
        if batch:
            yield batch


def _table(place: Place, wanted: Wanted) -> pl.LazyFrame | None:
    """The rows of the table of an endpoint, moments as whole microseconds; None without answers of its own."""
    import polars as pl

    node = predictions_name(wanted.endpoint)
    snapshot = place.ledger.snapshot(place.environment)
    key = snapshot.pointers.get(node)
    inherited = snapshot.base is not None and snapshot.started.get(node) == key
    version = None if key is None or inherited else place.ledger.live([key]).get(key)
    if version is None:
        return None
    rows = place.tables.scan(version.manifest.outputs[ROWS]).with_columns(pl.col("at", "cutoff").cast(pl.Int64))
    return rows if wanted.until is None else rows.filter(pl.col("at") < wanted.until)
