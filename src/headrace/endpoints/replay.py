"""Logged answers replayed through the offline join: which values differ from what was looked up, and why, most likely.

What training would see now is compared with what was seen then. Where the two differ, the same moment is replayed in
the version of the view that filled the generation, and in the one that the environment pointed to at that moment.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from headrace.endpoints.asking import CUTOFF, asked_of
from headrace.features.aggregates import Count
from headrace.features.join import point_in_time
from headrace.features.parity import UNUSED, compared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from headrace.endpoints.asking import Asked
    from headrace.endpoints.log_lines import Prediction
    from headrace.features.join import ViewRows
    from headrace.ports.records import Facts

_COUNT = "_count"


class Reason(StrEnum):
    """Why a value differs, most likely. The value names it to programs."""

    LATE = "late"
    BEHIND = "behind"
    CHANGED = "changed"
    STORE = "store"
    UNKNOWN = "unknown"


MEANINGS = {
    Reason.LATE: "rows arrived after the answer was given, later than the declared delay",
    Reason.BEHIND: "the environment had newer rows already, and an older generation was read",
    Reason.CHANGED: "rows that the answer saw were changed or removed after it was given",
    Reason.STORE: "the version that filled the generation gives another value: the look-up or the store is wrong",
    Reason.UNKNOWN: "the version that filled the generation was collected",
}


@dataclass(frozen=True, slots=True)
class LookedUp:
    """How a model asks for a view: by which inputs, its features named with which prefix, and of which definition."""

    view: str
    on: tuple[str, ...]
    prefix: str
    features: tuple[str, ...]
    definition: str

    @classmethod
    def of(cls, facts: Facts) -> LookedUp:
        """As the version of a model recorded it."""
        return cls(facts["view"], tuple(facts["on"]), facts["prefix"], tuple(facts["features"]), facts["fingerprint"])

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the features among the inputs of the model."""
        return tuple(self.prefix + name for name in self.features)


class Past(Protocol):
    """What a replay has to know of an environment. Versions are told by their keys."""

    def present(self, looked: LookedUp) -> str | None:
        """The version of the view that training would read: the latest one of this definition."""

    def filled(self, generation: str) -> str | None:
        """The version that a generation was filled from."""

    def pointed(self, looked: LookedUp, at: int, filled: str) -> str:
        """The version that the environment had at a moment; `filled` where that is newer, or nothing else is known."""

    def rows(self, looked: LookedUp, version: str) -> ViewRows | None:
        """The rows of a version; None where they were collected."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One value of one answer that is not what the join gives."""

    answer: Prediction
    view: str
    entity: Mapping[str, object]
    feature: str
    online: object
    offline: object
    reason: Reason


@dataclass(slots=True)
class Replayed:
    """What a batch gave: by feature how many values were compared, and which differ.

    `sent` values came from the callers, so that nothing was looked up; `skipped` look-ups could not be replayed.
    """

    compared: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    sent: int = 0
    skipped: int = 0


def replay(answers: Sequence[Prediction], looked: LookedUp, past: Past) -> Replayed:
    """Replay answers of models that ask for a view in the same way.

    Raises:
        HeadraceError: HR453 for entities of another type, HR456 for a total beyond 64 bits, HR630 to HR632 where rows
            are damaged.
    """
    key = past.present(looked)
    rows = None if key is None else past.rows(looked, key)
    found = Replayed()
    if rows is None:
        found.skipped = len(answers)
        return found
    present = _named(rows, looked)
    asked = asked_of(answers, looked.on, looked.inputs, rows)
    found.skipped = len(answers) - len(asked.answers)
    for name, values in asked.used.items():
        count = sum(value is not UNUSED for value in values)
        found.compared[name] += count
        found.sent += len(values) - count
    differing = compared(asked.frame, asked.used, present, cutoff=CUTOFF).mismatches
    reasons = _reasons(asked, {each.row for each in differing}, looked, past, present)
    for each in differing:
        answer = asked.answers[each.row]
        entity = {name: answer.inputs.get(name) for name in looked.on}
        reason = reasons[each.row, each.feature]
        found.differences.append(
            Difference(answer, looked.view, entity, each.feature, each.online, each.offline, reason)
        )
    return found


def _named(rows: ViewRows, looked: LookedUp) -> ViewRows:
    return replace(rows, on=looked.on, prefix=looked.prefix)


def _reasons(
    asked: Asked, rows: set[int], looked: LookedUp, past: Past, present: ViewRows
) -> dict[tuple[int, str], Reason]:
    """By row and feature; the rows are replayed together that saw the same versions."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    found: dict[tuple[int, str], Reason] = {}
    for row in sorted(rows):
        answer = asked.answers[row]
        filled = past.filled(answer.seen[looked.view].generation)
        if filled is None:
            found |= dict.fromkeys(((row, name) for name in asked.used), Reason.UNKNOWN)
        else:
            groups[filled, past.pointed(looked, answer.at, filled)].append(row)
    for (filled, pointed), members in groups.items():
        then = past.rows(looked, filled)
        if then is None:
            found |= dict.fromkeys(((row, name) for row in members for name in asked.used), Reason.UNKNOWN)
            continue
        there = None if pointed == filled else past.rows(looked, pointed)
        versions = _named(then, looked), None if there is None else _named(there, looked), present
        told = _told(asked.part(members), *versions)
        found |= {(members[row], name): reason for (row, name), reason in told.items()}
    return found


def _told(asked: Asked, filled: ViewRows, pointed: ViewRows | None, present: ViewRows) -> dict[tuple[int, str], Reason]:
    """The reason for each value, if it differs from what the present version gives."""
    wrong = _differing(asked, filled)
    there = set() if pointed is None else _differing(asked, pointed)
    added = (_visible(asked, present) > _visible(asked, filled)).fill_null(value=False).to_list()
    found = {}
    for name in asked.used:
        for row, more in enumerate(added):
            place = row, name
            if place in wrong:
                found[place] = Reason.STORE
            elif place in there:
                found[place] = Reason.BEHIND
            else:
                found[place] = Reason.LATE if more else Reason.CHANGED
    return found


def _differing(asked: Asked, view: ViewRows) -> set[tuple[int, str]]:
    found = compared(asked.frame, asked.used, view, cutoff=CUTOFF).mismatches
    return {(each.row, each.feature) for each in found}


def _visible(asked: Asked, view: ViewRows) -> pl.Series:
    """How many rows of its entity each look-up can see."""
    counting = replace(view, features={_COUNT: Count(None, None)}, prefix="")
    return point_in_time(asked.frame, [counting], cutoff=CUTOFF)[_COUNT]
