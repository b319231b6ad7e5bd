"""Evaluation by the platform: the same measures for every model, overall and by slice.

A measure that is not defined on the rows (one class only, no spread) is None, never a number that looks like one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from headrace.graph.conditions import Measured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

Values: TypeAlias = dict[str, float | None]
Array: TypeAlias = Any  # a NumPy array of floats; NumPy is loaded only where it is used

CLASSIFICATION = ("accuracy", "average_precision", "base_rate", "brier", "log_loss", "roc_auc", "rows")
REGRESSION = ("mae", "r2", "rmse", "rows")
METRICS = tuple(sorted({*CLASSIFICATION, *REGRESSION}))

SLICE_ROWS = 100
"""With fewer rows, the metrics of a slice are noise (a ROC AUC of 100 rows is known to within about 0.05)."""

_BINS = 10


def measure(y: Array, score: Array, task: str) -> Values:
    """The metrics of scores against the truth. `task` is "classification" (y is 0 or 1, score P(1)) or "regression"."""
    return _classification(y, score) if task == "classification" else _regression(y, score)


def evaluation(frame: pl.DataFrame, slices: Sequence[str], task: str, label: str, score: str) -> Measured:
    """What is measured of scored rows: overall, and for each value of each slice column, the largest slices first."""
    overall = measure(frame[label].to_numpy(), frame[score].to_numpy(), task)
    return Measured(overall, {column: _by(frame, column, task, (label, score)) for column in slices})


def calibration(y: Array, score: Array) -> list[dict[str, float]]:
    """Ten bins of equally many rows in order of score: its range and mean in each, and the rate that came true."""
    import numpy as np

    order = np.argsort(score, kind="stable")
    bins = [part for part in np.array_split(order, _BINS) if len(part)]
    return [
        {
            "low": float(score[part[0]]),
            "high": float(score[part[-1]]),
            "rows": len(part),
            "mean_score": float(score[part].mean()),
            "rate": float(y[part].mean()),
        }
        for part in bins
    ]


def measured_json(measured: Measured) -> dict[str, Any]:
    """What was measured as plain data."""
    slices = {
        column: {each: dict(values) for each, values in found.items()} for column, found in measured.slices.items()
    }
    return {"metrics": dict(measured.overall), "slices": slices}


def _by(frame: pl.DataFrame, column: str, task: str, pair: tuple[str, str]) -> Mapping[str, Values]:
    label, score = pair
    parts = frame.select(column, label, score).partition_by(column, maintain_order=True)
    parts.sort(key=lambda part: (-len(part), str(part[column][0])))
    found: dict[str, Values] = {}
    for part in parts:
        value = part[column][0]
        measures = dict.fromkeys(CLASSIFICATION if task == "classification" else REGRESSION)
        if len(part) >= SLICE_ROWS:
            measures = measure(part[label].to_numpy(), part[score].to_numpy(), task)
        found["(missing)" if value is None else str(value)] = {**measures, "rows": float(len(part))}
    return found


def _classification(y: Array, score: Array) -> Values:
    import numpy as np
    from sklearn import metrics

    clipped = np.clip(score, 1e-15, 1 - 1e-15)
    both = 0 < y.sum() < len(y)
    return {
        "roc_auc": float(metrics.roc_auc_score(y, score)) if both else None,
        "average_precision": float(metrics.average_precision_score(y, score)) if both else None,
        "log_loss": float(-np.mean(y * np.log(clipped) + (1 - y) * np.log1p(-clipped))) if len(y) else None,
        "brier": float(np.mean((score - y) ** 2)) if len(y) else None,
        "accuracy": float(np.mean((score >= 0.5) == (y == 1))) if len(y) else None,  # noqa: PLR2004 - even odds
        "base_rate": float(np.mean(y)) if len(y) else None,
        "rows": float(len(y)),
    }


def _regression(y: Array, score: Array) -> Values:
    import numpy as np

    error = score - y
    spread = float(((y - y.mean()) ** 2).sum()) if len(y) else 0.0
    return {
        "rmse": float(np.sqrt(np.mean(error**2))) if len(y) else None,
        "mae": float(np.mean(np.abs(error))) if len(y) else None,
        "r2": 1 - float((error**2).sum()) / spread if spread else None,
        "rows": float(len(y)),
    }
