"""Views and labels in memory, as frames."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from headrace.features.aggregates import (
    Aggregate,
    Count,
    Distinct,
    Largest,
    Latest,
    Mean,
    Smallest,
    Std,
    Total,
)
from headrace.features.join import ViewRows, point_in_time
from headrace.features.recipes import Windows, computed, terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.features.oracle import Entity, Row

MOMENT = pl.Datetime("us", "UTC")
VALUES: Mapping[str, pl.DataType] = {
    "whole": pl.Int64(),
    "real": pl.Float64(),
    "flag": pl.Boolean(),
    "text": pl.String(),
}
OVERS = {"all": None, "short": timedelta(minutes=3), "long": timedelta(minutes=7)}


def table(rows: Sequence[Row], entity: Sequence[str] = ("shop", "till")) -> pl.DataFrame:
    """Rows as a table: the entity, `at`, `known`, and the values."""
    keys = {name: [row.entity[place] for row in rows] for place, name in enumerate(entity)}
    times = {"at": [row.event_time for row in rows], "known": [row.known_at for row in rows]}
    values = {name: [row.values[name] for row in rows] for name in VALUES}
    schema = {**dict.fromkeys(entity, pl.String()), **dict.fromkeys(times, MOMENT), **VALUES}
    return pl.DataFrame({**keys, **times, **values}, schema=schema)


def labels(asked: Sequence[tuple[Entity, datetime | None]], entity: Sequence[str] = ("shop", "till")) -> pl.DataFrame:
    """Label rows, numbered."""
    keys = {name: [key[place] for key, _ in asked] for place, name in enumerate(entity)}
    schema = {"number": pl.Int64(), **dict.fromkeys(entity, pl.String()), "cutoff": MOMENT}
    data = {"number": list(range(len(asked))), **keys, "cutoff": [cutoff for _, cutoff in asked]}
    return pl.DataFrame(data, schema=schema)


def aggregates() -> dict[str, Aggregate]:
    """Every aggregate of every column that it takes, over each length."""
    found: dict[str, Aggregate] = {}
    for word, over in OVERS.items():
        found[f"count_{word}"] = Count(None, over)
        for name in ("whole", "real", "flag"):
            found[f"mean_{name}_{word}"] = Mean(name, over)
            found[f"total_{name}_{word}"] = Total(name, over)
            found[f"std_{name}_{word}"] = Std(name, over)
            found[f"smallest_{name}_{word}"] = Smallest(name, over)
            found[f"largest_{name}_{word}"] = Largest(name, over)
        for name in VALUES:
            found[f"latest_{name}_{word}"] = Latest(name, over)
            found[f"distinct_{name}_{word}"] = Distinct(name, over)
    return found


def windows_of(
    frame: pl.DataFrame,
    delay: timedelta,
    features: Mapping[str, Aggregate],
    entity: tuple[str, ...] = ("shop", "till"),
    prefix: str = "",
) -> ViewRows:
    """The class form of a view over a table."""
    recipe, when = Windows(features, "at", "known"), terms("history", entity, delay)
    return ViewRows("history", recipe.rows([frame.lazy()], when), entity, entity, features, prefix)


def newest_of(
    frame: pl.DataFrame,
    delay: timedelta,
    ttl: timedelta | None,
    entity: tuple[str, ...] = ("shop", "till"),
    known_at: str | None = "known",
) -> ViewRows:
    """The function form of a view, of a function that returns what it gets."""
    when = terms("weather", entity, delay, ttl)
    recipe = computed("weather", 1, lambda rows: rows, "at", known_at)
    rows = recipe.rows([frame.lazy()], when)
    return ViewRows("weather", rows, entity, entity, recipe.features(rows.columns, when), "now_")


def joined(frame: pl.DataFrame, *views: ViewRows) -> list[dict[str, Any]]:
    """The label rows with their features, after checking that they are the label rows."""
    found = point_in_time(frame, views, cutoff="cutoff")
    assert found.select(frame.columns).equals(frame)
    return found.to_dicts()
