"""A model node on real tables, features and stores: what it is trained on, what it stores, what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from headrace.adapters.artefacts import FileArtefactStore
from headrace.adapters.delta import DeltaTableStore
from headrace.adapters.manifests import FileManifestStore
from headrace.adapters.online_lmdb import LmdbOnlineStore
from headrace.errors import HeadraceError
from headrace.features.aggregates import count, mean
from headrace.features.view import Features, FeatureView
from headrace.graph.conditions import champion, metric
from headrace.graph.node import RowsNode
from headrace.models.gate import SCORE, read_holdout
from headrace.models.model import Model
from headrace.models.split import time_split
from headrace.models.training import TrainingSet  # noqa: TC001 - the annotation of a user's function
from headrace.ports.canonical import digest_of
from headrace.ports.records import Manifest, Version
from headrace.ports.stores import Stores
from headrace.ports.work import Action, Context, Step
from headrace.tables.contract import Contract, column
from headrace.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.graph.node import Node

START = datetime(2013, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Departure(Contract):
    flight_id: int = column(key=True)
    carrier: str
    origin: str
    distance: int | None
    scheduled_at: datetime = column(event_time=True)
    departed_at: datetime | None = column(known_at=True)
    late: bool | None


class Raw(RowsNode):
    """Rows that are simply there."""

    kind = "source"

    def read(self, version: Version, stores: Stores) -> pl.LazyFrame:
        return stores.tables.scan(version.manifest.outputs["table"])

    def make(self, step: Step, context: Context) -> Manifest:
        raise NotImplementedError


def flights(days: int = 60, seed: int = 0, carriers: int = 4) -> pl.DataFrame:
    """20 flights a day. A carrier has bad days: whoever knows its last hours knows much about its next flight."""
    rng = np.random.default_rng(seed)
    rows = days * 20
    hours = np.sort(rng.integers(0, days * 24, rows))
    carrier = rng.integers(0, carriers, rows)
    mood = rng.normal(size=(carriers, days + 1))
    chance = mood[carrier, hours // 24] + rng.normal(size=rows) * 0.3
    late = chance > 0.4
    scheduled = [START + HOUR * int(hour) for hour in hours]
    return pl.DataFrame(
        {
            "flight_id": np.arange(rows),
            "carrier": [f"C{number}" for number in carrier],
            "origin": rng.choice(["EWR", "JFK", "LGA"], rows),
            "distance": pl.Series(rng.integers(100, 3000, rows)).set(pl.Series(rng.random(rows) < 0.05), None),
            "scheduled_at": scheduled,
            "departed_at": [at + HOUR * int(delay) for at, delay in zip(scheduled, 1 + late * 3, strict=True)],
            "late": late,
        }
    ).with_columns(pl.when(pl.col("flight_id") % 50 == 7).then(None).otherwise(pl.col("late")).alias("late"))


class World:
    """One label table, one feature view, real stores; makes versions as the runtime does, without the runtime."""

    def __init__(self, folder: Path, rows: pl.DataFrame | None = None) -> None:
        self.stores = Stores(
            DeltaTableStore(folder / "tables"),
            FileArtefactStore(folder / "artefacts"),
            FileManifestStore(folder / "manifests"),
            LmdbOnlineStore(folder / "online"),
        )
        self.raw = Raw("raw")
        self.departures = Table("departures", [self.raw], lambda rows: rows, contract=Departure)

        class CarrierHistory(Features, of=self.departures, entity="carrier", delay="5m"):
            departures_24h: int = count(over="24h")
            late_rate_6h: float = mean("late", over="6h")

        self.history = CarrierHistory
        self.versions: dict[str, Version] = {}
        self.logged: list[str] = []
        self.load(flights() if rows is None else rows)

    def load(self, rows: pl.DataFrame) -> None:
        key = digest_of(["raw", rows.hash_rows().to_list()])
        ref = self.stores.tables.write(key, "raw", rows)
        facts = {"schema": {name: str(kind) for name, kind in rows.schema.items()}}
        self.versions["raw"] = Version(key, "raw", "source", "raw", (), Manifest(key, {"table": ref}, facts))
        self.make(self.departures)
        self.make(self.history.__view__)

    def make(self, node: Node, seed: int = 5) -> Version:
        inputs = tuple((each.name, self.versions[each.name].key) for each in node.inputs)
        fingerprint = digest_of(node.settings())
        key = digest_of(
            [node.name, fingerprint, [function.__qualname__ for function in node.functions()], inputs, seed]
        )
        step = Step(node.name, key, fingerprint, inputs, Action.MAKE, "")
        made = node.make(step, self.context(key, node, seed))
        self.versions[node.name] = Version(key, node.name, node.kind, fingerprint, inputs, made)
        return self.versions[node.name]

    def context(self, key: str, node: Node, seed: int = 5) -> Context:
        versions: Mapping[str, Version] = {each.name: self.versions[each.name] for each in node.inputs}
        return Context(key, seed, Path(), self.stores, versions, self.logged.append, lambda _done, _total: None)

    def model(self, function: Any, **settings: Any) -> Model:  # noqa: ANN401
        plain: dict[str, Any] = {
            "label": "late",
            "lead": "1h",
            "features": [self.history],
            "inputs": ["carrier", "distance"],
            "split": time_split(holdout="14d"),
        }
        return Model("lateness", self.departures, function, **{**plain, **settings})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


def lateness(data: TrainingSet) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(random_state=data.seed, max_iter=12, max_leaf_nodes=8).fit(data.X, data.y)


def caught(world: World, function: Any = lateness, **settings: Any) -> list[TrainingSet]:  # noqa: ANN401
    """What the function is given."""
    seen: list[TrainingSet] = []

    def keep(data: TrainingSet) -> Any:  # noqa: ANN401
        seen.append(data)
        return function(data)

    world.make(world.model(keep, **settings))
    return seen


def test_a_version_predicts_and_says_how_well(world: World) -> None:
    version = world.make(world.model(lateness, slices=["origin"]))
    facts = version.manifest.facts
    holdout = read_holdout(version, world.stores)
    assert facts["metrics"]["roc_auc"] == roc_auc_score(holdout["late"], holdout[SCORE])
    assert facts["metrics"]["roc_auc"] > 0.7  # the planted signal
    assert facts["slices"]["origin"].keys() == {"EWR", "JFK", "LGA"}
    assert (
        sum(each["rows"] for each in facts["slices"]["origin"].values()) == len(holdout) == facts["counts"]["holdout"]
    )
    assert sum(each["rows"] for each in facts["calibration"]) == len(holdout)
    assert [each["name"] for each in facts["inputs"]] == ["carrier", "distance", "departures_24h", "late_rate_6h"]
    assert facts["inputs"][0]["categories"] == ["C0", "C1", "C2", "C3"]
    assert facts["estimator"].endswith("HistGradientBoostingClassifier")
    assert set(facts["libraries"]) == {"python", "numpy", "polars", "scikit-learn", "skops"}
    assert Manifest.from_json(json.loads(json.dumps(version.manifest.to_json(), allow_nan=False))) == version.manifest
    predictor = world.model(lateness).predictor(version, world.stores)
    np.testing.assert_allclose(predictor.predict(holdout), holdout[SCORE], rtol=0, atol=1e-12)
    assert predictor.metrics == facts["metrics"]


def test_the_same_recipe_makes_the_same_bytes(world: World) -> None:
    one, two = world.make(world.model(lateness)), world.make(world.model(lateness))
    assert one.manifest == two.manifest
    other = world.make(world.model(lateness), seed=6)
    assert other.manifest.facts["seed"] == 6


def test_training_sees_only_what_was_known(world: World) -> None:
    (data,) = caught(world)
    facts = world.versions["lateness"].manifest.facts
    cutoff = datetime.fromisoformat(facts["cutoff"])
    boundary = datetime.fromisoformat(facts["boundary"])
    assert boundary - cutoff == HOUR
    newest = data.frame["departed_at"].max()
    assert isinstance(newest, datetime)
    assert newest < cutoff
    holdout = read_holdout(world.versions["lateness"], world.stores)
    assert holdout["scheduled_at"].min() > boundary  # type: ignore[operator]
    known = flights().drop_nulls("late")
    assert facts["counts"]["train"] + facts["counts"]["holdout"] + facts["counts"]["skipped"] == len(known)
    assert facts["counts"]["skipped"] > 0
    assert (data.rows, data.seed) == (facts["counts"]["train"], 5)
    assert data.names == ("carrier", "distance", "departures_24h", "late_rate_6h")


def test_features_are_those_visible_before_the_cutoff_of_the_row(world: World) -> None:
    (data,) = caught(world)
    table = flights()
    visible = pl.col("departed_at") + timedelta(minutes=5)
    for row in data.frame.sample(40, seed=1).iter_rows(named=True):
        asked = row["scheduled_at"] - HOUR
        seen = table.filter((pl.col("carrier") == row["carrier"]) & (visible < asked))
        assert row["departures_24h"] == seen.filter(visible >= asked - HOUR * 24).height
        rate = seen.filter(visible >= asked - HOUR * 6)["late"].mean()
        assert row["late_rate_6h"] == (None if rate is None else pytest.approx(rate))


def test_a_larger_lead_knows_less(world: World) -> None:
    one, ten = (
        world.make(world.model(lateness, lead=lead)).manifest.facts["metrics"]["roc_auc"] for lead in ("1h", "48h")
    )
    assert one > ten + 0.1


def test_a_label_that_leaks_through_a_feature_would_look_better_and_does_not(world: World) -> None:
    """The signal is the mood of the day: with the day's own outcome in sight, the score would be far higher."""
    honest = world.make(world.model(lateness)).manifest.facts["metrics"]["roc_auc"]
    rows = flights()
    world_of_leaks = rows.with_columns(departed_at=pl.col("scheduled_at") - HOUR * 5)
    leaking = World(Path(str(world.stores.artefacts.scratch())), world_of_leaks)
    assert leaking.make(leaking.model(lateness)).manifest.facts["metrics"]["roc_auc"] > honest + 0.02


def test_a_view_joined_twice_under_a_prefix(world: World) -> None:
    (data,) = caught(world, features=[world.history, world.history.on("carrier", prefix="again_")], inputs=[])
    assert data.names == ("departures_24h", "late_rate_6h", "again_departures_24h", "again_late_rate_6h")
    assert data.X["departures_24h"].equals(data.X["again_departures_24h"].alias("departures_24h"))
    model = world.model(lateness, features=[world.history, world.history.on("carrier", prefix="again_")])
    assert [each.name for each in model.inputs] == ["departures", "CarrierHistory"]


def test_a_regressor(world: World) -> None:
    def fit(data: TrainingSet) -> HistGradientBoostingRegressor:
        return HistGradientBoostingRegressor(random_state=data.seed, max_iter=10).fit(data.X, data.y)

    version = world.make(world.model(fit, label="distance", inputs=["carrier"]))
    assert version.manifest.facts["metrics"].keys() == {"mae", "r2", "rmse", "rows"}
    assert version.manifest.facts["task"] == "regression"
    assert version.manifest.facts["calibration"] == []


def test_a_model_is_called_like_its_function(world: World) -> None:
    (data,) = caught(world)
    assert isinstance(world.model(lateness)(data), HistGradientBoostingClassifier)


def test_chance_without_a_seed_is_said(world: World) -> None:
    def fit(data: TrainingSet) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(max_iter=5).fit(data.X, data.y)

    world.make(world.model(fit))
    assert world.logged[-1].startswith("random_state is not set")


def test_the_gate_is_no_part_of_what_is_made(world: World) -> None:
    plain, gated = world.model(lateness), world.model(lateness, gate=[metric("roc_auc").by("origin") >= 0.5])
    assert digest_of(plain.settings()) == digest_of(gated.settings())
    assert (plain.gated, gated.gated) == (False, True)
    changes: list[dict[str, Any]] = [
        {},
        {"lead": "2h"},
        {"features": []},
        {"inputs": ["carrier"]},
        {"split": time_split("7d")},
        {"slices": ["origin"]},
        {"features": [world.history.on("carrier", prefix="x_")]},
    ]
    assert len({digest_of(world.model(lateness, **changed).settings()) for changed in changes}) == len(changes)


def test_a_retrained_model_meets_its_champion_on_the_same_rows(tmp_path: Path) -> None:
    rows = flights(80)
    world = World(tmp_path, rows.filter(pl.col("scheduled_at") < START + timedelta(days=60)))
    model = world.model(
        lateness,
        gate=[metric("roc_auc") >= 0.7, metric("roc_auc") >= champion - 0.1, metric("roc_auc").by("origin") >= 0.6],
    )
    first = world.make(model)
    alone = model.decide(first, None, world.context("k", model))
    assert alone.passed
    assert alone.outcomes[1].seen == "no champion yet"
    world.load(rows)
    second = world.make(model)
    decision = model.decide(second, first, world.context("k", model))
    assert decision.passed
    assert decision.key == model.decision_key(second, first) != alone.key
    assert decision.facts["compared"]["how"] == "the champion scored the same rows"
    assert decision.facts["compared"]["rows"] == decision.facts["rows"] == second.manifest.facts["counts"]["holdout"]

    changed = replace(world.versions["CarrierHistory"], fingerprint="another definition")
    world.versions["CarrierHistory"] = changed
    third = world.make(model, seed=9)
    again = model.decide(third, second, world.context("k", model))
    assert again.facts["compared"]["how"] == (
        "recorded predictions of the champion, because departures_24h, late_rate_6h changed"
    )
    # the two were trained alike, so that their recorded predictions are nearly the same
    assert again.passed


@pytest.mark.parametrize(
    ("code", "settings"),
    [
        ("HR502", {"label": "latte"}),
        ("HR502", {"inputs": ["carier"]}),
        ("HR502", {"features": [], "slices": ["orign"]}),
        ("HR502", {"features": [], "gate": [metric("roc_auc").by("orign") >= 0.5]}),
        ("HR504", {"gate": [metric("roc_auk") >= 0.5]}),
        ("HR505", {"features": [], "inputs": []}),
        ("HR506", {"inputs": ["carrier", "late"]}),
        ("HR110", {"lead": "soon"}),
        ("HR121", {"gate": [True]}),
    ],
)
def test_mistakes_are_found_when_a_model_is_declared(world: World, code: str, settings: dict[str, Any]) -> None:
    with pytest.raises(HeadraceError, match=code) as error:
        world.model(lateness, **settings)
    if code in ("HR502", "HR504"):
        assert error.value.fix.startswith("Did you mean ")


def test_a_label_table_needs_a_contract_with_an_event_time(world: World) -> None:
    class Timeless(Contract):
        late: bool
        carrier: str

    for code, contract in (("HR500", None), ("HR501", Timeless)):
        labels = Table("labels", [world.raw], lambda rows: rows, contract=contract)
        with pytest.raises(HeadraceError, match=code):
            Model("lateness", labels, lateness, label="late", inputs=["carrier"], split=time_split("14d"))


def test_a_join_column_must_exist(world: World) -> None:
    with pytest.raises(HeadraceError, match="HR502"):
        world.model(lateness, features=[world.history.on("airline")])


@pytest.mark.parametrize(
    ("code", "settings"),
    [
        ("HR454", {"features": "twice"}),
        ("HR510", {"inputs": ["scheduled_at"]}),
        ("HR511", {"label": "origin"}),
        ("HR512", {"split": time_split("90d")}),
        ("HR502", {"slices": ["late_rate_6"]}),
        ("HR519", {"slices": ["flight_id"]}),
    ],
)
def test_mistakes_are_found_when_a_model_is_made(world: World, code: str, settings: dict[str, Any]) -> None:
    if settings.get("features") == "twice":
        settings = {"features": [world.history, world.history]}
    with pytest.raises(HeadraceError, match=code):
        world.make(world.model(lateness, **settings))


def test_a_class_that_only_the_holdout_has_is_refused(tmp_path: Path) -> None:
    late = pl.when(pl.col("flight_id") > 1150).then(2).otherwise(pl.col("late").cast(pl.Int64))
    world = World(tmp_path, flights().with_columns(distance=late))
    with pytest.raises(HeadraceError, match=r"HR511 .*held-out rows"):
        world.make(world.model(lateness, label="distance", inputs=["carrier"]))


def test_missing_values_that_the_estimator_refuses_name_the_line(world: World) -> None:
    def fit(data: TrainingSet) -> LogisticRegression:
        return LogisticRegression().fit(data.X.select("distance"), data.y)

    with pytest.raises(HeadraceError, match=r"HR514 .*test_model.py:\d+: ValueError: Input X contains NaN"):
        world.make(world.model(fit))


def test_a_view_made_by_a_function(tmp_path: Path) -> None:
    world = World(tmp_path)
    moods = FeatureView.from_function(
        "moods",
        [world.raw],
        lambda rows: rows.select("carrier", "scheduled_at", mood=pl.col("distance") * 2),
        entity="carrier",
        at="scheduled_at",
    )
    world.make(moods)
    (data,) = caught(world, features=[moods])
    assert data.names == ("carrier", "distance", "mood")
    assert data.X["mood"].is_not_nan().sum() > 100
