"""Applies a plan: gives ready steps to workers, records what they make, decides, publishes in waves.

One loop, one thread. Everything that happened since the last turn is recorded by one durable write, together with the
leases of the steps that may begin because of it, so that a chain of steps costs one commit a step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from headrace.errors import Cancelled, HeadraceError
from headrace.ports.clock import stamp
from headrace.ports.failpoints import failpoint
from headrace.ports.interrupts import Noticed, Unbroken
from headrace.ports.ledger import (
    AddDecision,
    AddVersion,
    ConsumeSignal,
    CreateEnvironment,
    DropLease,
    EndRun,
    Item,
    MovePointers,
    StartAttempt,
    StartRun,
    TakeLease,
)
from headrace.ports.records import Attempt, AttemptState, Decision, Lease, Manifest, PointerMove, Run, RunState, Version
from headrace.runtime.applied import Applied, Tally
from headrace.runtime.board import Board, State
from headrace.runtime.jobs import Died, Failed, Finished, Job, Progressed
from headrace.runtime.recovery import recover

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.graph.graph import Graph
    from headrace.plan.plan import Plan
    from headrace.ports.ledger import Answer
    from headrace.runtime.jobs import Event
    from headrace.runtime.surroundings import Surroundings

_TURN = 0.5
"""Seconds between two looks for a cancellation, whether anything happens or not."""
_LEASE_TURN = 0.05
"""Seconds between two looks at a lease that another run holds."""


@dataclass(slots=True)
class _Running:
    """A job in a worker: its attempt, when it began, when it must be over, the lease that it holds."""

    attempt: Attempt
    lease: Lease | None
    deadline: float | None


class Engine:
    """Applies one plan once."""

    def __init__(self, graph: Graph, plan: Plan, around: Surroundings) -> None:
        self._graph = graph
        self._plan = plan
        self._around = around
        self._board = Board(graph, plan)
        self._run = Run(around.clock.new_id(), plan.environment, around.owner, RunState.RUNNING, stamp(around.clock))
        self._logs = around.logs / self._run.id
        self._versions: dict[str, Version] = {}
        self._running: dict[str, _Running] = {}
        self._tries: dict[str, int] = {}
        self._again: dict[str, tuple[float, Lease | None]] = {}
        self._foreign: dict[str, float] = {}
        self._tally = Tally(plan.unobserved)
        self._next_look = 0.0
        self._interrupts = Noticed()

    def apply(self) -> Applied:
        """Apply the plan. A failed step is reported, not raised; cancellation and a broken ledger are raised."""
        try:
            with self._interrupts:
                self._write(*self._creations(), StartRun(self._run))
                self._around.observer.run_started(self._run.id, self._plan)
                applied = self._applied(self._loop())
                state = RunState.FAILED if self._tally.is_bad else RunState.DONE
                self._write(EndRun(self._run.id, state, applied.summary()))
        except BaseException as error:
            with Unbroken():
                self._abort(error)
            raise
        finally:
            self._around.turned(going=False)
        return applied

    def _creations(self) -> list[Item]:
        """A new environment, after the one that it branches from: that one may be as new, and empty."""
        if not self._plan.creates:
            return []
        base = [CreateEnvironment(self._plan.base)] if self._plan.base is not None else []
        return [*base, CreateEnvironment(self._plan.environment, self._plan.base)]

    def _loop(self) -> HeadraceError | None:
        self._adopt_existing()
        self._turn([])
        while True:
            self._around.turned(going=True)
            conflict = self._publish()
            if conflict is not None or self._board.over:
                return conflict
            self._look_for_cancellation()
            events = self._around.executor.events(self._patience())
            self._turn(events)
            self._end_late_jobs()

    def _adopt_existing(self) -> None:
        """Take the versions that the ledger already has, pinned inputs and candidates of gates among them."""
        steps = self._plan.steps
        keys = {step.key for step in steps} | {key for step in steps for _, key in step.inputs}
        champions = {step.champion for step in steps if step.champion is not None}
        self._versions.update(self._around.ledger.live(sorted((keys | champions) - {""})))
        while there := [name for name in self._board.ready() if self._board.steps[name].key in self._versions]:
            for name in there:
                self._adopted_now(name, self._versions[self._board.steps[name].key])

    def _adopted_now(self, name: str, version: Version) -> None:
        self._versions[version.key] = version
        self._tally.adopted.append(name)
        self._board.made(name, free=not self._decision_keys(name))
        self._around.observer.step_adopted(version)

    # ------------------------------------------------------------------ one turn of the loop

    def _turn(self, events: Sequence[Event]) -> None:
        """Record what happened and begin what may begin, by one durable write."""
        with Unbroken():  # what is noted is recorded
            items = [item for event in events for item in self._note(event)]
            self._take_decisions()
            wanted = self._startable()
            leases = [TakeLease(self._run.environment, name, self._run.owner, self._run.id) for name in wanted]
            answers = self._around.ledger.write(*items, *leases)
            self._keep_first_versions(items, answers[: len(items)])
        for name, answer in zip(wanted, answers[len(items) :], strict=True):
            self._begin_or_wait(name, answer.get())
        self._start_decisions()

    def _note(self, event: Event) -> list[Item]:
        """Bring the board up to date with an event; answers what to record of it."""
        if isinstance(event, Progressed):
            self._around.observer.step_progressed(event.node, event.done, event.total)
            return []
        running = self._running.pop(event.node)
        if isinstance(event, Finished):
            if isinstance(event.result, Manifest):
                return self._note_made(event, event.result, running)
            return self._note_decided(event.result)
        if isinstance(event, Died):
            error = HeadraceError("HR705", f"the worker that made {event.node} ended without an answer").to_json()
            return self._note_failed(Failed(event.node, error, final=False), running, AttemptState.FAILED)
        return self._note_failed(event, running, AttemptState.FAILED)

    def _note_made(self, event: Finished, manifest: Manifest, running: _Running) -> list[Item]:
        version = self._version(self._board.steps[event.node].node, manifest, event.seconds)
        self._versions[version.key] = version
        self._board.made(event.node, free=not self._decision_keys(event.node))
        self._around.observer.step_made(version)
        return [AddVersion(version, running.lease), *self._ended(running, AttemptState.DONE)]

    def _note_decided(self, decision: Decision) -> list[Item]:
        decision = replace(decision, run=self._run.id, made_at=stamp(self._around.clock))
        self._heard(decision, decision.node)
        return [AddDecision(decision)]

    def _note_failed(self, event: Failed, running: _Running, state: AttemptState) -> list[Item]:
        name = event.node
        ended = self._ended(running, state, event.error)
        options = self._graph[name].options
        tried = self._tries[name]
        if not event.final and tried <= options.retries and self._board.states[name] is State.RUNNING:
            pause = options.pause(tried)
            self._again[name] = (self._around.clock.monotonic() + pause, running.lease)
            self._around.observer.step_retried(name, event.error, pause)
            return ended[:1]
        self._tally.failed[name] = event.error
        self._board.failed(name)
        self._around.observer.step_failed(name, event.error)
        return ended

    def _ended(self, running: _Running, state: AttemptState, error: Mapping[str, str] | None = None) -> list[Item]:
        """The record of an attempt that is over, and the lease that goes back."""
        attempt = replace(running.attempt, state=state, ended_at=stamp(self._around.clock), error=error)
        return [StartAttempt(attempt), *([DropLease(running.lease)] if running.lease is not None else [])]

    def _keep_first_versions(self, items: Sequence[Item], answers: Sequence[Answer]) -> None:
        """Use the version that the ledger holds: where another run was first with the same key, its version counts."""
        for item, answer in zip(items, answers, strict=True):
            value = answer.get()
            if isinstance(item, AddVersion):
                self._versions[item.version.key] = cast("Version", value)
                self._tally.made.append(item.version.node)

    # ------------------------------------------------------------------ beginning a step

    def _startable(self) -> list[str]:
        """As many ready steps as there are free workers, without those that another run makes or that must wait."""
        now = self._around.clock.monotonic()
        for name in [name for name, (due, _) in self._again.items() if due <= now]:
            _, lease = self._again.pop(name)
            self._submit(name, lease)
        free = self._around.executor.capacity - len(self._running)
        ready = [name for name in self._board.ready() if self._foreign.get(name, now) <= now]
        return ready[: max(free, 0)]

    def _begin_or_wait(self, name: str, lease: Lease) -> None:
        step = self._board.steps[name]
        found = self._around.ledger.live([step.key]) if name in self._foreign else {}
        mine = lease.run == self._run.id
        if step.key in found:
            self._foreign.pop(name)
            self._adopted_now(name, found[step.key])
            if mine:
                self._write(DropLease(lease))
        elif mine:
            self._foreign.pop(name, None)
            self._begin(name, lease)
        else:
            self._wait_for(name, lease)

    def _wait_for(self, name: str, lease: Lease) -> None:
        around = self._around
        if not around.owners.alive(lease.owner):
            recover(around.ledger, around.owners, around.observer)
            self._foreign[name] = around.clock.monotonic()
            return
        if name not in self._foreign:
            around.observer.step_waits(name, lease, around.owners.describe(lease.owner))
        self._foreign[name] = around.clock.monotonic() + _LEASE_TURN

    def _begin(self, name: str, lease: Lease) -> None:
        """Start making a version, unless a run that died had finished it without recording it."""
        manifest = self._around.stores.manifests.get(self._board.steps[name].key, self._around.ledger.pieces)
        if manifest is None:
            self._board.begin(name)
            self._submit(name, lease)
            return
        version = self._version(name, manifest, 0.0)
        answers = self._write(AddVersion(version, lease), DropLease(lease))
        self._adopted_now(name, cast("Version", answers[0].get()))

    def _submit(self, name: str, lease: Lease | None) -> None:
        around = self._around
        step = self._board.steps[name]
        self._tries[name] = self._tries.get(name, 0) + 1
        limit = self._graph[name].options.limit()
        deadline = None if limit is None else around.clock.monotonic() + limit
        attempt = Attempt(self._run.id, name, step.key, self._tries[name], AttemptState.RUNNING, stamp(around.clock))
        self._running[name] = _Running(attempt, lease, deadline)
        around.observer.step_started(name, attempt.number)
        around.executor.submit(Job(self._graph[name].handed(step), self._inputs(name), self._logs))

    def _decision_keys(self, name: str) -> Sequence[str]:
        """The decisions by which the version of a step is published; none where its gate has nothing to decide."""
        node, step = self._graph[name], self._board.steps[name]
        if not node.gated:
            return ()
        champion = step.champion if step.champion != step.key else None
        return node.decision_keys(self._versions[step.key], self._versions.get(champion) if champion else None)

    def _take_decisions(self) -> None:
        """Let those candidates go on, or not, about which somebody has decided already."""
        for name in self._board.decidable():
            keys = self._decision_keys(name)
            found = {each.key: each for each in self._around.ledger.decisions([self._board.steps[name].key, *keys])}
            decision = next((found[key] for key in keys if key in found), None)
            if decision is not None:
                self._board.deciding(name)
                self._heard(decision, name)

    def _heard(self, decision: Decision, name: str) -> None:
        if not decision.passed:
            self._tally.refused[name] = decision
        self._board.decided(name, passed=decision.passed)
        self._around.observer.decided(decision)

    def _start_decisions(self) -> None:
        """Send candidates to their gates while workers are free."""
        around = self._around
        for name in self._board.decidable():
            if len(self._running) >= around.executor.capacity:
                return
            step = self._board.steps[name]
            attempt = Attempt(self._run.id, name, step.key, 1, AttemptState.RUNNING, stamp(around.clock))
            self._running[name] = _Running(attempt, None, None)
            self._tries.setdefault(name, 1)
            self._board.deciding(name)
            champion = self._versions.get(step.champion) if step.champion else None
            candidate = self._versions[step.key]
            around.executor.submit(Job(step, self._inputs(name), self._logs, candidate, champion))

    def _inputs(self, name: str) -> dict[str, Version]:
        """The pinned input versions by node name."""
        return {node: self._versions[key] for node, key in self._board.steps[name].inputs}

    def _version(self, name: str, manifest: Manifest, seconds: float) -> Version:
        step = self._board.steps[name]
        return Version(
            key=step.key,
            node=name,
            kind=self._graph[name].kind,
            fingerprint=step.fingerprint,
            inputs=step.inputs,
            manifest=manifest,
            parts=step.parts,
            batches=step.batches,
            generation=step.generation,
            run=self._run.id,
            made_at=stamp(self._around.clock),
            seconds=seconds,
        )

    # ------------------------------------------------------------------ time, publishing, the end

    def _patience(self) -> float:
        """How long the loop may wait for events: until the nearest moment at which it has something to do itself."""
        now = self._around.clock.monotonic()
        due = [running.deadline for running in self._running.values() if running.deadline is not None]
        due += [moment for moment, _ in self._again.values()]
        due += [moment for name, moment in self._foreign.items() if self._board.states[name] is State.PENDING]
        return max(0.0, min([_TURN, *(moment - now for moment in due)]))

    def _end_late_jobs(self) -> None:
        """Kill the jobs whose time is over; each counts as a failed attempt."""
        now = self._around.clock.monotonic()
        late = [name for name, running in self._running.items() if running.deadline and running.deadline <= now]
        for name in late:
            self._around.executor.kill(name)
            running = self._running.pop(name)
            limit = self._graph[name].options.timeout
            error = HeadraceError("HR702", f"{name} was still at work after its time limit of {limit}").to_json()
            self._write(*self._note_failed(Failed(name, error, final=False), running, AttemptState.TIMED_OUT))

    def _publish(self) -> HeadraceError | None:
        """Publish each wave that is over, in one transaction each; answers the conflict that stopped it, if any."""
        while (wave := self._board.publishable()) is not None:
            moves = self._board.moves(wave)
            if wave == self._plan.waves[0]:
                moves += [PointerMove(name, self._plan_pointer(name), None) for name in self._plan.removed]
            if moves and not self._plan.beside:
                with Unbroken():  # what went out is told in the record
                    if conflict := self._move(moves):
                        return conflict
            self._board.published(wave)
        return None

    def _move(self, moves: Sequence[PointerMove]) -> HeadraceError | None:
        """Move pointers in one transaction; answers the conflict, where another run published first."""
        failpoint("publish.move.before")
        [answer] = self._around.ledger.write(MovePointers(self._plan.environment, moves, "apply", run=self._run.id))
        if answer.error is not None and answer.error.code in ("HR602", "HR604"):
            return answer.error
        answer.get()
        failpoint("publish.move.after")
        self._tally.published += [move.node for move in moves]
        self._around.observer.published(moves)
        return None

    def _plan_pointer(self, name: str) -> str | None:
        return self._around.ledger.snapshot(self._plan.environment).pointers.get(name)

    def _look_for_cancellation(self) -> None:
        self._interrupts.look()
        now = self._around.clock.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _TURN
        for signal in self._around.ledger.signals("cancel", self._run.id):
            if self._write(ConsumeSignal(signal.id))[0].get():
                raise Cancelled(self._run.id)

    def _abort(self, error: BaseException) -> None:
        """End the workers and leave a true record of a run that does not go on."""
        for name in list(self._running):
            self._around.executor.kill(name)
        cancelled = isinstance(error, (KeyboardInterrupt, Cancelled))
        state = RunState.CANCELLED if cancelled else RunState.FAILED
        how = AttemptState.CANCELLED if cancelled else AttemptState.FAILED
        ended = stamp(self._around.clock)
        attempts = [
            StartAttempt(replace(running.attempt, state=how, ended_at=ended)) for running in self._running.values()
        ]
        self._around.ledger.write(*attempts, EndRun(self._run.id, state, self._applied().summary()))

    def _applied(self, conflict: HeadraceError | None = None) -> Applied:
        return self._tally.applied(self._run.id, self._board.named(State.SKIPPED), conflict)

    def _write(self, *items: Item) -> list[Answer]:
        """Write items of which none may be refused."""
        answers = self._around.ledger.write(*items)
        for answer in answers:
            answer.get()
        return answers
