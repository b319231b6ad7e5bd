"""What a portable model predicts, in a process of its own: `python -m headrace.models.portable_check FOLDER`.

The folder holds `model.onnx` and `probes.json` (the inputs, and rows of values); the predictions are written to
`found.npy` next to them. The process loads NumPy and onnxruntime and no estimator: it knows of the model only what the
bytes say. A graph that crashes the runtime takes this process with it, and not the one that asked.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from headrace.models.columns import Input
from headrace.models.graphs import feeds_of, open_graph, predictions

MODEL, PROBES, FOUND = "model.onnx", "probes.json", "found.npy"


def answer(folder: Path) -> None:
    """Score the probes of a folder."""
    session = open_graph((folder / MODEL).read_bytes())
    probes = json.loads((folder / PROBES).read_text(encoding="utf-8"))
    inputs = [Input.from_json(each) for each in probes["inputs"]]
    wanted = {each.name: each.type for each in session.get_inputs()}
    np.save(folder / FOUND, predictions(session.run(None, feeds_of(probes["rows"], inputs, wanted))[-1]))


if __name__ == "__main__":
    answer(Path(sys.argv[1]))
