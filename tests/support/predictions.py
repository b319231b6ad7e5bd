"""Batches of answers for the tests of the prediction log, and a log that does nothing by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headrace.adapters.clocks import SystemClock
from headrace.adapters.segments import FileSegments
from headrace.endpoints.log import Limits, SegmentLog
from headrace.endpoints.service import Logged, Scored

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headrace.errors import HeadraceError

AT = 1_385_000_000_000_000
VIEW = "weather"


def batch(ids: Sequence[str], *, endpoint: str = "scores", model: str = "m1", key: str = "v1") -> Logged:
    """One answer for each id: its number in the batch is the score, and stands in the inputs and the features."""
    rows = [{"who": f"person {number}", "x": number / 4} for number in range(len(ids))]
    features = [{**row, "w_mean": None if number % 2 else number * 0.1} for number, row in enumerate(rows)]
    seen = [{VIEW: None if number % 2 else AT - number} for number in range(len(ids))]
    return Logged(
        endpoint=endpoint,
        key=key,
        model=model,
        generations={VIEW: "g1"},
        at=AT,
        ids=ids,
        rows=rows,
        cutoffs=[AT - 1_000_000 + number for number in range(len(ids))],
        scored=Scored(np.arange(len(ids), dtype=np.float64), features, seen),
        micros=list(range(100, 100 + len(ids))),
    )


def log_in(folder: Path, told: list[HeadraceError | None] | None = None, limits: Limits | None = None) -> SegmentLog:
    """A log below a folder; what it reports is appended to `told`."""
    reports = [] if told is None else told
    return SegmentLog(FileSegments(folder), SystemClock(), reports.append, limits)


def logged(folder: Path, *sizes: int, endpoint: str = "scores") -> list[str]:
    """Answer one batch of each size in a process that ends in good order; answers the ids."""
    given: list[str] = []
    with log_in(folder) as log:
        for size in sizes:
            ids = log.ids(size)
            log.append(batch(ids, endpoint=endpoint))
            given += ids
    return given
