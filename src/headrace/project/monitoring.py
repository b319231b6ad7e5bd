"""Monitors over an environment: what a window of answers tells, what is noted of it, and what is done about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from headrace.endpoints.answers import Wanted, answers
from headrace.errors import HeadraceError
from headrace.graph.conditions import Measured, evaluate
from headrace.monitors.alarm import Kind, Note, Window, react
from headrace.monitors.monitor import MEASURES, PREDICTION, REFERENCE, Monitor, Watch
from headrace.ports.canonical import digest_of
from headrace.ports.ledger import AddDecision
from headrace.ports.records import Decision
from headrace.project.prediction_place import place_of
from headrace.runtime.environments import existing, roll_back

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from headrace.endpoints.log_lines import Prediction
    from headrace.ports.records import Outcome, Version
    from headrace.project.workspace import Workspace

_MOST = 50_000
"""Answers of a window that are looked at: the latest ones."""
_SCHEME = 1
_SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Looked:
    """What a monitor saw: its version, the window's measures, which conditions hold, and what it has noted so far."""

    monitor: Version
    watch: Watch
    measured: Measured
    outcomes: tuple[Outcome, ...]
    window: Window
    notes: tuple[Note, ...]


def monitors_of(workspace: Workspace, environment: str) -> list[Version]:
    """The monitors that an environment points to, by name. Raises HR609."""
    pointers = existing(workspace.ledger, environment).pointers
    live = workspace.ledger.live(sorted(set(pointers.values())))
    return [live[key] for _, key in sorted(pointers.items()) if key in live and live[key].kind == Monitor.kind]


def look(workspace: Workspace, environment: str, monitor: Version) -> Looked:
    """What the answers of the latest window tell. Changes nothing.

    Only answers of the monitor's own model count, and none that a shadow gave: while two versions answer, the new one
    is compared with its own reference.
    """
    watch = Watch.from_facts(monitor.manifest.facts["watch"])
    now = workspace.clock.now()
    found = _answers(workspace, environment, monitor, now - timedelta(seconds=watch.over))
    measured = _measured(workspace, monitor, found)
    outcomes = evaluate(watch.when, measured, None)
    seen = "; ".join(f"{each.condition} ({each.seen})" for each in outcomes)
    if len(found) < watch.rows:
        window = Window(None, f"{len(found)} of {watch.rows} answers", now)
    else:
        window = Window(all(each.passed for each in outcomes), seen, now)
    return Looked(monitor, watch, measured, outcomes, window, notes_of(workspace, environment, monitor.node))


def _answers(workspace: Workspace, environment: str, monitor: Version, since: datetime) -> list[Prediction]:
    facts = monitor.manifest.facts
    wanted = Wanted(facts["endpoint"], round(since.timestamp() * 1e6), _MOST)
    batches = answers(place_of(workspace, environment), wanted)
    return [each for batch in batches for each in batch if each.model == facts["model"] and each.stage != _SHADOW]


def _measured(workspace: Workspace, monitor: Version, found: Sequence[Prediction]) -> Measured:
    """The distances of the window, and how long and what was answered."""
    import numpy as np

    from headrace.monitors.counts import Profile
    from headrace.monitors.profiling import window_profile
    from headrace.monitors.shifts import compare

    reference = Profile.from_json(json.loads(workspace.stores.artefacts.get(monitor.manifest.outputs[REFERENCE])))
    shifts = compare(reference, window_profile(_frame(monitor, found), reference), rows=1).columns
    overall: dict[str, float | None] = {"answers": float(len(found))}
    overall |= {f"{each}({name})": shift.measures.get(each) for name, shift in shifts.items() for each in MEASURES}
    millis = np.array([each.micros for each in found]) / 1000
    scores = np.array([each.prediction for each in found])
    overall["mean_ms"] = float(millis.mean()) if len(found) else None
    overall["mean_score"] = float(scores.mean()) if len(found) else None
    for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)):
        overall[name] = float(np.quantile(millis, share)) if len(found) else None
    return Measured(overall)


def _frame(monitor: Version, found: Sequence[Prediction]) -> pl.DataFrame:
    """What the model saw and said, in columns of the types that it was evaluated on."""
    import polars as pl

    columns = {}
    for each in monitor.manifest.facts["inputs"]:
        number = pl.Boolean if each["dtype"] == "Boolean" else pl.Float64
        kind = pl.String if each["categories"] is not None else number
        values = [answer.features.get(each["name"]) for answer in found]
        columns[each["name"]] = pl.Series(each["name"], values, dtype=kind, strict=False)
    columns[PREDICTION] = pl.Series(PREDICTION, [each.prediction for each in found], dtype=pl.Float64)
    return pl.DataFrame(columns)


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


class Watcher:
    """Looks at the monitors of an environment again and again, notes what they tell, and has it done.

    `retrain` is asked to make a node again, with the reason; `say` is told of every note.
    """

    def __init__(
        self,
        workspace: Workspace,
        environment: str,
        retrain: Callable[[str, str], None],
        say: Callable[[str], None],
    ) -> None:
        self._workspace = workspace
        self._environment = environment
        self._retrain = retrain
        self._say = say
        self._windows: dict[str, list[Window]] = {}

    def look(self) -> None:
        """Look at each monitor once. One that cannot be looked at is told, and keeps no other from being looked at."""
        for monitor in monitors_of(self._workspace, self._environment):
            try:
                self._look_at(monitor)
            except HeadraceError as error:
                self._say(f"{monitor.node} cannot be looked at: {error.code} {error.what}")

    def _look_at(self, monitor: Version) -> None:
        looked = look(self._workspace, self._environment, monitor)
        windows = self._windows.setdefault(monitor.key, [])
        windows.append(looked.window)
        del windows[: -looked.watch.limits.confirm]
        for number, note in enumerate(
            react(looked.notes, windows, monitor.key, looked.watch.limits), start=len(looked.notes)
        ):
            if self._note(looked, note, number):
                self._say(f"{monitor.node}: {note.kind}, {note.reason}")
                if note.kind is Kind.ACTED:
                    self._act(looked)

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
                "measured": dict(looked.measured.overall),
            },
            made_at=note.at.isoformat(timespec="microseconds"),
        )
        [answer] = self._workspace.ledger.write(AddDecision(decision))
        return bool(answer.get() == decision)

    def _act(self, looked: Looked) -> None:
        """Do what is declared. It is written down before: killed in between, it is done when the cooldown is over."""
        for reaction in looked.watch.then:
            if reaction.kind == "retrain":
                self._retrain(reaction.node, looked.monitor.node)
                continue
            try:
                roll_back(self._workspace.graph, self._workspace.ledger, self._environment, reaction.node)
                self._say(f"{looked.monitor.node}: {reaction.node} is rolled back, and held there")
            except HeadraceError as error:
                self._say(f"{looked.monitor.node}: {reaction} was not possible: {error.code} {error.what}")


def state_of(looked: Looked) -> str:
    """In a word."""
    from headrace.monitors.alarm import is_alerting

    if is_alerting(looked.notes, looked.monitor.key):
        return "alert"
    return "too few answers" if looked.window.holds is None else "due" if looked.window.holds else "ok"


def measured_of(looked: Looked) -> Mapping[str, float | None]:
    """Everything that was measured, by name."""
    return looked.measured.overall
