"""Monitors over an environment: what a window of answers tells, what is noted of it, and what is done about it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.monitors.alarm import Kind, Note, Window, is_alerting, react
from headrace.monitors.judging import Seen, judge
from headrace.monitors.measures import Family
from headrace.monitors.monitor import Monitor, Watch
from headrace.ports.canonical import digest_of
from headrace.ports.ledger import AddDecision
from headrace.ports.records import Decision
from headrace.project.reacting import react_by
from headrace.runtime.environments import existing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.graph.conditions import Measured
    from headrace.ports.records import Outcome, Version
    from headrace.project.measured_quality import Late
    from headrace.project.workspace import Workspace

_SCHEME = 1


@dataclass(frozen=True, slots=True)
class Looked:
    """What a monitor saw: its version, the window's measures, which conditions hold, and what it has noted so far.

    `seen` are the measures with their intervals, `late` is the quality of the answers that are old enough to have
    labels (None: not asked for, or there are no labels), `lacks` why the window tells nothing, in a few words.
    """

    monitor: Version
    watch: Watch
    measured: Measured
    outcomes: tuple[Outcome, ...]
    window: Window
    notes: tuple[Note, ...]
    seen: Seen = field(default_factory=Seen)
    late: Late | None = None
    lacks: str = ""


def monitors_of(workspace: Workspace, environment: str) -> list[Version]:
    """The monitors that an environment points to, by name. Raises HR609."""
    pointers = existing(workspace.ledger, environment).pointers
    live = workspace.ledger.live(sorted(set(pointers.values())))
    return [live[key] for _, key in sorted(pointers.items()) if key in live and live[key].kind == Monitor.kind]


def look(workspace: Workspace, environment: str, monitor: Version, *, full: bool = False) -> Looked:
    """What the answers of the latest window tell. Changes nothing.

    Only answers of the monitor's own model count, and none that a shadow gave: while two versions answer, the new one
    is compared with its own reference. What no condition asks for is measured only if it is to be `full`.
    """
    from headrace.project.measured import measure
    from headrace.project.measured_subject import Subject

    watch = Watch.from_facts(monitor.manifest.facts["watch"])
    subject = Subject(workspace, environment, monitor, watch, workspace.clock.now())
    seen, late = measure(subject, frozenset(Family) if full and monitor.manifest.facts["model"] else watch.families)
    verdict = judge(watch.when, seen, watch.rows, subject.now)
    notes = notes_of(workspace, environment, monitor.node)
    return Looked(monitor, watch, seen.measured(), verdict.outcomes, verdict.window, notes, seen, late, verdict.lacks)


def notes_of(workspace: Workspace, environment: str, name: str) -> tuple[Note, ...]:
    """What a monitor has noted in an environment, oldest first."""
    versions = [version.key for version in workspace.ledger.versions(name, collected=True)]
    decisions = workspace.ledger.decisions(versions) if versions else ()
    own = [each for each in decisions if each.facts.get("monitor") == [environment, name]]
    own.sort(key=lambda each: each.facts["number"])
    return tuple(
        Note(Kind(each.facts["kind"]), each.candidate, each.facts["reason"], datetime.fromisoformat(each.made_at))
        for each in own
    )


def alerts(workspace: Workspace, environment: str) -> dict[str, str]:
    """The monitors of an environment whose alert is up, with what was seen when it was raised."""
    found = {}
    for monitor in monitors_of(workspace, environment):
        notes = notes_of(workspace, environment, monitor.node)
        if is_alerting(notes, monitor.key):
            raised = [note for note in notes if note.kind is Kind.RAISED and note.version == monitor.key]
            found[monitor.node] = f"{raised[-1].reason}, since {raised[-1].at:%Y-%m-%d %H:%M:%S}"
    return found


class Watcher:
    """Looks at the monitors of an environment again and again, notes what they tell, and has it done.

    `make` is asked to make a node of what has come in since, with the name of the monitor; `say` is told of every note.
    """

    def __init__(
        self,
        workspace: Workspace,
        environment: str,
        make: Callable[[str, str], None],
        say: Callable[[str], None],
    ) -> None:
        self._workspace = workspace
        self._environment = environment
        self._make = make
        self._say = say
        self._windows: dict[str, list[Window]] = {}
        self.looked: Mapping[str, tuple[str, Looked]] = {}
        """By monitor: its state in a word, and what it saw last. May be read by any thread."""

    def look(self) -> None:
        """Look at each monitor once. One that cannot be looked at is told, and keeps no other from being looked at."""
        found: dict[str, tuple[str, Looked]] = {}
        for monitor in monitors_of(self._workspace, self._environment):
            try:
                looked = self._look_at(monitor)
                found[monitor.node] = state_of(looked), looked
            except HeadraceError as error:
                self._say(f"{monitor.node} cannot be looked at: {error.code} {error.what}")
        self.looked = found

    def _look_at(self, monitor: Version) -> Looked:
        looked = look(self._workspace, self._environment, monitor)
        windows = self._windows.setdefault(monitor.key, [])
        windows.append(looked.window)
        del windows[: -looked.watch.limits.confirm]
        noted = list(looked.notes)
        for number, note in enumerate(
            react(looked.notes, windows, monitor.key, looked.watch.limits), start=len(looked.notes)
        ):
            noted.append(note)
            if self._note(looked, note, number):
                self._say(f"{monitor.node}: {note.kind}, {note.reason}")
                if note.kind is Kind.ACTED:
                    self._act(looked)
        return replace(looked, notes=tuple(noted))

    def _note(self, looked: Looked, note: Note, number: int) -> bool:
        """Write a note down; answers whether it is this one that the ledger keeps under its number."""
        decision = Decision(
            key=digest_of(["monitor", _SCHEME, self._environment, looked.monitor.node, number]),
            node=looked.monitor.node,
            candidate=looked.monitor.key,
            champion=None,
            passed=note.kind is Kind.CLEARED,
            outcomes=looked.outcomes,
            facts={
                "monitor": [self._environment, looked.monitor.node],
                "number": number,
                "kind": note.kind.value,
                "reason": note.reason,
                "then": [str(each) for each in looked.watch.then] if note.kind is Kind.ACTED else [],
                "measured": dict(looked.measured.overall),
            },
            made_at=note.at.isoformat(timespec="microseconds"),
        )
        [answer] = self._workspace.ledger.write(AddDecision(decision))
        return bool(answer.get() == decision)

    def _act(self, looked: Looked) -> None:
        """Do what is declared. It is written down before: killed in between, it is done when the cooldown is over."""
        name = looked.monitor.node
        for reaction in looked.watch.then:
            if reaction.makes:
                self._make(reaction.node, name)
                continue
            try:
                told = react_by(self._workspace, self._environment, reaction, name)
            except HeadraceError as error:
                told = f"{reaction} was not possible: {error.code} {error.what}"
            if told:
                self._say(f"{name}: {told}")


def state_of(looked: Looked) -> str:
    """In a word."""
    if is_alerting(looked.notes, looked.monitor.key):
        return "alert"
    return looked.lacks or ("due" if looked.window.holds else "ok")


def measured_of(looked: Looked) -> Mapping[str, float | None]:
    """Everything that was measured, by name."""
    return looked.measured.overall
