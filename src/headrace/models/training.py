"""What a model is trained on, and the call of the user's function that trains it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    import polars as pl

Estimator: TypeAlias = Any  # a fitted estimator of scikit-learn, which publishes no types
Trainer: TypeAlias = Callable[["TrainingSet"], Estimator]

CLASSIFICATION = "classification"
REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The rows that a model may learn from: what serving would have had, with labels known before the cut-off.

    `X` is a Polars frame that scikit-learn takes as it is: one Float64 column for each number or boolean (NaN where it
    is missing), one Enum column for each text. `y` is a NumPy array of as many labels: integers for a boolean (1: true)
    or integer label, floats otherwise. `seed` derives from the key of the version: hand it to everything random.
    `names` are the columns of X; `frame` holds the same rows before encoding, with keys and times.
    """

    X: pl.DataFrame
    y: Any
    seed: int
    frame: pl.DataFrame

    @property
    def rows(self) -> int:
        """How many rows there are to learn from."""
        return len(self.X)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns of X."""
        return tuple(self.X.columns)


def truth(frame: pl.DataFrame, label: str) -> Any:  # noqa: ANN401 - a NumPy array
    """The label as an array: integers for booleans and integers, floats otherwise. Raises HR511 for other types."""
    import polars as pl

    column = frame[label]
    if column.dtype == pl.Boolean or column.dtype.is_integer():
        return column.cast(pl.Int64).to_numpy()
    if column.dtype.is_numeric():
        return column.cast(pl.Float64).to_numpy()
    raise HeadraceError("HR511", f"the label {label!r} is of type {column.dtype}")


def train(function: Trainer, data: TrainingSet, label: str) -> tuple[Estimator, str]:
    """Call the user's function. Answers the fitted estimator and its task, after checking that it is one.

    Raises:
        HeadraceError: HR513 for a label with one value only, HR514 when the function raised, HR515 to HR517 when it
            returned something that cannot be used, HR511 when a classifier was fitted on more than two classes.
    """
    if len(set(data.y.tolist())) == 1:
        raise HeadraceError("HR513", f"{label!r} is {data.y[0]} in all of the {data.rows} training rows")
    try:
        estimator = function(data)
    except HeadraceError:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise HeadraceError("HR514", f"{_place(function, error)}: {text}") from error
    return estimator, _task(function, estimator, data, label)


def scores(estimator: Estimator, X: pl.DataFrame) -> Any:  # noqa: ANN401 - a NumPy array; scikit-learn's spelling
    """One float for each row: the probability of the label being true (1), or the predicted value.

    Raises:
        HeadraceError: HR518 when the estimator refuses the rows or predicts something that is not a number.
    """
    import numpy as np
    from sklearn.base import is_classifier

    name = type(estimator).__name__
    rows = X if hasattr(estimator, "feature_names_in_") else X.to_numpy()
    try:
        if is_classifier(estimator):
            found = estimator.predict_proba(rows)[:, list(estimator.classes_).index(1)]
        else:
            found = estimator.predict(rows)
    except (ValueError, TypeError) as error:
        raise HeadraceError("HR518", f"{name} refused the rows: {str(error).splitlines()[0]}") from error
    found = np.asarray(found, dtype=np.float64)
    if found.shape != (len(X),):
        raise HeadraceError("HR518", f"{name} predicted an array of shape {found.shape} for {len(X)} rows")
    if broken := int((~np.isfinite(found)).sum()):
        raise HeadraceError("HR518", f"{name} predicted no finite number for {broken} of {len(X)} rows")
    return found


def unseeded(estimator: Estimator) -> tuple[str, ...]:
    """The parameters of an estimator that leave chance without a seed, so that no second training is like the first."""
    parameters = estimator.get_params()
    return tuple(sorted(name for name, value in parameters.items() if name.endswith("random_state") and value is None))


def _place(function: Trainer, error: Exception) -> str:
    """Where in the user's function an error arose: the innermost line of the file that the function stands in."""
    code = getattr(function, "__code__", None)
    file = "" if code is None else code.co_filename
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{file}:{lines[-1]}" if lines else getattr(function, "__qualname__", repr(function))


def _task(function: Trainer, estimator: Estimator, data: TrainingSet, label: str) -> str:
    from sklearn.base import BaseEstimator, is_classifier, is_regressor
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    name = getattr(function, "__qualname__", repr(function))
    if not isinstance(estimator, BaseEstimator) or not (is_classifier(estimator) or is_regressor(estimator)):
        raise HeadraceError("HR515", f"{name} returned {_described(estimator)}")
    try:
        check_is_fitted(estimator)
    except NotFittedError as error:
        raise HeadraceError("HR516", f"{name} returned a {type(estimator).__name__} that is not fitted") from error
    if is_regressor(estimator):
        return REGRESSION
    if set(data.y.tolist()) - {0, 1} or list(estimator.classes_) != [0, 1]:
        raise HeadraceError("HR511", f"{name} fitted a classifier, but {label!r} is not 0 or 1 everywhere")
    if not hasattr(estimator, "predict_proba"):
        raise HeadraceError("HR517", f"{type(estimator).__name__} has no predict_proba")
    return CLASSIFICATION


def _described(value: object) -> str:
    return "None" if value is None else f"an object of type {type(value).__qualname__}"
