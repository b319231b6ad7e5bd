"""What the processes of a server have counted, read from the files that they share: see `figures`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, multiprocess

from headrace.endpoints.figures import ANSWERS, FAILURES, ROWS, SCORES, SHOWN, UNLOADED
from headrace.endpoints.lanes import Counts

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLACES = {
    f"{ROWS}_total": "rows",
    f"{FAILURES}_total": "failures",
    f"{UNLOADED}_total": "unloaded",
    SCORES: "scores",
    f"{ANSWERS}_sum": "total",
    f"{ANSWERS}_count": "answers",
}


def counted(folder: str, endpoint: str, version: str) -> Counts:
    """What all processes together, dead ones too, have counted of a version since the server began."""
    found: dict[str, float] = {}
    seconds: dict[float, float] = {}
    for name, value, bound in _samples(folder, endpoint, version[:SHOWN]):
        if bound is not None:
            seconds[bound] = value
        elif name in _PLACES:
            found[_PLACES[name]] = value
    return Counts(**found, seconds=seconds)


def _samples(folder: str, endpoint: str, version: str) -> Iterator[tuple[str, float, float | None]]:
    """Names, values and upper bounds of the samples of one version."""
    collector = multiprocess.MultiProcessCollector(CollectorRegistry(), folder)  # type: ignore[no-untyped-call]
    for family in collector.collect():  # type: ignore[no-untyped-call]
        for sample in family.samples:
            labels = sample.labels
            if labels.get("endpoint") == endpoint and labels.get("version") == version:
                yield sample.name, sample.value, float(labels["le"]) if "le" in labels else None
