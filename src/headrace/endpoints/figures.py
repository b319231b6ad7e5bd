"""What a server tells Prometheus. Several processes count into files each, which any of them adds up when asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

if TYPE_CHECKING:
    from headrace.endpoints.service import Scored

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of the environment that names the folder of those files; to be set before the library is imported."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096)


class Figures:
    """The metrics of one server process. Children are kept: looking one up costs three times as much as counting."""

    def __init__(self) -> None:
        self._registry = kept = CollectorRegistry()
        self._requests = Counter("headrace_requests", "Requests answered", ("endpoint", "status"), registry=kept)
        self._rows = Counter("headrace_predictions", "Rows scored", ("endpoint", "version"), registry=kept)
        self._seconds = Histogram(
            "headrace_request_seconds",
            "Time from a request to its answer",
            ("endpoint",),
            buckets=_SECONDS,
            registry=kept,
        )
        self._batches = Histogram("headrace_batch_rows", "Rows scored together", buckets=_ROWS, registry=kept)
        self._waiting = Gauge(
            "headrace_waiting_requests", "Requests without an answer yet", multiprocess_mode="livesum", registry=kept
        )
        self._age = Gauge(
            "headrace_feature_age_seconds",
            "How old the newest row of a view was that the last answer saw",
            ("endpoint", "view"),
            multiprocess_mode="mostrecent",
            registry=kept,
        )
        self._unlogged = Gauge(
            "headrace_log_failures",
            "Writes that the prediction log refused",
            multiprocess_mode="livesum",
            registry=kept,
        )
        self._requested: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._predicted: dict[tuple[str, str], Counter] = {}
        self._ages: dict[tuple[str, str], Gauge] = {}

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one request to an endpoint that exists; `endpoint` is empty for any other."""
        children = self._requested.get((endpoint, status))
        if children is None:
            children = self._requests.labels(endpoint, str(status)), self._seconds.labels(endpoint)
            self._requested[endpoint, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def predicted(self, endpoint: str, version: str, scored: Scored, now: int) -> None:
        """Count the rows of one answer, and how old their features were. `now`: microseconds since 1970."""
        child = self._predicted.get((endpoint, version))
        if child is None:
            child = self._predicted[endpoint, version] = self._rows.labels(endpoint, version[:12])
        child.inc(len(scored.scores))
        for view, moment in scored.seen[-1].items() if scored.seen else ():
            if moment is not None:
                age = self._ages.get((endpoint, view))
                if age is None:
                    age = self._ages[endpoint, view] = self._age.labels(endpoint, view)
                age.set((now - moment) / 1e6)

    def batch(self, rows: int) -> None:
        """Count one batch."""
        self._batches.observe(rows)

    def look(self, waiting: int, unlogged: int) -> None:
        """Take down what stands now."""
        self._waiting.set(waiting)
        self._unlogged.set(unlogged)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        registry = self._registry
        if os.environ.get(SHARED):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
