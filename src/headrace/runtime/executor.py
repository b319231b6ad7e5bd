"""How the engine has jobs performed: the port, and the simplest adapter of it, which uses the engine's own process."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from headrace.runtime.jobs import Finished, failure, perform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.runtime.jobs import Event, Job, Kit


class Executor(Protocol):
    """Performs jobs, several at once; each node has at most one job at a time."""

    capacity: int

    def submit(self, job: Job) -> None:
        """Begin a job. The engine never has more than `capacity` of them begun."""

    def events(self, patience: float) -> Sequence[Event]:
        """What happened since the last call; waits up to `patience` seconds for something to happen."""

    def kill(self, node: str) -> None:
        """End the job of a node at once; no event of it comes any more."""

    def close(self) -> None:
        """End every job and every worker."""


class InlineExecutor:
    """Performs each job at once in this process: for tests and for small graphs. It cannot end a job by force."""

    capacity = 1

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._clock = kit.clock
        self._events: deque[Event] = deque()

    def submit(self, job: Job) -> None:
        """See `Executor`."""
        started = self._clock.monotonic()
        try:
            result = perform(self._kit, job, self._events.append)
        except Exception as error:  # noqa: BLE001 - whatever the user's code raises is reported, as an event
            self._events.append(failure(job, error))
        else:
            self._events.append(Finished(job.node, result, self._clock.monotonic() - started))

    def events(self, patience: float) -> Sequence[Event]:
        """See `Executor`."""
        if not self._events:
            self._clock.sleep(patience)
        happened = list(self._events)
        self._events.clear()
        return happened

    def kill(self, node: str) -> None:
        """See `Executor`: a job is over before anyone can ask for its end."""
        self._events = deque(event for event in self._events if event.node != node)

    def close(self) -> None:
        """See `Executor`."""
