"""What an engine works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from headrace.runtime.observer import Observer

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.clock import Clock
    from headrace.ports.ledger import Ledger
    from headrace.ports.stores import Stores
    from headrace.runtime.executor import Executor
    from headrace.runtime.recovery import Owners


class Turning(Protocol):
    """Hears of the engine's loop: that it went round, which it does whatever the steps do; and that it is over."""

    def __call__(self, *, going: bool) -> None:
        """`going`: the loop goes on."""


def unheard(*, going: bool) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an engine works with: everything that touches the outside."""

    ledger: Ledger
    stores: Stores
    executor: Executor
    owners: Owners
    clock: Clock
    owner: str
    project: Path
    logs: Path
    observer: Observer = field(default_factory=Observer)
    turned: Turning = unheard
