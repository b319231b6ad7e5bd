"""The supervisor's own HTTP address: a few routes beside the endpoints, answered by threads of the supervisor.

A route is a function from a `Request` to a `Response`, registered under a method and a path. It runs in a thread of its
own, several at once; a `HeadraceError` that it raises becomes an answer with the status of its code.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from socketserver import ThreadingTCPServer
from threading import BoundedSemaphore, Thread
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from headrace.endpoints.statuses import status_of
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from typing import Self

LONGEST_BODY: Final = 1 << 20
"""Bytes of a body; more is refused."""
MOST_CONNECTIONS: Final = 64
"""Connections at once; more are closed at once."""
_IDLE = 20.0
"""Seconds that a connection may be silent."""
_LONGEST_LINE = 4096
"""Bytes of a line that begins a chunk, or of a trailer."""

STATUSES: Final = {
    "HR946": 403,
    "HR947": 500,
    "HR949": 415,
    "HR957": 501,
    "HR975": 400,
    "HR976": 401,
    "HR977": 413,
    "HR978": 404,
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a route sees it: the path without its query, names of headers in lower case, who asks."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    peer: str

    @property
    def is_local(self) -> bool:
        """Whether it comes from this machine and names it: a page of another site that got here does not."""
        host = self.headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        return _is_loopback(self.peer) and _is_loopback(name.strip("[]"))


@dataclass(frozen=True, slots=True)
class Response:
    """What a route answers."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, content: object, status: int = 200) -> Response:
        """JSON of plain data."""
        return cls(status, json.dumps(content).encode())

    @classmethod
    def refusal(cls, error: HeadraceError, status: int | None = None) -> Response:
        """An error: its code, what happened, why, how to fix it; by default with the status of its code."""
        return cls.of({"error": error.to_json()}, status or STATUSES.get(error.code) or status_of(error))


Route: TypeAlias = Callable[[Request], Response]
Routes: TypeAlias = Mapping[tuple[str, str], Route]


class Control:
    """Answers on an address for as long as the block.

    `routes` are found by method and path, such as ("POST", "/events"). With `fallback`, any free port is taken where
    the wanted one is not to be had. Raises HR979 for an address that cannot be used.
    """

    def __init__(self, host: str, port: int, routes: Routes, *, fallback: bool = False) -> None:
        self._host = host
        self._port = port
        self._routes = routes
        self._fallback = fallback

    def __enter__(self) -> Self:
        try:
            self._server = _opened(self._host, self._port, self._routes)
        except OSError as error:
            if not self._fallback:
                raise HeadraceError("HR979", f"{self._host}:{self._port}: {error.strerror or error}") from error
            self._server = _opened(self._host, 0, self._routes)
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="control", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """Where it answers, such as http://127.0.0.1:8181."""
        host, port = self._server.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"


def _opened(host: str, port: int, routes: Routes) -> _Server:
    return (_Server6 if ":" in host else _Server)((host, port), routes)


class _Server(ThreadingTCPServer):
    """One thread for each connection, up to a limit."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], routes: Routes) -> None:
        self.routes = routes
        self._room = BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as its base says
        """Answer in a thread, if there is room."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as its base says
        """Answer, then make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - as its base says
        """Tell of what is no fault of the caller's connection."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            traceback.print_exception(error)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    """Reads requests of one connection and has them answered."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "headrace"
    sys_version = ""
    timeout = _IDLE
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer leaves in one piece

    def answer(self) -> None:
        """Find the route, and send what it says."""
        method, (path, _, query) = self.command, self.path.partition("?")
        try:
            body = self._body()
        except HeadraceError as error:
            self.close_connection = True  # what follows may be the rest of the body
            self._send(Response.refusal(error))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(_answered(self.server.routes, Request(method, path, query, headers, body, self.client_address[0])))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815 - as its base says

    def log_message(self, *_: object) -> None:
        """Keep still: who asks is no news."""

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        self.send_header("content-type", response.content_type)
        self.send_header("content-length", str(len(response.body)))
        for name, value in response.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def _body(self) -> bytes:
        """The whole body. Raises HR977 for one that is too large, or not sent as HTTP says."""
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        if coding is not None:
            if coding.strip().lower() != "chunked" or length is not None:
                raise HeadraceError("HR977", f"the transfer coding {coding!r} is not taken, or not beside a length")
            return self._chunks()
        if length is None:
            return b""
        if not (length.isascii() and length.isdigit()):
            raise HeadraceError("HR977", f"a length of {length!r} is no number")
        return self._exactly(int(length), 0)

    def _chunks(self) -> bytes:
        content = bytearray()
        while True:
            size = self._line().partition(b";")[0].strip()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size):
                raise HeadraceError("HR977", f"a chunk begins with {size[:20]!r} instead of its size")
            if int(size, 16) == 0:
                break
            content += self._exactly(int(size, 16), len(content))
            if self._line():
                raise HeadraceError("HR977", "a chunk is longer than its size says")
        while self._line():
            pass  # what follows the last chunk says nothing that is needed here
        return bytes(content)

    def _exactly(self, size: int, before: int) -> bytes:
        if size + before > LONGEST_BODY:
            raise HeadraceError("HR977", f"the body has more than {LONGEST_BODY} bytes")
        content = self.rfile.read(size)
        if len(content) < size:
            raise HeadraceError("HR977", "the body ended before its length was reached")
        return content

    def _line(self) -> bytes:
        line = self.rfile.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise HeadraceError("HR977", "the body ended, or a line of it is too long")
        return line.strip()


def _answered(routes: Routes, request: Request) -> Response:
    """What the route says; what fails in it is an answer as well."""
    route = routes.get((request.method, request.path))
    if route is None:
        return _nowhere(routes, request)
    try:
        return route(request)
    except HeadraceError as error:
        return Response.refusal(error)
    except Exception as error:  # noqa: BLE001 - told on standard error; the next request is answered all the same
        traceback.print_exception(error)
        return Response.refusal(HeadraceError("HR947", f"{request.method} {request.path}: {type(error).__name__}"))


def _nowhere(routes: Routes, request: Request) -> Response:
    taken = sorted(method for method, path in routes if path == request.path)
    if taken:
        error = HeadraceError("HR978", f"{request.path} takes {' and '.join(taken)}, not {request.method}")
        return replace(Response.refusal(error, 405), headers={"allow": ", ".join(taken)})
    known = ", ".join(sorted({path for _, path in routes}))
    return Response.refusal(HeadraceError("HR978", f"there is no {request.path} here", fix=f"Ask for one of {known}."))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
