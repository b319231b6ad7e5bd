"""What a monitor looks at, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from headrace.endpoints.answers import Wanted, answers
from headrace.monitors.monitor import MOST
from headrace.project.prediction_place import place_of

if TYPE_CHECKING:
    from headrace.endpoints.log_lines import Prediction
    from headrace.monitors.monitor import Watch
    from headrace.ports.records import Version
    from headrace.project.workspace import Workspace

_SHADOW: Final = "shadow"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at: a monitor of an environment, at a moment."""

    workspace: Workspace
    environment: str
    monitor: Version
    watch: Watch
    now: datetime

    @property
    def since(self) -> datetime:
        """When the window begins."""
        return self.before(self.now)

    def before(self, end: datetime) -> datetime:
        """When a window begins that ends then. One of so many answers looks back as far as it takes."""
        return end - timedelta(seconds=self.watch.over) if self.watch.last is None else _EPOCH

    def answers(self, since: datetime, until: datetime | None = None) -> list[Prediction]:
        """The latest answers of a window that the monitor's own model gave, none of them a shadow's."""
        facts = self.monitor.manifest.facts
        end = None if until is None else _micros(until)
        wanted = Wanted(facts["endpoint"], _micros(since), MOST, end)
        batches = answers(place_of(self.workspace, self.environment), wanted)
        own = [each for batch in batches for each in batch if each.model == facts["model"] and each.stage != _SHADOW]
        if self.watch.last is None:
            return own
        return sorted(own, key=lambda each: (each.at, each.id))[-self.watch.last :]


def moment_of(micros: int) -> datetime:
    """The moment of an answer."""
    return _EPOCH + timedelta(microseconds=micros)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
