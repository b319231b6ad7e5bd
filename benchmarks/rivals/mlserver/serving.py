"""MLServer with its scikit-learn runtime, in one process: `parallel_workers` is 0, so that no other one is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.serving.own import ONE_THREAD
from benchmarks.serving.project import ENDPOINT
from benchmarks.serving.records import matrix
from benchmarks.serving.servers import Server
from benchmarks.support import venvs
from benchmarks.support.children import free_port, inherited

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.serving.project import Made


def server(made: Made, folder: Path, port: int) -> Server:
    """The server on a folder with its settings. Metrics and gRPC, which it always has, get ports of their own."""
    python = venvs.python("mlserver")
    home = folder / "mlserver"
    home.mkdir(exist_ok=True)
    settings = {
        "debug": False,
        "parallel_workers": 0,
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "metrics_dir": str(home),
    }
    model = {
        "name": ENDPOINT,
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(made.estimator)},
    }
    (home / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (home / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    return Server(
        name="MLServer",
        argv=[str(python.with_name("mlserver")), "start", str(home)],
        env={**inherited("MLSERVER_"), **ONE_THREAD},
        port=port,
        path=f"/v2/models/{ENDPOINT}/infer",
        encode=_encode,
        decode=_decode,
        note=f"MLServer {venvs.version('mlserver', 'mlserver')}, scikit-learn",
    )


def _encode(records: Sequence[dict[str, float]]) -> bytes:
    rows = matrix(records)
    values = [value for row in rows for value in row]
    source = {"name": "x", "shape": [len(rows), len(rows[0])], "datatype": "FP64", "data": values}
    return json.dumps({"inputs": [source], "outputs": [{"name": "predict_proba"}]}).encode()


def _decode(answer: bytes) -> Sequence[float]:
    """The second of two probabilities, which lie in one flat list."""
    (output,) = json.loads(answer)["outputs"]
    values: list[float] = output["data"]
    return values[1::2]
