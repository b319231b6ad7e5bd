"""A window compared with its reference, column by column, and which columns differ by more than chance."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from headrace.monitors.counts import CategoryCounts, NumberCounts
from headrace.monitors.distances import (
    category_cells,
    chi_square,
    jensen_shannon,
    kolmogorov_smirnov,
    new_categories,
    number_cells,
    psi,
    volume_ratio,
    wasserstein,
)
from headrace.monitors.measures import MEASURES, P_VALUE, WASSERSTEIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.monitors.counts import Counts, Profile
    from headrace.monitors.distances import Significance
    from headrace.ports.records import Json

LEVEL: Final = 0.01
ROWS: Final = 200


class Verdict(StrEnum):
    """What a comparison tells of a window as a whole."""

    TOO_FEW = "too few rows"
    DRIFT = "drift"
    NONE = "no drift"


@dataclass(frozen=True, slots=True)
class Shift:
    """How a column of a window differs from its reference.

    `measures` by name; None for one that is not defined there:

    - psi, js: the distances of all rows, those without a value being a cell of their own.
    - wasserstein, wasserstein_error: of a number, in its unit; wasserstein_deviations: in standard deviations of the
      reference, None where that has none and the distance is not 0.
    - statistic, p_value: of the test, of values only: Kolmogorov-Smirnov for numbers, chi-square for categories.
    - nulls: the share of rows without a value; nulls_change: how much larger than in the reference.
    - outside: the share of rows with a value outside the reference's range, or unknown to it.
    - new_categories: how many values of a category the reference does not know.

    `new` are those values. `significant` says whether the test rejects, corrected for the number of columns; None where
    there was nothing to test.
    """

    measures: Mapping[str, float | None]
    test: Significance | None
    significant: bool | None = None
    new: tuple[str, ...] | None = None

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "measures": dict(self.measures),
            "test": None if self.test is None else self.test.name,
            "significant": self.significant,
            "new": None if self.new is None else list(self.new),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """A window compared with its reference. `columns` is empty where the window has too few rows to tell anything.

    The verdict says whether any column differs by more than chance. In a window of a million rows, a difference that
    matters to nobody does: what is worth a reaction is for a condition on a distance to say.
    """

    rows: int
    needed: int
    level: float
    volume: float | None
    verdict: Verdict
    columns: Mapping[str, Shift] = field(default_factory=dict)

    @property
    def significant(self) -> tuple[str, ...]:
        """The columns that differ by more than chance."""
        return tuple(name for name, shift in self.columns.items() if shift.significant)

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "rows": self.rows,
            "needed": self.needed,
            "level": self.level,
            "volume": self.volume,
            "verdict": str(self.verdict),
            "columns": {name: shift.to_json() for name, shift in self.columns.items()},
        }


def compare(
    reference: Profile, window: Profile, *, level: float = LEVEL, rows: int = ROWS, scale: float = 1.0
) -> Comparison:
    """Compare the profile of a window with that of the reference whose cells it was counted in.

    Args:
        reference: The profile of the reference.
        window: The profile of the window.
        level: The share of falsely accused columns among all accused ones that is accepted.
        rows: How many rows the window needs to tell anything.
        scale: How many times as long as the window the reference is: its rows are divided by it for the volume.
    """
    volume = volume_ratio(reference.rows, window.rows, scale)
    if window.rows < rows:
        return Comparison(window.rows, rows, level, volume, Verdict.TOO_FEW)
    found = {name: _shift(counts, window.columns[name]) for name, counts in reference.columns.items()}
    tested = {name: shift.test.p_value for name, shift in found.items() if shift.test is not None}
    rejected = dict(zip(tested, benjamini_hochberg(list(tested.values()), level), strict=True))
    columns = {name: Shift(shift.measures, shift.test, rejected.get(name), shift.new) for name, shift in found.items()}
    verdict = Verdict.DRIFT if any(rejected.values()) else Verdict.NONE
    return Comparison(window.rows, rows, level, volume, verdict, columns)


def benjamini_hochberg(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Which of several tests reject, so that at most a share `level` of the rejections is false in expectation.

    With the p-values in order, p(1) <= ... <= p(m), the tests up to the last k with p(k) <= k level / m reject (Y.
    Benjamini, Y. Hochberg, Controlling the false discovery rate, 1995). Holds for tests that are independent or
    positively dependent (Y. Benjamini, D. Yekutieli, 2001).
    """
    count = len(p_values)
    limit = max((p for k, p in enumerate(sorted(p_values), 1) if p <= k * level / count), default=-1.0)
    return [p <= limit for p in p_values]


def adjusted(p_values: Sequence[float]) -> list[float]:
    """The smallest level at which each of several tests rejects, see `benjamini_hochberg`."""
    count, least = len(p_values), 1.0
    found = [1.0] * count
    for k, place in reversed(list(enumerate(sorted(range(count), key=p_values.__getitem__), 1))):
        least = min(least, p_values[place] * count / k)
        found[place] = least
    return found


def worst(columns: Mapping[str, Shift]) -> dict[str, float | None]:
    """Each measure of the column that is the furthest away by it; p-values corrected for the number of columns."""
    found: dict[str, float | None] = {}
    for name in MEASURES:
        known = [value for each in columns.values() if (value := each.measures.get(name)) is not None]
        if name == P_VALUE:
            found[name] = min(adjusted(known), default=None)
        elif name != WASSERSTEIN:  # in the unit of each column
            found[name] = max(known, default=None)
    return found


def _shift(reference: Counts, window: Counts) -> Shift:
    """How one column differs. Raises ValueError for a window that was not counted in the cells of the reference."""
    if isinstance(reference, NumberCounts) and isinstance(window, NumberCounts) and reference.edges == window.edges:
        return _number(reference, window)
    if (
        isinstance(reference, CategoryCounts)
        and isinstance(window, CategoryCounts)
        and window.top.keys() == (reference.top.keys())
    ):
        return _category(reference, window)
    message = "the window was not counted in the cells of the reference"
    raise ValueError(message)


def _number(reference: NumberCounts, window: NumberCounts) -> Shift:
    cells = number_cells(reference), number_cells(window)
    moved, test = wasserstein(reference, window), kolmogorov_smirnov(reference, window)
    distance = None if moved is None else moved.distance
    measures = {
        **_common((reference, window), cells, test),
        "wasserstein": distance,
        "wasserstein_error": None if moved is None else moved.error,
        "wasserstein_deviations": _in_deviations(distance, reference.deviation),
    }
    return Shift(measures, test)


def _category(reference: CategoryCounts, window: CategoryCounts) -> Shift:
    cells = category_cells(reference, reference), category_cells(reference, window)
    test, new = chi_square(*cells), new_categories(reference, window)
    measures = {
        **_common((reference, window), cells, test),
        "new_categories": None if new is None else float(len(new)),
    }
    return Shift(measures, test, None, new)


def _common(
    pair: tuple[Counts, Counts], cells: tuple[list[int], list[int]], test: Significance | None
) -> dict[str, float | None]:
    """What is measured of every column. `cells` are without the rows that hold no value."""
    reference, window = pair
    every = [reference.missing, *cells[0]], [window.missing, *cells[1]]
    nulls, before = _share(window.missing, window.rows), _share(reference.missing, reference.rows)
    return {
        "psi": psi(*every),
        "js": jensen_shannon(*every),
        "statistic": None if test is None else test.statistic,
        "p_value": None if test is None else test.p_value,
        "nulls": nulls,
        "nulls_change": None if nulls is None or before is None else nulls - before,
        "outside": _share(window.outside, window.rows),
    }


def _share(part: int, rows: int) -> float | None:
    return part / rows if rows else None


def _in_deviations(distance: float | None, deviation: float) -> float | None:
    if distance is None or (not deviation and distance):
        return None
    return distance / deviation if deviation else 0.0
