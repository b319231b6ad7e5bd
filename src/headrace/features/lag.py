"""How long after a row was known it could be looked up, and whether the delay that its view declares covers that.

Training sees a row from when it was known plus the declared delay. Serving sees it once a generation that holds it is
pointed to. Where the second is later, a model was trained on features that serving does not have yet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.features.moments import VISIBLE_AT
from headrace.ports.durations import spell

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from headrace.ports.records import Json

PUBLISHES = 20
"""How many of the last publishes are looked at."""
SHARE = 0.95
"""The share of rows that have to be there within the declared delay."""

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Publish:
    """One move of the pointer to a generation. Moments are microseconds since 1970.

    `version` is the version of the view that it holds, `definition` the fingerprint of that, `at` when the pointer
    moved, `newest` when the last of its rows becomes visible (None: it has no row).
    """

    version: str
    definition: str
    at: int
    newest: int | None


@dataclass(frozen=True, slots=True)
class Added:
    """What a publish added: the rows of a version that become visible after the moment `after`."""

    version: str
    at: int
    after: int


@dataclass(frozen=True, slots=True)
class Lag:
    """The lag of a view over its last publishes; None where nothing could be measured.

    `usual` is the middle one, `most` that within which 95 % of the rows came, `longest` the largest one.
    """

    view: str
    delay: timedelta
    publishes: int = 0
    rows: int = 0
    usual: timedelta | None = None
    most: timedelta | None = None
    longest: timedelta | None = None

    @property
    def late(self) -> bool:
        """Whether rows come later than training takes for granted."""
        return self.most is not None and self.most > self.delay

    def problem(self) -> HeadraceError | None:
        """HR481 where rows come later than declared, with the delay that would cover it."""
        if self.most is None or not self.late:
            return None
        wanted = spell(timedelta(seconds=math.ceil(self.most / _SECOND)))
        what = f"{self.view} declares a delay of {spell(self.delay)}, and 95 % of its rows came within {wanted}"
        fix = f'Publish more often, or declare what is true: delay="{wanted}".'
        return HeadraceError("HR481", what, fix=fix)

    def to_json(self) -> Json:
        """Plain data; lengths in seconds."""
        lengths = {name: getattr(self, name) for name in ("delay", "usual", "most", "longest")}
        return {
            "view": self.view,
            "publishes": self.publishes,
            "rows": self.rows,
            **{name: None if each is None else each / _SECOND for name, each in lengths.items()},
            "late": self.late,
        }


def additions(before: Publish | None, publishes: Sequence[Publish]) -> list[Added]:
    """What each publish added of which a lag can be told: rows newer than all that was published before.

    Rows of a first publish, and older ones than the newest known before, may be history that is filled in; so is
    everything of a new definition. What comes back after a rollback had been there.

    Args:
        before: What was pointed to before these publishes, where there was something.
        publishes: Oldest first.
    """
    found: list[Added] = []
    definition = None if before is None else before.definition
    newest = None if before is None else before.newest
    for each in publishes:
        if each.definition != definition:
            definition, newest = each.definition, each.newest
            continue
        if each.newest is not None and newest is not None and each.newest > newest:
            found.append(Added(each.version, each.at, newest))
        newest = max((moment for moment in (newest, each.newest) if moment is not None), default=None)
    return found


def lags(rows: pl.LazyFrame, added: Added, delay: timedelta) -> pl.Series:
    """The lag of each row that was added, in microseconds."""
    import polars as pl

    visible = pl.col(VISIBLE_AT).dt.epoch("us")
    known = visible - delay // timedelta(microseconds=1)
    return rows.filter(visible > added.after).select((pl.lit(added.at) - known).alias("lag")).collect()["lag"]


def lag_of(view: str, delay: timedelta, found: Sequence[pl.Series]) -> Lag:
    """The lag of a view out of those of the rows that each publish added; shares are by rows, by nearest rank."""
    import polars as pl

    publishes = [each for each in found if each.len()]
    if not publishes:
        return Lag(view, delay)
    ordered = pl.concat(publishes).sort()

    def at(share: float) -> timedelta:
        return timedelta(microseconds=int(ordered[max(0, math.ceil(share * ordered.len()) - 1)]))

    return Lag(view, delay, len(publishes), ordered.len(), at(0.5), at(SHARE), at(1.0))
