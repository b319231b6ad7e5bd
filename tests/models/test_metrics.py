"""The platform's measures agree with scikit-learn's, and say None where nothing is defined."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as theirs

from headrace.models.metrics import CLASSIFICATION, METRICS, REGRESSION, SLICE_ROWS, calibration, evaluation, measure


def test_classification_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    score = rng.random(500)
    y = (rng.random(500) < score).astype(int)
    found = measure(y, score, "classification")
    expected = {
        "roc_auc": theirs.roc_auc_score(y, score),
        "average_precision": theirs.average_precision_score(y, score),
        "log_loss": theirs.log_loss(y, score),
        "brier": theirs.brier_score_loss(y, score),
        "accuracy": theirs.accuracy_score(y, score >= 0.5),
        "base_rate": y.mean(),
        "rows": 500,
    }
    assert found == pytest.approx(expected)
    assert found.keys() == set(CLASSIFICATION)


def test_regression_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=300)
    score = y + rng.normal(size=300)
    found = measure(y, score, "regression")
    expected = {
        "rmse": theirs.root_mean_squared_error(y, score),
        "mae": theirs.mean_absolute_error(y, score),
        "r2": theirs.r2_score(y, score),
        "rows": 300,
    }
    assert found == pytest.approx(expected)
    assert found.keys() == set(REGRESSION)
    assert set(METRICS) == {*CLASSIFICATION, *REGRESSION}


def test_one_class_has_no_ranking_but_a_loss() -> None:
    found = measure(np.zeros(10, dtype=int), np.full(10, 0.25), "classification")
    assert found["roc_auc"] is None
    assert found["average_precision"] is None
    assert found["log_loss"] == pytest.approx(-np.log(0.75))


def test_certain_and_wrong_is_a_finite_loss() -> None:
    found = measure(np.array([0, 1]), np.array([1.0, 0.0]), "classification")
    assert found["log_loss"] == pytest.approx(34.5, abs=0.1)


def test_no_rows_and_no_spread_are_not_defined() -> None:
    empty = np.array([], dtype=float)
    assert measure(empty, empty, "classification") == {**dict.fromkeys(CLASSIFICATION), "rows": 0.0}
    assert measure(empty, empty, "regression") == {**dict.fromkeys(REGRESSION), "rows": 0.0}
    assert measure(np.ones(5), np.ones(5), "regression")["r2"] is None


def test_slices_are_measured_alone_and_small_ones_are_not() -> None:
    rng = np.random.default_rng(5)
    big, small = 400, SLICE_ROWS - 1
    frame = pl.DataFrame(
        {
            "origin": ["JFK"] * big + ["EWR"] * big + [None] * small,
            "late": rng.integers(0, 2, 2 * big + small),
            "score": rng.random(2 * big + small),
        }
    ).sample(fraction=1.0, shuffle=True, seed=1)
    measured = evaluation(frame, ["origin"], "classification", "late", "score")
    assert list(measured.slices["origin"]) == ["EWR", "JFK", "(missing)"]
    part = frame.filter(pl.col("origin") == "JFK")
    assert measured.slices["origin"]["JFK"] == measure(
        part["late"].to_numpy(), part["score"].to_numpy(), "classification"
    )
    assert measured.slices["origin"]["(missing)"] == {**dict.fromkeys(CLASSIFICATION), "rows": float(small)}
    assert measured.overall["rows"] == len(frame)


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), max_size=60))
def test_calibration_bins_share_out_all_rows_in_order(rows: list[tuple[int, float]]) -> None:
    y = np.array([row[0] for row in rows], dtype=float)
    score = np.array([row[1] for row in rows], dtype=float)
    bins = calibration(y, score)
    assert sum(each["rows"] for each in bins) == len(rows)
    assert sum(each["rate"] * each["rows"] for each in bins) == pytest.approx(y.sum())
    assert all(one["high"] <= other["low"] for one, other in pairwise(bins))
    assert max((each["rows"] for each in bins), default=0) - min((each["rows"] for each in bins), default=0) <= 1
