"""What the user's function may return, and what is said when it does something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from headrace.errors import HeadraceError
from headrace.models.columns import encode, inputs_of
from headrace.models.training import TrainingSet, scores, train, truth, unseeded

FRAME = pl.DataFrame({"x": np.linspace(0, 1, 80), "z": np.linspace(1, 0, 80) ** 2}).with_columns(late=pl.col("x") > 0.5)


def training_set(label: pl.Expr | None = None) -> TrainingSet:
    frame = FRAME if label is None else FRAME.with_columns(late=label)
    return TrainingSet(encode(frame, inputs_of(frame, ["x", "z"])), truth(frame, "late"), 17, frame)


def test_the_training_set_says_what_it_holds() -> None:
    data = training_set()
    assert (data.rows, data.names, data.seed) == (80, ("x", "z"), 17)
    assert data.y.dtype == np.int64
    assert data.y.tolist() == FRAME["late"].cast(pl.Int64).to_list()


def test_a_classifier_scores_the_probability_of_true() -> None:
    data = training_set()
    estimator, task = train(lambda data: LogisticRegression().fit(data.X, data.y), data, "late")
    assert task == "classification"
    np.testing.assert_array_equal(scores(estimator, data.X), estimator.predict_proba(data.X)[:, 1])
    assert scores(estimator, data.X)[-1] > 0.5 > scores(estimator, data.X)[0]


def test_a_regressor_scores_its_value() -> None:
    data = training_set(pl.col("x") * 3 + 1)
    assert data.y.dtype == np.float64
    estimator, task = train(lambda data: LinearRegression().fit(data.X, data.y), data, "late")
    assert task == "regression"
    np.testing.assert_allclose(scores(estimator, data.X), data.y)


def test_a_count_can_be_learnt_by_a_regressor_and_a_flag_by_a_classifier() -> None:
    for label, kind, task in (
        ((pl.col("x") * 10).cast(pl.Int32), HistGradientBoostingRegressor, "regression"),
        ((pl.col("x") > 0.3).cast(pl.Int8), HistGradientBoostingClassifier, "classification"),
    ):
        fit = kind(random_state=0)
        assert train(lambda data, fit=fit: fit.fit(data.X, data.y), training_set(label), "late")[1] == task  # type: ignore[misc]


def test_an_estimator_without_names_is_asked_without_names() -> None:
    data = training_set()
    estimator, _ = train(lambda data: LogisticRegression().fit(data.X.to_numpy(), data.y), data, "late")
    assert scores(estimator, data.X).shape == (80,)


def fails(data: TrainingSet) -> Any:  # noqa: ANN401
    deep = [int(name) for name in data.names]
    return LogisticRegression().fit(deep, data.y)


def test_an_exception_names_the_users_line() -> None:
    with pytest.raises(HeadraceError, match="HR514") as error:
        train(fails, training_set(), "late")
    line = next(
        number
        for number, text in enumerate(Path(__file__).read_text(encoding="utf-8").splitlines(), 1)
        if text.startswith("    deep =")
    )
    assert error.value.what == f"{__file__}:{line}: ValueError: invalid literal for int() with base 10: 'x'"
    assert isinstance(error.value.__cause__, ValueError)


def test_an_exception_inside_a_library_names_the_line_that_called_it() -> None:
    def fit(data: TrainingSet) -> Any:  # noqa: ANN401
        return LogisticRegression(C=-1).fit(data.X, data.y)

    with pytest.raises(HeadraceError, match=r"HR514 .*test_training.py:\d+: InvalidParameterError"):
        train(fit, training_set(), "late")


@pytest.mark.parametrize(
    ("code", "function"),
    [
        ("HR515", lambda _: None),
        ("HR515", lambda data: data.X),
        ("HR515", lambda data: StandardScaler().fit(data.X)),
        ("HR515", lambda _: LogisticRegression),
        ("HR516", lambda _: LogisticRegression()),
        ("HR516", lambda _: make_pipeline(StandardScaler(), LogisticRegression())),
        ("HR517", lambda data: LinearSVC().fit(data.X, data.y)),
    ],
)
def test_what_is_no_estimator_is_refused(code: str, function: Any) -> None:  # noqa: ANN401
    with pytest.raises(HeadraceError, match=code):
        train(function, training_set(), "late")


def test_labels_that_cannot_be_learnt_are_refused() -> None:
    def fit(data: TrainingSet) -> Any:  # noqa: ANN401
        return DummyClassifier().fit(data.X, data.y)

    with pytest.raises(HeadraceError, match="HR511"):
        train(fit, training_set((pl.col("x") * 3).cast(pl.Int64)), "late")
    with pytest.raises(HeadraceError, match="HR511"):
        training_set(pl.lit("late"))
    for label in (pl.lit(value=True), pl.lit(3.5)):
        with pytest.raises(HeadraceError, match="HR513"):
            train(fit, training_set(label), "late")


def test_predictions_that_are_not_numbers_are_refused() -> None:
    data = training_set(pl.col("x"))
    estimator = DummyRegressor(strategy="constant", constant=1.0).fit(data.X, data.y)
    estimator.constant_ = np.array([[np.nan]])
    with pytest.raises(HeadraceError, match="HR518"):
        scores(estimator, data.X)


def test_chance_without_a_seed_is_seen() -> None:
    assert unseeded(HistGradientBoostingClassifier()) == ("random_state",)
    assert unseeded(make_pipeline(StandardScaler(), HistGradientBoostingClassifier())) == (
        "histgradientboostingclassifier__random_state",
    )
    assert not unseeded(HistGradientBoostingClassifier(random_state=3))
