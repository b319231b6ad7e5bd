"""ONNX graphs as Headrace makes and runs them: what goes in, what comes out, and on how many threads.

Numbers come in as one matrix `numbers` of shape [n, k], NaN for a missing value; if a model takes text as well, or asks
for columns by name, every input comes in by itself, by its name, of shape [n, 1], text as strings. The last output of a
graph is the prediction: [n, 2] probabilities of a classifier, [n] or [n, 1] values of a regressor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from headrace.models.columns import Input

    Floats = npt.NDArray[np.float64]

MATRIX = "numbers"
REFUSES = "headrace.refuses_missing"
"""The metadata of a graph that lists, as JSON, the inputs that must not be missing."""

ABSENT = ""
"""The text that stands for a missing or unseen category. No model whose training saw "" is exported."""


def one_matrix(inputs: Sequence[Input]) -> bool:
    """Whether every input is a number, so that a graph takes them as one matrix."""
    return all(not each.categories for each in inputs)


def open_graph(content: bytes) -> Any:  # noqa: ANN401 - onnxruntime publishes no types
    """A session of one thread: threads cost more than they save on a few rows, and workers share the cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def predictions(output: Any) -> Floats:  # noqa: ANN401 - a NumPy array of any float type
    """The last output of a graph as one float for each row: of two probabilities, the second."""
    if output.ndim == 2:  # noqa: PLR2004 - a matrix
        output = output[:, -1]
    return np.asarray(output, dtype=np.float64)


def feeds_of(rows: Sequence[Sequence[object]], inputs: Sequence[Input], wanted: Mapping[str, str]) -> dict[str, Any]:
    """Rows of values, in the order of the inputs, as a graph takes them. `wanted` are its inputs with their types."""
    if MATRIX in wanted and one_matrix(inputs):
        return {MATRIX: matrix(rows, inputs).astype(float_type(wanted[MATRIX]), copy=False)}
    feeds: dict[str, Any] = {}
    for column, each in zip(zip(*rows, strict=True), inputs, strict=True):
        if each.name not in wanted:  # the graph does not use it
            continue
        if each.categories:
            feeds[each.name] = texts(column, each.categories)
        else:
            feeds[each.name] = numbers(column, each).reshape(-1, 1).astype(float_type(wanted[each.name]), copy=False)
    return feeds


def float_type(spelt: str) -> type[np.floating[Any]]:
    """NumPy's type for the type of a graph's input, such as `tensor(double)`."""
    return np.float64 if spelt == "tensor(double)" else np.float32


def matrix(rows: Sequence[Sequence[object]], inputs: Sequence[Input]) -> Floats:
    """Rows of numbers as one array. NumPy reads None as NaN where a float is asked for."""
    if all(each.categories is None for each in inputs):
        return np.array(rows, dtype=np.float64)
    columns = zip(zip(*rows, strict=True), inputs, strict=True)
    return np.column_stack([numbers(column, each) for column, each in columns])


def numbers(column: Sequence[object], each: Input) -> Floats:
    """One column of numbers. Text that was missing in every training row says nothing: it is NaN (`columns.encode`)."""
    return np.full(len(column), np.nan) if each.categories is not None else np.array(column, dtype=np.float64)


def texts(column: Sequence[object], categories: Sequence[str]) -> Any:  # noqa: ANN401 - an array of objects
    """One column of text, of shape [n, 1]; what is missing or unseen becomes `ABSENT`."""
    known = frozenset(categories)
    found = np.empty((len(column), 1), dtype=object)
    found[:, 0] = [value if value in known else ABSENT for value in column]
    return found
