"""Traces, as a collector of OpenTelemetry receives them."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from headrace.endpoints.app import Told
from headrace.endpoints.tracing import tracing_of
from headrace.errors import HeadraceError
from tests.support.application import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

ROW = {"distance": 1.5, "delayed": True, "origin": "JFK"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A collector that speaks OTLP over HTTP: its address, and what it received."""
    received: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


def traced(monkeypatch: pytest.MonkeyPatch, **headers: str) -> dict[str, Span]:
    """The spans of one request that is answered, and one that is refused, by name."""
    with collector() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        tracing = tracing_of({"OTEL_EXPORTER_OTLP_ENDPOINT": address})
        assert tracing is not None
        with running(told=Told(tracing=tracing), tracing=tracing) as server:
            httpx.post(f"http://{server.address}/predict/delays?secret=s3cret", json=ROW, headers=headers)
            httpx.get(f"http://{server.address}/nowhere")
        tracing.close()
    spans = [
        span for each in received for of in each.resource_spans for scope in of.scope_spans for span in scope.spans
    ]
    assert {
        value.value.string_value
        for each in received
        for of in each.resource_spans
        for value in of.resource.attributes
        if value.key == "service.name"
    } == {"headrace"}
    assert "s3cret" not in str(spans)
    return {span.name: span for span in spans}


def attributes(span: Span) -> dict[str, object]:
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in span.attributes}


def test_a_request_is_a_span_and_its_scoring_one_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = traced(monkeypatch)
    request, score = spans["POST /predict/{endpoint}"], spans["score"]
    assert attributes(request) == {
        "http.request.method": "POST",
        "url.path": "/predict/delays",
        "http.route": "/predict/{endpoint}",
        "http.response.status_code": 200,
    }
    assert attributes(score) == {"headrace.endpoint": "delays", "headrace.version": "a" * 64, "headrace.rows": 1}
    assert (score.trace_id, score.parent_span_id) == (request.trace_id, request.span_id)
    assert request.start_time_unix_nano <= score.start_time_unix_nano <= score.end_time_unix_nano
    assert score.end_time_unix_nano <= request.end_time_unix_nano
    assert attributes(spans["GET"])["http.response.status_code"] == 404


def test_the_trace_of_the_caller_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    request = traced(monkeypatch, traceparent=f"00-{TRACE}-{PARENT}-01")["POST /predict/{endpoint}"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)


def test_without_the_variable_nothing_is_imported() -> None:
    code = (
        "import sys, headrace.project.server\n"
        "from headrace.endpoints.tracing import tracing_of\n"
        "assert tracing_of({}) is None\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_extra_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(HeadraceError, match="HR927"):
        tracing_of({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"})
