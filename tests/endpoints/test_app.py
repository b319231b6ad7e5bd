"""The application on a real server: what it answers, what it refuses, and what it does when callers misbehave."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.endpoints import app
from headrace.endpoints.access import Access
from headrace.endpoints.answering import AnsweringService, Limits
from headrace.endpoints.figures import Figures
from headrace.endpoints.service import Field
from headrace.endpoints.statuses import STATUSES
from headrace.errors import catalogue
from tests.support.application import FIELDS, HORIZON, Double, MemoryLog, OneEndpoint, RunningServer, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROW = {"distance": 1.5, "delayed": True, "origin": "JFK"}
BODY = 1 << 20
HEAD = "POST /predict/delays HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NEARLY = st.dictionaries(st.sampled_from([*ROW, "mean_delay", "x"]), ANYTHING)
SETTINGS = dict.fromkeys(("at", "explain", "features", "version"), ANYTHING)
BODIES = (
    st.binary(max_size=60)
    | ANYTHING.map(json.dumps).map(str.encode)
    | NEARLY.map(json.dumps).map(str.encode)
    | st.fixed_dictionaries({"records": st.lists(NEARLY, max_size=3)}, optional=SETTINGS)
    .map(json.dumps)
    .map(str.encode)
)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running(Limits(body=BODY, rows=100, seconds=20)) as found:
        yield found


@pytest.fixture(scope="module")
def http(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{server.address}") as found:
        yield found


def post(http: httpx.Client, content: bytes | str, path: str = "/predict/delays", **headers: str) -> httpx.Response:
    named = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return http.post(path, content=content, headers=named)


def error_of(response: httpx.Response) -> dict[str, str]:
    """The error of an answer, whose status is the one of its code."""
    error: dict[str, str] = response.json()["error"]
    assert error.keys() == {"code", "what", "why", "fix"}
    assert response.status_code == STATUSES[error["code"]]
    assert response.headers["content-type"] == "application/json"
    return error


def test_records_are_answered(http: httpx.Client, server: RunningServer) -> None:
    body = {"records": [ROW, ROW | {"distance": 2}], "features": True, "explain": 1, "at": "1970-01-01T00:00:00.002"}
    found = http.post("/predict/delays", json=body)
    assert found.status_code == 200
    answer = found.json()
    assert [each["prediction"] for each in answer["predictions"]] == [6.0, 7.0]
    assert answer["predictions"][1]["features"] == {"mean_delay": 3.0, **ROW, "distance": 2}
    assert answer["predictions"][1]["contributions"] == {"distance": 4.0}
    assert (answer["version"], answer["model"]) == (server.version.key, server.version.model)
    logged = server.log.batches[-1]
    assert [each["id"] for each in answer["predictions"]] == list(logged.ids)
    assert logged.cutoffs == [2_000, 2_000]


@pytest.mark.parametrize("body", [ROW, [ROW]])
def test_records_alone_will_do(http: httpx.Client, body: object) -> None:
    assert [each["prediction"] for each in http.post("/predict/delays", json=body).json()["predictions"]] == [6.0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"distance":',
        b'{"distance": NaN}',
        b'{"distance": 1e999}',
        b'{"origin": "\xff"}',
        b"[" * 100_000,
        b"7",
        b"[1]",
        b'{"records": {}}',
        b'{"records": null}',
        b'{"records": [], "at": 5}',
        b'{"records": [], "at": "yesterday"}',
        b'{"records": [], "at": "0001-01-01T00:00:00+99:00"}',
        b'{"records": [], "explain": true}',
        b'{"records": [], "explain": 101}',
        b'{"records": [], "features": 1}',
        b'{"records": [], "version": ""}',
        b'{"records": [], "version": 1}',
    ],
)
def test_a_body_that_cannot_be_read(http: httpx.Client, body: bytes) -> None:
    assert error_of(post(http, body))["code"] == "HR904"


def test_an_unknown_category_is_answered_with_a_warning() -> None:
    with running() as server, httpx.Client(base_url=f"http://{server.address}") as http:
        origin = Field("origin", "text", required=True, entity=True, categories=("JFK",))
        server.version.fields = (*FIELDS[:2], origin, FIELDS[3])
        unknown = ROW | {"origin": "LGA"}
        one, many, known = (http.post("/predict/delays", json=body).json() for body in (unknown, [unknown] * 12, ROW))
        told = http.get("/metrics").text
    assert one["warnings"] == ["row 0: 'origin' is 'LGA', unknown to the model: it counts as missing"]
    assert (len(many["warnings"]), many["warnings"][-1]) == (11, "and 2 more")
    assert "warnings" not in known
    assert 'headrace_unknown_categories_total{endpoint="delays",field="origin"} 13.0' in told


def test_an_unknown_setting_is_told_what_is_near(http: httpx.Client) -> None:
    error = error_of(post(http, '{"records": [], "explian": 2}'))
    assert (error["code"], error["fix"]) == ("HR904", "Did you mean 'explain'?")


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (ROW | {"distanse": 1}, "HR908"),
        ({"delayed": True, "origin": "JFK"}, "HR909"),
        (ROW | {"distance": "1"}, "HR910"),
        (ROW | {"origin": None}, "HR918"),
    ],
)
def test_a_row_that_does_not_fit(http: httpx.Client, row: dict[str, object], code: str) -> None:
    assert error_of(http.post("/predict/delays", json=row))["code"] == code


def test_an_unknown_field_is_told_what_is_near(http: httpx.Client) -> None:
    assert error_of(http.post("/predict/delays", json=ROW | {"distanse": 1}))["fix"] == "Did you mean 'distance'?"


@pytest.mark.parametrize(
    "headers", [{"content_type": "text/plain"}, {"content_type": "x" * 999}, {"content_encoding": "gzip"}]
)
def test_another_content_is_refused(http: httpx.Client, headers: dict[str, str]) -> None:
    error = error_of(post(http, json.dumps(ROW), **headers))
    assert error["code"] == "HR905"
    assert len(error["what"]) < 200


@pytest.mark.parametrize(
    "headers", [{"content_type": "Application/JSON; charset=utf-8"}, {"content_encoding": "identity"}]
)
def test_the_same_content_said_otherwise_is_taken(http: httpx.Client, headers: dict[str, str]) -> None:
    assert post(http, json.dumps(ROW), **headers).status_code == 200


def test_a_body_without_a_type_is_json(http: httpx.Client) -> None:
    assert http.post("/predict/delays", content=json.dumps(ROW)).status_code == 200


@pytest.mark.parametrize("parts", [1, 5])
def test_a_body_may_be_as_large_as_the_limit_and_no_larger(http: httpx.Client, parts: int) -> None:
    padding = b" " * (BODY - len(json.dumps(ROW)))
    content = json.dumps(ROW).encode() + padding

    def pieces(whole: bytes) -> Iterator[bytes]:
        size = -(-len(whole) // parts)
        yield from (whole[start : start + size] for start in range(0, len(whole), size))

    headers = {"content-type": "application/json"}
    assert http.post("/predict/delays", content=pieces(content), headers=headers).status_code == 200
    assert error_of(http.post("/predict/delays", content=pieces(content + b" "), headers=headers))["code"] == "HR906"


def test_too_many_rows_are_refused(http: httpx.Client) -> None:
    assert http.post("/predict/delays", json=[ROW] * 100).status_code == 200
    assert error_of(http.post("/predict/delays", json=[ROW] * 101))["code"] == "HR907"


@pytest.mark.parametrize(
    ("method", "path", "code", "fix"),
    [
        ("GET", "/endpoint", "HR916", "Did you mean '/endpoints'?"),
        ("GET", "/" + "x" * 9_999, "HR916", None),
        ("POST", "/predict/delay", "HR901", "Did you mean 'delays'?"),
        ("POST", "/predict/%ff", "HR901", None),
        ("POST", "/predict/a%2Fb", "HR901", None),
        ("POST", "/predict/empty", "HR902", None),
        ("POST", "/predict/a/b", "HR916", None),
    ],
)
def test_what_is_not_there(http: httpx.Client, method: str, path: str, code: str, fix: str | None) -> None:
    response = http.request(method, path, json=ROW)
    error = error_of(response)
    assert error["code"] == code
    assert len(error["what"]) < 300
    assert fix is None or error["fix"] == fix
    assert ("retry-after" in response.headers) is (code == "HR902")


def test_an_unknown_version_is_refused(http: httpx.Client, server: RunningServer) -> None:
    for key, status in ((server.version.key[:5], 200), ("zz", 404)):
        assert http.post("/predict/delays", json={"records": [ROW], "version": key}).status_code == status


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/predict/delays", "POST"), ("PUT", "/ready", "GET"), ("DELETE", "/v2", "GET")],
)
def test_another_method_is_told_which_one(http: httpx.Client, method: str, path: str, allowed: str) -> None:
    response = http.request(method, path)
    assert error_of(response)["code"] == "HR917"
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("path", "content_type", "held"),
    [
        ("/live", "application/json", '{"live":true}'),
        ("/ready", "application/json", '{"ready":true}'),
        ("/docs", "text/html", "<html>a page</html>"),
        ("/metrics", "text/plain", "headrace_log_failures 3.0"),
        ("/openapi.json", "application/json", '"/predict/delays"'),
        ("/endpoints", "application/json", '"generations":{"airports":"ggg'),
        ("/v2/health/live", "application/json", "{}"[:1]),
        ("/ping", "text/plain", "\n"),
    ],
)
def test_what_can_be_asked_for(http: httpx.Client, path: str, content_type: str, held: str) -> None:
    found = http.get(path)
    assert found.status_code == 200
    assert found.headers["content-type"].startswith(content_type)
    assert held in found.text


def test_requests_are_counted(http: httpx.Client) -> None:
    http.post("/predict/delays", json=ROW)
    http.post("/predict/made-up", json=ROW)
    http.post("/v2/models/made-up/infer", json={})
    text = http.get("/metrics").text
    assert 'headrace_requests_total{endpoint="delays",status="200"}' in text
    assert 'headrace_requests_total{endpoint="",status="404"}' in text
    assert "made-up" not in text  # a caller cannot make the server keep names


def test_an_answer_tells_nothing_of_the_code(http: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    response = http.post("/predict/delays", json=ROW | {"distance": 666})
    assert error_of(response)["code"] == "HR919"
    assert "secret" not in response.text
    assert "a secret of the model" in caplog.text


def test_a_failure_of_the_server_itself_has_a_code(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing(_: object) -> None:
        raise ConnectionResetError("of something behind the server")

    monkeypatch.setattr(server.service, "predict", failing)
    response = http.post("/predict/delays", json=ROW)
    assert error_of(response)["code"] == "HR919"
    assert "behind" not in response.text
    assert "of something behind the server" in caplog.text


@settings(max_examples=300)
@given(body=BODIES, path=st.sampled_from(["/predict/delays", "/v2/models/delays/infer", "/invocations"]))
def test_no_body_gives_an_error_without_a_code(http: httpx.Client, body: bytes, path: str) -> None:
    response = post(http, body, path)
    if response.status_code == 200:
        assert response.json()["outputs" if path.startswith("/v2") else "predictions"] is not None
        return
    error = response.json()["error"]
    code = error["code"] if isinstance(error, dict) else error.split()[0]
    assert code in catalogue()
    assert response.status_code == STATUSES[code]
    assert code != "HR919"
    assert "Traceback" not in response.text


@pytest.fixture(scope="module")
def guarded() -> Iterator[httpx.Client]:
    with (
        running(access=Access("s3cret ü", "ruler")) as server,
        httpx.Client(base_url=f"http://{server.address}") as found,
    ):
        yield found


@pytest.mark.parametrize(
    "authorization",
    [b"", b"Bearer", b"Bearer s3cret", b"Basic s3cret \xc3\xbc", "Bearer s3cret ü".encode("latin-1")],
)
@pytest.mark.parametrize("path", ["/predict/delays", "/v2/models/delays/infer", "/invocations"])
def test_a_stranger_is_refused(guarded: httpx.Client, authorization: bytes, path: str) -> None:
    response = guarded.post(path, json=ROW, headers={b"authorization": authorization} if authorization else {})
    assert response.status_code == 401
    assert "HR911" in response.text
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/metrics", "/endpoints", "/openapi.json", "/v2", "/version"])
def test_a_stranger_reads_nothing(guarded: httpx.Client, path: str) -> None:
    assert guarded.get(path).status_code == 401


@pytest.mark.parametrize("path", ["/live", "/ready", "/docs", "/ping", "/v2/health/ready"])
def test_a_load_balancer_needs_no_token(guarded: httpx.Client, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_who_shows_the_token_is_answered(guarded: httpx.Client) -> None:
    for scheme in ("Bearer", "bearer"):
        headers = {b"authorization": f"{scheme} s3cret ü".encode()}
        assert guarded.post("/predict/delays", json=ROW, headers=headers).status_code == 200


def test_the_metrics_need_the_admin_token(guarded: httpx.Client) -> None:
    refused = guarded.get("/metrics", headers={b"authorization": "Bearer s3cret ü".encode()})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "HR912")
    for path in ("/metrics", "/endpoints"):
        assert guarded.get(path, headers={"authorization": "Bearer ruler"}).status_code == 200


def talk(server: RunningServer, content: bytes) -> bytes:
    """What a server answers until it closes the connection."""
    with socket.create_connection(server.pair, timeout=20) as caller:
        caller.sendall(content)
        found = b""
        while part := caller.recv(1 << 16):
            found += part
        return found


@pytest.mark.parametrize("sent", [b"", b"{"])
def test_who_sends_no_body_is_not_waited_for(sent: bytes) -> None:
    with running(Limits(seconds=0.2)) as server:
        found = talk(server, f"{HEAD}content-length: 50\r\n\r\n".encode() + sent)
    assert found.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in found
    assert b"HR904" in found
    assert b"within 0.2 seconds" in found


def test_a_body_in_parts_is_put_together(server: RunningServer) -> None:
    content = json.dumps(ROW).encode()
    with socket.create_connection(server.pair, timeout=20) as caller:
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        caller.sendall(f"{HEAD}expect: 100-continue\r\ncontent-length: {len(content)}\r\n\r\n".encode())
        assert caller.recv(1 << 16).startswith(b"HTTP/1.1 100 ")  # the server waits for the body by then
        caller.sendall(content[:9])
        caller.sendall(content[9:])
        found = b""
        while b'"model"' not in found:
            part = caller.recv(1 << 16)
            assert part
            found += part
    assert found.startswith(b"HTTP/1.1 200 ")


def test_who_hangs_up_costs_nothing(
    server: RunningServer, http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the body, before the answer, and by a reset: no trace in the log, and others are answered."""
    content = json.dumps(ROW).encode()
    for sent in (b"", content[:5], content):
        for reset in (True, False):
            caller = socket.create_connection(server.pair, timeout=20)
            caller.sendall(f"{HEAD}content-length: {len(content)}\r\n\r\n".encode() + sent)
            if reset:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            caller.close()
    assert http.post("/predict/delays", json=ROW).status_code == 200
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


def test_another_scope_is_left_alone() -> None:
    """A websocket or a lifespan gets no answer and no error: uvicorn is told by silence that there is none."""
    assert asyncio.run(sent_by({"type": "lifespan"})) == []


@pytest.mark.parametrize(
    "error", [RuntimeError("unable to perform operation; the handler is closed"), BrokenPipeError()]
)
def test_an_answer_to_nobody_is_dropped(error: Exception) -> None:
    assert asyncio.run(sent_by(scope(), error)) == []


def test_another_error_while_answering_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="of another kind"):
        asyncio.run(sent_by(scope(), RuntimeError("of another kind")))


def scope(**changed: object) -> dict[str, object]:
    return {"type": "http", "method": "GET", "path": "/live", "headers": [], "query_string": b"", **changed}


async def sent_by(scope: dict[str, object], error: Exception | None = None) -> list[Mapping[str, object]]:
    """What an application sends for a scope, where `error` comes of sending."""
    figures = Figures()
    sent: list[Mapping[str, object]] = []
    service = AnsweringService(OneEndpoint(Double()), MemoryLog(), lambda: HORIZON, Limits(), figures)
    application = app.Application(service, figures, lambda: 0, page=b"")

    async def receive() -> Mapping[str, object]:
        return {"type": "http.request", "body": b""}

    async def send(message: Mapping[str, object]) -> None:
        if error is not None:
            raise error
        sent.append(message)

    await application(scope, receive, send)
    service.batches.close()
    return sent
