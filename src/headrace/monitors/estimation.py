"""How good a classifier's answers probably are, before any label is known: from its scores alone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from headrace.models.metrics import Values

METHOD: Final = "CBPE"
_CLIP: Final = 1e-15
_EVEN: Final = 0.5


def estimated(score: npt.ArrayLike) -> Values:
    """The expected metrics of scores, by confidence-based performance estimation (CBPE).

    J. Kivimaki, J. Bialek, J. Nurminen, W. Kuberski, Confidence-based Estimators for Predictive Performance in Model
    Monitoring, Journal of Artificial Intelligence Research, 2025; the method that NannyML made known. Each row counts
    as positive with its score as weight, and as negative with what is left to 1.

    **It assumes that the scores are calibrated on these very rows**: of the rows with score s, a share s is positive.
    That includes that there is no concept drift: a change of what the label means for the same inputs cannot be seen in
    scores. A shift of inputs alone is seen as far as the scores stay calibrated under it.

    The names are those of `headrace.models.metrics`; None where a metric is not defined, such as ROC AUC of scores that
    leave no doubt about any row, all alike.
    """
    p = np.clip(np.asarray(score, dtype=np.float64), 0.0, 1.0)
    if not len(p):
        return {**dict.fromkeys(("accuracy", "base_rate", "brier", "log_loss", "roc_auc")), "rows": 0.0}
    sure = np.clip(p, _CLIP, 1 - _CLIP)
    return {
        "accuracy": float(np.where(p >= _EVEN, p, 1 - p).mean()),
        "base_rate": float(p.mean()),
        "brier": float((p * (1 - p)).mean()),
        "log_loss": float(-(p * np.log(sure) + (1 - p) * np.log1p(-sure)).mean()),
        "roc_auc": _roc_auc(p),
        "rows": float(len(p)),
    }


def _roc_auc(p: npt.NDArray[np.float64]) -> float | None:
    """The expected number of pairs of a positive and a negative row in the right order, of all such pairs expected.

    A row makes no pair with itself, so its own chance of being both is taken out; equal scores count half.
    """
    values, place = np.unique(p, return_inverse=True)
    rows = np.bincount(place)
    ones, zeros, itself = rows * values, rows * (1 - values), rows * values * (1 - values)
    pairs = float(ones.sum() * zeros.sum() - itself.sum())
    if pairs <= 0 or len(p) == 1:
        return None
    lower = np.concatenate([[0.0], np.cumsum(zeros)[:-1]])
    right = float((ones * lower).sum() + ((ones * zeros - itself) / 2).sum())
    return min(1.0, max(0.0, right / pairs))
