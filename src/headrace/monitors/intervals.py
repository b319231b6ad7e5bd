"""95 % confidence intervals of what is measured on a sample. Pure.

An interval that cannot be told (no rows, no spread to estimate) is None, never one of no width.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from headrace.ports.records import Json

    Floats = npt.NDArray[np.float64]

Z: Final = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured value, and the interval that covers the true one in 95 % of samples. None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def to_json(self) -> Json:
        """Plain data: value, low, high."""
        return [self.value, self.low, self.high]


def wilson(part: float, rows: int) -> Estimate:
    """A share, `part` of `rows`, with Wilson's score interval (E. Wilson, 1927).

    It covers as often as it says for few rows and for shares near 0 and 1, where the usual one does not (L. Brown, T.
    Cai, A. DasGupta, Interval estimation for a binomial proportion, 2001).
    """
    if not rows:
        return Estimate(None)
    share, square = part / rows, Z * Z
    middle = (share + square / (2 * rows)) / (1 + square / rows)
    half = Z * sqrt(share * (1 - share) / rows + square / (4 * rows * rows)) / (1 + square / rows)
    return Estimate(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))


def mean_of(values: Floats, floor: float = -inf) -> Estimate:
    """A mean, with the normal interval of the central limit theorem, cut off at `floor`. Equal values have none."""
    rows = len(values)
    if not rows:
        return Estimate(None)
    mean = float(values.mean())
    if values.min() == values.max():
        return Estimate(mean)
    half = Z * float(values.std(ddof=1)) / sqrt(rows)
    return Estimate(mean, max(floor, mean - half), mean + half)


def roc_auc(y: npt.ArrayLike, score: npt.ArrayLike) -> Estimate:
    """The area under the ROC curve of scores of rows with y = 1 or 0, with DeLong's interval on the logit scale.

    The variance is that of E. DeLong, D. DeLong, D. Clarke-Pearson (Comparing the areas under two or more correlated
    ROC curves, 1988), computed from mid-ranks as by X. Sun, W. Xu (2014). On the logit scale the interval stays between
    0 and 1 (M. Pepe, The statistical evaluation of medical tests, 2003). Where the rows are separated perfectly there
    is no variance to be seen: then it is Wilson's interval of as many trials as the rarer class has rows: a wide one.
    """
    truth, scores = np.asarray(y), np.asarray(score, dtype=np.float64)
    ones, zeros = scores[truth == 1], scores[truth != 1]
    if not len(ones) or not len(zeros):
        return Estimate(None)
    above, below = _placements(ones, zeros)
    auc = float(above.mean())
    rarer = min(len(ones), len(zeros))
    if rarer == 1 and 0 < auc < 1:
        return Estimate(auc)
    variance = sum(float(each.var(ddof=1)) / len(each) for each in (above, below) if len(each) > 1)
    if variance <= 0 or not 0 < auc < 1:
        return wilson(auc * rarer, rarer)
    half = Z * sqrt(variance) / (auc * (1 - auc))
    middle = log(auc / (1 - auc))
    return Estimate(auc, _logistic(middle - half), _logistic(middle + half))


def _placements(ones: Floats, zeros: Floats) -> tuple[Floats, Floats]:
    """For each row with y = 1, the share of the others that score below it (half of those that score as much).

    And for each of the others, the share of the former that score above it.
    """
    low, high = np.sort(zeros), np.sort(ones)
    above = (np.searchsorted(low, ones, "left") + np.searchsorted(low, ones, "right")) / (2 * len(low))
    below = 1 - (np.searchsorted(high, zeros, "left") + np.searchsorted(high, zeros, "right")) / (2 * len(high))
    return above, below


def _logistic(value: float) -> float:
    return 1 / (1 + exp(-value)) if value >= 0 else 1 - 1 / (1 + exp(value))
