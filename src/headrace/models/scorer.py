"""Scorers: a loaded model version that takes plain values and answers floats, fast for the few rows of a request."""

from __future__ import annotations

import io
import json
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from headrace.errors import HeadraceError
from headrace.models.columns import Input
from headrace.models.graphs import MATRIX, REFUSES, feeds_of, float_type, open_graph, predictions
from headrace.models.predictor import Predictor
from headrace.models.training import scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import polars as pl

    from headrace.models.graphs import Floats
    from headrace.models.training import Estimator
    from headrace.ports.records import Ref, Version
    from headrace.ports.stores import Stores

PORTABLE_TOLERANCE = 1e-5
"""How far a portable model may be from the native one, as a part of the prediction or, below one, in itself.

Where converters compute in single precision, sums over a hundred trees are off by about 1e-6.
"""


class Scorer(Protocol):
    """A model version that is ready to score. Every method may be called from any thread.

    `quick` says whether a small batch takes microseconds, so that it need not leave an event loop.
    `reference` are held-out rows that contributions are measured against; without them there are no contributions.
    """

    inputs: tuple[Input, ...]
    quick: bool
    reference: Sequence[Sequence[object]]

    def score(self, rows: Sequence[Sequence[object]] | Floats) -> Floats:
        """One float for each row of values in the order of `inputs`; None is missing, as is text never seen.

        A matrix of floats will do as well.

        Raises:
            HeadraceError: HR518 for rows that the model refuses, such as missing values where it takes none.
        """


class OnnxScorer:
    """Scores by onnxruntime on one thread."""

    quick = True

    def __init__(self, content: bytes, inputs: Sequence[Input], reference: Sequence[Sequence[object]] = ()) -> None:
        self.inputs = tuple(inputs)
        self.reference: Sequence[Sequence[object]] = tuple(reference)
        try:
            self._session = open_graph(content)
            self._refuses = _refuses(self._session, self.inputs)
        except Exception as error:  # onnxruntime's errors have no common base
            raise HeadraceError("HR540", f"the portable model cannot be opened: {_line(error)}") from error
        self._wanted = {each.name: each.type for each in self._session.get_inputs()}
        self._output = [self._session.get_outputs()[-1].name]
        plain = all(each.categories is None for each in self.inputs)
        self._kind = float_type(self._wanted[MATRIX]) if plain and list(self._wanted) == [MATRIX] else None

    def score(self, rows: Sequence[Sequence[object]] | Floats) -> Floats:
        """See `Scorer`."""
        if not len(rows):
            return np.empty(0, dtype=np.float64)
        if self._refuses:
            self._refuse_missing(rows)
        if self._kind is not None:
            feeds: dict[str, Any] = {MATRIX: _matrix(rows, self._kind)}
        else:
            feeds = feeds_of(_plain(rows), self.inputs, self._wanted)
        try:
            found = predictions(self._session.run(self._output, feeds)[0])
        except Exception as error:  # onnxruntime's errors have no common base
            raise HeadraceError("HR518", f"the portable model refused the rows: {_line(error)}") from error
        if not np.isfinite(found).all():
            raise HeadraceError("HR518", "the portable model predicted no finite number")
        return found

    def _refuse_missing(self, rows: Sequence[Sequence[object]] | Floats) -> None:
        for n in self._refuses:
            known = self.inputs[n].categories
            for row in rows:
                value = row[n]
                if value is None or value != value or (known is not None and value not in known):  # noqa: PLR0124 - NaN
                    name = self.inputs[n].name
                    raise HeadraceError("HR518", f"the model takes no missing value in {name!r}")


def _plain(rows: Sequence[Sequence[object]] | Floats) -> Sequence[Sequence[object]]:
    found: Sequence[Sequence[object]] = rows.tolist() if isinstance(rows, np.ndarray) else rows
    return found


def _matrix(rows: Sequence[Sequence[object]] | Floats, kind: type[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Numbers as a matrix; None is NaN. Where nothing is missing, one pass over the values is twice as fast."""
    if isinstance(rows, np.ndarray):
        return np.ascontiguousarray(rows, kind)
    try:
        flat = np.fromiter(chain.from_iterable(rows), dtype=kind, count=len(rows) * len(rows[0]))
    except TypeError:
        return np.array(rows, dtype=kind)
    return flat.reshape(len(rows), -1)


class NativeScorer:
    """Scores by the estimator itself.

    On one thread: for up to 64 rows more threads of OpenMP save no time, and workers share the cores.
    """

    quick = False

    def __init__(
        self, estimator: Estimator, inputs: Sequence[Input], reference: Sequence[Sequence[object]] = ()
    ) -> None:
        import polars as pl
        from threadpoolctl import ThreadpoolController

        self.inputs = tuple(inputs)
        self.reference: Sequence[Sequence[object]] = tuple(reference)
        self._estimator = estimator
        jobs = [name for name in estimator.get_params() if name.rpartition("__")[2] == "n_jobs"]
        estimator.set_params(**dict.fromkeys(jobs, 1))
        self._types = [pl.Enum(each.categories) if each.categories else pl.Float64() for each in self.inputs]
        self._known = [frozenset(each.categories or ()) for each in self.inputs]
        self._threads = ThreadpoolController()

    def score(self, rows: Sequence[Sequence[object]] | Floats) -> Floats:
        """See `Scorer`."""
        if not len(rows):
            return np.empty(0, dtype=np.float64)
        with self._threads.limit(limits=1, user_api="openmp"):
            found: Floats = scores(self._estimator, self._encoded(_plain(rows)))
        return found

    def _encoded(self, rows: Sequence[Sequence[object]]) -> pl.DataFrame:
        """What `columns.encode` makes of the rows, without its expressions."""
        import polars as pl

        columns = []
        for n, values in enumerate(zip(*rows, strict=True)):
            each, known = self.inputs[n], self._known[n]
            found: Any
            if each.categories:
                found = [value if value in known else None for value in values]
            elif each.categories is None:
                found = np.array(values, dtype=np.float64)
            else:
                found = np.full(len(values), np.nan)
            columns.append(pl.Series(each.name, found, dtype=self._types[n]))
        return pl.DataFrame(columns)


def load_scorer(version: Version, portable: Ref | None, stores: Stores) -> Scorer:
    """Load a model version: the portable model if there is one, else the estimator.

    Raises:
        HeadraceError: HR521 to HR523 for an estimator that is damaged or not trusted, HR524 for one that predicts
            otherwise than recorded; HR540 for a portable model that is damaged, HR541 for one that predicts otherwise.
    """
    facts = version.manifest.facts
    inputs = tuple(Input.from_json(each) for each in facts["inputs"])
    recorded = np.array(facts["sample"], dtype=np.float64)
    sample = _sample(version, inputs, len(recorded), stores)
    if portable is None:
        return NativeScorer(Predictor.of(version, stores).estimator, inputs, sample)
    scorer = OnnxScorer(stores.artefacts.get(portable), inputs, sample)
    found = scorer.score(sample)
    if (off := difference(recorded, found)) > PORTABLE_TOLERANCE:
        raise HeadraceError("HR541", f"the portable model of {version.node} is off by up to {off:.3g}")
    return scorer


def difference(expected: Floats, found: Floats) -> float:
    """The largest difference, as a part of the expected value where that is above one; infinite for a NaN."""
    off = np.abs(expected - found) / np.maximum(1.0, np.abs(expected))
    return float(np.nan_to_num(off, nan=np.inf).max(initial=0.0))


def _sample(version: Version, inputs: Sequence[Input], count: int, stores: Stores) -> list[tuple[object, ...]]:
    import polars as pl

    content = io.BytesIO(stores.artefacts.get(version.manifest.outputs["holdout"]))
    return rows_of(pl.read_parquet(content, n_rows=count), inputs)


def rows_of(frame: pl.DataFrame, inputs: Sequence[Input]) -> list[tuple[object, ...]]:
    """The rows of a frame as a scorer takes them: text as `str`, numbers and booleans as `float`."""
    import polars as pl

    kinds = [pl.col(each.name).cast(pl.Float64 if each.categories is None else pl.String) for each in inputs]
    return frame.select(kinds).rows()


def _refuses(session: Any, inputs: Sequence[Input]) -> tuple[int, ...]:  # noqa: ANN401 - onnxruntime has no types
    """The places of the inputs that must not be missing, as the export wrote them into the graph."""
    names = json.loads(session.get_modelmeta().custom_metadata_map.get(REFUSES, "[]"))
    return tuple(n for n, each in enumerate(inputs) if each.name in names)


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
