"""LitServe: one worker behind its web server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.serving.own import ONE_THREAD
from benchmarks.serving.records import matrix
from benchmarks.serving.servers import Server
from benchmarks.support import venvs
from benchmarks.support.children import inherited

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.serving.project import Made


def server(made: Made, folder: Path, port: int) -> Server:  # noqa: ARG001 - as every rival's
    """The server."""
    script = venvs.RIVALS / "litserve" / "app.py"
    return Server(
        name="LitServe",
        argv=[str(venvs.python("litserve")), str(script), str(made.graph), str(port)],
        env={**inherited("LIT_"), **ONE_THREAD, "DO_NOT_TRACK": "1"},
        port=port,
        path="/predict",
        encode=_encode,
        decode=_decode,
        note=f"LitServe {venvs.version('litserve', 'litserve')}, onnxruntime",
    )


def _encode(records: Sequence[dict[str, float]]) -> bytes:
    return json.dumps({"rows": matrix(records)}).encode()


def _decode(answer: bytes) -> Sequence[float]:
    found: list[float] = json.loads(answer)["output"]
    return found
