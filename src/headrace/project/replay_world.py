"""What a replay runs on: the real rows and when they arrived, the questions of the period, the graph of the loop."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from headrace.endpoints.endpoint import Endpoint
from headrace.errors import HeadraceError, suggestion
from headrace.features.join import point_in_time
from headrace.features.moments import VISIBLE_AT, moment
from headrace.graph.graph import Graph
from headrace.graph.node import Options
from headrace.models.model import Model
from headrace.monitors.monitor import Monitor
from headrace.monitors.policies import Signal, default_watch, signal_of
from headrace.monitors.quality import Names
from headrace.ports.durations import spell
from headrace.project.opened import Environment
from headrace.project.replay_arrivals import Arriving, ArrivingTable, ArrivingView, Present, micros, moment_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from headrace.features.view import FeatureView
    from headrace.graph.node import Node, RowsNode
    from headrace.models.spec import ModelSpec
    from headrace.monitors.policies import Policy
    from headrace.ports.records import Version
    from headrace.project.workspace import Workspace

_ID: Final = "_id"
NAMES: Final = Names(key=_ID, at="_at", score="_score", label="_label", known_at="_known_at")
"""The columns of the questions that are the platform's: no column of a table begins like that."""
_CUTOFF: Final = "_cutoff"
_NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be replayed.

    `start` and `end` (exclusive) bound the period, None: all that there is. The first model learns from what is known
    `warm_up` after the start. Policies are looked at `every` so long. `seed` is that of everything random.
    """

    policies: tuple[Policy, ...]
    start: datetime | None = None
    end: datetime | None = None
    every: timedelta = timedelta(days=1)
    warm_up: timedelta = timedelta(weeks=4)
    endpoint: str | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """A replayed period: its start, when the first model answers, its end (exclusive)."""

    start: datetime
    first: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class World:
    """The history and the loop that is replayed on it.

    `questions` are the rows that the endpoint was asked about, by the moment `at` (microseconds) at which it was; they
    hold every input of the model, the label, and when the label became known. `acting` are the monitors that a policy
    acts upon, by what they look at.
    """

    span: Span
    questions: pl.DataFrame
    at: npt.NDArray[np.int64]
    present: Present
    graph: Graph
    endpoint: Endpoint
    model: Model
    monitors: tuple[Monitor, ...]
    acting: dict[Signal, frozenset[str]]
    notes: tuple[str, ...]

    def rows(self, start: datetime, end: datetime) -> tuple[int, int]:
        """The questions asked from `start` up to, not including, `end`: the first one, and the one after the last."""
        low, high = np.searchsorted(self.at, [micros(start), micros(end)], "left").tolist()
        return low, high


def open_world(workspace: Workspace, environment: str, wish: Wish) -> World:
    """Read the history of an environment, and lay the loop out on it. Changes nothing.

    Raises:
        HeadraceError: HR990 for an endpoint that is not there, HR831 and HR996 where the tables are not made, or not by
            the present code, HR993 and HR994 for a period that cannot be replayed, HR455, HR609, HR630 to HR632.
    """
    endpoint = _endpoint(workspace, wish.endpoint)
    model = next(each for each in endpoint.inputs if isinstance(each, Model))
    spec = model.spec
    with workspace.shared(), Environment(workspace, environment) as real:
        views = list(dict.fromkeys(each.view for each in spec.features))
        versions = {each.name: _present_version(workspace, real, each) for each in (spec.labels, *views)}
        rows = spec.labels.read(versions[spec.labels.name], workspace.stores).collect()
        shown = {each.name: each.read(versions[each.name], workspace.stores).collect() for each in views}
        task = _task(spec, rows, real.versions.get(model.name))
    timed = _timed(rows, spec)
    span = _span(timed, wish)
    present = Present(micros(span.first))
    table = ArrivingTable(spec.labels, Arriving(rows, _arrivals(timed)), present, wish.seed)
    stand_ins = {each.name: _view(each, versions[each.name], shown[each.name], present) for each in views}
    told = _told(spec, table, stand_ins)
    loop = _Loop(copy.copy(model), copy.copy(endpoint), told, (table, *stand_ins.values()))
    monitors, acting, notes = _monitors(workspace.graph, endpoint, loop, task)
    return World(
        span=span,
        questions=(asked := _questions(timed, span, spec, (versions, workspace))),
        at=asked[NAMES.at].to_physical().to_numpy(),
        present=present,
        graph=Graph.of([*loop.nodes, *monitors]),
        endpoint=loop.endpoint,
        model=loop.model,
        monitors=monitors,
        acting=acting,
        notes=notes + _late_notes(spec),
    )


class _Loop:
    """The model and its endpoint, made from rows that arrive."""

    def __init__(self, model: Model, endpoint: Endpoint, spec: ModelSpec, arriving: Sequence[Node]) -> None:
        model.spec = spec
        model.inputs = tuple(arriving)
        model.options = endpoint.options = Options()  # no second tries: on a simulated clock nothing changes meanwhile
        endpoint.model = model
        endpoint.inputs = (model,)
        endpoint.companions = ()
        self.model = model
        self.endpoint = endpoint
        self.nodes = (*arriving, model, endpoint)


def _endpoint(workspace: Workspace, name: str | None) -> Endpoint:
    known = {each.name: each for each in workspace.graph if isinstance(each, Endpoint)}
    if name is not None and name not in known:
        raise HeadraceError("HR990", f"there is no endpoint {name!r}", fix=suggestion(name, known))
    if not known:
        raise HeadraceError("HR990", f"{workspace.pipeline.name} declares no endpoint")
    if name is None and len(known) > 1:
        fix = f"Name one: headrace replay --endpoint {min(known)}"
        raise HeadraceError("HR990", f"there are {len(known)} endpoints: {', '.join(sorted(known))}", fix=fix)
    return known[name or next(iter(known))]


def _present_version(workspace: Workspace, real: Environment, node: RowsNode) -> Version:
    """The version of a table or view, refused where the code has changed since it was made."""
    version = real.version(node)
    if version.fingerprint != workspace.coded[node.name].fingerprint:
        fix = f"Make it of the present code: headrace apply {real.name}"
        raise HeadraceError("HR996", f"the code of {node.name} has changed since it was made in {real.name}", fix=fix)
    return version


def _timed(rows: pl.DataFrame, spec: ModelSpec) -> pl.DataFrame:
    """The rows, with when each was asked about (`_at`), and its label with when that was known, as floats and times."""
    columns = spec.columns
    event = moment(columns.event_time, rows.schema[columns.event_time], what="the event time")
    known = columns.known_at or columns.event_time
    known_at = moment(known, rows.schema[known], what="the time at which a label is known", up=True)
    label = pl.col(columns.label).cast(pl.Float64, strict=False).fill_nan(None)
    return rows.with_columns(
        event.alias("_event"),
        (event - spec.lead).alias(NAMES.at),
        known_at.alias(NAMES.known_at),
        label.alias(NAMES.label),
    )


def _arrivals(timed: pl.DataFrame) -> npt.NDArray[np.int64]:
    """When each row can be learnt from: its label is known, and the question was asked.

    A row that never became known arrives at its event, and one without an event time never.
    """
    known = pl.col(NAMES.known_at).fill_null(pl.col("_event"))
    found = timed.select(pl.max_horizontal(known, NAMES.at).to_physical().fill_null(_NEVER)).to_series()
    return found.to_numpy().astype(np.int64)


def _span(timed: pl.DataFrame, wish: Wish) -> Span:
    """The period, refused where it holds no question."""
    asked = timed[NAMES.at].drop_nulls()
    if asked.is_empty():
        raise HeadraceError("HR994", "no row has an event time")
    ends = asked.to_physical()
    first, last = (moment_at(each) for each in (int(ends.min()), int(ends.max())))  # type: ignore[arg-type]  # times
    start = wish.start or first.replace(hour=0, minute=0, second=0, microsecond=0)
    end = wish.end or last.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    begins = start + wish.warm_up
    if wish.every <= timedelta() or begins >= end:
        what = f"from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}, the first model {spell(wish.warm_up)} later"
        raise HeadraceError("HR993", what)
    if not asked.is_between(begins, end, closed="left").any():
        what = f"nothing was asked from {begins:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
        raise HeadraceError("HR994", what, fix=f"The rows reach from {first:%Y-%m-%d} to {last:%Y-%m-%d}.")
    return Span(start.astimezone(UTC), begins.astimezone(UTC), end.astimezone(UTC))


def _view(view: FeatureView, real: Version, rows: pl.DataFrame, present: Present) -> ArrivingView:
    visible = rows.select(moment(VISIBLE_AT, rows.schema[VISIBLE_AT], what="the visible time", up=True).to_physical())
    arrivals = visible.to_series().fill_null(_NEVER).to_numpy().astype(np.int64)
    return ArrivingView(view, real, Arriving(rows, arrivals), present)


def _told(spec: ModelSpec, table: ArrivingTable, views: dict[str, ArrivingView]) -> ModelSpec:
    """The settings of the model, of the rows that arrive."""
    return replace(
        spec, labels=table, features=tuple(replace(each, view=views[each.view.name]) for each in spec.features)
    )


def _questions(
    timed: pl.DataFrame, span: Span, spec: ModelSpec, made: tuple[dict[str, Version], Workspace]
) -> pl.DataFrame:
    """What the endpoint was asked from the first model on, with the features that a look-up showed at that moment.

    The join is the one of training; that the online store answers likewise is what `headrace parity` checks.
    """
    versions, workspace = made
    asked = timed.filter(pl.col(NAMES.at).is_between(span.first, span.end, closed="left"))
    asked = asked.sort(NAMES.at, *spec.columns.keys, maintain_order=True).with_row_index(_ID)
    views = [each.read(versions[each.view.name], workspace.stores) for each in spec.features]
    with workspace.shared():
        return point_in_time(asked.with_columns(pl.col(NAMES.at).alias(_CUTOFF)), views, cutoff=_CUTOFF).drop(_CUTOFF)


def _monitors(
    graph: Graph, endpoint: Endpoint, loop: _Loop, task: str
) -> tuple[tuple[Monitor, ...], dict[Signal, frozenset[str]], tuple[str, ...]]:
    """The monitors of the endpoint that history can tell, by what they look at; a usual one where none is declared."""
    found: list[Monitor] = []
    acting: dict[Signal, frozenset[str]] = {}
    notes = []
    for each in graph:
        if isinstance(each, Monitor) and each.of is endpoint:
            if signal_of(each.watch) is Signal.SERVICE:
                notes.append(f"{each.name} is left out: how an endpoint serves cannot be replayed")
            else:
                found.append(Monitor(each.name, loop.endpoint, each.watch))
    for signal in (Signal.DRIFT, Signal.QUALITY):
        declared = [each for each in found if signal_of(each.watch) is signal and _may_retrain(each, loop.model)]
        if not declared:
            usual = Monitor(f"usual_{signal}", loop.endpoint, default_watch(signal, task))
            found.append(usual)
            declared = [usual]
        acting[signal] = frozenset(each.name for each in declared)
    return tuple(found), acting, tuple(notes)


def _may_retrain(monitor: Monitor, model: Model) -> bool:
    """Whether a policy may have the model made again when this monitor asks: it declares so, or nothing else."""
    then = [each for each in monitor.watch.then if each.kind != "notify"]
    return not then or any(each.kind == "retrain" and each.node == model.name for each in then)


def _task(spec: ModelSpec, rows: pl.DataFrame, made: Version | None) -> str:
    """Whether the label is a class: as the model was when it was last made, else by the type of the label."""
    if made is not None:
        return str(made.manifest.facts["task"])
    return "regression" if rows.schema[spec.columns.label].is_float() else "classification"


def _late_notes(spec: ModelSpec) -> tuple[str, ...]:
    if spec.columns.known_at is not None:
        return ()
    return (f"the contract of {spec.labels.name} marks no column as known_at: labels count as known at the event",)
