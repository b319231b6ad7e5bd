"""Traces by OpenTelemetry, where an exporter is set by the standard variables. Nothing of it is imported otherwise.

A request is one span, a child of the caller's where it sends a `traceparent`; the wait for its score is a span in it.
Spans are exported in batches by a thread of the library.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.trace.export import SpanExporter

_SWITCHES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SERVER_ERROR: Final = 500


def tracing_of(variables: Mapping[str, str]) -> Tracing | None:
    """Tracing as the standard variables ask for it; None where they ask for none. Raises HR927 without the extra."""
    if not any(variables.get(name) for name in _SWITCHES):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise HeadraceError("HR927", f"a trace exporter is set, and {error}") from error
    return Tracing(OTLPSpanExporter(), variables.get("OTEL_SERVICE_NAME") or "headrace")


class Tracing:
    """Makes spans of a service of this name, and hands them to an exporter."""

    def __init__(self, exporter: SpanExporter, name: str = "headrace") -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("headrace")
        self._propagator = TraceContextTextMapPropagator()
        self._trace = trace

    @contextmanager
    def request(self, scope: Mapping[str, Any]) -> Iterator[RequestSpan]:
        """The span of a request, by its ASGI scope."""
        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name in _CONTEXT}
        with self._tracer.start_as_current_span(
            scope["method"],
            context=self._propagator.extract(sent),
            kind=self._trace.SpanKind.SERVER,
            attributes={"http.request.method": scope["method"], "url.path": scope["path"]},
        ) as span:
            yield RequestSpan(span, self._trace)

    @contextmanager
    def scoring(self, endpoint: str, version: str, rows: int) -> Iterator[None]:
        """The span of a wait for scores, in that of its request."""
        attributes: dict[str, str | int] = {
            "headrace.endpoint": endpoint,
            "headrace.version": version,
            "headrace.rows": rows,
        }
        with self._tracer.start_as_current_span("score", attributes=attributes):
            yield

    def close(self) -> None:
        """Export what waits, and end."""
        self._provider.shutdown()


_CONTEXT: Final = (b"traceparent", b"tracestate")


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
        if route:
            self._span.update_name(f"{method} {route}")
            self._span.set_attribute("http.route", route)
        self._span.set_attribute("http.response.status_code", status)
        if status >= _SERVER_ERROR:
            self._span.set_status(self._trace.StatusCode.ERROR)
