"""Feature views: one definition, joined as of each label's time in training and looked up by the same rule in serving."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, cast

from headrace.errors import HeadraceError, did_you_mean
from headrace.features.aggregates import Aggregate
from headrace.graph.node import RowsNode
from headrace.ports.durations import duration, spell
from headrace.ports.records import Manifest
from headrace.tables.contract import marked
from headrace.tables.frames import call, convert, failed, to_lazy, wanted_frames
from headrace.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    import polars as pl

    from headrace.graph.node import Options
    from headrace.ports.records import Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step

_FITS: dict[str, tuple[type, ...]] = {"count": (int,), "mean": (float,), "total": (int, float)}


@dataclass(frozen=True, slots=True)
class Timing:
    """When rows can be seen: the columns of their times, how late they are published, how long they live."""

    at: str
    known_at: str
    delay: timedelta
    ttl: timedelta | None


class FeatureView(RowsNode):
    """What is known of an entity over time: aggregates over windows of a table, or the rows of a user's function."""

    kind: ClassVar[str] = "features"

    def __init__(
        self,
        name: str,
        inputs: Sequence[RowsNode],
        entity: tuple[str, ...],
        timing: Timing,
        *,
        windows: Sequence[tuple[str, Aggregate]] = (),
        function: Callable[..., Any] | None = None,
        options: Options | None = None,
    ) -> None:
        super().__init__(name, inputs, options)
        self.entity = entity
        self.timing = timing
        self.windows = tuple(windows)
        self.function = function
        self._frames = wanted_frames(function, len(inputs), name) if function is not None else []

    @classmethod
    def from_function(
        cls,
        name: str,
        inputs: Sequence[RowsNode],
        function: Callable[..., Any],
        *,
        entity: str | tuple[str, ...],
        timing: Timing,
        options: Options | None = None,
    ) -> FeatureView:
        """A view whose rows a function makes: the entity, the times, and a column for each feature."""
        return cls(name, inputs, _entity(entity), timing, function=function, options=options)

    def __call__(self, *frames: Any) -> Any:
        """The plain function, for a unit test."""
        if self.function is None:
            message = f"{self.name} is declared by aggregates and has no function to call"
            raise TypeError(message)
        return self.function(*frames)

    @property
    def ttl(self) -> timedelta | None:
        """How long a row can be seen, counted from the moment at which it can be seen first."""
        return self.timing.ttl

    def on(self, *columns: str, prefix: str = "") -> JoinSpec:
        """Join by other columns of the label table, under other names: ``origin_weather.on("dest", prefix="dest_")``."""
        if len(columns) != len(self.entity):
            raise HeadraceError("HR446", f"{self.name} has the entity {self.entity}, and .on() names {columns}")
        return JoinSpec(self, columns, prefix)

    def functions(self) -> Sequence[Callable[..., object] | type]:
        """The function, where there is one."""
        return () if self.function is None else (self.function,)

    def settings(self) -> Mapping[str, object]:
        """Entity, times and aggregates."""
        timing = self.timing
        return {
            "entity": self.entity,
            "at": timing.at,
            "known_at": timing.known_at,
            "delay": spell(timing.delay),
            "ttl": None if timing.ttl is None else spell(timing.ttl),
            "windows": [[name, each.__headrace_canonical__()] for name, each in self.windows],
        }

    def columns(self) -> Sequence[str] | None:
        """The features, where the declaration names them."""
        return [name for name, _ in self.windows] if self.windows else None

    def read(self, version: Version, stores: Stores) -> pl.LazyFrame:
        """The rows, with `_visible_at` and `_event_time`, in the order of visibility."""
        return stores.tables.scan(version.manifest.outputs["table"])

    def make(self, step: Step, context: Context) -> Manifest:
        """Work out the rows and when each can be seen. Raises HR423, HR440 to HR445."""
        from headrace.features.visibility import EVENT, VISIBLE, in_order, visible

        import polars as pl

        frames = [cast("RowsNode", each).read(context.versions[each.name], context.stores) for each in self.inputs]
        rows = self._rows(frames)
        self._check_columns(rows)
        timing = self.timing
        features = self._stored(rows)
        event = pl.col(timing.at).cast(pl.Datetime("us", "UTC")).alias(EVENT)
        seen = in_order(visible(rows.with_columns(event), timing.known_at, timing.delay).drop_nulls(list(self.entity)))
        made = seen.select(*self.entity, VISIBLE, EVENT, *features).collect()
        ref = context.stores.tables.write(step.key, self.name, made)
        facts = {
            "rows": made.height,
            "entities": made.select(self.entity).n_unique(),
            "features": [name for name, _ in self.windows] or features,
            "schema": {name: str(kind) for name, kind in made.schema.items()},
            "last_visible": None if made.is_empty() else str(made.get_column(VISIBLE).max()),
        }
        context.log(f"{made.height} rows of {facts['entities']} entities")
        return Manifest(step.key, {"table": ref}, facts)

    def _rows(self, frames: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
        if self.function is None:
            return frames[0]
        arguments = [convert(frame, kind) for frame, kind in zip(frames, self._frames, strict=True)]
        result = to_lazy(call(self.function, arguments, self.name), self.name)
        try:
            return result.collect().lazy()
        except Exception as error:
            raise failed(self.function, self.name, error) from error

    def _check_columns(self, rows: pl.LazyFrame) -> None:
        schema = rows.collect_schema()
        used = [each.column for _, each in self.windows if each.column is not None]
        for name in (*self.entity, self.timing.at, self.timing.known_at, *used):
            if name not in schema:
                raise HeadraceError("HR440", f"{self.name} has no column {name!r}", fix=did_you_mean(name, schema))
        for name in (self.timing.at, self.timing.known_at):
            if schema[name].base_type().__name__ != "Datetime":
                raise HeadraceError("HR441", f"{self.name}.{name} is {schema[name]}")

    def _stored(self, rows: pl.LazyFrame) -> list[str]:
        """The columns that a version keeps: what the aggregates need, or every feature of the function."""
        if self.windows:
            return sorted({each.column for _, each in self.windows if each.column is not None} - set(self.entity))
        own = {*self.entity, self.timing.at, self.timing.known_at}
        features = [name for name in rows.collect_schema() if name not in own]
        if not features:
            raise HeadraceError("HR442", f"{self.name} has no feature besides its entity and its times")
        return features


@dataclass(frozen=True, slots=True)
class JoinSpec:
    """How a model takes a view: by which columns of the label table, under which names."""

    view: FeatureView
    on: tuple[str, ...]
    prefix: str = ""


class Features:
    """Aggregates over a table, declared as a class:

    ``class CarrierHistory(Features, of=departures, entity="carrier", delay="5m"): late_7d: float = mean("late", over="7d")``

    `of` is a table with a contract that marks an event time (and, where facts become known later, a known-at column);
    `delay` is how long after that a feature is published; a window is evaluated at the moment of the prediction.
    """

    __view__: ClassVar[FeatureView]

    def __init_subclass__(
        cls,
        *,
        of: Table,
        entity: str | tuple[str, ...],
        delay: str | timedelta = "0s",
    ) -> None:
        super().__init_subclass__()
        at = marked(of.contract, "event_time")
        if at is None:
            raise HeadraceError("HR443", f"{cls.__name__}: {of.name} has no contract with an event time")
        timing = Timing(at, marked(of.contract, "known_at") or at, duration(delay), None)
        windows = tuple(_window(cls, name) for name in cls.__annotations__ if not name.startswith("__"))
        names = _entity(entity)
        _check_against(cls.__name__, of, names, windows)
        cls.__view__ = FeatureView(cls.__name__, [of], names, timing, windows=windows)
        if of.register is not None:
            of.register(cls.__view__)

    @classmethod
    def on(cls, *columns: str, prefix: str = "") -> JoinSpec:
        """Join by other columns of the label table, under other names."""
        return cls.__view__.on(*columns, prefix=prefix)


AnyFeatures: TypeAlias = type[Features] | FeatureView | JoinSpec


def view_of(features: AnyFeatures) -> JoinSpec:
    """How features are joined, however they were named. Raises HR447 for anything else."""
    if isinstance(features, JoinSpec):
        return features
    if isinstance(features, FeatureView):
        return JoinSpec(features, features.entity)
    if isinstance(features, type) and issubclass(features, Features) and "__view__" in vars(features):
        return JoinSpec(features.__view__, features.__view__.entity)
    raise HeadraceError("HR447", f"{features!r} is no feature view")


def _entity(entity: str | tuple[str, ...]) -> tuple[str, ...]:
    return (entity,) if isinstance(entity, str) else tuple(entity)


def _window(cls: type, name: str) -> tuple[str, Aggregate]:
    aggregate = vars(cls).get(name)
    where = f"{cls.__name__}.{name}"
    if not isinstance(aggregate, Aggregate):
        raise HeadraceError("HR444", f"{where} is {aggregate!r}, which is no aggregate")
    hint = typing.get_type_hints(cls).get(name)
    fits = _FITS.get(aggregate.kind)
    if fits is not None and hint not in fits:
        raise HeadraceError("HR445", f"{where} is annotated as {hint}, and {aggregate} is {fits[0].__name__}")
    return name, aggregate


def _check_against(name: str, of: Table, entity: tuple[str, ...], windows: Sequence[tuple[str, Aggregate]]) -> None:
    if not windows:
        raise HeadraceError("HR442", f"{name} declares no feature")
    known = of.columns() or ()
    for column in (*entity, *(each.column for _, each in windows if each.column is not None)):
        if column not in known:
            hint = did_you_mean(column, known).capitalize()
            raise HeadraceError("HR440", f"{name}: {of.name} has no column {column!r}", fix=hint)
