"""Tables and feature views as they arrived: nodes whose versions are the rows that had become known by a moment.

Nothing is copied: a version is a moment, and its rows are those of the real version that had arrived by then. Its key
covers a digest of just these rows, so that what is trained on them is found again by every policy, by a second replay,
and after more data came in behind them.
"""

from __future__ import annotations

import hashlib
import io
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
import polars as pl

from headrace.features.view import FeatureView
from headrace.graph.node import Options
from headrace.ports.records import Batch, Manifest, Observation
from headrace.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from headrace.ports.outside import Outlook
    from headrace.ports.records import Facts, Json, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step

_DAY: Final = 86_400_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNTIL: Final = "until"


def micros(moment: datetime) -> int:
    """Microseconds since 1970; a moment without a zone is taken as UTC."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (aware - EPOCH) // timedelta(microseconds=1)


def moment_at(micros_since: int) -> datetime:
    """The inverse of `micros`, in UTC."""
    return EPOCH + timedelta(microseconds=micros_since)


class Arriving:
    """Rows, each with the microsecond at which it arrived, and what the rows up to a moment come to."""

    def __init__(self, rows: pl.DataFrame, arrivals: npt.NDArray[np.int64]) -> None:
        self.rows = rows
        self._arrivals = arrivals
        order = np.argsort(arrivals, kind="stable")
        self._sorted = arrivals[order]
        self._in_order = rows[order]
        self._days, self._digests = self._by_day()

    def until(self, moment: int) -> pl.DataFrame:
        """The rows that had arrived by then, in the order of the table."""
        return self.rows.filter(pl.Series(self._arrivals <= moment))

    def count(self, moment: int) -> int:
        """How many rows had arrived by then."""
        return int(np.searchsorted(self._sorted, moment, "right"))

    def digest(self, moment: int) -> str:
        """The digest of the rows that had arrived by then. It follows from them alone, whenever it is asked for."""
        full = bisect_right(self._days, moment // _DAY - 1)
        today = int(np.searchsorted(self._sorted, moment // _DAY * _DAY, "left")), self.count(moment)
        digests = [*self._digests[:full], *([self._digested(*today)] if today[0] < today[1] else [])]
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    def _by_day(self) -> tuple[list[int], list[str]]:
        """The days on which rows arrived, and the digest of each."""
        days, starts = np.unique(self._sorted // _DAY, return_index=True)
        bounds = pairwise([*starts.tolist(), len(self._sorted)])
        return days.tolist(), [self._digested(*each) for each in bounds]

    def _digested(self, start: int, end: int) -> str:
        return hashlib.sha256(_content(self._in_order[start:end])).hexdigest()


def _content(rows: pl.DataFrame) -> bytes:
    """The rows as bytes that hold nothing but them: a slice of strings would bring the buffers of its neighbours."""
    buffer = io.BytesIO()
    rows[np.arange(rows.height)].rechunk().write_ipc(buffer, compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()


@dataclass(slots=True)
class Present:
    """The simulated present, in microseconds: the one moment at which all arrivals of a replay are observed."""

    now: int


def _observed(name: str, arriving: Arriving, present: Present) -> Observation:
    """The rows are what counts, and the moment tells how to find them: it is no part of the identity."""
    now = present.now
    batch = Batch(_UNTIL, arriving.digest(now), arriving.count(now), location=str(now))
    return Observation(name, (batch,))


def _made(step: Step, arriving: Arriving, more: Facts) -> Manifest:
    """The manifest of a version: no output, because its rows are the real ones."""
    [batch] = step.observation.batches if step.observation is not None else ()
    until = int(batch.location)
    return Manifest(step.key, {}, {_UNTIL: until, "rows": arriving.count(until), **more})


class ArrivingTable(Table):
    """Stands for a table: the same contract and the same code, and the rows that had arrived."""

    kind: ClassVar[str] = "table so far"

    def __init__(self, table: Table, arriving: Arriving, present: Present, seed: int) -> None:
        self.__dict__.update(table.__dict__)
        self.inputs = ()
        self.options = Options()
        self.incremental = False
        self._real = table
        self._arriving = arriving
        self._present = present
        self._seed = seed

    def functions(self) -> Sequence[Callable[..., object] | type]:
        """Those of the table."""
        return self._real.functions()

    def settings(self) -> Mapping[str, object]:
        """Those of the table, and the seed of the replay, from which all others follow."""
        return {**self._real.settings(), "seed": self._seed}

    def observe(self, outlook: Outlook) -> Observation | None:  # noqa: ARG002 - the past is all that is looked at
        """What had arrived by the present."""
        return _observed(self.name, self._arriving, self._present)

    def make(self, step: Step, context: Context) -> Manifest:  # noqa: ARG002 - there is nothing to make
        """A version is a moment."""
        return _made(step, self._arriving, {})

    def read(self, version: Version, stores: Stores) -> pl.LazyFrame:  # noqa: ARG002 - they lie in memory
        """The rows that had arrived."""
        return self._arriving.until(version.manifest.facts[_UNTIL]).lazy()


class ArrivingView(FeatureView):
    """Stands for a feature view: the rows that had become visible."""

    kind: ClassVar[str] = "features so far"

    def __init__(self, view: FeatureView, real: Version, arriving: Arriving, present: Present) -> None:
        self.__dict__.update(view.__dict__)
        self.inputs = ()
        self.options = Options()
        self._features: Json = real.manifest.facts["features"]
        self._arriving = arriving
        self._present = present

    @property
    def incremental(self) -> bool:
        """Each moment is a version of its own."""
        return False

    def observe(self, outlook: Outlook) -> Observation | None:  # noqa: ARG002 - the past is all that is looked at
        """What had become visible by the present."""
        return _observed(self.name, self._arriving, self._present)

    def make(self, step: Step, context: Context) -> Manifest:  # noqa: ARG002 - there is nothing to make
        """A version is a moment."""
        return _made(step, self._arriving, {"features": self._features})

    def read(self, version: Version, stores: Stores) -> pl.LazyFrame:  # noqa: ARG002 - they lie in memory
        """The rows that had become visible, in the order of the real version."""
        return self._arriving.until(version.manifest.facts[_UNTIL]).lazy()
