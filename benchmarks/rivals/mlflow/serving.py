"""`mlflow models serve` with the scikit-learn flavour, and one worker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.serving.own import ONE_THREAD
from benchmarks.serving.records import NAMES, matrix
from benchmarks.serving.servers import Server
from benchmarks.support import venvs
from benchmarks.support.children import inherited, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.serving.project import Made

_SAVE_TIMEOUT = 120.0


def server(made: Made, folder: Path, port: int) -> Server:
    """The server. The model is saved in MLflow's form first, by MLflow."""
    python = venvs.python("mlflow")
    saved, env = folder / "mlflow", {**inherited("MLFLOW_"), **ONE_THREAD, "MLFLOW_DISABLE_TELEMETRY": "true"}
    env["PATH"] = f"{python.parent}:{env['PATH']}"  # it starts uvicorn by its name
    if not saved.exists():
        save = str(venvs.RIVALS / "mlflow" / "save.py")
        run([str(python), save, str(made.estimator), str(saved)], env, folder / "mlflow-save.log", _SAVE_TIMEOUT)
    options = ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return Server(
        name="MLflow",
        argv=[str(python.with_name("mlflow")), "models", "serve", "--model-uri", str(saved), *options],
        env=env,
        port=port,
        path="/invocations",
        encode=_encode,
        decode=_decode,
        note=f"MLflow {venvs.version('mlflow', 'mlflow')}, scikit-learn",
    )


def _encode(records: Sequence[dict[str, float]]) -> bytes:
    return json.dumps({"dataframe_split": {"columns": NAMES, "data": matrix(records)}}).encode()


def _decode(answer: bytes) -> Sequence[float]:
    return [pair[1] for pair in json.loads(answer)["predictions"]]
