"""uvicorn's protocol, with the head and the body of an answer in one write: half the system calls, for both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

_HEAD = b"HTTP/1.1 "
_INTERIM = b"HTTP/1.1 1"
"""How an answer begins that another one follows, such as 100 Continue: callers wait for it."""


class JoinedProtocol(HttpToolsProtocol):
    """Keeps the head of each answer back until its first bytes follow, or it turns out that none will."""

    transport: Any

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Write through a transport that joins."""
        super().connection_made(_Joining(transport))  # type: ignore[arg-type]

    def on_response_complete(self) -> None:
        """Send a head that no body followed, as after HEAD."""
        self.transport.flush()
        super().on_response_complete()


class _Joining:
    """A transport whose `write` keeps a head back. Everything else is the transport's own."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._write = transport.write
        self._head = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a transport has
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write data behind the head that was kept, or keep it where it is one."""
        if self._head:
            data, self._head = self._head + data, b""
            self._write(data)
        elif data.startswith(_HEAD) and not data.startswith(_INTERIM):
            self._head = data
        else:
            self._write(data)

    def flush(self) -> None:
        """Write what is kept."""
        if self._head:
            data, self._head = self._head, b""
            self._write(data)

    def close(self) -> None:
        """End the connection, once all is written."""
        self.flush()
        self._transport.close()
