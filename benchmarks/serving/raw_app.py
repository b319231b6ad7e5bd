"""The bare server: uvicorn and onnxruntime, with no check, no log and no metrics. Started with BENCH_GRAPH set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from benchmarks.serving.graph import opened
from benchmarks.serving.records import answer, matrix

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_predict = opened(Path(os.environ["BENCH_GRAPH"]))
_HEADERS = [(b"content-type", b"application/json")]


async def app(
    _scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer a list of records with a list of probabilities, whatever the path is."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    found = answer(_predict(matrix(orjson.loads(body))))
    length = (b"content-length", b"%d" % len(found))
    await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, length]})
    await send({"type": "http.response.body", "body": found})
