"""The supervisor's own address, over real sockets."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

import httpx
import pytest

from headrace.errors import HeadraceError
from headrace.project.control import LONGEST_BODY, MOST_CONNECTIONS, Control, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.project.control import Route


@contextmanager
def answering(route: Route, path: tuple[str, str] = ("POST", "/echo")) -> Iterator[str]:
    with Control("127.0.0.1", 0, {path: route}) as control:
        yield control.address


def echo(request: Request) -> Response:
    seen = {"query": request.query, "body": request.body.decode(), "local": request.is_local}
    return Response.of({**seen, "odd": request.headers.get("x-odd")}, 202)


def raw(address: str, content: bytes) -> tuple[int, dict[str, object]]:
    """Send bytes as they are, and read one answer."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, json.loads(answer.read())


def test_a_route_gets_the_request_and_answers() -> None:
    with answering(echo) as address:
        answer = httpx.post(f"{address}/echo?a=1", content="text", headers={"X-Odd": "yes"})
    assert (answer.status_code, answer.json()) == (202, {"query": "a=1", "body": "text", "local": True, "odd": "yes"})


def test_a_connection_stays_open() -> None:
    with answering(echo) as address, httpx.Client() as client:
        assert [client.post(f"{address}/echo", content=str(n)).json()["body"] for n in range(3)] == ["0", "1", "2"]


def test_a_body_in_chunks() -> None:
    with answering(echo) as address:
        answer = httpx.post(f"{address}/echo", content=iter([b"in ", b"two"]))
    assert answer.json()["body"] == "in two"


def test_another_path_and_another_method_are_refused() -> None:
    with answering(echo) as address:
        nowhere, otherwise = httpx.get(f"{address}/none"), httpx.get(f"{address}/echo")
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "HR978")
    assert (otherwise.status_code, otherwise.headers["allow"]) == (405, "POST")


def test_an_error_with_a_code_is_an_answer() -> None:
    def refuse(request: Request) -> Response:
        raise HeadraceError("HR911", f"{request.path} needs a token")

    with answering(refuse) as address:
        answer = httpx.post(f"{address}/echo")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "HR911")


def test_what_fails_is_told_and_the_next_request_is_answered(capfd: pytest.CaptureFixture[str]) -> None:
    def fail(request: Request) -> Response:
        if request.body:
            return Response(200, b"good")
        raise ZeroDivisionError

    with answering(fail) as address:
        failed, good = httpx.post(f"{address}/echo"), httpx.post(f"{address}/echo", content="x")
    assert (failed.status_code, failed.json()["error"]["code"], good.text) == (500, "HR947", "good")
    assert "ZeroDivisionError" in capfd.readouterr().err


@pytest.mark.parametrize(
    "request_of",
    [
        b"Content-Length: %d\r\n\r\n" % (LONGEST_BODY + 1),
        b"Content-Length: 5\r\n\r\nabc",
        b"Content-Length: -5\r\n\r\nabc",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\nabc\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\nab",
    ],
)
def test_a_body_that_cannot_be_taken_is_refused(request_of: bytes) -> None:
    with answering(echo) as address:
        status, answer = raw(address, b"POST /echo HTTP/1.1\r\nHost: localhost\r\n" + request_of)
    assert (status, answer["error"]["code"]) == (413, "HR977")  # type: ignore[index]


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("localhost:8181", True), ("[::1]:8181", True), ("127.0.0.1", True), ("evil.example", False)],
)
def test_a_request_is_local_if_it_names_this_machine(host: str, *, local: bool) -> None:
    with answering(echo) as address:
        assert httpx.post(f"{address}/echo", headers={"Host": host}).json()["local"] is local


def test_another_machine_is_not_local() -> None:
    assert not Request("GET", "/", "", {"host": "localhost"}, b"", "192.0.2.1").is_local


def test_an_address_that_is_taken() -> None:
    with answering(echo) as address:
        port = int(address.rpartition(":")[2])
        with pytest.raises(HeadraceError, match="HR979"), Control("127.0.0.1", port, {}):
            pass
        with Control("127.0.0.1", port, {}, fallback=True) as other:
            assert other.address not in (address, "http://127.0.0.1:0")


def test_there_is_room_for_so_many_connections() -> None:
    going = Event()

    def wait(_: Request) -> Response:
        going.wait(30)
        return Response(204)

    with answering(wait, ("GET", "/")) as address:
        host, _, port = address.removeprefix("http://").rpartition(":")
        held = [socket.create_connection((host, int(port)), 30) for _ in range(MOST_CONNECTIONS)]
        for connection in held:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with socket.create_connection((host, int(port)), 30) as one_more:
            assert one_more.recv(1) == b""
        going.set()
        assert {connection.recv(12) for connection in held} == {b"HTTP/1.1 204"}
        for connection in held:
            connection.close()
