"""The pipeline: the object that users declare nodes on. It knows names and order; stages know how nodes behave."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack

from headrace.endpoints.endpoint import Endpoint
from headrace.features.online import OnlineFeatures
from headrace.features.view import FeatureView
from headrace.graph.graph import Graph
from headrace.models.model import Model
from headrace.monitors.monitor import Monitor, watch_of
from headrace.runtime.triggers import Trigger, checked, declared
from headrace.sources.feeds import Feed
from headrace.sources.files import declared_type
from headrace.sources.source import Source
from headrace.tables.sql import SqlTable
from headrace.tables.table import Table
from headrace.tables.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from headrace.endpoints.canary import Canary
    from headrace.features.view import ViewSettings
    from headrace.graph.conditions import Condition
    from headrace.graph.node import Node, Options, RowsNode
    from headrace.models.spec import ModelSettings
    from headrace.monitors.monitor import WatchSettings
    from headrace.monitors.reactions import Reaction
    from headrace.ports.records import Json
    from headrace.runtime.schedule import Schedule
    from headrace.runtime.triggers import Cause, Declared
    from headrace.sources.feeds import Page
    from headrace.sources.files import ColumnType
    from headrace.sources.origin import Origin
    from headrace.tables.contract import Contract
    from headrace.tables.table import TableSettings

N = TypeVar("N", bound="Node")


class Pipeline:
    """A declared graph of nodes. Creating one, or importing a module that does, runs nothing and registers nothing."""

    def __init__(self, name: str, *, owner: str = "") -> None:
        self.name = name
        self.owner = owner
        self._nodes: list[Node] = []
        self._published: dict[str, OnlineFeatures] = {}
        self._triggers: list[Trigger] = []

    def __repr__(self) -> str:
        return f"<pipeline {self.name}: {len(self._nodes)} nodes>"

    def source(self, name: str, of: Origin, *, on_change: str = "widen", options: Options | None = None) -> Source:
        """Declare where raw rows come from.

        `on_change` says what becomes of a new schema: "widen" lets safe and widening changes through and stops breaking
        ones until somebody accepts them, "accept" lets all through, "fail" stops each of them.
        """
        return self._add(Source(name, of, on_change=on_change, options=options))

    def feed(
        self,
        *,
        cursor: Json = None,
        schema: Mapping[str, ColumnType] | None = None,
        on_change: str = "widen",
        options: Options | None = None,
    ) -> Callable[[Callable[[Any], Iterable[Page]]], Source]:
        """Declare a source whose rows a function fetches, page by page: from an API, say.

        The function takes a cursor, at first the one that is declared, and yields pages: rows (a frame, or mappings)
        and the cursor after them, which is what JSON can hold. A page is a batch. The next look at the source calls the
        function with the cursor of the last page. Raises HR318 and HR353.
        """

        def declare(function: Callable[[Any], Iterable[Page]]) -> Source:
            name = _name_of(function)
            types = {each: declared_type(each, kind, name) for each, kind in (schema or {}).items()}
            return self._add(Source(name, Feed(name, function, cursor, types), on_change=on_change, options=options))

        return declare

    def table(
        self, *inputs: RowsNode, options: Options | None = None, **settings: Unpack[TableSettings]
    ) -> Callable[[Callable[..., Any]], Table]:
        """Declare a table: the decorated function takes one frame for each input and returns the rows.

        `contract`, `on_breach`, `max_quarantined`, `incremental`, `upsert` and `partition_by` are described at
        `TableSettings`.
        """

        def declare(function: Callable[..., Any]) -> Table:
            return self._add(Table(_name_of(function), inputs, function, options=options, **settings))

        return declare

    def sql(
        self,
        name: str,
        query: str,
        *inputs: RowsNode,
        contract: type[Contract] | None = None,
        options: Options | None = None,
    ) -> Table:
        """Declare a table that a query makes, in DuckDB's dialect; it finds each input under the name of its node."""
        return self._add(SqlTable(name, inputs, query, contract=contract, options=options))

    def features(
        self, *inputs: RowsNode, options: Options | None = None, **settings: Unpack[ViewSettings]
    ) -> Callable[[Callable[..., Any]], FeatureView]:
        """Declare a feature view: the function returns the entity, the time `at`, and one column for each feature.

        `entity`, `at`, `known_at`, `delay` and `ttl` are described at `ViewSettings`.
        """

        def declare(function: Callable[..., Any]) -> FeatureView:
            name = _name_of(function)
            return self._add(FeatureView.from_function(name, inputs, function, options=options, **settings))

        return declare

    def model(
        self, labels: Table, *, options: Options | None = None, **settings: Unpack[ModelSettings]
    ) -> Callable[[Callable[..., Any]], Model]:
        """Declare a model: the function takes a `TrainingSet` and returns a fitted estimator.

        `label`, `split`, `lead`, `features`, `inputs`, `gate` and `slices` are described at `ModelSettings`.
        """

        def declare(function: Callable[..., Any]) -> Model:
            return self._add(Model(_name_of(function), labels, function, options=options, **settings))

        return declare

    def endpoint(
        self,
        name: str,
        model: Model,
        *,
        rollout: Canary | None = None,
        unknown: Literal["warn", "refuse"] = "warn",
        options: Options | None = None,
    ) -> Endpoint:
        """Declare that a model is served, under this name; its features are kept ready to be looked up.

        With a `rollout`, made by `canary`, a new version takes over by and by; without, from the next request on.
        A category that the model has not seen counts as missing, and the answer warns of it; with `unknown="refuse"`
        the request is refused (HR932).
        """
        views = dict.fromkeys(each.view for each in model.spec.features)
        return self._add(Endpoint(name, model, [self._online(view) for view in views], options, rollout, unknown))

    def monitor(
        self,
        name: str,
        of: Endpoint | RowsNode,
        *,
        when: Condition | Iterable[Condition],
        then: Reaction | Iterable[Reaction] = (),
        **settings: Unpack[WatchSettings],
    ) -> Monitor:
        """Declare what is watched of an endpoint's answers, or of a table, and what is done when all conditions hold.

        Conditions are of the answers of a window (`drift("distance") > 0.25`, `metric("p99_ms") > 50`,
        `estimated("roc_auc") < 0.6`), of their quality once labels are known (`metric("roc_auc") < 0.6`, or
        `metric("roc_auc").by("origin") < 0.55`: in any origin), and of the service (`metric("errors") > 0.01`,
        `freshness(orders) > "2h"`, `metric("run_seconds") > 3600`; these two need no endpoint). What is done
        besides telling of it: `retrain`, `run`, `rollback`, `pause`. Raises HR980 and HR981; see
        `WatchSettings` for the rest.
        """
        return self._add(Monitor(name, of, watch_of(when, then, settings)))

    def task(self, *inputs: Node, options: Options | None = None) -> Callable[[Callable[..., Any]], Task]:
        """Declare a plain step with an external effect; it may ask for an `idempotency_key`."""

        def declare(function: Callable[..., Any]) -> Task:
            return self._add(Task(_name_of(function), inputs, function, options=options))

        return declare

    def schedule(self, node: Declared, when: Schedule, *, name: str | None = None) -> Trigger:
        """Declare when `headrace up` makes a node, and what is made from it: `every("1d")`, `cron("0 6 * * mon")`.

        What it is made from follows. New data alone does not make it any more. See `trigger` for the rest.
        """
        return self.trigger(node, on=when, name=name)

    def trigger(self, node: Declared, *, on: Cause, name: str | None = None) -> Trigger:
        """Declare on what `headrace up` makes a node, and what is made from it.

        `on` is `published(other)`, `new_data(source)`, `event("com.example.refresh")`, `by_hand()`, or a schedule. A
        node may have several. Triggers are part of no fingerprint: a changed one rebuilds nothing. What one has fired
        for is kept under its `name`, which follows from what is declared. Raises HR948, HR965 and HR966.
        """
        found = declared(node, on, name, {each.name: each for each in self._nodes})
        self._triggers = [*checked([*self._triggers, found])]
        return found

    @property
    def triggers(self) -> tuple[Trigger, ...]:
        """Every schedule and trigger declared so far."""
        return tuple(self._triggers)

    def _online(self, view: FeatureView) -> OnlineFeatures:
        """The node that publishes a view, one for all endpoints that look it up."""
        if view.name not in self._published:
            self._published[view.name] = self._add(OnlineFeatures(view))
        return self._published[view.name]

    def graph(self) -> Graph:
        """The checked graph of everything declared so far."""
        return Graph.of(self._nodes)

    def _add(self, node: N) -> N:
        """Register a node, and let a class that is declared `of` it find its way here."""
        self._nodes.append(node)
        node.register = self._add
        return node


def _name_of(function: Callable[..., Any]) -> str:
    return str(inspect.unwrap(function).__name__)
