# mypy: disable-error-code="import-not-found, misc, no-untyped-def, unused-ignore"
"""The server that LitServe makes of a model. Runs in LitServe's environment: `app.py GRAPH PORT`."""

import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime


class Scores(litserve.LitAPI):
    """The model, between JSON and JSON."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        """Open the graph, in the worker."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(sys.argv[1], options)
        (source,) = self._session.get_inputs()
        self._source, self._kind = source.name, np.float64 if source.type == "tensor(double)" else np.float32
        self._output = self._session.get_outputs()[-1].name

    def decode_request(self, request):  # noqa: ANN001, ANN201 - LitServe takes annotations for models to check by
        """The rows of a request."""
        return np.asarray(request["rows"], dtype=np.float64)

    def predict(self, x: Any) -> Any:  # noqa: ANN401 - arrays
        """The probability of each row."""
        return self._session.run([self._output], {self._source: x.astype(self._kind, copy=False)})[0][:, 1]

    def encode_response(self, output):  # noqa: ANN001, ANN201 - the same
        """The answer."""
        return {"output": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Scores(), accelerator="cpu", devices=1, workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", generate_client_file=False)
