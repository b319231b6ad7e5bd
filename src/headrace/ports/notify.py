"""Notifications, as a port: something that somebody should hear of, and whoever carries the word."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from headrace.ports.canonical import digest_of

if TYPE_CHECKING:
    from datetime import datetime

    from headrace.ports.records import Facts, Json


RUN_FAILED: Final = "run failed"
RUN_RECOVERED: Final = "run recovered"
GATE_REFUSED: Final = "gate refused"
QUARANTINE: Final = "quarantine"
ROLL_OUT: Final = "roll-out"
MONITOR: Final = "monitor"
HELD: Final = "held"
TEST: Final = "test"
KINDS: Final = (RUN_FAILED, RUN_RECOVERED, GATE_REFUSED, QUARANTINE, ROLL_OUT, MONITOR, HELD)
"""The kinds of notices. A notice of a test goes to every channel."""


class Severity(StrEnum):
    """How much it matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that somebody should hear of.

    `kind` says what happened, in words that do not vary ("run failed", "gate refused"), `title` says to what; notices
    that agree in both are about the same thing. `text` and `facts` say the rest, for people and for programs.
    """

    kind: str
    severity: Severity
    title: str
    text: str
    facts: Facts
    at: datetime

    @property
    def id(self) -> str:
        """A name that follows from the notice, for those who may get it twice."""
        return digest_of(self.to_json())[:32]

    @property
    def subject(self) -> tuple[str, str]:
        """What it is about: notices of one subject are told once, and then counted."""
        return self.kind, self.title

    def to_json(self) -> Json:
        """Plain data, of what JSON knows: a number that is not finite is null, anything unknown is its text."""
        return {
            "kind": self.kind,
            "severity": self.severity.value,
            "title": self.title,
            "text": self.text,
            "facts": _plain(self.facts),
            "at": self.at.isoformat(timespec="microseconds"),
        }


def _plain(value: object) -> Json:
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if value is None or type(value) in (bool, int, str) else str(value)


class Notifier(Protocol):
    """Carries notices somewhere."""

    def send(self, notice: Notice) -> None:
        """Deliver it, or raise. It may be called again with the same notice after it raised."""
