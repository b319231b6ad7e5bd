"""How much each input moved a prediction, by occlusion, which works for every estimator alike.

The contribution of an input is the prediction less the mean of the predictions for the same row with this one input
replaced by the values that it has in reference rows (held-out rows). In the terms of Covert, Lundberg and Lee,
"Explaining by Removing" (JMLR 22, 2021): inputs are removed one at a time, by their marginal distribution.

The contributions of a row do not sum up to anything: two inputs that say the same have small contributions each,
because either alone can be replaced; inputs that act only together are counted in each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.models.scorer import Scorer


def contributions(scorer: Scorer, rows: Sequence[Sequence[object]], top: int) -> list[Mapping[str, float]]:
    """For each row the `top` inputs of the largest contribution by size, the largest first, in units of the prediction.

    Each row costs one call of the scorer, with as many rows as there are inputs times reference rows.

    Raises:
        HeadraceError: HR518 for rows that the model refuses.
    """
    if top <= 0 or not rows or not scorer.inputs or not scorer.reference:
        return [{} for _ in rows]
    base = scorer.score(rows)
    return [_of_row(scorer, row, float(score), top) for row, score in zip(rows, base, strict=True)]


def _of_row(scorer: Scorer, row: Sequence[object], score: float, top: int) -> Mapping[str, float]:
    changed = [(*row[:n], other[n], *row[n + 1 :]) for n in range(len(scorer.inputs)) for other in scorer.reference]
    means = scorer.score(changed).reshape(len(scorer.inputs), len(scorer.reference)).mean(axis=1)
    moved = score - means
    largest = np.argsort(-np.abs(moved), kind="stable")[:top]
    return {scorer.inputs[n].name: float(moved[n]) for n in largest.tolist()}
