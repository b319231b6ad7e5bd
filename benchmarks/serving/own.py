"""Headrace, and uvicorn with onnxruntime and nothing else, as servers."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import orjson

from benchmarks.serving.project import ENDPOINT
from benchmarks.serving.records import NAMES, matrix
from benchmarks.serving.servers import Server
from benchmarks.support.ours import COMMAND, environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.serving.project import Made

HEADRACE = "Headrace"
RAW = "raw uvicorn"
_HEAD = 4096
"""Bytes of the head of a binary request, filled up with blanks: a header of the request says how long it is."""
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""A model on one thread, for every server: on more, single rows wait for threads to meet."""


def headrace(made: Made, port: int) -> Server:
    """`headrace serve` with its defaults: checks, prediction log and metrics are on."""
    return Server(
        name=HEADRACE,
        argv=[COMMAND, "--project", str(made.folder), "serve", "prod", "--port", str(port)],
        env=environment(**ONE_THREAD),
        port=port,
        path=f"/predict/{ENDPOINT}",
        encode=orjson.dumps,
        decode=_predictions,
        forms={", binary V2": _binary(port)},
    )


def _binary(port: int) -> Server:
    """The same server, asked by the Open Inference Protocol with binary tensors, one for each feature."""
    return Server(
        name=f"{HEADRACE}, binary V2",
        argv=(),
        env={},
        port=port,
        path=f"/v2/models/{ENDPOINT}/infer",
        encode=_tensors,
        decode=_tensor,
        headers={"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(_HEAD)},
    )


def raw(made: Made, port: int) -> Server:
    """The bare server."""
    options = ["--host", "127.0.0.1", "--port", str(port), "--http", "httptools", "--loop", "uvloop"]
    quiet = ["--no-access-log", "--lifespan", "off", "--log-level", "warning"]
    return Server(
        name=RAW,
        argv=[sys.executable, "-m", "uvicorn", "benchmarks.serving.raw_app:app", *options, *quiet],
        env=environment(BENCH_GRAPH=str(made.graph), **ONE_THREAD),
        port=port,
        path="/",
        encode=orjson.dumps,
        decode=orjson.loads,
        note=f"uvicorn {version('uvicorn')}, onnxruntime {version('onnxruntime')}; no check, log or metrics",
    )


def _tensors(records: Sequence[dict[str, float]]) -> bytes:
    columns = np.array(matrix(records)).T
    size = {"binary_data_size": columns[0].nbytes}
    inputs = [{"name": name, "shape": [len(records)], "datatype": "FP64", "parameters": size} for name in NAMES]
    outputs = [{"name": "prediction", "parameters": {"binary_data": True}}]
    head = orjson.dumps({"inputs": inputs, "outputs": outputs})
    return head.ljust(_HEAD) + columns.tobytes()


def _tensor(answer: bytes) -> Sequence[float]:
    """The one tensor that was asked for: it stands behind the head, which says how many values it has."""
    head, _ = json.JSONDecoder().raw_decode(answer.decode("latin-1"))
    (count,) = head["outputs"][0]["shape"]
    found: list[float] = np.frombuffer(answer[-8 * count :]).tolist()
    return found


def _predictions(answer: bytes) -> Sequence[float]:
    return [each["prediction"] for each in orjson.loads(answer)["predictions"]]
