# mypy: disable-error-code="import-not-found"
"""Saves a model in MLflow's form. Runs in MLflow's environment: `save.py ESTIMATOR FOLDER`."""

from __future__ import annotations

import sys

import joblib
import mlflow.sklearn


def main() -> None:
    """Read the estimator, and save it such that it predicts probabilities."""
    estimator = joblib.load(sys.argv[1])
    mlflow.sklearn.save_model(
        estimator, sys.argv[2], pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle"
    )


if __name__ == "__main__":
    main()
