"""What changed between two schemas of a source, and whether it may go through. Pure.

A schema is what was recorded of the batches of a version: for each column its type, whether it holds nulls, and whether
some batch lacks it. A change is safe (nothing that was there is lost or reads otherwise), widening (the same column
holds more than before) or breaking (what was there is gone, or is of another type).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from enum import StrEnum
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError, did_you_mean
from headrace.sources.gathering import firsts_of
from headrace.sources.types import merged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.ports.records import Facts, Json

ON_CHANGE = ("widen", "accept", "fail")
"""What a source may declare: breaking changes stop (the default), none does, each does."""
_ALIKE = 0.6
"""From this similarity on, two names may be one that was renamed."""


class Level(StrEnum):
    """How much a change changes for those who read the rows."""

    SAFE = "safe"
    WIDENING = "widening"
    BREAKING = "breaking"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a recorded schema.

    `kind` is the type that holds the values of all batches ("Null" without any value), `nullable` says whether a batch
    holds a null in it (None: that was not recorded), `hollow` is the first batch with one, `lacking` the first batch
    without the column, `batch` the first one that has it, and `kinds` are the types with the first batch of each.
    """

    kind: str
    nullable: bool | None
    hollow: str | None
    batch: str
    lacking: str | None
    kinds: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two schemas: what happened to a column, from what to what, and in which batch first."""

    what: str  # "added", "removed", "renamed", "type", "nulls", "emptied" (of no column)
    column: str
    level: Level
    before: str = ""
    after: str = ""
    batch: str = ""

    def __str__(self) -> str:
        where = f" in {self.batch}" if self.batch else ""
        if self.what == "added":
            return f"column {self.column} ({self.after}) is new{where}"
        if self.what == "removed":
            return f"column {self.column} ({self.before}) is gone{where}"
        if self.what == "renamed":
            return f"column {self.column} is gone{where}, and {self.after} is new: renamed?"
        if self.what == "emptied":
            return "all rows are gone"
        if self.what == "nulls":
            return f"column {self.column} holds nulls{where}, for the first time"
        return f"column {self.column} was {self.before} and is {self.after}{where}"

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "what": self.what,
            "column": self.column,
            "level": self.level.value,
            "before": self.before,
            "after": self.after,
            "batch": self.batch,
        }


EMPTIED = Change("emptied", "", Level.BREAKING)
"""A source had rows, and has none."""


def check_rule(source: str, on_change: str) -> str:
    """The rule that a source declares. Raises HR333 for one that there is not."""
    if on_change not in ON_CHANGE:
        fix = did_you_mean(str(on_change), ON_CHANGE)
        raise HeadraceError("HR333", f"{source}: on_change is {on_change!r}", fix=fix)
    return on_change


def stops(change: Change, on_change: str) -> bool:
    """Whether a change needs a person, by the rule of the source."""
    return on_change == "fail" or (on_change == "widen" and change.level is Level.BREAKING)


def recorded(facts: Facts) -> dict[str, Column]:
    """The schema that the facts of a source version tell, in the order in which columns first appear."""
    schemas: Sequence[Mapping[str, str]] = facts["schemas"]
    firsts = {place: batch for place, batch in firsts_of(facts["batches"], "schema").items() if place is not None}
    hollow = firsts_of(facts["batches"], "nulls")
    nulls: dict[str, str] = {}
    for place, batch in hollow.items():
        for name in () if place is None else facts["nulls"][place]:
            nulls.setdefault(name, batch)
    names = dict.fromkeys(name for place in firsts for name in schemas[place])
    return {
        name: _column(
            {batch: schemas[place].get(name) for place, batch in firsts.items()},
            nulls.get(name),
            known=None not in hollow,
        )
        for name in names
    }


def _column(types: Mapping[str, str | None], hollow: str | None, *, known: bool) -> Column:
    """A column, from its type in the first batch of each schema (None: lacking)."""
    kinds: dict[str, str] = {}
    for batch, kind in types.items():
        if kind is not None:
            kinds.setdefault(kind, batch)
    lacking = next((batch for batch, kind in types.items() if kind is None), None)
    nullable = hollow is not None if known else None
    return Column(together(kinds) or "String", nullable, hollow, min(kinds.values()), lacking, kinds)


def together(kinds: Mapping[str, str]) -> str | None:
    """One type for the values of several; "Null" where there is no value; None where they do not go together."""
    given = frozenset(kinds) - {"Null"}
    if not given:
        return "Null"
    return next(iter(given)) if len(given) == 1 else merged(given)


def changes(before: Mapping[str, Column], after: Mapping[str, Column]) -> tuple[Change, ...]:
    """Every difference between two recorded schemas, the breaking ones first, then by column."""
    found = [*_columns(before, after)]
    for name in before.keys() & after.keys():
        found += _within(name, before[name], after[name])
    order = list(Level)[::-1]
    return tuple(sorted(found, key=lambda change: (order.index(change.level), change.column, change.what)))


def among(columns: Mapping[str, Column]) -> tuple[Change, ...]:
    """What differs among the batches of a first version: the columns that some have and others lack."""
    first = min((at for column in columns.values() for at in (column.batch, column.lacking) if at), default="")
    begin = {name: replace(column, lacking=None) for name, column in columns.items() if column.batch == first}
    return tuple(change for change in changes(begin, columns) if change.what in ("added", "removed", "renamed"))


def _columns(before: Mapping[str, Column], after: Mapping[str, Column]) -> list[Change]:
    """Columns that came, went, or seem to have been renamed."""
    gone: dict[str, str] = {}
    for name, column in before.items():
        if name not in after:
            gone[name] = ""
        elif after[name].lacking is not None and column.lacking is None:
            gone[name] = after[name].lacking or ""
    new = {name: column for name, column in after.items() if name not in before}
    found = []
    for name, batch in gone.items():
        other = _renamed(name, before[name], new, batch)
        if other is None:
            found.append(Change("removed", name, Level.BREAKING, before=before[name].kind, batch=batch))
        else:
            del new[other]
            found.append(Change("renamed", name, Level.BREAKING, before=name, after=other, batch=batch))
    found += [Change("added", name, Level.SAFE, after=new[name].kind, batch=new[name].batch) for name in new]
    return found


def _renamed(name: str, column: Column, new: Mapping[str, Column], batch: str) -> str | None:
    """The new column that is most like one that is gone, if any is: a like name, a type that goes together with it."""
    alike = [
        (SequenceMatcher(None, name.lower(), other.lower()).ratio(), other)
        for other, candidate in new.items()
        if together({column.kind: "", candidate.kind: ""}) is not None and (not batch or candidate.batch == batch)
    ]
    likeness, other = max(alike, default=(0.0, ""))
    return other if likeness >= _ALIKE else None


def _within(name: str, before: Column, after: Column) -> list[Change]:
    """What changed in a column that both schemas have."""
    found = []
    if before.kind != after.kind:
        level = _level(before.kind, after.kind)
        batch = next((at for kind, at in after.kinds.items() if kind not in before.kinds), after.batch)
        found.append(Change("type", name, level, before.kind, after.kind, batch))
    if before.nullable is False and after.nullable:
        found.append(Change("nulls", name, Level.WIDENING, batch=after.hollow or ""))
    return found


def _level(before: str, after: str) -> Level:
    """Safe where every value fits the type that was recorded, widening where the recorded values fit the new one."""
    both = together({before: "", after: ""})
    if both is None:
        return Level.BREAKING
    return Level.SAFE if "Null" in (before, after) or both == before else Level.WIDENING
