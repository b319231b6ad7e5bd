"""Feature views made on real stores: what they store, what they say of it, what they refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd  # noqa: TC002 - the annotation of a user's function
import polars as pl
import pyarrow as pa  # noqa: TC002 - the annotation of a user's function
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from headrace.adapters.artefacts import FileArtefactStore
from headrace.adapters.delta import DeltaTableStore
from headrace.adapters.manifests import FileManifestStore
from headrace.adapters.online_lmdb import LmdbOnlineStore
from headrace.errors import HeadraceError
from headrace.features.aggregates import count, latest, mean
from headrace.features.join import point_in_time
from headrace.features.view import Features, FeatureView, JoinSpec, join_of
from headrace.ports.records import Manifest, Version
from headrace.ports.stores import Stores
from headrace.ports.work import Action, Context, Step
from headrace.tables.contract import Contract, column
from headrace.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.graph.node import RowsNode

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Departure(Contract):
    flight: int = column(key=True)
    carrier: str | None
    late: bool | None
    due: datetime = column(event_time=True)
    left: datetime | None = column(known_at=True)


departures = Table("departures", (), lambda: None, contract=Departure)


class History(Features, of=departures, entity="carrier", delay="5m"):
    """How a carrier did lately."""

    departures_1h: int = count(over="1h")
    late_1h: float = mean("late", over="1h")
    last: bool | None = latest("late")


DEPARTED = pl.DataFrame(
    {
        "flight": [1, 2, 3, 4, 5],
        "carrier": ["A", "B", "A", None, "A"],
        "late": [True, False, False, True, None],
        "due": [NOON, NOON, NOON - MINUTE, NOON, NOON],
        "left": [NOON + 20 * MINUTE, NOON, NOON + 20 * MINUTE, NOON, None],
    },
    schema_overrides={"due": pl.Datetime("us", "UTC"), "left": pl.Datetime("us", "UTC")},
)


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores(
        DeltaTableStore(tmp_path / "tables"),
        FileArtefactStore(tmp_path / "files"),
        FileManifestStore(tmp_path / "made"),
        LmdbOnlineStore(tmp_path / "online"),
    )


def version_of(node: RowsNode, manifest: Manifest) -> Version:
    return Version(manifest.key, node.name, node.kind, "", (), manifest)


def made(view: FeatureView, rows: pl.DataFrame, stores: Stores) -> Version:
    """A version of the view, made from rows that the table of departures holds."""
    table = Manifest("1" * 64, {"table": stores.tables.write("1" * 64, "departures", rows)})
    context = Context(
        "2" * 64, 0, Path(), stores, {"departures": version_of(departures, table)}, lambda _: None, lambda *_: None
    )
    return version_of(view, view.make(Step(view.name, "2" * 64, "", (), Action.MAKE, ""), context))


def by_function(function: Callable[..., object], **more: object) -> FeatureView:
    settings = cast("Any", {"entity": "carrier", "at": "due", "known_at": "left", **more})
    return FeatureView.from_function("board", (departures,), function, **settings)


def refused(view: FeatureView, stores: Stores) -> HeadraceError:
    with pytest.raises(HeadraceError) as caught:
        made(view, DEPARTED, stores)
    return caught.value


def test_the_class_form_stores_what_can_become_visible_in_order(stores: Stores) -> None:
    version = made(History.__view__, DEPARTED, stores)
    expected = pl.DataFrame(
        {
            "carrier": ["B", "A", "A"],
            "_visible_at": [NOON + 5 * MINUTE, NOON + 25 * MINUTE, NOON + 25 * MINUTE],
            "_event_time": [NOON, NOON - MINUTE, NOON],
            "late": [False, False, True],
        },
        schema_overrides={"_visible_at": pl.Datetime("us", "UTC"), "_event_time": pl.Datetime("us", "UTC")},
    )
    stored = History.__view__.read(version, stores).collect()
    assert_frame_equal(stored, expected)
    assert stored.columns == History.__view__.columns()
    assert Manifest.from_json(version.manifest.to_json()).facts == {
        "rows": 3,
        "entities": 2,
        "features": [["departures_1h", "Int64"], ["late_1h", "Float64"], ["last", "Boolean"]],
        "schema": {name: str(kind) for name, kind in expected.schema.items()},
        "first_visible": "2024-05-01T12:05:00+00:00",
        "last_visible": "2024-05-01T12:25:00+00:00",
    }
    assert version.rows == 3


@given(st.permutations(range(6)))
def test_which_of_two_rows_of_the_same_times_is_newer_does_not_depend_on_their_arrival(order: list[int]) -> None:
    rows = pl.DataFrame({"flight": range(6), "carrier": "A", "late": [True, False] * 3, "due": NOON, "left": NOON})
    recipe, declared = History.__view__.recipe, History.__view__.terms
    assert_frame_equal(recipe.rows([rows[order].lazy()], declared), recipe.rows([rows.lazy()], declared))


def test_the_class_form_is_joined_as_of_the_cutoff(stores: Stores) -> None:
    version = made(History.__view__, DEPARTED, stores)
    labels = pl.DataFrame({"carrier": ["A", "A", "B"], "cutoff": [NOON + n * MINUTE for n in (25, 26, 66)]})
    spec = join_of(History)
    found = point_in_time(labels, [spec.read(version, stores)], cutoff="cutoff")
    assert found.select(spec.columns(version)).rows() == [(0, None, None), (2, 0.5, True), (0, None, False)]
    assert {name: str(found.schema[name]) for name in spec.columns(version)} == spec.types(version)


@pytest.mark.parametrize("kind", ["lazy", "polars", "pandas", "arrow"])
def test_the_function_form_takes_and_returns_every_kind_of_frame(kind: str, stores: Stores) -> None:
    version = made(by_function(FORMS[kind]), DEPARTED, stores)
    rows = by_function(FORMS[kind]).read(version, stores).collect()
    assert rows.columns == ["carrier", "_visible_at", "_event_time", "flight", "late"]
    assert rows["flight"].to_list() == [2, 3, 1]
    assert [name for name, _ in version.manifest.facts["features"]] == ["flight", "late"]


def lazy(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


def eager(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("flight") > 0)


def pandas(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["flight"] > 0]


def arrow(rows: pa.Table) -> pa.Table:
    return rows.select(rows.column_names)


FORMS: dict[str, Callable[..., object]] = {"lazy": lazy, "polars": eager, "pandas": pandas, "arrow": arrow}


def test_the_function_form_gives_the_newest_row_until_its_ttl(stores: Stores) -> None:
    view = by_function(lazy, ttl="10m", delay="1m")
    version = made(view, DEPARTED, stores)
    labels = pl.DataFrame({"dest": ["A", "A", "A"], "cutoff": [NOON + n * MINUTE for n in (21, 22, 32)]})
    spec = view.on("dest", prefix="dest_")
    found = point_in_time(labels, [spec.read(version, stores)], cutoff="cutoff")
    assert spec.columns(version) == ("dest_flight", "dest_late")
    assert found.select(spec.columns(version)).rows() == [(None, None), (1, True), (None, None)]


def test_a_number_that_is_none_is_missing(stores: Stores) -> None:
    version = made(by_function(with_nan), DEPARTED, stores)
    assert by_function(with_nan).read(version, stores).collect()["ratio"].to_list() == [None, None, None]


def with_nan(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select("carrier", "due", "left", pl.lit(float("nan")).alias("ratio"))


def test_features_of_nothing_yet(stores: Stores) -> None:
    """On the first day nothing is known: the view is empty, and can be joined."""
    version = made(History.__view__, DEPARTED.with_columns(left=pl.lit(None, pl.Datetime("us", "UTC"))), stores)
    facts = version.manifest.facts
    assert (facts["rows"], facts["entities"], facts["first_visible"]) == (0, 0, None)
    labels = pl.DataFrame({"carrier": ["A"], "cutoff": [NOON]})
    side = JoinSpec(History.__view__, ("carrier",)).read(version, stores)
    assert point_in_time(labels, [side], cutoff="cutoff").drop("carrier", "cutoff").rows() == [(0, None, None)]


def test_making_it_again_answers_the_same(stores: Stores) -> None:
    first, second = (made(History.__view__, DEPARTED, stores).manifest for _ in range(2))
    assert first == second


def test_mistakes_of_a_function_are_told(stores: Stores) -> None:
    def without_entity(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.rename({"carrier": "carriers"})

    def without_features(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.select("carrier", "due", "left")

    def with_reserved_name(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.with_columns(_visible_at="due")

    def with_a_text_for_a_time(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.with_columns(pl.col("left").cast(pl.String))

    def with_a_float_for_an_entity(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.with_columns(carrier=0.5)

    def raising(rows: pl.LazyFrame) -> pl.LazyFrame:
        message = f"no {type(rows).__name__} today"
        raise ValueError(message)

    def failing_later(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.select("nowhere")

    codes = {
        without_entity: "HR460",
        without_features: "HR461",
        with_reserved_name: "HR447",
        with_a_text_for_a_time: "HR455",
        with_a_float_for_an_entity: "HR448",
        raising: "HR423",
        failing_later: "HR423",
    }
    assert {function: refused(by_function(function), stores).code for function in codes} == codes
    assert refused(by_function(without_entity), stores).fix == "Did you mean 'carriers'?"
    assert refused(by_function(lazy, at="dew"), stores).code == "HR460"
