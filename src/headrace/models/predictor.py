"""A model that is ready to predict: the loaded estimator, with the columns that it takes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from headrace.errors import HeadraceError
from headrace.models.artefact import load
from headrace.models.columns import Input, encode
from headrace.models.training import Estimator, scores

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from headrace.ports.records import Version
    from headrace.ports.stores import Stores

    Rows: TypeAlias = pl.DataFrame | pd.DataFrame | Sequence[Mapping[str, object]]

_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Predictor:
    """One version of a model, loaded.

    `inputs` are the columns that it takes, `metrics` what was measured on its held-out rows.
    """

    version: Version
    estimator: Estimator
    inputs: tuple[Input, ...]

    @classmethod
    def of(cls, version: Version, stores: Stores) -> Predictor:
        """Load a model version and check that it predicts what it predicted when it was made.

        Raises:
            HeadraceError: HR521 to HR523 for an artefact that is damaged or not trusted, HR524 for a model that no
                longer reproduces its recorded predictions.
        """
        facts = version.manifest.facts
        estimator = load(stores.artefacts.get(version.manifest.outputs["model"]))
        predictor = cls(version, estimator, tuple(Input.from_json(each) for each in facts["inputs"]))
        predictor._check(stores)
        return predictor

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """What was measured on the held-out rows when the version was made."""
        metrics: Mapping[str, float | None] = self.version.manifest.facts["metrics"]
        return metrics

    def predict(self, rows: Rows) -> Any:  # noqa: ANN401 - a NumPy array
        """One float for each row: the probability of the label being true, or the predicted value.

        Columns that the model does not take are ignored; a category that training never saw counts as missing.

        Args:
            rows: A Polars or pandas frame, or a list of dictionaries, with the columns of `inputs`.

        Raises:
            HeadraceError: HR530 for a missing column, HR531 for one of another type, HR532 for what is no rows.
        """
        import numpy as np

        frame = _frame(rows)
        if frame.is_empty():
            return np.empty(0, dtype=np.float64)
        return scores(self.estimator, encode(frame, self.inputs))

    def _check(self, stores: Stores) -> None:
        """Compare with the predictions that were recorded for the first held-out rows."""
        import numpy as np
        import polars as pl

        recorded = np.array(self.version.manifest.facts["sample"], dtype=np.float64)
        content = io.BytesIO(stores.artefacts.get(self.version.manifest.outputs["holdout"]))
        found = self.predict(pl.read_parquet(content, n_rows=len(recorded)))
        check_same(recorded, found, self.version.node)


def check_same(recorded: Any, found: Any, name: str) -> None:  # noqa: ANN401 - NumPy arrays
    """Raise HR524 unless a loaded model predicts what was recorded, up to the last bits of a float."""
    import numpy as np

    scale = np.maximum(1.0, np.abs(recorded))
    off = float((np.abs(recorded - found) / scale).max(initial=0.0))
    if off > _TOLERANCE:
        raise HeadraceError("HR524", f"{name} predicts otherwise than recorded (by up to {off:.3g})")


def _frame(rows: Rows) -> pl.DataFrame:
    import polars as pl

    if isinstance(rows, pl.DataFrame):
        return rows
    try:
        if not isinstance(rows, Sequence):
            return pl.from_pandas(rows)
        if all(isinstance(row, Mapping) for row in rows):
            return pl.from_dicts(rows, infer_schema_length=None) if rows else pl.DataFrame()
    except (TypeError, ValueError, AttributeError, pl.exceptions.PolarsError) as error:
        raise HeadraceError("HR532", f"{type(rows).__name__} cannot be read as rows: {error}") from error
    raise HeadraceError("HR532", f"{type(rows).__name__} holds something else than dictionaries")
