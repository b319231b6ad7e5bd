# mypy: disable-error-code="import-not-found, no-any-return, untyped-decorator"
"""The service that BentoML serves. Runs in BentoML's environment, with BENCH_GRAPH set."""

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1)
class Scores:
    """The model behind one method."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["BENCH_GRAPH"], options)
        (source,) = self._session.get_inputs()
        self._source, self._kind = source.name, np.float64 if source.type == "tensor(double)" else np.float32
        self._output = self._session.get_outputs()[-1].name

    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """The probability of each row."""
        return self._session.run([self._output], {self._source: rows.astype(self._kind, copy=False)})[0][:, 1]
