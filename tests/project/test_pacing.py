"""What new data makes, what waits for a pace of its own, and which paces cannot be."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - the contract reads its annotations
from typing import TYPE_CHECKING, Any

import pytest

from headrace import (
    Contract,
    Features,
    HeadraceError,
    Pipeline,
    by_hand,
    column,
    count,
    cron,
    drift,
    event,
    every,
    files,
    new_data,
    published,
    retrain,
    time_split,
)
from headrace.project.pacing import Pacing

if TYPE_CHECKING:
    from headrace.endpoints.endpoint import Endpoint
    from headrace.models.model import Model
    from headrace.sources.source import Source
    from headrace.tables.table import Table


class Order(Contract):
    order_id: int = column(key=True)
    shop: str
    at: datetime = column(event_time=True)
    returned: bool


class Shop:
    """raw -> orders -> (History -> its online store), model -> scores; orders -> report."""

    def __init__(self, delay: str = "1d") -> None:
        self.pipeline = Pipeline("shop")
        self.raw: Source = self.pipeline.source("raw", files("data/*.csv"))

        @self.pipeline.table(self.raw, contract=Order)
        def orders(rows: Any) -> Any:  # noqa: ANN401
            return rows

        @self.pipeline.table(orders)
        def report(rows: Any) -> Any:  # noqa: ANN401
            return rows

        class History(Features, of=orders, entity="shop", delay=delay):
            orders_30d: int = count(over="30d")

        @self.pipeline.model(orders, label="returned", features=[History], inputs=[], split=time_split(holdout="9d"))
        def model(data: Any) -> Any:  # noqa: ANN401
            return data

        self.orders: Table = orders
        self.report: Table = report
        self.history = History
        self.model: Model = model
        self.scores: Endpoint = self.pipeline.endpoint("scores", model)

    @property
    def pacing(self) -> Pacing:
        return Pacing.of(self.pipeline)


EVERYTHING = {"raw", "orders", "report", "History", "History.online", "model", "scores"}


def test_without_a_pace_new_data_makes_everything() -> None:
    assert Shop().pacing.unpaced == EVERYTHING
    assert not Shop().pacing.paces


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (every("1d"), 'on every("1d")'),
        (cron("0 6 * * mon"), 'on cron("0 6 * * mon")'),
        (event("a"), "on event a"),
        (by_hand(), "by hand"),
    ],
)
def test_what_has_a_pace_takes_along_what_is_made_from_it(cause: Any, told: str) -> None:  # noqa: ANN401
    shop = Shop()
    shop.pipeline.trigger(shop.model, on=cause)
    assert shop.pacing.paced == {"model", "scores"}
    assert shop.pacing.unpaced == EVERYTHING - {"model", "scores"}
    assert shop.pacing.paces == {"model": (told,)}


def test_one_that_is_paced_ends_where_another_pace_begins() -> None:
    shop = Shop()
    shop.pipeline.schedule(shop.orders, every("1h"))
    shop.pipeline.schedule(shop.model, every("7d"))
    assert shop.pacing.made_with("orders") == {"orders", "report", "History", "History.online"}
    assert shop.pacing.made_with("model") == {"model", "scores"}
    assert shop.pacing.unpaced == {"raw"}


def test_a_monitor_that_has_a_node_made_is_a_pace_as_well() -> None:
    shop = Shop()
    shop.pipeline.monitor("drifted", shop.scores, when=drift("prediction") > 0.2, then=retrain(shop.model))
    shop.pipeline.schedule(shop.model, every("7d"))
    assert shop.pacing.paces == {"model": ('on every("7d")', "when drifted asks")}


def test_a_delay_that_is_shorter_than_the_schedule_is_refused() -> None:
    shop = Shop(delay="23h")
    shop.pipeline.schedule(shop.history, cron("0 6 * * *"))
    (problem,) = shop.pacing.problems()
    assert problem.code == "HR969"
    assert problem.what == 'History has a delay of 23h, but is published on cron("0 6 * * *")'
    assert 'delay="1d"' in problem.fix
    with pytest.raises(HeadraceError, match="HR969"):
        shop.pacing.refuse_too_slow()


@pytest.mark.parametrize(
    ("node", "schedule", "delay"),
    [
        ("history", every("1d"), "1d"),
        ("orders", cron("*/30 * * * *"), "30m"),
        ("model", every("7d"), "0s"),  # the view is published with new data
        ("history", event("a"), "0s"),
    ],
)
def test_a_delay_that_can_be_kept(node: str, schedule: Any, delay: str) -> None:  # noqa: ANN401
    shop = Shop(delay)
    shop.pipeline.trigger(getattr(shop, node), on=schedule)
    shop.pacing.refuse_too_slow()


def test_of_several_schedules_the_most_frequent_one_counts() -> None:
    shop = Shop(delay="2h")
    shop.pipeline.schedule(shop.orders, every("7d"))
    shop.pipeline.schedule(shop.scores, every("2h"))
    assert shop.pacing.problems() == []


def test_the_names_of_triggers_follow_from_what_is_declared() -> None:
    shop = Shop()
    pipeline = shop.pipeline
    pipeline.schedule(shop.model, every("1d"))
    pipeline.trigger(shop.model, on=event("com.example.refresh"))
    pipeline.trigger(shop.model, on=published(shop.orders, shop.history))
    pipeline.trigger(shop.orders, on=new_data(shop.raw))
    pipeline.trigger(shop.report, on=by_hand())
    pipeline.trigger(shop.report, on=by_hand(), name="button")
    assert [each.name for each in pipeline.triggers] == [
        "model-schedule",
        "model-on-com.example.refresh",
        "model-on-orders-History",
        "orders-on-raw",
        "report-by-hand",
        "button",
    ]


def test_what_no_trigger_can_be_is_refused() -> None:
    shop, other = Shop(), Shop()
    foreign: Any = other.pipeline.source("foreign", files("*.csv"))
    odd: Any = "6 o'clock"
    attempts = [
        (foreign, every("1d"), None, "HR948"),
        (shop.model, published(foreign), None, "HR948"),
        (shop.model, new_data(foreign), None, "HR948"),
        (shop.model, new_data(shop.orders), None, "HR948"),
        (shop.model, odd, None, "HR948"),
        (odd, every("1d"), None, "HR948"),
        (shop.model, every("1d"), "a:b", "HR948"),
        (shop.model, published(shop.model), None, "HR966"),
    ]
    for node, cause, name, code in attempts:
        with pytest.raises(HeadraceError) as caught:
            shop.pipeline.trigger(node, on=cause, name=name)
        assert caught.value.code == code
    shop.pipeline.schedule(shop.model, every("1d"))
    with pytest.raises(HeadraceError, match="HR965"):
        shop.pipeline.schedule(shop.model, every("2d"))
    assert len(shop.pipeline.triggers) == 1
