"""Quality with late labels: the answers of a window, joined to the labels that are known by now. Pure.

A label that becomes known later is not seen, so that the past can be looked at as it was. How much of the window has
its labels is always told: the first labels to come are often not like the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from headrace.models.metrics import SLICE_ROWS, measure
from headrace.monitors.estimation import estimated
from headrace.monitors.intervals import Estimate, mean_of, roc_auc, wilson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import numpy.typing as npt

    from headrace.models.metrics import Values
    from headrace.ports.records import Json

    Floats = npt.NDArray[np.float64]

CLASSIFICATION: Final = "classification"
_CLIP: Final = 1e-15
_EVEN: Final = 0.5


@dataclass(frozen=True, slots=True)
class Names:
    """What the columns are called: `key`, `at` and `score` of the answers; `key`, `label` and `known_at` of labels.

    `also` are further columns of a key that takes several.
    """

    key: str = "id"
    at: str = "at"
    score: str = "score"
    label: str = "label"
    known_at: str = "known_at"
    also: tuple[str, ...] = ()

    @property
    def keys(self) -> list[str]:
        """The columns of the key."""
        return [self.key, *self.also]


@dataclass(frozen=True, slots=True)
class Part:
    """The quality of a window, or of one slice of it.

    `rows` are its answers, `labelled` those whose label is known, with the share of them. `metrics` are of the labelled
    rows; a slice with fewer than 100 of them has none. `estimated` is of all rows, from their scores alone (CBPE);
    empty for a regression.
    """

    rows: int
    labelled: int
    share: Estimate
    metrics: Mapping[str, Estimate]
    estimated: Values

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "rows": self.rows,
            "labelled": self.labelled,
            "share": self.share.value,
            "metrics": {name: each.to_json() for name, each in self.metrics.items()},
            "estimated": dict(self.estimated),
        }


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of a window, overall and by slice: column to value of that column to what was measured."""

    overall: Part
    slices: Mapping[str, Mapping[str, Part]] = field(default_factory=dict)

    def to_json(self) -> Json:
        """Plain data."""
        slices = {
            column: {value: part.to_json() for value, part in each.items()} for column, each in self.slices.items()
        }
        return {"overall": self.overall.to_json(), "slices": slices}


def labelled(
    answers: pl.DataFrame, labels: pl.DataFrame, window: tuple[datetime, datetime], now: datetime, names: Names
) -> pl.DataFrame:
    """The answers of a window, from its start up to, not including, its end, with their labels as known `now`.

    Of several labels of one key, the one that became known last counts; of those known at once, the last row. A null
    label, or one that is not known yet, is null.
    """
    start, end = window
    asked = answers.filter(pl.col(names.at).is_between(start, end, closed="left"))
    told = labels.filter(pl.col(names.known_at) <= now).drop_nulls(names.keys)
    latest = told.sort(names.known_at, maintain_order=True).unique(names.keys, keep="last", maintain_order=True)
    label = latest.select(*names.keys, pl.col(names.label).cast(pl.Float64).fill_nan(None))
    return asked.drop(names.label, strict=False).join(label, on=names.keys, how="left", maintain_order="left")


def quality(
    rows: pl.DataFrame, slices: Sequence[str] = (), task: str = CLASSIFICATION, names: Names | None = None
) -> Quality:
    """What is measured of the rows of `labelled`, whose label is null where it is not known.

    Answers without a finite score, such as errors, are left out.

    Args:
        rows: The answers of a window, with their labels.
        slices: The columns by which it is measured as well; the largest slices come first.
        task: "classification" (labels are 0 or 1, a score is the probability of 1) or "regression".
        names: What the columns are called.
    """
    names = names or Names()
    rows = rows.filter(pl.col(names.score).cast(pl.Float64).is_finite())
    columns = {column: _by(rows, column, task, names) for column in slices}
    return Quality(_part(rows, task, names, least=1), columns)


def _by(rows: pl.DataFrame, column: str, task: str, names: Names) -> Mapping[str, Part]:
    parts = rows.partition_by(column, maintain_order=True)
    parts.sort(key=lambda part: (-part.height, str(part[column][0])))
    told = ((part[column][0], _part(part, task, names, SLICE_ROWS)) for part in parts)
    return {"(missing)" if value is None else str(value): part for value, part in told}


def _part(rows: pl.DataFrame, task: str, names: Names, least: int) -> Part:
    known = rows.filter(pl.col(names.label).is_not_null())
    y, score = known[names.label].to_numpy(), known[names.score].cast(pl.Float64).to_numpy()
    metrics = _metrics(y, score, task) if known.height >= least else {}
    everything = rows[names.score].cast(pl.Float64).to_numpy()
    guess = estimated(everything) if task == CLASSIFICATION else {}
    return Part(rows.height, known.height, wilson(known.height, rows.height), metrics, guess)


def _metrics(y: Floats, score: Floats, task: str) -> dict[str, Estimate]:
    """All metrics of `headrace.models.metrics`, with an interval where one is known."""
    intervals = _of_classes(y, score) if task == CLASSIFICATION else _of_numbers(y, score)
    return {name: _with(value, intervals.get(name)) for name, value in measure(y, score, task).items()}


def _with(value: float | None, interval: Estimate | None) -> Estimate:
    if value is None or interval is None:
        return Estimate(value)
    return Estimate(value, interval.low, interval.high)


def _of_classes(y: Floats, score: Floats) -> dict[str, Estimate]:
    """DeLong's interval for the ROC AUC, Wilson's for shares, that of the central limit theorem for mean losses."""
    sure = np.clip(score, _CLIP, 1 - _CLIP)
    right = (score >= _EVEN) == (y == 1)
    return {
        "roc_auc": roc_auc(y, score),
        "accuracy": wilson(float(right.sum()), len(y)),
        "base_rate": wilson(float(y.sum()), len(y)),
        "log_loss": mean_of(-(y * np.log(sure) + (1 - y) * np.log1p(-sure)), 0.0),
        "brier": mean_of((score - y) ** 2, 0.0),
    }


def _of_numbers(y: Floats, score: Floats) -> dict[str, Estimate]:
    squares = mean_of((score - y) ** 2, 0.0)
    low, high = (None if each is None else sqrt(each) for each in (squares.low, squares.high))
    return {"mae": mean_of(np.abs(score - y), 0.0), "rmse": Estimate(squares.value, low, high)}
