"""A server before another one that fails as it is told: answers 503, closes connections, or ends bodies half way."""

from __future__ import annotations

import http.client
import socket
import struct
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

HALF, CLOSED, BUSY = "half", "closed", "busy"
"""A body that ends half way, a connection that is reset before the answer, and status 503."""
_PASSED_ON = ("transfer-encoding", "connection", "date", "server")


class FlakyProxy:
    """Passes requests on to a port of this machine. `fail` says what the next requests meet instead."""

    def __init__(self, port: int) -> None:
        self.requests: list[tuple[str, str]] = []
        self._lock = Lock()
        self._planned: list[str] = []
        self._forever = ""
        self.hidden: tuple[str, ...] = ()
        handler = type("Handler", (_Handler,), {"proxy": self, "target": port})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, *kinds: str, forever: str = "") -> None:
        """What the next GET requests meet, in turn; `forever` is for all after them."""
        with self._lock:
            self._planned, self._forever, self.requests = list(kinds), forever, []

    def hide(self, *headers: str) -> None:
        """Headers that no answer has any more."""
        self.hidden = headers

    def next(self, method: str, path: str) -> str:
        """What this request meets; empty where it is passed on."""
        with self._lock:
            self.requests.append((method, path))
            return self._planned.pop(0) if self._planned else self._forever


class _Handler(BaseHTTPRequestHandler):
    proxy: ClassVar[FlakyProxy]
    target: ClassVar[int]
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Pass the request on, or fail."""
        kind = self.proxy.next(self.command, self.path)
        if kind == BUSY:
            self._send(503, {}, b"<Error><Code>SlowDown</Code></Error>")
        elif kind == CLOSED:
            self._reset()
        else:
            status, headers, body = self._passed_on()
            self._send(status, headers, body, half=kind == HALF)

    def _passed_on(self) -> tuple[int, dict[str, str], bytes]:
        sent = self.rfile.read(int(self.headers.get("content-length") or 0))
        asked = http.client.HTTPConnection("127.0.0.1", self.target, timeout=60)
        try:
            asked.request(self.command, self.path, sent or None, dict(self.headers))
            answer = asked.getresponse()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in _PASSED_ON}
            return answer.status, headers, answer.read()
        finally:
            asked.close()

    def _send(self, status: int, headers: dict[str, str], body: bytes, *, half: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", *self.proxy.hidden):
                self.send_header(name, value)
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if half else body)
        self.wfile.flush()
        if half:
            self._reset()

    def _reset(self) -> None:
        """End the connection at once, as a machine does that dies."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    do_GET = do_HEAD = do_PUT = do_POST = answer  # noqa: N815 - as its base says
