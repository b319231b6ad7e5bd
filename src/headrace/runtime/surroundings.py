"""What an engine works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.runtime.observer import Observer

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.clock import Clock
    from headrace.ports.ledger import Ledger
    from headrace.ports.stores import Stores
    from headrace.runtime.executor import Executor
    from headrace.runtime.recovery import Owners


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
