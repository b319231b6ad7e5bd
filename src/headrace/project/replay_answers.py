"""What the versions of an endpoint answer to the questions of a replay, by the scorers that a server scores with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from headrace.endpoints.endpoint import PORTABLE
from headrace.errors import HeadraceError
from headrace.models.scorer import load_scorer, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import polars as pl

    from headrace.models.scorer import Scorer
    from headrace.ports.records import Version
    from headrace.ports.stores import Stores

    Floats = npt.NDArray[np.float64]

_BLOCK: Final = 4_096
"""Questions that are scored at once, whoever asks for one of them first."""
_REFUSED: Final = "HR518"


class Scores:
    """The scores of versions, computed when they are asked for, and shared by all policies. NaN is an error."""

    def __init__(self, questions: pl.DataFrame, stores: Stores) -> None:
        self._questions = questions
        self._stores = stores
        self._scorers: dict[str, Scorer] = {}
        self._blocks: dict[tuple[str, int], Floats] = {}

    def of(self, endpoint: Version, model: Version, low: int, high: int) -> Floats:
        """What a version of the endpoint answers to the questions `low` to `high` (exclusive)."""
        found = np.empty(high - low)
        for block in range(low // _BLOCK, -(-high // _BLOCK)):
            begin, end = max(low, block * _BLOCK), min(high, (block + 1) * _BLOCK)
            whole = self._block(endpoint, model, block)
            found[begin - low : end - low] = whole[begin - block * _BLOCK : end - block * _BLOCK]
        return found

    def _block(self, endpoint: Version, model: Version, block: int) -> Floats:
        place = endpoint.key, block
        if place not in self._blocks:
            scorer = self._scorer(endpoint, model)
            rows = rows_of(self._questions[block * _BLOCK : (block + 1) * _BLOCK], scorer.inputs)
            self._blocks[place] = scored(scorer, rows)
        return self._blocks[place]

    def _scorer(self, endpoint: Version, model: Version) -> Scorer:
        if endpoint.key not in self._scorers:
            self._scorers[endpoint.key] = load_scorer(model, endpoint.manifest.outputs.get(PORTABLE), self._stores)
        return self._scorers[endpoint.key]


def scored(scorer: Scorer, rows: Sequence[Sequence[object]]) -> Floats:
    """The scores of rows, each as if it had been a request of its own: what the model refuses spoils no other row."""
    try:
        return scorer.score(rows)
    except HeadraceError as error:
        if error.code != _REFUSED:
            raise
    if len(rows) == 1:
        return np.array([np.nan])
    half = len(rows) // 2
    return np.concatenate([scored(scorer, rows[:half]), scored(scorer, rows[half:])])
