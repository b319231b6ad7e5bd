"""How far the counts of a window are from those of its reference. Pure; from counts only, never from rows.

Each distance is None where there is nothing to compare: a side without rows, or, for those that look at values, a side
without values. None of them is ever NaN or infinite.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import log, log2, sqrt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.monitors.counts import CategoryCounts, NumberCounts

FLOOR: Final = 1e-4
"""The share that counts for an empty cell: a usual choice, without which one empty cell would make PSI infinite."""
EXPECTED: Final = 5.0
"""Cells of a chi-square test with a smaller expected count are pooled (W. Cochran, 1954)."""
_EXACT: Final = 1_000
"""With more observations, the exact distribution of the Kolmogorov-Smirnov statistic takes up to half a second."""


@dataclass(frozen=True, slots=True)
class Significance:
    """A test of whether two samples come from one distribution: its statistic, and how likely one as large is then."""

    name: str
    statistic: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Transport:
    """A Wasserstein distance computed from histograms, and by how much the true one may differ from it."""

    distance: float
    error: float


def psi(reference: Sequence[int], window: Sequence[int]) -> float | None:
    """The population stability index of the counts of the same cells: the sum of (a - e) ln(a / e).

    a and e are the shares of the window and of the reference, each at least 1e-4; cells that are empty on both sides
    are skipped. Symmetric, 0 for equal shares; more than 0.25 is commonly called a shift (N. Siddiqi, Credit Risk
    Scorecards, 2006). It is the Jeffreys divergence of the two (H. Jeffreys, 1946).
    """
    shares = _shares(reference, window)
    if shares is None:
        return None
    pairs = [(max(e, FLOOR), max(a, FLOOR)) for e, a in zip(*shares, strict=True) if e or a]
    return sum((a - e) * log(a / e) for e, a in pairs)


def jensen_shannon(reference: Sequence[int], window: Sequence[int]) -> float | None:
    """The Jensen-Shannon distance of the counts of the same cells: the root of the divergence in bits, from 0 to 1.

    J. Lin, Divergence measures based on the Shannon entropy, 1991; a metric by D. Endres, J. Schindelin, 2003.
    """
    shares = _shares(reference, window)
    if shares is None:
        return None
    middle = [(e + a) / 2 for e, a in zip(*shares, strict=True)]
    divergence = sum(_relative(each, middle) for each in shares) / 2
    return sqrt(min(1.0, max(0.0, divergence)))


def wasserstein(reference: NumberCounts, window: NumberCounts) -> Transport | None:
    """The Wasserstein-1 (earth mover's) distance of the finite values, in the unit of the column.

    The integral of |F - G| over the two distribution functions (S. Vallender, 1974), which are known exactly at the
    edges, and which may be taken as straight lines between them. In a cell of width w that holds the shares p and q of
    the two sides, the lines are off by at most w p / 2 and w q / 2 in the integral, hence the error: the sum of w (p +
    q) / 2. Where one function is above the other at all edges, the distance is the difference of the means, but for
    cells inside which they cross; then whichever of the two has the smaller error is told.

    Beyond the edges, where a reference has no values, it is exact, however far the window's values lie out there.
    Between two windows that part is too small where they overlap in it.
    """
    if not reference.values or not window.values:
        return None
    straight, shifted = _straight(reference, window), _shifted(reference, window)
    return straight if shifted is None or straight.error <= shifted.error else shifted


def kolmogorov_smirnov(reference: NumberCounts, window: NumberCounts) -> Significance | None:
    """The two-sample Kolmogorov-Smirnov test of the finite values, from their distribution functions at the edges.

    The statistic is the largest |F - G| at an edge: exact there, and so never above that of the raw values. The p-value
    is that of the distribution of D with n m / (n + m) observations (R. Simard, P. L'Ecuyer, 2011), above 1,000 that of
    its limit (N. Smirnov, 1948), which takes no time and is slightly larger. So it is never too small, neither where
    values are tied. `kolmogorov_smirnov_limit` says how much larger the statistic of the raw values may be.
    """
    if not reference.values or not window.values:
        return None
    statistic = max(abs(f - g) for f, g in zip(_cumulative(reference), _cumulative(window), strict=True))
    effective = reference.values * window.values / (reference.values + window.values)
    return Significance("Kolmogorov-Smirnov", statistic, _tail(statistic, max(1, round(effective))))


def kolmogorov_smirnov_limit(reference: NumberCounts, window: NumberCounts) -> float | None:
    """The largest Kolmogorov-Smirnov statistic that raw values with these counts can have.

    Inside a cell both functions grow from their values at its left edge to those at its right edge, in any way; so they
    differ by at most the larger of G(right) - F(left) and F(right) - G(left).
    """
    if not reference.values or not window.values:
        return None
    f, g = _cumulative(reference), _cumulative(window)
    inner = [max(b1 - a0, a1 - b0) for (a0, a1), (b0, b1) in zip(pairwise(f), pairwise(g), strict=True)]
    return min(1.0, max([*inner, *(abs(one - two) for one, two in zip(f, g, strict=True))]))


def chi_square(reference: Sequence[int], window: Sequence[int]) -> Significance | None:
    """Pearson's chi-square test of homogeneity: whether two rows of counts come from the same shares.

    K. Pearson, 1900; without Yates' correction. Cells whose expected count is below 5 on either side are pooled, as W.
    Cochran advised (Some methods for strengthening the common chi-square tests, 1954). With one cell left there is
    nothing to tell apart: the statistic is 0 and the p-value 1.
    """
    if not sum(reference) or not sum(window):
        return None
    from scipy.special import gammaincc  # type: ignore[import-untyped]

    cells = _pooled(reference, window)
    rows = [sum(cell[side] for cell in cells) for side in (0, 1)]
    everything = sum(rows)
    statistic = 0.0
    for cell in cells:
        for side in (0, 1):
            expected = sum(cell) * rows[side] / everything
            statistic += (cell[side] - expected) ** 2 / expected
    if len(cells) == 1:
        return Significance("chi-square", 0.0, 1.0)
    return Significance("chi-square", statistic, float(gammaincc((len(cells) - 1) / 2, statistic / 2)))


def number_cells(counts: NumberCounts) -> list[int]:
    """How many rows there are below the edges, in each cell, above the edges, infinite."""
    return [counts.below, *counts.cells, counts.above, counts.infinite]


def category_cells(reference: CategoryCounts, counts: CategoryCounts) -> list[int]:
    """How many rows hold each frequent value of the reference, another that it knows, one that it does not know."""
    return [*(counts.top[value] for value in reference.top), counts.others - counts.unseen, counts.unseen]


def new_categories(reference: CategoryCounts, window: CategoryCounts) -> tuple[str, ...] | None:
    """The values of a window that its reference does not know, by alphabet. None: either has too many to be told."""
    if reference.seen is None or window.seen is None:
        return None
    return tuple(sorted(window.seen - reference.seen))


def volume_ratio(reference: int, window: int, scale: float = 1.0) -> float | None:
    """How many rows a window has, compared with what its reference leads to expect.

    `scale` is how many times as long as the window the reference is. None for a reference without rows.
    """
    return window * scale / reference if reference else None


def _shares(reference: Sequence[int], window: Sequence[int]) -> tuple[list[float], list[float]] | None:
    totals = sum(reference), sum(window)
    if not all(totals):
        return None
    return [each / totals[0] for each in reference], [each / totals[1] for each in window]


def _relative(shares: Sequence[float], to: Sequence[float]) -> float:
    """The Kullback-Leibler divergence in bits."""
    return sum(share * log2(share / other) for share, other in zip(shares, to, strict=True) if share)


def _cumulative(counts: NumberCounts) -> list[float]:
    """The distribution function just below the first edge and at each edge after it; without edges, that is 0."""
    return [each / counts.values for each in accumulate(counts.cells, initial=counts.below)]


def _tail(statistic: float, observations: int) -> float:
    """How likely a Kolmogorov-Smirnov statistic at least as large is, if both sides have one distribution."""
    if observations > _EXACT:
        from scipy.special import kolmogorov

        return float(kolmogorov(sqrt(observations) * statistic))
    from scipy.stats import kstwo  # type: ignore[import-untyped]

    return float(kstwo.sf(statistic, observations))


def _held(counts: NumberCounts) -> list[float]:
    """The share of the values that each cell holds."""
    return [cell / counts.values for cell in counts.cells]


def _straight(reference: NumberCounts, window: NumberCounts) -> Transport:
    """The distance of distribution functions that are straight lines in each cell."""
    widths = [right - left for left, right in pairwise(reference.edges)]
    apart = [g - f for f, g in zip(_cumulative(reference), _cumulative(window), strict=True)]
    inside = sum(_area(width, *ends) for width, ends in zip(widths, pairwise(apart), strict=True))
    far = zip(reference.beyond, window.beyond, strict=True)
    outside = sum(abs(g / window.values - f / reference.values) for f, g in far)
    held = zip(widths, _held(reference), _held(window), strict=True)
    return Transport(inside + outside, sum(width * (p + q) / 2 for width, p, q in held))


def _shifted(reference: NumberCounts, window: NumberCounts) -> Transport | None:
    """The difference of the means, where one distribution function is above the other at all edges.

    The difference of the functions has the other sign inside a cell at most as far as the upper one stays at its left
    end while the lower one is already at its right end. That part counts twice: it is missing, and it is subtracted.
    """
    f, g = _cumulative(reference), _cumulative(window)
    if reference.below or reference.above:
        return None
    if all(two >= one for one, two in zip(f, g, strict=True)):
        upper, lower = g, f
    elif all(two <= one for one, two in zip(f, g, strict=True)):
        upper, lower = f, g
    else:
        return None
    widths = [right - left for left, right in pairwise(reference.edges)]
    crossed = [max(0.0, low - high) for high, low in zip(upper[:-1], lower[1:], strict=True)]
    error = 2 * sum(width * each for width, each in zip(widths, crossed, strict=True))
    return Transport(abs(window.mean - reference.mean), error)


def _area(width: float, left: float, right: float) -> float:
    """The integral of the absolute value of a straight line over a cell."""
    if left * right >= 0:
        return width * abs(left + right) / 2
    return width * (left * left + right * right) / (2 * (abs(left) + abs(right)))


def _pooled(reference: Sequence[int], window: Sequence[int]) -> list[tuple[int, int]]:
    """The cells of a chi-square test, with those pooled that are too small; empty ones are left out."""
    cells = sorted(zip(reference, window, strict=True), key=sum, reverse=True)
    smaller = min(sum(reference), sum(window)) / (sum(reference) + sum(window))
    kept = [cell for cell in cells if sum(cell) * smaller >= EXPECTED]
    rest = [cell for cell in cells if sum(cell) * smaller < EXPECTED]
    pooled = (sum(cell[0] for cell in rest), sum(cell[1] for cell in rest))
    if not sum(pooled):
        return kept
    if kept and sum(pooled) * smaller < EXPECTED:
        last = kept.pop()
        pooled = (pooled[0] + last[0], pooled[1] + last[1])
    return [*kept, pooled]
