"""What a supervisor tells Prometheus, put together when it is asked: from what it has counted, and from the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias

from headrace.endpoints.endpoint import Endpoint
from headrace.errors import HeadraceError
from headrace.monitors.monitor import Monitor
from headrace.project.control import Response
from headrace.project.firing import signals_for
from headrace.project.health import BOUNDS, OUTCOMES
from headrace.project.rollouts import answering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

    from headrace.ports.records import Version
    from headrace.project.control import Request
    from headrace.project.health import Applies, Health, Visitors
    from headrace.project.lookout import Lookout
    from headrace.project.monitoring import Looked
    from headrace.project.workspace import Workspace
    from headrace.runtime.triggers import Trigger

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
STATES: Final = ("ok", "due", "alert", "too few answers")
"""What a monitor can tell; whatever else keeps it from telling counts as the last."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the metrics are put together from. All of it may be read by any thread.

    `lookout`: when each source was seen to change or to fail; `notices`: by channel and outcome; `restarts`: how often
    children were started again; `looked`: by monitor, its state and what it saw.
    """

    workspace: Workspace
    health: Health
    applies: Applies
    lookout: Lookout
    triggers: Callable[[], Sequence[Trigger]]
    looked: Callable[[], Mapping[str, tuple[str, Looked]]]
    notices: Callable[[], Mapping[str, Mapping[str, int]]]
    restarts: Callable[[], Mapping[str, int]]


class Metrics:
    """Answers `/metrics`, and is the collector of what stands there."""

    def __init__(self, sources: Sources, visitors: Visitors) -> None:
        self._sources = sources
        self._visitors = visitors

    def __call__(self, request: Request) -> Response:
        """All of it, as Prometheus reads it. Raises HR911 and HR946 for who may not look, HR957 without the library."""
        self._visitors.check(request)
        if find_spec("prometheus_client") is None:
            raise HeadraceError("HR957", "missing: prometheus_client")
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(self)
        return Response(200, generate_latest(registry), CONTENT_TYPE)

    def describe(self) -> Iterable[Metric]:
        """Nothing: to be registered must cost no look at the ledger."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every metric, as of now."""
        yield from self._of_applies()
        yield from self._of_itself()
        yield from self._of_monitors()
        yield from self._of_versions()

    def _of_applies(self) -> Iterator[Metric]:
        from prometheus_client.core import HistogramMetricFamily

        applies = self._sources.applies
        outcomes = [((each,), applies.outcomes[each]) for each in OUTCOMES]
        yield _counter("applies", "Applies that have ended", ("outcome",), outcomes)
        counts = list(accumulate(applies.counts))
        buckets = [(_bound(bound), float(count)) for bound, count in zip((*BOUNDS, None), counts, strict=True)]
        yield HistogramMetricFamily(
            "headrace_up_apply_seconds", "How long applies took", buckets=buckets, sum_value=applies.total
        )
        succeeded = 0.0 if applies.succeeded is None else applies.succeeded.timestamp()
        failing = 0.0 if applies.failing is None else applies.failing.timestamp()
        yield _gauge(
            "last_success_timestamp_seconds", "When an apply ended well last; 0 if none did", (), [((), succeeded)]
        )
        yield _gauge("failing_since_timestamp_seconds", "Since when applies fail; 0 when well", (), [((), failing)])

    def _of_itself(self) -> Iterator[Metric]:
        sources = self._sources
        changed = [((name,), moment) for name, moment in sorted(dict(sources.lookout.changed).items())]
        yield _gauge(
            "source_changed_timestamp_seconds", "When a source was seen to hold something new", ("source",), changed
        )
        failing = [((name,), moment) for name, moment in sorted(dict(sources.lookout.failing).items())]
        yield _gauge(
            "source_failing_since_timestamp_seconds",
            "Since when a source cannot be observed; 0 where it can",
            ("source",),
            failing,
        )
        notices = [((name, outcome), n) for name, counts in sources.notices().items() for outcome, n in counts.items()]
        yield _counter("notices", "Notices to channels", ("channel", "outcome"), notices)
        restarts = [((child,), count) for child, count in sources.restarts().items()]
        yield _counter("child_restarts", "Processes that ended or hung, and were replaced", ("child",), restarts)
        beat = sources.health.heartbeat.timestamp()
        yield _gauge("heartbeat_timestamp_seconds", "When the supervisor's loop turned last", (), [((), beat)])
        named = ((version("headrace"), sources.health.environment), 1.0)
        yield _gauge("info", "The version that runs, and what it looks after", ("version", "environment"), [named])

    def _of_monitors(self) -> Iterator[Metric]:
        looked = sorted(self._sources.looked().items())
        states = [((name, each), float(each == _known(state))) for name, (state, _) in looked for each in STATES]
        yield _gauge("monitor_state", "1 for what a monitor tells, 0 for the rest", ("monitor", "state"), states)
        values = [
            ((name, measure), value)
            for name, (_, found) in looked
            for measure, value in sorted(found.measured.overall.items())
            if value is not None
        ]
        yield _gauge("monitor_value", "What a monitor measured last", ("monitor", "measure"), values)

    def _of_versions(self) -> Iterator[Metric]:
        workspace, environment = self._sources.workspace, self._sources.health.environment
        ledger = workspace.ledger
        snapshot = ledger.snapshot(environment)
        live = ledger.live(sorted(set(snapshot.pointers.values())))
        own = [live[key] for name, key in sorted(snapshot.pointers.items()) if key in live and live[key].node == name]
        rows = [((each.node,), each.rows or 0) for each in own if _is_table(each)]
        yield _gauge("rows", "Rows of the version that is pointed to", ("table",), rows)
        aside = [
            ((each.node,), each.manifest.facts["quarantined"]) for each in own if "quarantined" in each.manifest.facts
        ]
        yield _gauge("rows_quarantined", "Rows set aside of the version that is pointed to", ("table",), aside)
        shares = [
            ((name,), found.standing.share / 100)
            for name, found in answering(ledger, snapshot).items()
            if found.standing is not None
        ]
        yield _gauge("rollout_share", "The part of requests that a new version answers, 0 to 1", ("endpoint",), shares)
        waiting = len(signals_for(workspace, environment, self._sources.triggers()))
        yield _gauge("signals_waiting", "Signals that no trigger has taken yet", (), [((), waiting)])
        yield _gauge("leases_held", "Steps that a run is making", (), [((), len(ledger.leases(environment)))])


def _is_table(version: Version) -> bool:
    return version.rows is not None and version.kind not in (Monitor.kind, Endpoint.kind, "model", "online")


def _known(state: str) -> str:
    return state if state in STATES else STATES[-1]


def _bound(bound: float | None) -> str:
    return "+Inf" if bound is None else str(bound)


Samples: TypeAlias = "Sequence[tuple[tuple[str, ...], float]]"


def _gauge(name: str, text: str, labels: Sequence[str], samples: Samples) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(f"headrace_up_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _counter(name: str, text: str, labels: Sequence[str], samples: Samples) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(f"headrace_up_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family
