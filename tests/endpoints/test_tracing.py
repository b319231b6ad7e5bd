"""Traces, as a collector of OpenTelemetry receives them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import TYPE_CHECKING

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from headrace.endpoints import tracing as tracing_module
from headrace.endpoints.exchange import Told
from headrace.endpoints.service import Call, Lane
from headrace.endpoints.tracing import Tracing, tracing_of
from headrace.errors import HeadraceError
from tests.support.application import Double, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

ROW: dict[str, object] = {"distance": 1.5, "delayed": True, "origin": "JFK"}
SCORED = {"headrace.endpoint": "delays", "headrace.version": "a" * 64, "headrace.rows": 1}
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


def traced(monkeypatch: pytest.MonkeyPatch, row: dict[str, object] = ROW, **headers: str) -> dict[str, Span]:
    """The spans of one request that is answered, and one that is refused, by name."""
    with collector() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        tracing = tracing_of({"OTEL_EXPORTER_OTLP_ENDPOINT": address})
        assert tracing is not None
        with running(told=Told(tracing=tracing), tracing=tracing) as server:
            httpx.post(f"http://{server.address}/predict/delays?secret=s3cret", json=row, headers=headers)
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
        "url.scheme": "http",
        "http.route": "/predict/{endpoint}",
        "http.response.status_code": 200,
        **SCORED,
    }
    assert attributes(score) == SCORED
    assert (score.trace_id, score.parent_span_id) == (request.trace_id, request.span_id)
    assert request.start_time_unix_nano <= score.start_time_unix_nano <= score.end_time_unix_nano
    assert score.end_time_unix_nano <= request.end_time_unix_nano
    assert attributes(spans["GET"])["http.response.status_code"] == 404


def test_the_trace_of_the_caller_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    request = traced(monkeypatch, traceparent=f"00-{TRACE}-{PARENT}-01")["POST /predict/{endpoint}"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)


def test_a_failure_is_a_code_and_tells_nothing_of_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model fails with a text that may repeat what a caller sent: neither it nor a stack trace is exported."""
    spans = traced(monkeypatch, row=ROW | {"distance": 666})
    request, score = spans["POST /predict/{endpoint}"], spans["score"]
    assert (attributes(request)["error.type"], attributes(score)["error.type"]) == ("503", "HR919")
    for span in (request, score):
        assert (span.status.code, span.status.message, list(span.events)) == (Status.STATUS_CODE_ERROR, "", [])


def test_a_shadow_is_told_apart() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing(exporter)
    lanes = Lane(Double()), Lane(Double("b" * 64), "shadow")

    async def ask() -> None:
        answer = asyncio.get_running_loop().create_future()
        answer.set_result(5)
        with tracing.request({"method": "BREW", "path": "/pot", "headers": []}) as span:
            assert [await tracing.scored(answer, Call("delays", [ROW]), lane) for lane in lanes] == [5, 5]
            span.ends("BREW", "", 405)

    asyncio.run(ask())
    tracing.close()
    live, shadow, request = exporter.get_finished_spans()
    assert (request.name, request.attributes["http.request.method"]) == ("HTTP", "_OTHER")  # type: ignore[index]
    assert (live.attributes, shadow.attributes) == (
        SCORED,
        SCORED | {"headrace.version": "b" * 64, "headrace.stage": "shadow"},
    )
    assert request.attributes["headrace.version"] == "a" * 64  # type: ignore[index]


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "headrace"),
        ({"OTEL_SERVICE_NAME": "flights"}, "flights"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=flights"}, "flights"),
    ],
)
def test_the_variables_name_the_service(variables: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    exporter = InMemorySpanExporter()
    tracing = Tracing(exporter)
    with tracing.request({"method": "GET", "path": "/live", "headers": []}):
        pass
    tracing.close()
    assert exporter.get_finished_spans()[0].resource.attributes["service.name"] == name


def test_a_collector_that_does_not_answer_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_module, "_LAST", 0.1)
    asked, gate, ended = Event(), Event(), Event()

    class Stuck(InMemorySpanExporter):
        def export(self, _: object) -> SpanExportResult:
            asked.set()
            assert gate.wait(30)
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            ended.set()

    tracing = Tracing(Stuck())
    with tracing.request({"method": "GET", "path": "/live", "headers": []}):
        pass
    tracing.close()
    assert asked.is_set()
    assert not ended.is_set()
    gate.set()
    assert ended.wait(30)


@pytest.mark.parametrize("off", [{}, {"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_the_variables_switch_it_off(off: dict[str, str]) -> None:
    found = tracing_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"} | off)
    assert (found is None) is bool(off)
    if found is not None:
        found.close()


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
