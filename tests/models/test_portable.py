"""An export to ONNX predicts what the estimator predicts, on rows that it was not checked on as well, or is refused."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from headrace.errors import HeadraceError
from headrace.models.columns import Input, encode, inputs_of
from headrace.models.portable import Portable, Refused, check, export
from headrace.models.scorer import PORTABLE_TOLERANCE, NativeScorer, OnnxScorer, Scorer, difference
from headrace.models.training import scores

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.models.training import Estimator

NUMBERS = ["n0", "n1", "n2", "n3"]
MIXED = [*NUMBERS, "carrier"]
COUNT = 600


def rows(*, gaps: bool) -> pl.DataFrame:
    rng = np.random.default_rng(7)
    frame = pl.DataFrame({name: rng.normal(size=COUNT) for name in NUMBERS})
    frame = frame.with_columns(pl.Series("carrier", rng.choice(["AA", "DL", "UA"], COUNT)))
    late = frame["n0"] + frame["n1"] ** 2 + (frame["carrier"] == "UA").cast(pl.Float64) + rng.normal(size=COUNT)
    if gaps:
        holes = [pl.when(pl.Series(rng.random(COUNT) > 0.1)).then(pl.col(name)).alias(name) for name in MIXED]
        frame = frame.with_columns(holes)
    return frame.with_columns(late.alias("delay"), (late > 1).cast(pl.Int64).alias("late"))


def prepared(estimator: Estimator) -> Estimator:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    text = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(make_column_transformer((numbers, NUMBERS), (text, ["carrier"])), estimator)


def exported(estimator: Estimator, names: list[str], *, gaps: bool) -> tuple[tuple[Input, ...], Portable | Refused]:
    frame = rows(gaps=gaps)
    inputs = inputs_of(frame, names)
    X = encode(frame, inputs)
    label = "late" if hasattr(estimator, "predict_proba") else "delay"
    estimator.fit(X, frame[label].to_numpy())
    return inputs, export(estimator, inputs, frame.tail(100), scores(estimator, X.tail(100)))


CASES: dict[str, tuple[Any, list[str], bool]] = {
    "logistic regression": (prepared(LogisticRegression()), MIXED, True),
    "logistic regression, no gaps": (prepared(LogisticRegression()), MIXED, False),
    "ridge": (prepared(Ridge()), MIXED, True),
    "numbers only": (make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), NUMBERS, True),
    "forest": (RandomForestClassifier(20, random_state=0), NUMBERS, False),
    "forest, gaps": (RandomForestClassifier(20, random_state=0), NUMBERS, True),
    "forest regressor": (RandomForestRegressor(20, random_state=0), NUMBERS, True),
    "boosting": (GradientBoostingClassifier(random_state=0), NUMBERS, False),
    "boosting regressor": (GradientBoostingRegressor(random_state=0), NUMBERS, False),
    "histogram boosting": (HistGradientBoostingClassifier(random_state=0), NUMBERS, True),
    "histogram boosting regressor": (HistGradientBoostingRegressor(random_state=0), NUMBERS, True),
}

value = st.none() | st.just(float("nan")) | st.floats(-1e3, 1e3)
carrier = st.sampled_from(["AA", "DL", "UA", "never seen", "", None])


def answered(scorer: Scorer, given_rows: list[tuple[object, ...]]) -> object:
    try:
        return scorer.score(given_rows)
    except HeadraceError as error:
        return error.code


@pytest.mark.parametrize("case", CASES)
def test_an_export_scores_like_the_estimator(case: str) -> None:
    estimator, names, gaps = CASES[case]
    inputs, made = exported(estimator, names, gaps=gaps)
    assert isinstance(made, Portable), made
    assert made.rows > 100
    ours, theirs = OnnxScorer(made.content, inputs), NativeScorer(estimator, inputs)
    row = st.tuples(*(value if each.categories is None else carrier for each in inputs))

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(row, min_size=1, max_size=8))
    def law(given_rows: list[tuple[object, ...]]) -> None:
        found, expected = answered(ours, given_rows), answered(theirs, given_rows)
        if isinstance(expected, str):
            assert found == expected
        else:
            assert isinstance(found, np.ndarray)
            assert found.dtype == np.float64
            assert difference(np.asarray(expected), found) <= PORTABLE_TOLERANCE

    law()


def test_categories_in_histogram_boosting_are_refused() -> None:
    _, made = exported(HistGradientBoostingClassifier(random_state=0), MIXED, gaps=True)
    assert isinstance(made, Refused)
    assert made.reason.startswith("skl2onnx cannot convert HistGradientBoostingClassifier")


def test_categories_that_are_converted_wrong_are_refused() -> None:
    text = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    prepare = make_column_transformer((text, ["carrier"]), ("passthrough", NUMBERS))
    boosting = HistGradientBoostingClassifier(categorical_features=[0], random_state=0)
    _, made = exported(make_pipeline(prepare, boosting), MIXED, gaps=False)
    assert isinstance(made, Refused)
    assert "predicts otherwise than the estimator" in made.reason


class Own(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator of a user: nothing knows how to convert it."""

    def fit(self, X: object, y: object) -> Own:  # noqa: ARG002
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X: pl.DataFrame) -> object:
        return np.full((len(X), 2), 0.5)


def test_an_estimator_of_the_user_is_refused() -> None:
    frame = rows(gaps=False)
    made = export(Own().fit(None, None), inputs_of(frame, NUMBERS), frame.head(5), np.full(5, 0.5))
    assert isinstance(made, Refused)
    assert "cannot be handed to the converter" in made.reason


def test_the_empty_text_as_a_category_is_refused() -> None:
    frame = rows(gaps=False)
    made = export(Own(), (Input("carrier", "String", ("", "AA")),), frame.head(5), np.full(5, 0.5))
    assert isinstance(made, Refused)
    assert "empty text" in made.reason


def test_held_out_rows_that_are_predicted_otherwise_are_refused() -> None:
    frame = rows(gaps=False)
    inputs = inputs_of(frame, NUMBERS)
    X = encode(frame, inputs)
    estimator = LogisticRegression().fit(X, frame["late"].to_numpy())
    made = export(estimator, inputs, frame.tail(50), scores(estimator, X.tail(50)) + 0.01)
    assert isinstance(made, Refused)
    assert "(a held-out row)" in made.reason


def test_numbers_that_single_precision_does_not_tell_apart_are_refused() -> None:
    seconds = 1.6e9 + np.random.default_rng(3).uniform(0, 2000, COUNT)
    frame = pl.DataFrame({"seconds": seconds, "late": (seconds > 1.6e9 + 1000).astype(int)})
    inputs = inputs_of(frame, ["seconds"])
    X = encode(frame, inputs)
    estimator = HistGradientBoostingClassifier(random_state=0).fit(X, frame["late"].to_numpy())
    made = export(estimator, inputs, frame, scores(estimator, X))
    assert isinstance(made, Refused)
    assert "predicts otherwise than the estimator" in made.reason


def test_a_check_that_takes_too_long_is_a_refusal() -> None:
    frame = rows(gaps=False)
    inputs = inputs_of(frame, NUMBERS)
    estimator = LogisticRegression().fit(encode(frame, inputs), frame["late"].to_numpy())
    begun = time.monotonic()
    made = export(estimator, inputs, frame.head(5), np.zeros(5), seconds=0.05)
    assert made == Refused("The conversion took longer than 0.05 seconds.")
    assert time.monotonic() - begun < 5


def test_a_process_that_ends_in_the_middle_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = tmp_path / "python"
    killed.write_text("#!/bin/sh\nkill -SEGV $$\n")
    killed.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(killed))
    found = check(b"", (Input("n0", "Float64"),), [(1.0,)], tmp_path)
    assert found == Refused("The check of the graph ended with status -11.")


def test_a_damaged_graph_is_a_refusal(tmp_path: Path) -> None:
    found = check(b"no graph at all", (Input("n0", "Float64"),), [(1.0,)], tmp_path)
    assert isinstance(found, Refused)
    assert found.reason.startswith("The check of the graph ended with status 1")
