"""How the rows of a feature view are made: of a table as they stand, or by the user's function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from headrace.errors import HeadraceError, did_you_mean
from headrace.features.aggregates import Newest
from headrace.features.moments import EVENT_TIME, TIE, VISIBLE_AT, moment, visible_at
from headrace.ports.durations import duration
from headrace.tables.frames import call, collected, convert, to_lazy, wanted_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    import polars as pl

    from headrace.features.aggregates import Aggregate

Function: TypeAlias = Callable[..., Any]  # takes frames, of any kind, and returns one


@dataclass(frozen=True, slots=True)
class Terms:
    """Whose rows they are, and from when until when they can be seen (see `moments`)."""

    entity: tuple[str, ...]
    delay: timedelta
    ttl: timedelta | None

    def settings(self) -> Mapping[str, object]:
        """What of it decides what is made."""
        return {"entity": self.entity, "delay": self.delay, "ttl": self.ttl}


def terms(
    name: str, entity: str | tuple[str, ...], delay: str | timedelta = "0s", ttl: str | timedelta | None = None
) -> Terms:
    """The terms as users write them, checked.

    Raises:
        HeadraceError: HR448 for an entity of no columns or with one twice, HR446 for a ttl of no length, HR110.
    """
    columns = (entity,) if isinstance(entity, str) else tuple(entity)
    if not columns or len(set(columns)) < len(columns):
        raise HeadraceError("HR448", f"the entity of {name} is {entity!r}")
    length = None if ttl is None else duration(ttl)
    if length is not None and not length:
        raise HeadraceError("HR446", f"the ttl of {name} is {ttl!r}")
    return Terms(columns, duration(delay), length)


class Recipe(Protocol):
    """How a view makes its rows. Frames are those of the inputs of the view, in order."""

    def function(self) -> Function | None:
        """The user's code, where there is some."""

    def settings(self) -> Mapping[str, object]:
        """What was declared beyond the terms."""

    def columns(self, terms: Terms) -> Sequence[str] | None:
        """The columns of the rows, where the declaration tells them."""

    def grows(self) -> bool:
        """Whether each row is made of one row of the input, so that new ones can be made by themselves."""

    def rows(self, frames: Sequence[pl.LazyFrame], terms: Terms, *, ties: bool = False) -> pl.DataFrame:
        """The rows: the entity, `_visible_at`, `_event_time` and the values, sorted by visible time and event time.

        With `ties` also what decides between rows of the same times, as `_tie_0` and so on.
        """

    def features(self, columns: Sequence[str], terms: Terms) -> Mapping[str, Aggregate]:
        """The features that rows with these columns have."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The class form: aggregates over the rows of a table, whose contract says what is when.

    `keys` decide which of two rows of the same times is newer, so that the order in which they arrived does not.
    """

    aggregates: Mapping[str, Aggregate]
    event_time: str
    known_at: str | None
    keys: tuple[str, ...] = ()

    def function(self) -> Function | None:
        """There is none: the body of the class holds settings only."""
        return None

    def settings(self) -> Mapping[str, object]:
        """The aggregates, by name, in declared order."""
        return {"features": [(name, each.word, each.column, each.over) for name, each in self.aggregates.items()]}

    def columns(self, terms: Terms) -> Sequence[str] | None:
        """The entity, the times, and what the aggregates are of."""
        used = [each.column for each in self.aggregates.values() if each.column]
        return list(dict.fromkeys((*terms.entity, VISIBLE_AT, EVENT_TIME, *used)))

    def grows(self) -> bool:
        """A row of the view is a row of the table."""
        return True

    def rows(self, frames: Sequence[pl.LazyFrame], terms: Terms, *, ties: bool = False) -> pl.DataFrame:
        """The rows of the table that are known, less the columns that no feature needs."""
        (frame,) = frames
        known = self.known_at or self.event_time
        values = [name for name in self.columns(terms) or () if name not in (VISIBLE_AT, EVENT_TIME)]
        rows = _seen(frame, values, (self.event_time, known), terms, self.keys)
        return rows if ties else rows.select(self.columns(terms) or ())

    def features(self, columns: Sequence[str], terms: Terms) -> Mapping[str, Aggregate]:  # noqa: ARG002 - declared
        """The aggregates."""
        return self.aggregates


@dataclass(frozen=True, slots=True)
class Computed:
    """The function form: the function returns the entity, the time `at`, and one column for each feature."""

    name: str
    code: Function
    at: str
    known_at: str | None
    frames: Sequence[str]

    def function(self) -> Function | None:
        """The function that computes the features."""
        return self.code

    def settings(self) -> Mapping[str, object]:
        """Which of the columns hold times."""
        return {"at": self.at, "known_at": self.known_at}

    def columns(self, terms: Terms) -> Sequence[str] | None:  # noqa: ARG002 - only the function knows
        """Only the data tells."""
        return None

    def grows(self) -> bool:
        """Nobody can say which rows the function looks at."""
        return False

    def rows(self, frames: Sequence[pl.LazyFrame], terms: Terms, *, ties: bool = False) -> pl.DataFrame:  # noqa: ARG002
        """What the function returns, less the rows that are not known yet; NaN is null.

        Raises:
            HeadraceError: HR423 when the function raised, HR455 for a time that is none, HR460 for a column that it
                did not return, HR461 without features, HR447 for a name that is taken, HR448 for an entity of floats.
        """
        arguments = [convert(frame, kind) for frame, kind in zip(frames, self.frames, strict=True)]
        result = to_lazy(call(self.code, arguments, self.name), self.name)
        return self._seen(collected(result, self.code, self.name), terms)

    def _seen(self, found: pl.DataFrame, terms: Terms) -> pl.DataFrame:
        import polars.selectors as cs

        times = dict.fromkeys((self.at, self.known_at or self.at))
        for name in (*terms.entity, *times):
            if name not in found.columns:
                raise HeadraceError("HR460", f"{self.name} returns no column {name!r}", fix=hint(name, found.columns))
        values = [name for name in found.columns if name not in terms.entity and name not in times]
        if not values:
            raise HeadraceError("HR461", f"{self.name} returns {', '.join(found.columns)}")
        for name in (*terms.entity, *values):
            refuse_name(name, self.name)
        refuse_floats([name for name in terms.entity if found.schema[name].is_float()], self.name)
        frame = found.lazy().with_columns(cs.float().fill_nan(None))
        return _seen(frame, [*terms.entity, *values], (self.at, self.known_at or self.at), terms)

    def features(self, columns: Sequence[str], terms: Terms) -> Mapping[str, Aggregate]:
        """Every column but the entity and the times, as in the newest visible row that is not past its ttl."""
        own = (*terms.entity, VISIBLE_AT, EVENT_TIME)
        return {name: Newest(name, terms.ttl) for name in columns if name not in own}


def computed(name: str, inputs: int, function: Function, at: str, known_at: str | None) -> Computed:
    """The function form, checked as far as its signature tells. Raises HR420 and HR421."""
    return Computed(name, function, at, known_at, wanted_frames(function, inputs, name))


def _seen(
    frame: pl.LazyFrame, values: Sequence[str], times: tuple[str, str], terms: Terms, ties: Sequence[str] = ()
) -> pl.DataFrame:
    """The rows that are known of an entity, with their times, sorted by visible time and event time.

    Rows that agree in both are in the order of the columns `ties`, or keep that of the table: the later one counts as
    newer; these columns are there as `_tie_0` and so on. `times` are those of the event and of when it became known.
    """
    import polars as pl

    schema = frame.collect_schema()
    event, known = (moment(name, schema[name], what="the time", up=True) for name in times)
    present = [pl.col(name).is_not_null() for name in (*terms.entity, VISIBLE_AT)]
    added = visible_at(known, terms.delay).alias(VISIBLE_AT), event.alias(EVENT_TIME)
    rest = [name for name in values if name not in terms.entity]
    order = {f"{TIE}{place}": pl.col(name) for place, name in enumerate(ties)}
    rows = frame.select(*terms.entity, *added, *rest, **order).filter(*present)
    return rows.sort(VISIBLE_AT, EVENT_TIME, *order, maintain_order=True).collect()


def hint(name: str, known: Iterable[str]) -> str:
    """What may have been meant, as a sentence."""
    text = did_you_mean(name, known)
    return text[:1].upper() + text[1:]


def refuse_name(name: str, view: str) -> None:
    """Raise HR447 for a column whose name begins with an underscore: such names are the platform's."""
    if name.startswith("_"):
        raise HeadraceError("HR447", f"{view} has a column {name!r}")


def refuse_floats(names: Sequence[str], view: str) -> None:
    """Raise HR448 where there is a name: these columns of an entity hold floats."""
    if names:
        raise HeadraceError("HR448", f"{names[0]!r}, of the entity of {view}, holds floats")
