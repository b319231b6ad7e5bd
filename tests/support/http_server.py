"""A real uvicorn on a real socket, in a thread, that answers the paths of a protocol."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import uvicorn

from headrace.endpoints.exchange import Reply
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from headrace.endpoints.exchange import Path

STATUSES = {"HR901": 404, "HR902": 503, "HR903": 404, "HR905": 415, "HR908": 422, "HR909": 422, "HR910": 422}


@dataclass(frozen=True, slots=True)
class Received:
    """A request as a protocol is handed it."""

    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    def header(self, name: str, default: str = "") -> str:
        return self.headers.get(name, default)


async def answer(paths: Sequence[Path], method: str, target: str, given: Received) -> Reply:
    """The reply of the path that fits, or its error."""
    for path in paths:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.template)
        found = re.fullmatch(pattern, target)
        if found and path.method == method:
            params = {name: unquote(value) for name, value in found.groupdict().items()}
            try:
                return await path.handler(Received(params, given.query, given.headers, given.body))
            except HeadraceError as error:
                return Reply(path.render(error), status=STATUSES.get(error.code, 400))
    return Reply(b"{}", status=404)


def app_of(paths: Sequence[Path]) -> Any:  # noqa: ANN401 - what uvicorn calls an application
    """The paths as an ASGI application."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        target = scope["raw_path"].decode("latin-1")
        reply = await answer(paths, scope["method"], target, Received({}, query, headers, body))
        named = {"content-type": reply.content_type, **reply.headers}
        named["content-length"] = str(len(reply.body))
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": encoded})
        await send({"type": "http.response.body", "body": reply.body})

    return app


@contextmanager
def running(paths: Sequence[Path]) -> Iterator[str]:
    """HOST:PORT of a server that ends with the block."""
    config = uvicorn.Config(app_of(paths), host="127.0.0.1", port=0, lifespan="off", log_level="error", ws="none")
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    listening.listen()  # what connects before the server runs waits in the queue
    thread = threading.Thread(target=asyncio.run, args=(server.serve([listening]),))
    thread.start()
    try:
        host, port = listening.getsockname()
        yield f"{host}:{port}"
    finally:
        server.should_exit = True
        thread.join()
