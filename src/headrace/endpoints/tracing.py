"""Traces by OpenTelemetry, where an exporter is set by the standard variables. Nothing of it is imported otherwise.

A request is one span, a child of the caller's where it sends a `traceparent`; the wait for its score is a span in it.
Spans are exported in batches by a thread of the library. They hold codes of errors, but neither their texts nor stack
traces, which may repeat what a caller sent.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping

    from opentelemetry.sdk.trace.export import SpanExporter

    from headrace.endpoints.service import Call, Lane

    Awaited = TypeVar("Awaited")

_SWITCHES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_CONTEXT: Final = (b"traceparent", b"tracestate")
_METHODS: Final = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
_SHOWN: Final = 200
"""Characters of a path that a span holds."""
_SERVER_ERROR: Final = 500
_LAST: Final = 2.0
"""Seconds that closing waits for a collector that does not answer."""


def tracing_of(variables: Mapping[str, str]) -> Tracing | None:
    """Tracing as the standard variables ask for it; None where they ask for none. Raises HR927 without the extra."""
    off = variables.get("OTEL_SDK_DISABLED", "").lower() == "true" or variables.get("OTEL_TRACES_EXPORTER") == "none"
    if off or not any(variables.get(name) for name in _SWITCHES):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise HeadraceError("HR927", f"a trace exporter is set, and {error}") from error
    return Tracing(OTLPSpanExporter())


class Tracing:
    """Makes spans, and hands them to an exporter. The service is called headrace unless the variables name it."""

    def __init__(self, exporter: SpanExporter) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create()
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: "headrace"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("headrace")
        self._propagator = TraceContextTextMapPropagator()
        self._trace = trace

    @contextmanager
    def request(self, scope: Mapping[str, Any]) -> Iterator[RequestSpan]:
        """The span of a request, by its ASGI scope."""
        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name in _CONTEXT}
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        attributes = {
            "http.request.method": method,
            "url.path": scope["path"][:_SHOWN].partition("?")[0],
            "url.scheme": scope.get("scheme", "http"),
        }
        with self._tracer.start_as_current_span(
            "HTTP" if method == "_OTHER" else method,
            context=self._propagator.extract(sent),
            kind=self._trace.SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield RequestSpan(span, self._trace)

    async def scored(self, answer: Awaitable[Awaited], call: Call, lane: Lane) -> Awaited:
        """Await an answer in a span of its own, within that of its request."""
        attributes: dict[str, str | int] = {
            "headrace.endpoint": call.endpoint,
            "headrace.version": lane.served.key,
            "headrace.rows": len(call.rows),
        }
        if lane.stage != "shadow":  # the request is not answered by that one
            self._trace.get_current_span().set_attributes(attributes)
        if lane.stage is not None:
            attributes["headrace.stage"] = lane.stage
        with self._tracer.start_as_current_span(
            "score", attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                return await answer
            except HeadraceError as error:
                span.set_attribute("error.type", error.code)
                span.set_status(self._trace.StatusCode.ERROR)
                raise

    def close(self) -> None:
        """Export what waits, and end. What a collector has not taken by then is given up."""
        ending = Thread(target=self._provider.shutdown, name="ending-traces", daemon=True)
        ending.start()
        ending.join(_LAST)


class RequestSpan:
    """The span of one request."""

    def __init__(self, span: Any, trace: Any) -> None:  # noqa: ANN401 - of an extra
        self._span = span
        self._trace = trace

    @property
    def trace_id(self) -> str:
        """The id of the trace, as its `traceparent` spells it."""
        return str(self._trace.format_trace_id(self._span.get_span_context().trace_id))

    def ends(self, method: str, route: str, status: int) -> None:
        """Say how the request was answered; `route` is the template of its path, empty where there is none."""
        if route and method in _METHODS:
            self._span.update_name(f"{method} {route}")
        if route:
            self._span.set_attribute("http.route", route)
        self._span.set_attribute("http.response.status_code", status)
        if status >= _SERVER_ERROR:
            self._span.set_attribute("error.type", str(status))
            self._span.set_status(self._trace.StatusCode.ERROR)
