"""When an alert is raised and cleared, and whether something is done about it: a state machine. Pure.

What an alarm did is a list of notes, each a decision in the ledger; where it stands is folded from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Kind(StrEnum):
    """What an alarm can note."""

    RAISED = "raised"
    CLEARED = "cleared"
    ACTED = "acted"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Limits:
    """What keeps an alarm from acting too often.

    `confirm` windows in a row must tell the same before an alert is raised or cleared. Between two actions lie
    `cooldown` seconds at least; in `period` seconds there are at most `budget` of them (None: any number).
    """

    confirm: int = 1
    cooldown: float = 0.0
    budget: int | None = None
    period: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Note:
    """Something that an alarm did. `version` is the version of the monitor that did it."""

    kind: Kind
    version: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """What a window told: whether the conditions hold (None: it has too few rows to tell), and what was seen."""

    holds: bool | None
    seen: str
    at: datetime


def is_alerting(notes: Sequence[Note], version: str) -> bool:
    """Whether an alert is up. A new version of the monitor begins without one."""
    told = [note.kind for note in notes if note.version == version and note.kind in (Kind.RAISED, Kind.CLEARED)]
    return bool(told) and told[-1] is Kind.RAISED


def react(notes: Sequence[Note], windows: Sequence[Window], version: str, limits: Limits) -> list[Note]:
    """What the latest windows lead to, oldest first: an alert and what is done about it, its end, or nothing.

    While an alert stays up, the action is taken again when its cooldown is over.
    """
    recent = [window for window in windows if window.holds is not None][-limits.confirm :]
    if len(recent) < limits.confirm or len({window.holds for window in recent}) != 1:
        return []
    latest, alerting = recent[-1], is_alerting(notes, version)
    if not latest.holds:
        return [Note(Kind.CLEARED, version, latest.seen, latest.at)] if alerting else []
    raised = [] if alerting else [Note(Kind.RAISED, version, latest.seen, latest.at)]
    refusal = _refusal(notes, latest.at, limits)
    if refusal is None:
        return [*raised, Note(Kind.ACTED, version, latest.seen, latest.at)]
    return [*raised, Note(Kind.WITHHELD, version, refusal, latest.at)] if raised else []


def _refusal(notes: Sequence[Note], now: datetime, limits: Limits) -> str | None:
    """Why nothing is done now, although there is an alert."""
    acted = [note.at for note in notes if note.kind is Kind.ACTED]
    if acted and now < (free := acted[-1] + timedelta(seconds=limits.cooldown)):
        return f"it acted at {acted[-1]:%Y-%m-%d %H:%M:%S}, and may again at {free:%Y-%m-%d %H:%M:%S}"
    if limits.budget is not None:
        spent = [at for at in acted if at > now - timedelta(seconds=limits.period)]
        if len(spent) >= limits.budget:
            return f"its budget of {limits.budget} is spent"
    return None
