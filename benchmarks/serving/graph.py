"""The model as onnxruntime runs it, on one thread, without Headrace: what the floor and the bare server call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def opened(file: Path) -> Callable[[Any], Any]:
    """A function from a matrix of numbers, one row a case, to the probability of each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    (source,), output = session.get_inputs(), session.get_outputs()[-1].name
    kind = np.float64 if source.type == "tensor(double)" else np.float32

    def predict(matrix: Any) -> Any:  # noqa: ANN401 - onnxruntime publishes no types
        return session.run([output], {source.name: np.asarray(matrix, dtype=kind)})[0][:, -1]

    return predict
