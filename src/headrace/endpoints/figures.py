"""What a server tells Prometheus. Several processes count into files each, which any of them adds up when asked."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter as Tally
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.endpoints.service import Scored

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHOWN = 12
"""Characters of a version's key that a label holds."""
SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of the environment that names the folder of those files; to be set before the library is imported."""
REQUESTS = "headrace_requests"
ROWS = "headrace_predictions"
FAILURES = "headrace_version_failures"
UNLOADED = "headrace_version_unloaded"
SCORES = "headrace_version_scores"
ANSWERS = "headrace_version_seconds"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096)


def count_as_one_process() -> None:
    """Let counting go without asking for the process's id each time: for a process that does not fork."""
    own = os.getpid()
    values.ValueClass = values.MultiProcessValue(lambda: own)  # type: ignore[no-untyped-call]


class _Histogram(Histogram):
    """A histogram that takes what came at once by one step for each of its buckets."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Observe every amount."""
        if len(amounts) == 1:
            self.observe(amounts[0])
            return
        self._sum.inc(sum(amounts))
        for bucket, count in Tally([bisect_left(self._upper_bounds, each) for each in amounts]).items():
            self._buckets[bucket].inc(count)


class Figures:
    """The metrics of one server process. Children are kept: looking one up costs three times as much as counting.

    `later` calls what it is given at the end of the present turn of the event loop, where there is one: what has been
    answered in a turn is then counted together, at a quarter of the cost.
    """

    later: Callable[[Callable[[], None]], object]

    def __init__(self) -> None:
        self.later = lambda count: count()
        self._registry = kept = CollectorRegistry()
        self._requests = Counter(REQUESTS, "Requests answered", ("endpoint", "status"), registry=kept)
        of_version = ("endpoint", "version")
        self._rows = Counter(ROWS, "Rows scored", of_version, registry=kept)
        self._failures = Counter(FAILURES, "Requests that a version failed to answer", of_version, registry=kept)
        self._unknown = Counter(
            "headrace_unknown_categories",
            "Texts that a model had not seen in training",
            ("endpoint", "field"),
            registry=kept,
        )
        self._unloaded = Counter(UNLOADED, "Times that a version could not be loaded", of_version, registry=kept)
        self._scores = Gauge(SCORES, "Sum of the scores given", of_version, multiprocess_mode="sum", registry=kept)
        self._answers = _Histogram(
            ANSWERS, "Time until a version had answered a request", of_version, buckets=_SECONDS, registry=kept
        )
        self._seconds = _Histogram(
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
        self._requested: dict[tuple[str, int], tuple[Counter, _Histogram]] = {}
        self._uncounted: dict[tuple[str, int], list[float]] = {}
        self._predicted: dict[tuple[str, str], tuple[Counter, Gauge, _Histogram]] = {}
        self._ages: dict[tuple[str, str], Gauge] = {}

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one request to an endpoint that exists; `endpoint` is empty for any other."""
        if self._uncounted:
            self._uncounted.setdefault((endpoint, status), []).append(seconds)
            return
        self._uncounted[endpoint, status] = [seconds]
        self.later(self._count_answered)

    def _count_answered(self) -> None:
        uncounted, self._uncounted = self._uncounted, {}
        for (endpoint, status), seconds in uncounted.items():
            children = self._requested.get((endpoint, status))
            if children is None:
                children = self._requests.labels(endpoint, str(status)), self._seconds.labels(endpoint)
                self._requested[endpoint, status] = children
            children[0].inc(len(seconds))
            children[1].observe_all(seconds)

    def predicted(self, endpoint: str, version: str, scored: Scored, seconds: Sequence[float], now: int) -> None:
        """Count what a version scored in one turn, and how old its features were.

        `seconds` is how long each request took, `now` microseconds since 1970.
        """
        children = self._predicted.get((endpoint, version))
        if children is None:
            labels = (endpoint, version[:SHOWN])
            children = self._rows.labels(*labels), self._scores.labels(*labels), self._answers.labels(*labels)
            self._predicted[endpoint, version] = children
        rows, scores, answers = children
        rows.inc(len(scored.scores))
        scores.inc(float(scored.scores.sum()))
        answers.observe_all(seconds)
        for view, moment in scored.seen[-1].items() if scored.seen else ():
            if moment is not None:
                age = self._ages.get((endpoint, view))
                if age is None:
                    age = self._ages[endpoint, view] = self._age.labels(endpoint, view)
                age.set((now - moment) / 1e6)

    def failed(self, endpoint: str, version: str) -> None:
        """Count one request that a version failed to answer."""
        self._failures.labels(endpoint, version[:SHOWN]).inc()

    def unknown(self, endpoint: str, name: str) -> None:
        """Count one text that the model had not seen in training."""
        self._unknown.labels(endpoint, name).inc()

    def unloaded(self, endpoint: str, version: str) -> None:
        """Count that a version could not be loaded."""
        self._unloaded.labels(endpoint, version[:SHOWN]).inc()

    def batch(self, rows: int) -> None:
        """Count one batch."""
        self._batches.observe(rows)

    def look(self, waiting: int, unlogged: int) -> None:
        """Take down what stands now."""
        self._waiting.set(waiting)
        self._unlogged.set(unlogged)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        self._count_answered()
        registry = self._registry
        if os.environ.get(SHARED):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
