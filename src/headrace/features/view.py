"""Feature views: the node, the class form that users derive from, and how a model asks for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Required, TypeAlias, TypedDict, Unpack, cast

from headrace.errors import HeadraceError
from headrace.features.declared import windows
from headrace.features.growing import ROWS, facts_of, grown, settled
from headrace.features.join import ViewRows
from headrace.features.moments import TIE, VISIBLE_AT
from headrace.features.recipes import computed, terms
from headrace.graph.node import RowsNode, nearest
from headrace.ports.records import Manifest
from headrace.ports.stores import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    import polars as pl

    from headrace.features.recipes import Function, Recipe, Terms
    from headrace.graph.node import Options
    from headrace.ports.records import Facts, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step
    from headrace.tables.table import Table


class ViewSettings(TypedDict, total=False):
    """The settings of the function form, as users write them.

    `entity` names the columns that say whose a row is, `at` the column of its time, `known_at` the one that says when
    it became known (the time `at` where there is none). A row can be seen from then plus `delay` until the next row
    of its entity, or for `ttl`.
    """

    entity: Required[str | tuple[str, ...]]
    at: Required[str]
    known_at: str | None
    delay: str | timedelta
    ttl: str | timedelta | None


class FeatureView(RowsNode):
    """What is known of each entity, and from when on. A view with a function can be called like it.

    Its rows hold the entity, `_visible_at`, `_event_time` and the values; rows that are not known yet are left out. A
    class of features of an incremental table grows with it (see `growing`).
    """

    kind: ClassVar[str] = "features"

    def __init__(
        self, name: str, inputs: Sequence[RowsNode], recipe: Recipe, terms: Terms, options: Options | None = None
    ) -> None:
        super().__init__(name, inputs, options)
        self.recipe = recipe
        self.terms = terms

    @classmethod
    def from_function(
        cls,
        name: str,
        inputs: Sequence[RowsNode],
        function: Function,
        *,
        options: Options | None = None,
        **settings: Unpack[ViewSettings],
    ) -> FeatureView:
        """The function form. Raises HR420, HR421, HR446, HR448 and HR110 for what can be seen without data."""
        declared = terms(name, settings["entity"], settings.get("delay", "0s"), settings.get("ttl"))
        recipe = computed(name, len(inputs), function, settings["at"], settings.get("known_at"))
        return cls(name, inputs, recipe, declared, options)

    @property
    def entity(self) -> tuple[str, ...]:
        """The columns that say whose a row is."""
        return self.terms.entity

    @property
    def function(self) -> Function | None:
        """The user's function, in the function form."""
        return self.recipe.function()

    def __call__(self, *frames: Any) -> Any:  # noqa: ANN401 - whatever the function takes and returns
        """The plain function, for a unit test. Raises HR449 for a view that has none."""
        if self.function is None:
            raise HeadraceError("HR449", f"{self.name} is a class of features")
        return self.function(*frames)

    def on(self, *columns: str, prefix: str = "") -> JoinSpec:
        """The view, looked up by these columns of the labels, each feature named with the prefix. Raises HR451."""
        if len(columns) != len(self.entity):
            what = f"{self.name} is looked up by {', '.join(columns) or 'nothing'}, its entity is"
            raise HeadraceError("HR451", f"{what} {', '.join(self.entity)}")
        return JoinSpec(self, columns, prefix)

    def functions(self) -> Sequence[Callable[..., object] | type]:
        """The function of the function form."""
        return () if self.function is None else (self.function,)

    def settings(self) -> Mapping[str, object]:
        """The terms and what the form adds to them."""
        return {**self.terms.settings(), **self.recipe.settings()}

    def columns(self) -> Sequence[str] | None:
        """The columns of the rows, in the class form."""
        return self.recipe.columns(self.terms)

    @property
    def incremental(self) -> bool:
        """Whether a version is made of an earlier one and of the rows that its table got since."""
        return self.recipe.grows() and getattr(self.inputs[0], "incremental", False)

    def batches(self, inputs: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
        """A view of an incremental table covers the batches of the table."""
        return next(iter(inputs.values())) if self.incremental else {}

    def base(self, wanted: Mapping[str, str], live: Sequence[Version]) -> Version | None:
        """The largest version to go on from, of a view of an incremental table."""
        return nearest(wanted, live) if self.incremental else None

    def read(self, version: Version, stores: Stores) -> pl.LazyFrame:
        """The rows, sorted by visible time; of rows of equal visible time the later one is newer."""
        return settled(stores.tables.scan(version.manifest.outputs[ROWS]), version.manifest.facts)

    def make(self, step: Step, context: Context) -> Manifest:
        """Make the rows, store them, and say what they are: what the table got since the base, or all of them."""
        if self.incremental:
            found = grown(step, context, self._of_table)
            facts = None if found is None else facts_of(found, self.entity, context.stores)
            if found is not None and facts is not None:
                ref = context.stores.tables.write(step.key, self.name, found.new, found.ref, Change(found.less))
                less = f", {len(found.less)} gone" if found.less else ""
                context.log(f"{found.new.height} new rows{less}; {facts['rows']} rows of {facts['entities']} entities")
                return Manifest(step.key, {ROWS: ref}, facts)
        frames = [cast("RowsNode", each).read(context.versions[each.name], context.stores) for each in self.inputs]
        rows = self.recipe.rows(frames, self.terms, ties=self.incremental)
        ref = context.stores.tables.write(step.key, self.name, rows)
        facts = self._facts(rows)
        context.log(f"{facts['rows']} rows of {facts['entities']} entities, {len(facts['features'])} features")
        return Manifest(step.key, {ROWS: ref}, facts)

    def _of_table(self, rows: pl.LazyFrame) -> pl.DataFrame:
        return self.recipe.rows([rows], self.terms, ties=True)

    def _facts(self, rows: pl.DataFrame) -> Facts:
        import polars as pl

        times = rows.get_column(VISIBLE_AT)
        ends = [cast("datetime", times[place]).isoformat() for place in (0, -1)] if rows.height else [None, None]
        features = self.recipe.features(rows.columns, self.terms)
        stored = {name: str(kind) for name, kind in rows.schema.items()}
        kinds = {name: kind for name, kind in stored.items() if not name.startswith(TIE)}
        return {
            "rows": rows.height,
            "entities": rows.select(pl.struct(self.entity).n_unique()).item(),
            "features": [[name, each.type_of(kinds.get(each.column or "", ""))] for name, each in features.items()],
            "schema": kinds,
            "first_visible": ends[0],
            "last_visible": ends[1],
            **({"stored": stored, "unsettled": None} if self.incremental else {}),
        }


@dataclass(frozen=True, slots=True)
class JoinSpec:
    """A view as a model asks for it: looked up by the columns `on` of the labels, its features named with `prefix`."""

    view: FeatureView
    on: tuple[str, ...]
    prefix: str = ""

    def types(self, version: Version) -> dict[str, str]:
        """The columns that the join adds, in order, with the names of their Polars types."""
        return {self.prefix + name: kind for name, kind in version.manifest.facts["features"]}

    def columns(self, version: Version) -> tuple[str, ...]:
        """The columns that the join adds, in order."""
        return tuple(self.types(version))

    def read(self, version: Version, stores: Stores) -> ViewRows:
        """The rows of a version, ready for `point_in_time`."""
        view = self.view
        names = [name for name, _ in version.manifest.facts["features"]]
        features = view.recipe.features(names, view.terms)
        return ViewRows(view.name, view.read(version, stores), view.entity, self.on, features, self.prefix)


class Features:
    """Features of the rows of a table: derive from it and annotate each with its type.

        class CarrierHistory(Features, of=departures, entity="carrier", delay="5m"):
            departures_24h: int = count(over="24h")
            late_rate_7d: float = mean("late", over="7d")

    `of` is a table whose contract marks an event time, and may mark when a row became known; `entity` names the column
    or columns that say whose a row is. A row can be seen from when it became known plus `delay`, for `ttl` (None: for
    ever). The class declares a node of its name on the pipeline of the table.
    """

    __view__: ClassVar[FeatureView]
    __headrace_node__: ClassVar[str]

    def __init_subclass__(
        cls,
        *,
        of: Table,
        entity: str | tuple[str, ...],
        delay: str | timedelta = "0s",
        ttl: str | timedelta | None = None,
    ) -> None:
        super().__init_subclass__()
        if cls.__bases__ != (Features,):
            raise HeadraceError("HR444", f"{cls.__name__} derives from {', '.join(b.__name__ for b in cls.__bases__)}")
        name = cls.__name__
        declared = terms(name, entity, delay, ttl)
        view = FeatureView(name, (of,), windows(cls, of, declared), declared)
        cls.__view__ = view
        cls.__headrace_node__ = name
        if of.register is not None:
            of.register(view)

    @classmethod
    def on(cls, *columns: str, prefix: str = "") -> JoinSpec:
        """The view, looked up by these columns of the labels, each feature named with the prefix. Raises HR451."""
        return cls.__view__.on(*columns, prefix=prefix)


AnyFeatures: TypeAlias = type[Features] | FeatureView | JoinSpec


def join_of(features: AnyFeatures) -> JoinSpec:
    """How features are joined: as `.on(...)` says, or by columns of the labels that are named like the entity.

    Raises:
        HeadraceError: HR450 for what is no feature view.
    """
    if isinstance(features, JoinSpec):
        return features
    view: object = getattr(features, "__view__", features)
    if not isinstance(view, FeatureView):
        raise HeadraceError("HR450", f"{features!r} is no feature view")
    return JoinSpec(view, view.entity)


def view_of(features: AnyFeatures) -> FeatureView:
    """The node behind a class of features, a view, or a view that is looked up by other columns. Raises HR450."""
    return join_of(features).view
