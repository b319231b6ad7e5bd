"""What is kept of a column: the histogram of a number, the frequent values of a category. Data that can be merged.

The cells of a column are fixed by its reference. So the counts of two windows add up to the counts of both together:
the profile of a day is the merge of the profiles of its hours. Where wanted, sketches are kept beside them: quantiles,
and how many different values there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Final, TypeVar

from headrace.monitors.sketches import Distinct, Quantiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.ports.records import Facts, Json

SEEN: Final = 10_000
"""How many different values of a category are remembered; with more, it is only known that there are more."""

HUGE: Final = 1e140
"""The largest magnitude of a number that counts as finite. Sums of squares of such numbers fit into a float."""


@dataclass(frozen=True, slots=True)
class NumberCounts:
    """A number in a profile.

    Cell i of the histogram holds the values x with edges[i] < x <= edges[i + 1]; the first holds edges[0] as well.
    `below` and `above` are the finite values outside all cells, and `beyond` how far they lie outside, summed up.
    `nulls`, `nans` and `infinite` are the rows without a finite value; what lies beyond `HUGE` counts as infinite,
    since its square would be. `mean`, `m2` (sum of squared deviations from the mean), `low` and `high` are of the
    finite values; the latter two are None where there are none. A reference without finite values has no edges:
    whatever is counted on them is above. The sketches, None where none is wanted, are of the finite values as well.
    """

    edges: tuple[float, ...]
    cells: tuple[int, ...]
    below: int
    above: int
    beyond: tuple[float, float]
    nulls: int
    nans: int
    infinite: int
    mean: float
    m2: float
    low: float | None
    high: float | None
    quantiles: Quantiles | None = None
    distinct: Distinct | None = None

    @property
    def values(self) -> int:
        """How many rows hold a finite value."""
        return self.below + sum(self.cells) + self.above

    @property
    def missing(self) -> int:
        """How many rows hold no value: null or NaN."""
        return self.nulls + self.nans

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.values + self.missing + self.infinite

    @property
    def outside(self) -> int:
        """How many rows hold a value outside the range of the reference, an infinite one included."""
        return self.below + self.above + self.infinite

    @property
    def different(self) -> float | None:
        """About how many different finite values there are; None where no sketch was wanted."""
        return None if self.distinct is None else min(self.distinct.estimate, float(self.values))

    @property
    def deviation(self) -> float:
        """The standard deviation of the finite values (of the population); 0 where all are equal or there are none."""
        return 0.0 if self.low == self.high else sqrt(self.m2 / self.values)

    def merge(self, other: NumberCounts) -> NumberCounts:
        """The counts of both together.

        The moments are merged as by T. Chan, G. Golub, R. LeVeque, Updating formulae and a pairwise algorithm for
        computing sample variances, 1979. Raises ValueError for counts on other edges, which cannot be added.
        """
        if self.edges != other.edges:
            message = "counts on different edges cannot be merged"
            raise ValueError(message)
        mean, m2 = _moments(self, other)
        return NumberCounts(
            edges=self.edges,
            cells=tuple(one + two for one, two in zip(self.cells, other.cells, strict=True)),
            below=self.below + other.below,
            above=self.above + other.above,
            beyond=(self.beyond[0] + other.beyond[0], self.beyond[1] + other.beyond[1]),
            nulls=self.nulls + other.nulls,
            nans=self.nans + other.nans,
            infinite=self.infinite + other.infinite,
            mean=mean,
            m2=m2,
            low=min((each for each in (self.low, other.low) if each is not None), default=None),
            high=max((each for each in (self.high, other.high) if each is not None), default=None),
            quantiles=_both(self.quantiles, other.quantiles),
            distinct=_both(self.distinct, other.distinct),
        )

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "kind": "number",
            "edges": list(self.edges),
            "cells": list(self.cells),
            "outside": [self.below, self.above],
            "beyond": list(self.beyond),
            "missing": [self.nulls, self.nans, self.infinite],
            "moments": [self.mean, self.m2],
            "range": [self.low, self.high],
            "quantiles": None if self.quantiles is None else self.quantiles.to_json(),
            "distinct": None if self.distinct is None else self.distinct.to_json(),
        }

    @classmethod
    def from_json(cls, data: Facts) -> NumberCounts:
        """The inverse of `to_json`."""
        (below, above), (nulls, nans, infinite) = data["outside"], data["missing"]
        return cls(
            edges=tuple(data["edges"]),
            cells=tuple(data["cells"]),
            below=below,
            above=above,
            beyond=tuple(data["beyond"]),
            nulls=nulls,
            nans=nans,
            infinite=infinite,
            mean=data["moments"][0],
            m2=data["moments"][1],
            low=data["range"][0],
            high=data["range"][1],
            quantiles=_sketch(data, "quantiles", Quantiles.from_json),
            distinct=_sketch(data, "distinct", Distinct.from_json),
        )


@dataclass(frozen=True, slots=True)
class CategoryCounts:
    """A category in a profile: text, or a boolean as "true" and "false".

    `top` counts the values that are the most frequent ones of the reference, `others` the rows with any other value
    and `unseen` those among the latter whose value the reference does not know. `seen` are the different values that
    occur; None: there are more than 10,000, or the reference has so many that they are not told apart. `distinct` is a
    sketch of how many there are, None where none is wanted.
    """

    top: Mapping[str, int]
    others: int
    unseen: int
    nulls: int
    seen: frozenset[str] | None
    distinct: Distinct | None = None

    @property
    def values(self) -> int:
        """How many rows hold a value."""
        return sum(self.top.values()) + self.others

    @property
    def missing(self) -> int:
        """How many rows hold no value."""
        return self.nulls

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.values + self.nulls

    @property
    def outside(self) -> int:
        """How many rows hold a value that the reference does not know."""
        return self.unseen

    @property
    def different(self) -> float | None:
        """How many different values there are: exactly up to 10,000, about from there; None where that is unknown."""
        if self.seen is not None:
            return float(len(self.seen))
        return None if self.distinct is None else min(self.distinct.estimate, float(self.values))

    def merge(self, other: CategoryCounts) -> CategoryCounts:
        """The counts of both together. Raises ValueError for counts of other values, which cannot be added."""
        if self.top.keys() != other.top.keys():
            message = "counts of different values cannot be merged"
            raise ValueError(message)
        return CategoryCounts(
            top={value: count + other.top[value] for value, count in self.top.items()},
            others=self.others + other.others,
            unseen=self.unseen + other.unseen,
            nulls=self.nulls + other.nulls,
            seen=_union(self.seen, other.seen),
            distinct=_both(self.distinct, other.distinct),
        )

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "kind": "category",
            "top": dict(self.top),
            "rest": [self.others, self.unseen, self.nulls],
            "seen": None if self.seen is None else sorted(self.seen),
            "distinct": None if self.distinct is None else self.distinct.to_json(),
        }

    @classmethod
    def from_json(cls, data: Facts) -> CategoryCounts:
        """The inverse of `to_json`."""
        seen, (others, unseen, nulls) = data["seen"], data["rest"]
        known = None if seen is None else frozenset(seen)
        return cls(dict(data["top"]), others, unseen, nulls, known, _sketch(data, "distinct", Distinct.from_json))


Counts = NumberCounts | CategoryCounts


@dataclass(frozen=True, slots=True)
class Profile:
    """What is kept of a frame: how many rows it has, and the counts of each column."""

    rows: int
    columns: Mapping[str, Counts]

    def merge(self, other: Profile) -> Profile:
        """The profile of both together. Raises ValueError for profiles that were not made on the same reference."""
        if self.columns.keys() != other.columns.keys():
            message = "profiles of different columns cannot be merged"
            raise ValueError(message)
        merged = {name: merge_counts(counts, other.columns[name]) for name, counts in self.columns.items()}
        return Profile(self.rows + other.rows, merged)

    def to_json(self) -> Json:
        """Plain data, to be stored with a version of a model."""
        return {"rows": self.rows, "columns": {name: counts.to_json() for name, counts in self.columns.items()}}

    @classmethod
    def from_json(cls, data: Facts) -> Profile:
        """The inverse of `to_json`."""
        return cls(data["rows"], {name: _counts_of(each) for name, each in data["columns"].items()})


def merge_counts(one: Counts, two: Counts) -> Counts:
    """The counts of both together. Raises ValueError where they are of different kinds or cells."""
    if isinstance(one, NumberCounts) and isinstance(two, NumberCounts):
        return one.merge(two)
    if isinstance(one, CategoryCounts) and isinstance(two, CategoryCounts):
        return one.merge(two)
    message = "the counts of a number and of a category cannot be merged"
    raise ValueError(message)


_Kind = TypeVar("_Kind", Quantiles, Distinct)


def _both(one: _Kind | None, two: _Kind | None) -> _Kind | None:
    """The sketch of both; None as soon as one side has none."""
    return None if one is None or two is None else one.merge(two)


def _sketch(data: Facts, name: str, read: Callable[[Facts], _Kind]) -> _Kind | None:
    """A sketch that was stored, or None: profiles have been stored without any."""
    found = data.get(name)
    return None if found is None else read(found)


def _counts_of(data: Facts) -> Counts:
    return NumberCounts.from_json(data) if data["kind"] == "number" else CategoryCounts.from_json(data)


def _moments(one: NumberCounts, two: NumberCounts) -> tuple[float, float]:
    first, second = one.values, two.values
    if not first or not second:
        told = one if first else two
        return told.mean, told.m2
    apart = two.mean - one.mean
    share = second / (first + second)
    return one.mean + apart * share, one.m2 + two.m2 + apart * apart * first * share


def _union(one: frozenset[str] | None, two: frozenset[str] | None) -> frozenset[str] | None:
    """The values of both; None as soon as they are more than can be remembered, whatever is added later."""
    if one is None or two is None or len(both := one | two) > SEEN:
        return None
    return both
