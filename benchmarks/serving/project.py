"""The project whose model is served: a source of 20 numbers, a table, a model of 100 trees, an endpoint.

There are two models, of the same rows. Boosted trees are small: onnxruntime answers a row in some 8 microseconds, and
HTTP is most of the work. Trees of a forest are grown until each leaf is pure, which noisy labels make deep: from the
bytes of a request to those of its answer it takes some 50 microseconds, without HTTP.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from benchmarks.serving.records import NAMES
from benchmarks.support.children import run
from benchmarks.support.figures import BenchError
from benchmarks.support.ours import COMMAND, environment
from headrace.endpoints.endpoint import PORTABLE
from headrace.models.predictor import Predictor
from headrace.project.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ENDPOINT = "scores"
LARGE = 1_000
"""Rows of a large request."""

_ROWS = 20_000
_APPLY_TIMEOUT = 600.0
_PIPELINE = """\
from datetime import datetime

import polars as pl

from headrace import Contract, Pipeline, TrainingSet, column, files, metric, time_split

work = Pipeline("work")
raw = work.source("raw", files("data/*.parquet"))


class Case(Contract):
    id: int = column(key=True)
    at: datetime = column(event_time=True)
    label: bool
{columns}


@work.table(raw, contract=Case)
def cases(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


@work.model(
    cases,
    label="label",
    inputs={names!r},
    split=time_split(holdout="20d"),
    gate=[metric("roc_auc") >= 0.7],
)
def model(data: TrainingSet):
    from sklearn import ensemble

    return ensemble.{estimator}.fit(data.X, data.y)


{endpoint} = work.endpoint({endpoint!r}, model)
"""


class Model(StrEnum):
    """The estimator, as the project spells it."""

    BOOSTED = "HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=1)"
    FOREST = "RandomForestClassifier(n_estimators=100, random_state=1)"


@dataclass(frozen=True, slots=True)
class Made:
    """A project that is published, and its model for the others.

    `graph` is the ONNX file that Headrace serves, `estimator` the same model as joblib stores it, `rows` are held-out
    rows by name, and `expected` what the graph predicts for them.
    """

    folder: Path
    graph: Path
    estimator: Path
    rows: Sequence[dict[str, float]]
    expected: Sequence[float]


def make(folder: Path, model: Model = Model.BOOSTED) -> Made:
    """Lay the project out in a folder, apply it, and take the model out of it. A folder that has it is read only.

    Raises:
        BenchError: The apply failed, or the model is not served as a graph.
    """
    project = folder / "project"
    if not project.exists():
        (project / "data").mkdir(parents=True)
        _write_rows(project / "data" / "cases.parquet")
        columns = "\n".join(f"    {name}: float" for name in NAMES)
        code = _PIPELINE.format(columns=columns, names=list(NAMES), endpoint=ENDPOINT, estimator=model)
        (project / "pipeline.py").write_text(code, encoding="utf-8")
        (project / "headrace.toml").write_text('pipeline = "pipeline:work"\nworkers = 1\n', encoding="utf-8")
        run([COMMAND, "--project", str(project), "apply"], environment(), folder / "apply.log", _APPLY_TIMEOUT)
        _take_out(project, folder)
    graph, (rows, expected) = folder / "model.onnx", json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    return Made(project, graph, folder / "model.joblib", rows, expected)


def _write_rows(file: Path) -> None:
    """Cases of a hundred days. The label is a noisy function of some of the features, with interactions."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(1)
    matrix = random.normal(size=(_ROWS, len(NAMES)))
    signal = matrix[:, 0] * matrix[:, 1] + np.sin(2 * matrix[:, 2]) + 0.7 * matrix[:, 3:8].sum(axis=1)
    seconds = pl.Series(np.arange(_ROWS) * (100 * 24 * 3600 // _ROWS))
    at = (seconds * 1_000_000).cast(pl.Datetime("us", "UTC"))  # from the first of January 1970 on
    columns = {name: matrix[:, number] for number, name in enumerate(NAMES)}
    label = signal + random.normal(size=_ROWS) > 0
    pl.DataFrame({"id": np.arange(_ROWS), "at": at, "label": label, **columns}).write_parquet(file)


def _take_out(project: Path, folder: Path) -> None:
    """Write the published model next to the project, as a graph and as an estimator, and rows with what it predicts."""
    import joblib
    import numpy as np
    import polars as pl

    from benchmarks.serving.graph import opened

    with Workspace.open(project) as workspace:
        pointers = workspace.ledger.snapshot(workspace.settings.environment).pointers
        live = workspace.ledger.live(sorted(pointers.values()))
        served, model = live[pointers[ENDPOINT]], live[pointers["model"]]
        if PORTABLE not in served.manifest.outputs:
            raise BenchError(f"the model is not served as a graph: {served.manifest.facts}")
        artefacts = workspace.stores.artefacts
        (folder / "model.onnx").write_bytes(artefacts.get(served.manifest.outputs[PORTABLE]))
        joblib.dump(Predictor.of(model, workspace.stores).estimator, folder / "model.joblib")
        held_out = pl.read_parquet(io.BytesIO(artefacts.get(model.manifest.outputs["holdout"])))
    rows = held_out.select(NAMES).head(LARGE).to_dicts()
    predict = opened(folder / "model.onnx")
    expected = predict(np.array([[row[name] for name in NAMES] for row in rows])).tolist()
    (folder / "rows.json").write_text(json.dumps([rows, expected]), encoding="utf-8")
