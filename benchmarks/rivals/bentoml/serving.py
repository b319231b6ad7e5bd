"""BentoML: one worker of a service that takes and returns arrays."""

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


def server(made: Made, folder: Path, port: int) -> Server:
    """The server, with a home of its own."""
    python = venvs.python("bentoml")
    own = {"BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "True", "BENCH_GRAPH": str(made.graph)}
    options = ["--host", "127.0.0.1", "--port", str(port), "--working-dir", str(venvs.RIVALS / "bentoml")]
    return Server(
        name="BentoML",
        argv=[str(python.with_name("bentoml")), "serve", "service:Scores", *options],
        env={**inherited("BENTOML_"), **ONE_THREAD, **own},
        port=port,
        path="/predict",
        encode=_encode,
        decode=json.loads,
        note=f"BentoML {venvs.version('bentoml', 'bentoml')}, onnxruntime",
    )


def _encode(records: Sequence[dict[str, float]]) -> bytes:
    return json.dumps({"rows": matrix(records)}).encode()
