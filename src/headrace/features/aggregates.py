"""What a feature says of the rows of its entity that a moment can see: how many, their mean, their sum, the last one.

Or how far they spread, the smallest and the largest value, and how many different ones there are.

A feature with `over="24h"` that is asked at the moment c looks at the rows that became visible in [c - 24h, c). The
window moves with c, so that a count falls although no row arrives. Without `over` it looks at all rows visible before
c. A value that is null, NaN or infinite is missing, and all but count skip missing values; count counts rows. Where
nothing is left, count, total and distinct are 0, and all others are null; std is null for a single value, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.errors import HeadraceError
from headrace.ports.durations import duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    import polars as pl

    from headrace.features.windows import Window

_WHOLE = ("Boolean", "Int64")
_ORDERED = (*_WHOLE, "Float64", "Date")


@dataclass(frozen=True, slots=True)
class Aggregate(ABC):
    """One feature: of which column, and over how long a window (None: over everything seen so far)."""

    column: str | None
    over: timedelta | None

    word: ClassVar[str]

    @abstractmethod
    def type_of(self, column: str) -> str | None:
        """The type of the feature ("Int64") when the column has this type; None where the two do not go together."""

    @abstractmethod
    def measure(self, window: Window) -> pl.Series:
        """The feature for each label row."""

    def scaled(self, column: pl.DataType) -> bool:  # noqa: ARG002 - few are
        """Whether its last bits depend on all values of a column of this type, by the unit they are counted in."""
        return False


class Count(Aggregate):
    """How many rows."""

    __slots__ = ()
    word = "count"

    def type_of(self, column: str) -> str | None:  # noqa: ARG002 - it counts rows, whatever they hold
        """Always Int64."""
        return "Int64"

    def measure(self, window: Window) -> pl.Series:
        """The number of rows in the window."""
        return window.rows()


class Mean(Aggregate):
    """The mean of a column of numbers; of true and false, the share of true."""

    __slots__ = ()
    word = "mean"

    def type_of(self, column: str) -> str | None:
        """Float64, of numbers and booleans."""
        return "Float64" if column in (*_WHOLE, "Float64") else None

    def measure(self, window: Window) -> pl.Series:
        """The exact sum, divided by the number of values."""
        return window.mean(str(self.column))

    def scaled(self, column: pl.DataType) -> bool:
        """With floats."""
        return column.is_float()


class Total(Aggregate):
    """The sum of a column of numbers; of true and false, how many are true."""

    __slots__ = ()
    word = "total"

    def type_of(self, column: str) -> str | None:
        """Float64 of floats, Int64 of integers and booleans."""
        return "Int64" if column in _WHOLE else "Float64" if column == "Float64" else None

    def measure(self, window: Window) -> pl.Series:
        """The exact sum, rounded once. Raises HR456 where a sum of integers needs more than 64 bits."""
        return window.total(str(self.column))

    def scaled(self, column: pl.DataType) -> bool:
        """With floats."""
        return column.is_float()


class Std(Aggregate):
    """How far the values of a column of numbers spread about their mean."""

    __slots__ = ()
    word = "std"

    def type_of(self, column: str) -> str | None:
        """Float64, of numbers and booleans."""
        return "Float64" if column in (*_WHOLE, "Float64") else None

    def measure(self, window: Window) -> pl.Series:
        """The sample deviation (see `spread`)."""
        return window.deviation(str(self.column))

    def scaled(self, column: pl.DataType) -> bool:  # noqa: ARG002 - whole numbers that lie far apart are scaled, too
        """Always."""
        return True


class Smallest(Aggregate):
    """The smallest value of a column of numbers or times."""

    __slots__ = ()
    word = "smallest"

    def type_of(self, column: str) -> str | None:
        """The type of the column, of numbers, booleans, dates and datetimes."""
        return column if column in _ORDERED or column.startswith("Datetime") else None

    def measure(self, window: Window) -> pl.Series:
        """The smallest value in the window."""
        return window.extreme(str(self.column), largest=False)


class Largest(Smallest):
    """The largest value of a column of numbers or times."""

    __slots__ = ()
    word = "largest"

    def measure(self, window: Window) -> pl.Series:
        """The largest value in the window."""
        return window.extreme(str(self.column), largest=True)


class Distinct(Aggregate):
    """How many different values a column has."""

    __slots__ = ()
    word = "distinct"

    def type_of(self, column: str) -> str | None:  # noqa: ARG002 - values of every type can be told apart
        """Always Int64."""
        return "Int64"

    def measure(self, window: Window) -> pl.Series:
        """The number of different values in the window."""
        return window.distinct(str(self.column))


class Latest(Aggregate):
    """The newest value of a column that is not missing."""

    __slots__ = ()
    word = "latest"

    def type_of(self, column: str) -> str | None:
        """The type of the column."""
        return column

    def measure(self, window: Window) -> pl.Series:
        """The newest value in the window."""
        return window.latest(str(self.column))


class Newest(Aggregate):
    """A column of the newest row, also where it is null there: what the function form of a view gives."""

    __slots__ = ()
    word = "newest"

    def type_of(self, column: str) -> str | None:
        """The type of the column."""
        return column

    def measure(self, window: Window) -> pl.Series:
        """The value in the newest row of the window."""
        return window.newest(str(self.column))


AGGREGATES: Mapping[str, type[Aggregate]] = {
    each.word: each for each in (Count, Distinct, Largest, Latest, Mean, Newest, Smallest, Std, Total)
}
"""Every aggregate, by its word."""


def count(*, over: str | timedelta | None = None) -> Any:  # noqa: ANN401 - stands for the feature, which is an int
    """How many rows of the entity became visible within `over` before the moment asked about. An `int`."""
    return Count(None, window_of("count", over))


def mean(column: str, *, over: str | timedelta | None = None) -> Any:  # noqa: ANN401 - stands for a float
    """The mean of a column of numbers or of the share of true; null without values. A `float`."""
    return Mean(column, window_of("mean", over))


def total(column: str, *, over: str | timedelta | None = None) -> Any:  # noqa: ANN401 - stands for an int or a float
    """The sum of a column of numbers, or how many are true; 0 without values. A `float` of floats, else an `int`."""
    return Total(column, window_of("total", over))


def std(column: str, *, over: str | timedelta | None = None) -> Any:  # noqa: ANN401 - stands for a float
    """The standard deviation of a sample (n - 1) of numbers; null for fewer than two values. A `float`."""
    return Std(column, window_of("std", over))


def smallest(column: str, *, over: str | timedelta | None = None) -> Any:  # noqa: ANN401 - stands for a value
    """The smallest value of a column of numbers, dates or datetimes; null without values. Of the type of the column.

    Of true and false: whether all are true.
    """
    return Smallest(column, window_of("smallest", over))


def largest(column: str, *, over: str | timedelta | None = None) -> Any:  # noqa: ANN401 - stands for a value
    """The largest value of a column of numbers, dates or datetimes; null without values. Of the type of the column.

    Of true and false: whether any is true.
    """
    return Largest(column, window_of("largest", over))


def distinct(column: str, *, over: str | timedelta | None = None) -> Any:  # noqa: ANN401 - stands for an int
    """How many different values a column has; 0 without values. An `int`."""
    return Distinct(column, window_of("distinct", over))


def latest(column: str, *, over: str | timedelta | None = None) -> Any:  # noqa: ANN401 - stands for a value
    """The newest value of a column that is not missing; null without one. Of the type of the column."""
    return Latest(column, window_of("latest", over))


def window_of(what: str, over: str | timedelta | None) -> timedelta | None:
    """The length of a window. Raises HR110 for what is no duration, HR446 for a window of no length."""
    length = None if over is None else duration(over)
    if length is not None and not length:
        raise HeadraceError("HR446", f"{what} has a length of {over!r}")
    return length
