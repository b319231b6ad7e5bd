"""Will this flight leave late? From raw files to a gated model, asked one hour before departure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from headrace import (
    Contract,
    Features,
    Pipeline,
    TrainingSet,
    champion,
    column,
    count,
    files,
    mean,
    metric,
    time_split,
)

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

LATE_AFTER = 15  # minutes

flights = Pipeline("flights", owner="ops@example.com")

# 1. Sources: where raw rows come from. A file that has been read is never read again, unless its content changes.
raw_flights = flights.source("raw_flights", files("data/flights/*.csv.gz"))
raw_weather = flights.source("raw_weather", files("data/weather/*.csv.gz"))


# 2. A table: what a clean row must look like. Rows that break the contract are set aside, with the rule and the value.
class Departure(Contract):
    """One scheduled departure from a New York airport."""

    flight_id: str = column(key=True)
    origin: str = column(isin=("EWR", "JFK", "LGA"))
    dest: str
    carrier: str
    distance: int = column(gt=0)  # miles
    hour: int = column(ge=0, le=23)  # of the scheduled departure, local time
    scheduled_at: datetime = column(event_time=True)
    departed_at: datetime | None = column(known_at=True)  # when the delay became known; null: not yet, or never
    late: bool | None  # the label; null when the flight was cancelled


@flights.table(raw_flights, contract=Departure, incremental=True)
def departures(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Scheduled departures, with the moment at which each delay became known."""
    scheduled_at = pl.col("time_hour") + pl.duration(minutes="minute")
    return rows.select(
        pl.format("{}{}-{}-{}", "carrier", "flight", "origin", pl.date("year", "month", "day")).alias("flight_id"),
        "origin",
        "dest",
        "carrier",
        "distance",
        "hour",
        scheduled_at.alias("scheduled_at"),
        (scheduled_at + pl.duration(minutes="dep_delay")).alias("departed_at"),
        (pl.col("dep_delay") > LATE_AFTER).alias("late"),
    )


# 3. Features: one definition, joined as of each label's time in training, and looked up by the same rule when serving.
class CarrierHistory(Features, of=departures, entity="carrier", delay="5m"):  # visible five minutes after it is known
    """How a carrier did lately."""

    carrier_departures_24h: int = count(over="24h")
    carrier_late_3h: float = mean("late", over="3h")
    carrier_late_7d: float = mean("late", over="7d")


class AirportHistory(Features, of=departures, entity="origin", delay="5m"):
    """How an airport is doing now."""

    airport_departures_3h: int = count(over="3h")
    airport_late_3h: float = mean("late", over="3h")
    airport_late_7d: float = mean("late", over="7d")


@flights.features(raw_weather, entity="origin", at="observed_at", delay="10m", ttl="3h")
def origin_weather(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The last weather report of the airport."""
    return rows.select(
        "origin", pl.col("time_hour").alias("observed_at"), "temp", "dewp", "wind_speed", "precip", "pressure", "visib"
    )


# 4. A model: a version goes live only through its gate.
@flights.model(
    departures,
    label="late",
    lead="1h",  # asked an hour before departure
    features=[CarrierHistory, AirportHistory, origin_weather],
    inputs=["carrier", "origin", "distance", "hour"],
    split=time_split(holdout="14d"),
    gate=[
        metric("roc_auc") >= 0.6,
        metric("roc_auc") >= champion - 0.01,
        metric("roc_auc").by("origin") >= 0.55,
    ],
)
def lateness(data: TrainingSet) -> HistGradientBoostingClassifier:
    """The probability that a flight leaves more than a quarter of an hour late."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # here: a plan need not wait for its import

    return HistGradientBoostingClassifier(random_state=data.seed, max_iter=60, learning_rate=0.15).fit(data.X, data.y)


# 5. An endpoint: `headrace serve` answers with the version that is live, and looks its features up.
scores = flights.endpoint("scores", lateness)
