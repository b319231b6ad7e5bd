"""What the processes of a server have counted, read from the files that they share: see `figures`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, multiprocess

from headrace.endpoints.figures import ANSWERS, FAILURES, REQUESTS, ROWS, SCORES, SHOWN, UNLOADED
from headrace.endpoints.lanes import Counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.samples import Sample

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


def requests(folder: str) -> dict[tuple[str, int], int]:
    """How many requests have been answered by all processes since the server began, by endpoint and HTTP status."""
    found: dict[tuple[str, int], int] = {}
    for sample in _all_samples(folder):
        if sample.name == f"{REQUESTS}_total" and sample.labels["endpoint"]:
            found[sample.labels["endpoint"], int(sample.labels["status"])] = round(sample.value)
    return found


def _samples(folder: str, endpoint: str, version: str) -> Iterator[tuple[str, float, float | None]]:
    """Names, values and upper bounds of the samples of one version."""
    for sample in _all_samples(folder):
        labels = sample.labels
        if labels.get("endpoint") == endpoint and labels.get("version") == version:
            yield sample.name, sample.value, float(labels["le"]) if "le" in labels else None


def _all_samples(folder: str) -> Iterator[Sample]:
    collector = multiprocess.MultiProcessCollector(CollectorRegistry(), folder)  # type: ignore[no-untyped-call]
    for family in collector.collect():  # type: ignore[no-untyped-call]
        yield from family.samples
