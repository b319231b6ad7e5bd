"""The state of every step of a run: which may start, which are lost with a failed one, which waves can be published.

A pure state machine: it knows no ledger, no worker and no clock.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from headrace.ports.records import PointerMove
from headrace.ports.work import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.graph.graph import Graph
    from headrace.plan.plan import Plan


class State(StrEnum):
    """Where one step of a run is."""

    SETTLED = "settled"  # nothing to do: kept, held, refused or not observed by the plan
    PENDING = "pending"
    RUNNING = "running"
    MADE = "made"  # the version exists; its gate has still to decide
    DECIDING = "deciding"
    PASSED = "passed"
    REFUSED = "refused"
    FAILED = "failed"
    SKIPPED = "skipped"  # something that it is made from failed, was refused or could not be observed


_OVER = frozenset({State.SETTLED, State.PASSED, State.REFUSED, State.FAILED, State.SKIPPED})
_LOST = frozenset({State.REFUSED, State.FAILED, State.SKIPPED})
_FIRST = {
    Action.MAKE: State.PENDING,
    Action.REUSE: State.PENDING,
    Action.DECIDE: State.MADE,
    Action.BLOCKED: State.SKIPPED,
}


class Board:
    """The steps of one plan while it is applied."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self._graph = graph
        self._plan = plan
        self.steps = {step.node: step for step in plan.steps}
        self.states = {step.node: _FIRST.get(step.action, State.SETTLED) for step in plan.steps}
        self._waiting = {name: self._open_inputs(name) for name, state in self.states.items() if state is State.PENDING}
        self._startable = {name: None for name, inputs in self._waiting.items() if not inputs}
        self._dependants: dict[str, list[str]] = {}
        for name, inputs in self._waiting.items():
            for parent in inputs:
                self._dependants.setdefault(parent, []).append(name)
        self._undecided = {name: None for name, state in self.states.items() if state is State.MADE}
        self._unpublished = list(plan.waves)
        self._wave_of = {name: wave for wave in plan.waves for name in wave}
        self._open = {wave: sum(self.states[name] not in _OVER for name in wave) for wave in plan.waves}

    def ready(self) -> list[str]:
        """The steps that may begin: pending, with every input there."""
        return list(self._startable)

    def decidable(self) -> list[str]:
        """The steps whose version exists and whose gate has still to decide."""
        return list(self._undecided)

    def begin(self, name: str) -> None:
        """The step runs."""
        del self._startable[name]
        self.states[name] = State.RUNNING

    def made(self, name: str, *, free: bool = False) -> None:
        """The version exists; without a gate, or with one that has passed it before, it has thereby passed.

        It is `free` where its gate has nothing to decide.
        """
        self._startable.pop(name, None)
        if self._graph[name].gated and not free and self.steps[name].action is not Action.REUSE:
            self.states[name] = State.MADE
            self._undecided[name] = None
        else:
            self._end(name, State.PASSED)

    def deciding(self, name: str) -> None:
        """The gate is at work."""
        del self._undecided[name]
        self.states[name] = State.DECIDING

    def decided(self, name: str, *, passed: bool) -> None:
        """The gate has decided."""
        self._end(name, State.PASSED if passed else State.REFUSED)

    def failed(self, name: str) -> None:
        """The step failed for good."""
        self._startable.pop(name, None)
        self._end(name, State.FAILED)

    @property
    def over(self) -> bool:
        """Whether nothing is left to do or to publish."""
        return not self._unpublished

    def publishable(self) -> tuple[str, ...] | None:
        """The next wave, once every step of it is over; None while one is not. Waves go out in their order."""
        for wave in self._unpublished:
            if self._open[wave] == 0:
                return wave
        return None

    def published(self, wave: tuple[str, ...]) -> None:
        """The wave went out, or held nothing that could go out."""
        self._unpublished.remove(wave)

    def moves(self, wave: Sequence[str]) -> list[PointerMove]:
        """The pointer moves of a wave: what passed and does not already stand there."""
        passed = [self.steps[name] for name in wave if self.states[name] is State.PASSED]
        return [PointerMove(step.node, step.previous, step.key) for step in passed if step.previous != step.key]

    def named(self, state: State) -> list[str]:
        """The steps in a state, in order of work."""
        return [name for name, each in self.states.items() if each is state]

    def _open_inputs(self, name: str) -> set[str]:
        parents = {parent.name for parent in self._graph[name].inputs}
        return {parent for parent in parents if self.states[parent] not in _OVER}

    def _end(self, name: str, state: State) -> None:
        """Put a step into a final state, once, and free or skip what waits for it."""
        if self.states[name] in _OVER:
            message = f"{name} is {self.states[name]} already"
            raise RuntimeError(message)
        self.states[name] = state
        self._open[self._wave_of[name]] -= 1
        for dependant in self._dependants.pop(name, ()):
            if self.states[dependant] is not State.PENDING:
                continue
            self._waiting[dependant].discard(name)
            if state in _LOST:
                self._startable.pop(dependant, None)
                self._end(dependant, State.SKIPPED)
            elif not self._waiting[dependant]:
                self._startable[dependant] = None
