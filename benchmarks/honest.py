"""What honest features cost, on the flights: the same model with a leaking join, as declared, and published once a day.

Not about speed. Three ways to decide which rows a prediction may see, on the same flights, inputs, split and learner:

- leaking: a flight counts as known at its scheduled time, and is asked for at its own scheduled time;
- declared: five minutes after it left, asked for one hour ahead, as the demonstration's pipeline says;
- daily: as declared, but published at the next midnight.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

import headrace
from benchmarks.startup import lay_out
from benchmarks.support.figures import Result
from headrace.features.join import ViewRows, point_in_time
from headrace.models.columns import encode, inputs_of
from headrace.models.training import TrainingSet, scores
from headrace.project.loading import load_pipeline
from headrace.project.settings import load

if TYPE_CHECKING:
    from benchmarks.support.figures import Options
    from headrace.features.view import JoinSpec
    from headrace.models.model import Model

_WORK = "AUC of the held-out fortnight"
_CUTOFF = "_cutoff"


def run(options: Options) -> list[Result]:
    """Train twice, evaluate four times."""
    project = options.scratch / "flights"
    if not project.exists():
        lay_out(project)
    model: Model = load_pipeline(load(project)).graph()["lateness"]  # type: ignore[assignment]
    with headrace.open(project=project) as environment:
        departures = environment.table("departures").collect().drop_nulls("late")
        weather = environment.table("origin_weather").collect()
    ways = {way: _joined(departures, weather, model, way) for way in ("leaking", "declared", "daily")}
    leaking, declared = _train(model, ways["leaking"]), _train(model, ways["declared"])
    return [
        _result("leaking join, as evaluated offline", leaking, ways["leaking"]),
        _result("the same model, served as declared", leaking, ways["declared"]),
        _result("trained and served as declared", declared, ways["declared"], floor=True),
        _result("the same model, features published daily", declared, ways["daily"]),
    ]


def _joined(departures: pl.DataFrame, weather: pl.DataFrame, model: Model, way: str) -> pl.DataFrame:
    """The flights with their features, as one of the three ways sees them."""
    lead = timedelta(0) if way == "leaking" else model.spec.lead
    labels = departures.with_columns((pl.col("scheduled_at") - lead).alias(_CUTOFF))
    views = [_rows(each, departures, weather, way) for each in model.spec.features]
    return point_in_time(labels, views, cutoff=_CUTOFF)


def _rows(join: JoinSpec, departures: pl.DataFrame, weather: pl.DataFrame, way: str) -> ViewRows:
    """The rows of a view with the moment from which each can be seen."""
    view = join.view
    source, event = (weather, "_event_time") if view.function is not None else (departures, "scheduled_at")
    declared = pl.col("_visible_at") if view.function is not None else pl.col("departed_at") + view.terms.delay
    visible = {
        "leaking": pl.col(event),
        "declared": declared,
        "daily": declared.dt.truncate("1d") + timedelta(days=1),
    }[way]
    rows = source.with_columns(visible.alias("_visible_at")).drop_nulls("_visible_at")
    features = view.recipe.features(rows.columns, view.terms)
    return ViewRows(view.name, rows, view.entity, join.on, features, join.prefix)


def _parts(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What is trained on, and the held-out last fortnight."""
    newest: Any = rows.get_column("scheduled_at").max()
    boundary = newest - timedelta(days=14)
    return rows.filter(pl.col("departed_at") < boundary), rows.filter(pl.col("scheduled_at") > boundary)


def _train(model: Model, rows: pl.DataFrame) -> tuple[Any, Any]:
    """The estimator of the demonstration, fitted on these rows, and the inputs that it takes."""
    train, _ = _parts(rows)
    known = {"_cutoff", *train.columns[: train.columns.index(_CUTOFF)]} - set(model.spec.inputs)
    inputs = inputs_of(train, [name for name in train.columns if name not in known])
    data = TrainingSet(encode(train, inputs), train.get_column("late").to_numpy(), 1, train)
    return model(data), inputs


def _result(name: str, trained: tuple[Any, Any], rows: pl.DataFrame, *, floor: bool = False) -> Result:
    from sklearn.metrics import roc_auc_score

    estimator, inputs = trained
    _, holdout = _parts(rows)
    score = scores(estimator, encode(holdout, inputs))
    value = float(roc_auc_score(holdout.get_column("late").to_numpy(), score))
    return Result(_WORK, name, value, "AUC", floor=floor)
