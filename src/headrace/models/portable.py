"""Export of a fitted estimator to ONNX, refused unless it predicts what the estimator predicts.

That a converter raises no error says little: skl2onnx converts gradient boosting with categories, and most of what the
graph then predicts is wrong. Therefore every export is run in a clean process on held-out rows and on generated probes
(each input missing, each text unseen, each number far out), and is refused where it differs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from headrace.errors import HeadraceError
from headrace.models import portable_check, portable_convert
from headrace.models.artefact import dump
from headrace.models.columns import encode
from headrace.models.graphs import ABSENT, REFUSES
from headrace.models.probes import probes_of
from headrace.models.scorer import PORTABLE_TOLERANCE, difference, rows_of
from headrace.models.training import scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from headrace.models.columns import Input
    from headrace.models.graphs import Floats
    from headrace.models.training import Estimator

SECONDS = 120.0
"""How long a conversion or a check may take before the export is refused."""


@dataclass(frozen=True, slots=True)
class Portable:
    """An export that was checked: its bytes, on how many rows, and how far it was off at most."""

    content: bytes
    rows: int
    off: float


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is no export, as a sentence."""

    reason: str


def export(
    estimator: Estimator,
    inputs: Sequence[Input],
    sample: pl.DataFrame,
    expected: Floats,
    seconds: float = SECONDS,
) -> Portable | Refused:
    """Convert an estimator and check the result (see the module).

    Args:
        estimator: Fitted, and such that `artefact.dump` stores it.
        inputs: What it takes, in order.
        sample: Held-out rows before encoding.
        expected: What the estimator predicted for them.
        seconds: How long the conversion, and the check after it, may take.
    """
    if any(ABSENT in (each.categories or ()) for each in inputs):
        return Refused("A category is the empty text, which stands for a missing value in an ONNX graph.")
    with TemporaryDirectory(prefix="headrace-onnx-") as name:
        folder = Path(name)
        content = _convert(estimator, inputs, folder, seconds)
        if isinstance(content, Refused):
            return content
        try:
            return _checked(content, _Task(estimator, inputs, folder, seconds), sample, expected)
        except HeadraceError as error:
            return Refused(f"The estimator itself refused held-out rows: {error.what}.")


@dataclass(frozen=True, slots=True)
class _Task:
    estimator: Estimator
    inputs: Sequence[Input]
    folder: Path
    seconds: float


def _convert(estimator: Estimator, inputs: Sequence[Input], folder: Path, seconds: float) -> bytes | Refused:
    try:
        (folder / portable_convert.STORED).write_bytes(dump(estimator))
    except HeadraceError as error:
        return Refused(f"The estimator cannot be handed to the converter: {error.what}.")
    (folder / portable_convert.INPUTS).write_text(json.dumps([each.to_json() for each in inputs]), encoding="utf-8")
    if problem := _run("headrace.models.portable_convert", folder, seconds):
        return Refused(f"The conversion {problem}.")
    refused = folder / portable_convert.REFUSED
    if refused.exists():
        return Refused(f"skl2onnx cannot convert {type(estimator).__name__}: {refused.read_text(encoding='utf-8')}")
    return (folder / portable_convert.CONVERTED).read_bytes()


def _checked(content: bytes, task: _Task, sample: pl.DataFrame, expected: Floats) -> Portable | Refused:
    probes, asked = probes_of(sample, task.inputs)
    native, refuses, judged = _native(task, probes, asked)
    rows = [*rows_of(sample, task.inputs), *compress(rows_of(probes, task.inputs), judged)]
    content = _with_refusals(content, refuses)
    found = check(content, task.inputs, rows, task.folder, task.seconds)
    if isinstance(found, Refused):
        return found
    wanted = np.concatenate([expected, native])
    names = ["a held-out row"] * len(expected) + list(compress(asked, judged))
    if len(found) != len(wanted):
        return Refused(f"The graph answers {len(found)} predictions for {len(wanted)} rows.")
    apart = [n for n in range(len(wanted)) if difference(wanted[n : n + 1], found[n : n + 1]) > PORTABLE_TOLERANCE]
    if apart:
        worst = max(apart, key=lambda n: difference(wanted[n : n + 1], found[n : n + 1]))
        return Refused(
            f"The graph predicts otherwise than the estimator on {len(apart)} of {len(wanted)} rows, "
            f"such as {found[worst]:.6g} for {wanted[worst]:.6g} ({names[worst]})."
        )
    return Portable(content, len(wanted), difference(wanted, found))


def check(
    content: bytes, inputs: Sequence[Input], rows: Sequence[Sequence[object]], folder: Path, seconds: float = SECONDS
) -> Floats | Refused:
    """What a graph predicts for rows, in a clean process that may crash or be endless without harm."""
    (folder / portable_check.MODEL).write_bytes(content)
    probes = {"inputs": [each.to_json() for each in inputs], "rows": rows}
    (folder / portable_check.PROBES).write_text(json.dumps(probes), encoding="utf-8")
    if problem := _run("headrace.models.portable_check", folder, seconds):
        return Refused(f"The check of the graph {problem}.")
    found: Floats = np.load(folder / portable_check.FOUND)
    return found


def _native(task: _Task, probes: pl.DataFrame, asked: Sequence[str]) -> tuple[Floats, list[str], list[bool]]:
    """What the estimator makes of the probes: its predictions, the inputs that must not be missing, who was judged."""
    matrix = encode(probes, task.inputs)
    try:
        return scores(task.estimator, matrix), [], [True] * len(asked)
    except HeadraceError:
        pass  # some probes are refused: find out which, by kind
    found: list[Floats] = []
    refuses: list[str] = []
    judged = np.ones(len(asked), dtype=bool)
    for what in dict.fromkeys(asked):
        members = np.array([each == what for each in asked])
        try:
            found.append(scores(task.estimator, matrix.filter(members)))
        except HeadraceError:
            judged &= ~members
            refuses += [each.name for each in task.inputs if what == f"{each.name!r} missing"]
    return np.concatenate(found) if found else np.empty(0), refuses, judged.tolist()


def _with_refusals(content: bytes, refuses: Sequence[str]) -> bytes:
    """The graph with the inputs that must not be missing: onnxruntime would answer a number for them all the same."""
    if not refuses:
        return content
    import onnx

    model = onnx.load_model_from_string(content)
    onnx.helper.set_model_props(model, {REFUSES: json.dumps(list(refuses))})
    changed: bytes = model.SerializeToString()
    return changed


def _run(module: str, folder: Path, seconds: float) -> str:
    """Run one of our modules in a fresh interpreter. Answers what went wrong, as the end of a sentence, or nothing."""
    command = [sys.executable, "-m", module, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=seconds)  # noqa: S603 - our own module
    except subprocess.TimeoutExpired:
        return f"took longer than {seconds:g} seconds"
    if not done.returncode:
        return ""
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return f"ended with status {done.returncode}" + (f" ({said[-1]})" if said else "")
