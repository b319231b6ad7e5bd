"""Will this order be returned? From raw files to a gated model."""

from __future__ import annotations

from datetime import datetime

import polars as pl
from sklearn.tree import DecisionTreeClassifier

from headrace import Contract, Features, Pipeline, TrainingSet, champion, column, count, files, mean, metric, time_split

AUC_AT_LEAST = 0.6

shop = Pipeline("shop")

# 1. A source: where raw rows come from. A file that has been read is read again only when its content changes.
raw_orders = shop.source("raw_orders", files("data/orders/*.csv"))


# 2. A table: what a clean row must look like. Rows that break the contract are set aside, with the rule and the value.
class Order(Contract):
    """One order of a customer."""

    order_id: int = column(key=True)
    customer: str
    amount: float = column(gt=0)
    ordered_at: datetime = column(event_time=True)
    decided_at: datetime = column(known_at=True)  # when it was clear whether the order comes back
    returned: bool


@shop.table(raw_orders, contract=Order, incremental=True)
def orders(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Orders, with the moment at which the return period was over."""
    return rows.with_columns(decided_at=pl.col("ordered_at") + pl.duration(days=14))


# 3. Features: each label row sees what was known at its time, in training as in serving.
class CustomerHistory(Features, of=orders, entity="customer"):
    """How a customer behaved lately."""

    orders_90d: int = count(over="90d")
    returned_90d: float = mean("returned", over="90d")


# 4. A model: a version goes live only through its gate.
@shop.model(
    orders,
    label="returned",
    features=[CustomerHistory],
    inputs=["amount"],
    split=time_split(holdout="90d"),
    gate=[metric("roc_auc") >= AUC_AT_LEAST, metric("roc_auc") >= champion - 0.05],
)
def returns(data: TrainingSet) -> DecisionTreeClassifier:
    """The probability that an order comes back."""
    return DecisionTreeClassifier(max_depth=4, min_samples_leaf=10, random_state=data.seed).fit(data.X, data.y)
