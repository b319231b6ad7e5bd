"""Conversion of a stored estimator to ONNX, in a process of its own.

`python -m headrace.models.portable_convert FOLDER` reads `model.skops` and `inputs.json` and writes `model.onnx` or,
where the estimator cannot be converted, `refused.txt` next to them. A process of its own because a converter may be
endless and not only wrong: skl2onnx 1.20 never returns for a tree with an infinite threshold in double precision.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.models.artefact import load
from headrace.models.columns import Input
from headrace.models.graphs import ABSENT, MATRIX, one_matrix, open_graph
from headrace.models.portable_trees import bound_thresholds, way_of_missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headrace.models.training import Estimator

STORED, INPUTS, CONVERTED, REFUSED = "model.skops", "inputs.json", "model.onnx", "refused.txt"

_OPSETS = {"": 18, "ai.onnx.ml": 3}
"""Old enough for every onnxruntime of the last years, new enough for trees in double precision."""


def convert(folder: Path) -> None:
    """Write the graph, in double precision if all its converters can and onnxruntime can run it, else in single."""
    estimator = load((folder / STORED).read_bytes())
    inputs = [Input.from_json(each) for each in json.loads((folder / INPUTS).read_text(encoding="utf-8"))]
    _name_absence(estimator)
    bound_thresholds(estimator)
    problem = ""
    for double, apart in _forms(inputs):
        try:
            content = _converted(estimator, inputs, double=double, apart=apart)
            open_graph(content)
        except Exception as error:  # noqa: BLE001 - converters raise errors of every kind: each means the same
            text = str(error).strip().splitlines()
            problem = problem or f"{type(error).__name__}: {text[0] if text else 'no reason given'}"
            continue
        (folder / CONVERTED).write_bytes(content)
        return
    (folder / REFUSED).write_text(problem, encoding="utf-8")


def _forms(inputs: Sequence[Input]) -> Iterator[tuple[bool, bool]]:
    """In which precision, and whether each input by itself, to try: the best first."""
    for double in (True, False):
        if one_matrix(inputs):
            yield double, False
        yield double, True


def _converted(estimator: Estimator, inputs: Sequence[Input], *, double: bool, apart: bool) -> bytes:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
    from sklearn.base import is_classifier

    number = DoubleTensorType if double else FloatTensorType
    if apart:
        types = [(each.name, (StringTensorType if each.categories else number)([None, 1])) for each in inputs]
    else:
        types = [(MATRIX, number([None, len(inputs)]))]
    options = {id(estimator): {"zipmap": False}} if is_classifier(estimator) else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about versions of the converters' own libraries
        made = convert_sklearn(estimator, initial_types=types, options=options, target_opset=_OPSETS)
    way_of_missing(made, estimator)
    content: bytes = made.SerializeToString()
    return content


def _name_absence(estimator: Estimator) -> None:
    """Have encoders that learnt None as a category know it by the text that stands for it in a graph."""
    for _, each in _parts(estimator):
        for categories in getattr(each, "categories_", ()):
            if categories.dtype == object:
                categories[[value is None for value in categories]] = ABSENT


def _parts(estimator: Any, name: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - estimators have no types
    """An estimator and the fitted ones inside its pipelines and column transformers."""
    yield name, estimator
    steps = getattr(estimator, "transformers_", None) or getattr(estimator, "steps", None) or ()
    for step in steps:
        if hasattr(step[1], "get_params"):
            yield from _parts(step[1], step[0])


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
