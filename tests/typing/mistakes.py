"""Mistakes that mypy --strict must find, each on a line marked with the code of the error that it must give."""

from __future__ import annotations

import polars as pl

from headrace import (
    Features,
    Options,
    TrainingSet,
    champion,
    count,
    event,
    every,
    files,
    metric,
    published,
    time_split,
)
from headrace.sources import database, shared
from tests.typing.right import Order, ShopHistory, orders, raw, returns, shop, weather

shop.source("x", "data/*.csv")  # arg-type
shop.source(files("data/*.csv"))  # call-arg, arg-type
shop.table(returns)  # arg-type
shop.table("orders")  # arg-type
shop.table(orders, contract=orders)  # arg-type
shop.table(orders, contract=Order, incremental="yes")  # arg-type
shop.table(orders, retries=3)  # call-arg
shop.table(raw, options=Options(retries="three"))  # arg-type
shop.features(raw, at="at")  # call-arg
shop.features(raw, entity=3, at="at")  # arg-type
shop.features(ShopHistory, entity="shop", at="at")  # arg-type
shop.model(raw, label="returned", split=time_split(holdout="14d"))  # arg-type
shop.model(orders, label="returned")  # call-arg
shop.model(orders, split=time_split(holdout="14d"))  # call-arg
shop.model(orders, label="returned", split="14d")  # arg-type
shop.model(orders, label="returned", split=time_split(holdout="14d"), features=[orders])  # list-item
shop.model(orders, label="returned", split=time_split(holdout="14d"), gate=[0.65])  # list-item
shop.model(orders, label="returned", split=time_split(holdout="14d"), gate=[champion])  # list-item
shop.model(orders, label="returned", split=time_split(holdout="14d"), leed="1h")  # call-arg
shop.task("orders")  # arg-type
shop.sql("x", "select 1", "orders")  # arg-type
database("crm", tabel="orders")  # call-arg
database("crm", table="orders", overlap=1.5)  # arg-type
shop.source("crm", "orders")  # arg-type
shop.feed(cursor=0)(raw)  # arg-type
shop.feed(start=0)  # call-arg
shared("../flights", raw)  # arg-type
shop.schedule("orders", every("1d"))  # arg-type
shop.schedule(orders, "1d")  # arg-type
shop.schedule(orders, event("com.example.refresh"))  # arg-type
shop.schedule(orders, every("1d", missed="twice"))  # arg-type
shop.trigger(orders, on="com.example.refresh")  # arg-type
shop.trigger(orders)  # call-arg
published("orders")  # arg-type
metric("roc_auc") >= "high"  # operator
metric("roc_auc").by(3)  # arg-type
time_split(holdout=14)  # arg-type
time_split()  # call-arg
weather.on(3)  # arg-type
returns.read  # attr-defined


class NoTable(Features, of=raw, entity="shop"):  # arg-type
    rows: int = count(over="1h")


class NoEntity(Features, of=orders):  # call-arg
    rows: int = count(over="1h")


def untyped(data: TrainingSet) -> pl.DataFrame:
    return data.seed  # return-value
