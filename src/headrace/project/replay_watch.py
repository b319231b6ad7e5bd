"""The monitors of a simulated life: what their windows tell, what is noted of it, and who asks for a retraining."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from headrace.errors import HeadraceError
from headrace.graph.conditions import Champion
from headrace.models.metrics import SLICE_ROWS
from headrace.monitors.alarm import Kind
from headrace.monitors.counts import Profile
from headrace.monitors.estimation import estimated
from headrace.monitors.intervals import Estimate, wilson
from headrace.monitors.judging import Seen, judge
from headrace.monitors.late import settle_of
from headrace.monitors.measures import ANY, ESTIMATED, LABELLED, MEASURES, PREDICTION, Family, column_of, estimate_of
from headrace.monitors.monitor import MOST, REFERENCE, Watch
from headrace.monitors.policies import LOWER_IS_BETTER, respond
from headrace.monitors.profiling import window_profile
from headrace.monitors.quality import labelled, quality
from headrace.monitors.shifts import compare, worst
from headrace.ports.canonical import digest_of
from headrace.ports.ledger import AddDecision
from headrace.ports.records import Decision
from headrace.project.replay_arrivals import EPOCH
from headrace.project.replay_traffic import Event
from headrace.project.replay_world import NAMES
from headrace.runtime.environments import roll_back, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from headrace.graph.conditions import Comparison
    from headrace.monitors.alarm import Note, Window
    from headrace.monitors.judging import Verdict
    from headrace.ports.records import Version
    from headrace.project.replay_scratch import Life
    from headrace.project.replay_traffic import Traffic
    from headrace.project.replay_world import World

_SCHEME: Final = 1


class Watching:
    """Looks at the monitors of a life. `acts` are those whose alerts have the model made again."""

    def __init__(self, world: World, life: Life, traffic: Traffic, acts: frozenset[str]) -> None:
        self._world = world
        self._life = life
        self._traffic = traffic
        self._acts = acts
        self._notes: dict[str, list[Note]] = {each.name: [] for each in world.monitors}
        self._windows: dict[str, list[Window]] = {}
        self._references: dict[str, Profile] = {}

    def look(self) -> list[str]:
        """Look at each monitor once, and note what it tells; answers why the model is to be made again, if it is."""
        reasons = []
        for each in self._world.monitors:
            version = self._traffic.pointed.get(each.name)
            if version is None:
                continue
            watch = Watch.from_facts(version.manifest.facts["watch"])
            verdict = self._verdict(version, watch)
            windows = self._windows.setdefault(version.key, [])
            windows.append(verdict.window)
            del windows[: -watch.limits.confirm]
            notes = self._notes[each.name]
            back = {one.node for one in watch.then if one.kind == "rollback"}
            acts = each.name in self._acts or bool(back)
            for note in respond(notes, windows, version.key, watch.limits, acts=acts):
                self._keep(note, version, verdict)
                if note.kind is not Kind.ACTED:
                    continue
                self._go_back(sorted(back), each.name)
                if each.name in self._acts:
                    reasons.append(f"{each.name}: {note.reason}")
        return reasons

    def _keep(self, note: Note, version: Version, verdict: Verdict) -> None:
        """Write a note down, as a supervisor does."""
        notes = self._notes[version.node]
        environment = self._life.environment
        decision = Decision(
            key=digest_of(["monitor", _SCHEME, environment, version.node, len(notes)]),
            node=version.node,
            candidate=version.key,
            champion=None,
            passed=note.kind is Kind.CLEARED,
            outcomes=verdict.outcomes,
            facts={
                "monitor": [environment, version.node],
                "number": len(notes),
                "kind": note.kind.value,
                "reason": note.reason,
            },
            made_at=note.at.isoformat(timespec="microseconds"),
        )
        write(self._life.ledger, AddDecision(decision))
        notes.append(note)
        self._traffic.events.append(Event(note.at, note.kind.value, version.node, note.reason))

    def _go_back(self, nodes: Sequence[str], monitor: str) -> None:
        """Roll back, where there is something to go back to; the next retraining lets it advance again."""
        life, now = self._life, self._life.clock.now()
        for node in nodes:
            try:
                roll_back(self._world.graph, life.ledger, life.environment, node)
            except HeadraceError as error:
                if error.code != "HR713":
                    raise
                self._traffic.events.append(Event(now, "stayed", node, f"{monitor}: there is nothing to go back to"))
            else:
                self._traffic.refresh()
                self._traffic.events.append(Event(now, "rolled back", node, f"asked for by {monitor}"))

    def _verdict(self, monitor: Version, watch: Watch) -> Verdict:
        now, facts = self._life.clock.now(), monitor.manifest.facts
        seen = Seen()
        if Family.ANSWERS in watch.families:
            rows = self._own(monitor, watch, now)
            seen = _joined(seen, self._of_answers(monitor, watch, rows))
        if watch.families & {Family.LABELS, Family.SETTLED}:
            end = now - timedelta(seconds=settle_of(watch.settle, facts.get("delay")))
            seen = _joined(seen, self._late(monitor, watch, end))
        return judge(self._resolved(monitor, watch), seen, watch.rows, now)

    def _resolved(self, monitor: Version, watch: Watch) -> list[Comparison]:
        """The conditions; "the champion" is what the monitor's own model was evaluated at, or the first one if better.

        Without the first one, a model that was made of bad times would set itself a bar that it always clears.
        """
        keys = (monitor.manifest.facts["model"], *self._traffic.models[:1])
        models = [model for key in keys if (model := self._life.ledger.version(key)) is not None]
        found = []
        for each in watch.when:
            bound = each.bound
            if isinstance(bound, Champion):
                name = each.metric.name
                known = [value for model in models if (value := model.manifest.facts["metrics"].get(name)) is not None]
                best = min if name in LOWER_IS_BETTER else max
                bound = round(bound.bound(best(known, default=float("nan"))), 6)
            found.append(replace(each, bound=bound))
        return found

    def _own(self, monitor: Version, watch: Watch, end: datetime) -> pl.DataFrame:
        """The latest answers of the window until then that the monitor's own model gave, with their scores."""
        low, high = self._world.rows(_start(watch, end), end)
        traffic, model = self._traffic, monitor.manifest.facts["model"]
        number = traffic.models.index(model) if model in traffic.models else None
        score = traffic.score[low:high]
        own = np.isfinite(score) & (traffic.by[low:high] == number if number is not None else False)
        rows = self._world.questions[low:high].with_columns(pl.Series(NAMES.score, score))
        return rows.filter(pl.Series(own)).tail(watch.last or MOST)

    def _of_answers(self, monitor: Version, watch: Watch, rows: pl.DataFrame) -> Seen:
        """The distances that the conditions ask for, the scores, and what the scores promise."""
        columns = {name for each in watch.when if (name := column_of(each.metric.name)) is not None}
        overall: dict[str, float | None] = {"answers": float(rows.height)}
        overall["mean_score"] = rows.select(pl.col(NAMES.score).mean()).item()
        if columns and rows.height:
            reference = self._reference(monitor)
            names = reference.columns if ANY in columns else sorted(columns)
            part = Profile(reference.rows, {name: reference.columns[name] for name in names})
            window = window_profile(rows.with_columns(pl.col(NAMES.score).alias(PREDICTION)).select(list(names)), part)
            shifts = compare(part, window, rows=1).columns
            for name, shift in shifts.items():
                overall |= {f"{each}({name})": shift.measures.get(each) for each in MEASURES}
            overall |= {f"{each}({ANY})": value for each, value in worst(shifts).items()}
        slices = {name for each in watch.when if estimate_of(each.metric.name) and (name := each.metric.column)}
        found = {name: Estimate(value) for name, value in overall.items()}
        if any(estimate_of(each.metric.name) for each in watch.when):
            found |= _estimates(rows)
        by = {name: _estimates_by(rows, name) for name in sorted(slices)}
        return Seen(found, by, {Family.ANSWERS: rows.height})

    def _late(self, monitor: Version, watch: Watch, end: datetime) -> Seen:
        """The quality of answers that are old enough, by the labels that are known by now."""
        rows, window = self._own(monitor, watch, end), (_start(watch, end), end)
        truth = rows.select(NAMES.key, NAMES.label, NAMES.known_at)
        known = labelled(rows.drop(NAMES.label, NAMES.known_at), truth, window, self._life.clock.now(), NAMES)
        slices = {each.metric.column for each in watch.when if each.metric.column and not estimate_of(each.metric.name)}
        found = quality(known, sorted(slices), monitor.manifest.facts["task"], NAMES)
        part = found.overall
        share = {LABELLED: wilson(part.labelled, part.rows)}
        by = {column: {name: one.metrics for name, one in parts.items()} for column, parts in found.slices.items()}
        return Seen({**part.metrics, **share}, by, {Family.LABELS: part.labelled, Family.SETTLED: part.rows})

    def _reference(self, monitor: Version) -> Profile:
        if monitor.key not in self._references:
            content = self._life.stores.artefacts.get(monitor.manifest.outputs[REFERENCE])
            self._references[monitor.key] = Profile.from_json(json.loads(content))
        return self._references[monitor.key]


def _start(watch: Watch, end: datetime) -> datetime:
    """When the window begins that ends then; one of so many answers looks back as far as it takes."""
    return end - timedelta(seconds=watch.over) if watch.last is None else EPOCH


def _joined(one: Seen, other: Seen) -> Seen:
    slices = {
        column: {
            value: {**one.slices.get(column, {}).get(value, {}), **other.slices.get(column, {}).get(value, {})}
            for value in [*one.slices.get(column, {}), *other.slices.get(column, {})]
        }
        for column in [*one.slices, *other.slices]
    }
    return Seen({**one.overall, **other.overall}, slices, {**one.counts, **other.counts})


def _estimates(rows: pl.DataFrame) -> dict[str, Estimate]:
    found = estimated(rows[NAMES.score].to_numpy())
    return {f"estimated({name})": Estimate(found[name]) for name in ESTIMATED}


def _estimates_by(rows: pl.DataFrame, column: str) -> Mapping[str, Mapping[str, Estimate]]:
    parts = rows.partition_by(column, maintain_order=True)
    return {str(part[column][0]): _estimates(part) for part in parts if part.height >= SLICE_ROWS}
