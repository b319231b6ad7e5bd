"""The head and the body of an answer are one write; what has no body, or asks for more, is not kept back."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from headrace.endpoints.joined import JoinedProtocol

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = (b"HTTP/1.1 200 OK", b"content-length: 4", b"", b"done")


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401
    """Answers by what the path asks for."""
    path, body, more = scope["path"], b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    length = [(b"content-length", b"4")]
    if path == "/chunks":
        length = []
    await send({"type": "http.response.start", "status": 200, "headers": length})
    if path == "/fails":
        raise RuntimeError
    if path == "/chunks":
        for part in (b"HTTP/1.1 200 OK", b"", b"more"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": b"done" if path != "/echo" else body})


class Written:
    """Notes what each `write` of a transport was given."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []


@contextmanager
def running() -> Iterator[tuple[tuple[str, int], list[bytes]]]:
    """The address of a real server on a real socket, and what it writes, write by write."""
    written = Written()

    class Noting(JoinedProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            write = transport.write

            class Through:
                def __getattr__(self, name: str) -> Any:  # noqa: ANN401
                    return getattr(transport, name)

                def write(self, data: bytes) -> None:
                    written.writes.append(bytes(data))
                    write(data)

            super().connection_made(Through())  # type: ignore[arg-type]

    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, http=Noting, lifespan="off", log_level="critical", ws="none",
        server_header=False, date_header=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    listening.listen()
    thread = threading.Thread(target=asyncio.run, args=(server.serve([listening]),))
    thread.start()
    try:
        yield listening.getsockname(), written.writes
    finally:
        server.should_exit = True
        thread.join()


def asked(address: tuple[str, int], request: bytes, until: bytes) -> bytes:
    """What comes back, up to some bytes or the end."""
    with socket.create_connection(address, 10) as connection:
        connection.sendall(request)
        found = b""
        while until not in found and (part := connection.recv(65536)):
            found += part
        return found


def test_an_answer_is_one_write() -> None:
    with running() as (address, writes):
        found = asked(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"done")
        assert found == b"\r\n".join(OK)
        assert writes == [found]


def test_requests_that_come_together_are_answered_in_order_each_in_one_write() -> None:
    one = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n"
    with running() as (address, writes):
        found = asked(address, one + b"1111" + one + b"2222", b"2222")
        assert found.index(b"1111") < found.index(b"2222")
        assert len(writes) == 2


@pytest.mark.parametrize("path", [b"/", b"/echo"])
def test_an_answer_without_a_body_is_not_kept_back(path: bytes) -> None:
    with running() as (address, writes):
        found = asked(address, b"HEAD " + path + b" HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n\r\n")
        assert found.startswith(b"HTTP/1.1 200 OK")
        assert writes == [found]


def test_who_waits_for_leave_to_send_gets_it() -> None:
    with running() as (address, _), socket.create_connection(address, 10) as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(b"body")
        assert connection.recv(65536).endswith(b"\r\n\r\nbody")


def test_a_body_in_parts_comes_whole_whatever_it_begins_with() -> None:
    with running() as (address, _):
        found = asked(address, b"GET /chunks HTTP/1.1\r\nhost: x\r\n\r\n", b"0\r\n\r\n")
        assert found.endswith(b"f\r\nHTTP/1.1 200 OK\r\n4\r\nmore\r\n0\r\n\r\n")


def test_the_head_of_an_answer_that_breaks_off_is_sent_before_the_connection_ends() -> None:
    with running() as (address, _):
        found = asked(address, b"GET /fails HTTP/1.1\r\nhost: x\r\n\r\n", b"never")
        assert found.startswith(b"HTTP/1.1 200 OK")


def test_what_is_no_request_is_refused() -> None:
    with running() as (address, _):
        assert asked(address, b"no request\r\n\r\n", b"never").startswith(b"HTTP/1.1 400 Bad Request")
