"""A pipeline without a mistake: mypy --strict must accept it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import polars as pl
from sklearn.linear_model import LogisticRegression

from headrace import (
    Contract,
    Features,
    Options,
    Pipeline,
    TrainingSet,
    by_hand,
    champion,
    column,
    count,
    cron,
    event,
    every,
    files,
    mean,
    metric,
    new_data,
    published,
    time_split,
)
from headrace.features import distinct, smallest, std
from headrace.sources import database, shared

shop = Pipeline("shop", owner="ops@example.com")
raw = shop.source("raw", files("data/*.csv"))
crm = shop.source("crm", database("crm", table="orders", cursor="at", overlap="10m", key=["id"], schema={"n": int}))
taken = shop.source("taken", shared("../flights", "departures", environment="prod"))


@shop.feed(cursor=0, schema={"n": int})
def fetched(since: int) -> Iterator[tuple[list[dict[str, object]], int]]:
    yield [{"n": since}], since + 1


class Order(Contract):
    order_id: int = column(key=True)
    shop: str = column(isin=("a", "b"))
    amount: float = column(ge=0)
    at: datetime = column(event_time=True)
    known: datetime | None = column(known_at=True)
    returned: bool | None


@shop.table(raw, contract=Order, incremental=True, options=Options(retries=2, timeout="5m"))
def orders(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


class ShopHistory(Features, of=orders, entity="shop", delay="5m"):
    orders_24h: int = count(over="24h")
    returned_7d: float = mean("returned", over="7d")
    returned_spread: float | None = std("returned", over="7d")
    first_seen: datetime | None = smallest("at")
    days: int = distinct("at", over="7d")


@shop.features(raw, entity="shop", at="at", ttl="2h")
def weather(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


@shop.model(
    orders,
    label="returned",
    lead="1h",
    features=[ShopHistory, weather, weather.on("shop", prefix="other_")],
    inputs=["amount"],
    split=time_split(holdout="14d"),
    gate=[metric("roc_auc") >= 0.6, metric("roc_auc") >= champion - 0.01, metric("roc_auc").by("shop") >= 0.5],
)
def returns(data: TrainingSet) -> LogisticRegression:
    return LogisticRegression(random_state=data.seed).fit(data.X, data.y)


@shop.task(returns)
def announce(version: object, idempotency_key: str) -> None:
    print(version, idempotency_key)


by_shop = shop.sql("by_shop", "select shop, count(*) as orders from orders group by shop", orders)

shop.schedule(returns, every("1d"))
shop.schedule(ShopHistory, cron("0 6 * * mon-fri", zone="America/New_York", missed="skip"), name="mornings")
shop.trigger(weather, on=event("com.example.refresh"))
shop.trigger(announce, on=published(returns, ShopHistory))
shop.trigger(orders, on=new_data(raw))
shop.trigger(by_shop, on=by_hand())
