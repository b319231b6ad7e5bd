"""Features as users declare them: what is taken, and what each mistake is told."""

from __future__ import annotations

import types
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import polars as pl
import pytest

from headrace.errors import HeadraceError
from headrace.features.aggregates import count, distinct, largest, latest, mean, smallest, std, total
from headrace.features.view import Features, FeatureView, JoinSpec, join_of, view_of
from headrace.pipeline import Pipeline
from headrace.ports.canonical import canonical
from headrace.tables.contract import Contract, column
from headrace.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Body = Mapping[str, tuple[object, object]]


class Sale(Contract):
    sale_id: int = column(key=True)
    shop: str
    till: int
    amount: float
    items: int
    returned: bool | None
    sold_at: datetime = column(event_time=True)
    booked_at: datetime | None = column(known_at=True)
    day: date


class Timeless(Contract):
    shop: str


def rows_of(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


def table(contract: type[Contract] | None = Sale) -> Table:
    return Table("sales", (), lambda: None, contract=contract)


sales = table()


def declare(body: Body, of: object = sales, **terms: object) -> type[Features]:
    """A class of features; `body` gives the annotation and the value of each name."""
    annotations = {key: hint for key, (hint, _) in body.items() if hint is not None}
    values = {key: value for key, (_, value) in body.items() if value is not ...}
    namespace = {"__annotations__": annotations, "__module__": __name__, **values}
    return derived("History", Features, namespace, of=of, **{"entity": "shop", **terms})


def derived(name: str, base: type, namespace: dict[str, object], **terms: object) -> type[Features]:
    return cast("type[Features]", types.new_class(name, (base,), terms, lambda body: body.update(namespace)))


def refused(body: Body, **terms: object) -> HeadraceError:
    with pytest.raises(HeadraceError) as caught:
        declare(body, **terms)
    return caught.value


class History(Features, of=sales, entity="shop", delay="5m"):
    """What a shop sold."""

    sales_24h: int = count(over="24h")
    mean_7d: float | None = mean("amount", over="7d")
    returned_7d: float = mean("returned", over=timedelta(days=7))
    takings: float = total("amount")
    items: int = total("items", over="1h30m")
    returns: int = total("returned")
    last_day: date | None = latest("day")
    spread: float | None = std("amount")
    least: int | None = smallest("items")
    any_returned: bool | None = largest("returned", over="7d")
    first_day: date | None = smallest("day")
    last_booked: datetime | None = largest("booked_at")
    tills: int = distinct("till", over="1h")


def test_a_class_declares_a_view_of_its_name() -> None:
    view = History.__view__
    assert (view.name, view.kind, view.verb) == ("History", "features", "rebuild")
    assert view.inputs == (sales,)
    assert view.entity == ("shop",)
    assert view.terms.delay == timedelta(minutes=5)
    assert history_in_user_code() == "History"
    assert view.functions() == ()
    assert view.columns() == [
        "shop",
        "_visible_at",
        "_event_time",
        "amount",
        "returned",
        "items",
        "day",
        "booked_at",
        "till",
    ]


def history_in_user_code() -> str:
    """How the fingerprint of a function that mentions the class knows it."""
    return History.__headrace_node__


def test_a_class_registers_itself_on_the_pipeline_of_its_table() -> None:
    pipeline = Pipeline("shops")
    handle = pipeline.table(contract=Sale)(rows_without_input)
    declared = declare({"n": (int, count())}, of=handle)
    assert pipeline.graph()["History"] is declared.__view__


def rows_without_input() -> pl.LazyFrame:
    return pl.LazyFrame()


def test_settings_are_plain_and_change_with_each_part() -> None:
    body = {"n": (int, count(over="24h")), "m": (float, mean("amount", over="7d"))}
    base = canonical(dict(declare(body).__view__.settings()))
    others = [
        declare(body, entity=("shop", "till")),
        declare(body, delay="5m"),
        declare(body, ttl="7d"),
        declare({**body, "n": (int, count(over="25h"))}),
        declare({**body, "m": (float, mean("items", over="7d"))}),
        declare({**body, "m": (float, total("amount", over="7d"))}),
        declare({"k": body["n"], "m": body["m"]}),
    ]
    assert len({base, *(canonical(dict(each.__view__.settings())) for each in others)}) == 8
    assert canonical(dict(declare(body, delay="0m").__view__.settings())) == base


def test_a_ttl_ends_a_window_without_a_length() -> None:
    view = declare({"n": (int, count()), "m": (int, count(over="1d"))}, ttl="2d").__view__
    features = view.recipe.features((), view.terms)
    assert [each.over for each in features.values()] == [timedelta(days=2), timedelta(days=1)]


@pytest.mark.parametrize(
    ("body", "terms", "code", "said"),
    [
        ({"n": (int, count())}, {"of": table(None)}, "HR440", "sales"),
        ({"n": (int, count())}, {"of": table(Timeless)}, "HR440", "sales"),
        ({"n": (int, count())}, {"of": "sales"}, "HR440", "'sales'"),
        ({"n": (int, count())}, {"entity": "shopp"}, "HR441", "'shopp'"),
        ({"n": (float, mean("amunt"))}, {}, "HR441", "'amunt'"),
        ({"n": (str, count())}, {}, "HR442", "count gives int"),
        ({"n": (float, count())}, {}, "HR442", "annotated as float"),
        ({"n": (int | str, count())}, {}, "HR442", "count gives int"),
        ({"n": (int, mean("amount"))}, {}, "HR442", "mean gives float"),
        ({"n": (int, total("amount"))}, {}, "HR442", "total gives float"),
        ({"n": (float, total("items"))}, {}, "HR442", "total gives int"),
        ({"n": (datetime, latest("day"))}, {}, "HR442", "latest gives date"),
        ({"n": (int, std("amount"))}, {}, "HR442", "std gives float"),
        ({"n": (float, smallest("items"))}, {}, "HR442", "smallest gives int"),
        ({"n": (str, distinct("shop"))}, {}, "HR442", "distinct gives int"),
        ({"n": ("Nowhere", count())}, {}, "HR442", "Nowhere"),
        ({}, {}, "HR443", "History"),
        ({"n": (int, ...)}, {}, "HR444", "History.n"),
        ({"n": (int, 3)}, {}, "HR444", "History.n is 3"),
        ({"n": (None, count())}, {}, "HR444", "no type"),
        ({"n": (int, count()), "helper": (None, rows_of)}, {}, "HR444", "helper"),
        ({"n": (float, mean("shop"))}, {}, "HR445", "String"),
        ({"n": (float, std("day"))}, {}, "HR445", "Date"),
        ({"n": (str, largest("shop"))}, {}, "HR445", "String"),
        ({"n": (date, total("day"))}, {}, "HR445", "Date"),
        ({"n": (int, count(over="2d"))}, {"ttl": "1d"}, "HR446", "History.n"),
        ({"n": (int, count())}, {"ttl": "0s"}, "HR446", "ttl"),
        ({"_n": (int, count())}, {}, "HR447", "'_n'"),
        ({"on": (int, count())}, {}, "HR447", "'on'"),
        ({"shop": (int, count())}, {}, "HR447", "'shop'"),
        ({"n": (int, count())}, {"entity": ()}, "HR448", "History"),
        ({"n": (int, count())}, {"entity": ("shop", "shop")}, "HR448", "shop"),
        ({"n": (int, count())}, {"entity": "amount"}, "HR448", "amount"),
        ({"n": (int, count())}, {"delay": "soon"}, "HR110", "soon"),
    ],
)
def test_a_mistake_is_told(body: Body, terms: dict[str, object], code: str, said: str) -> None:
    error = refused(body, **terms)
    assert (error.code, said in error.what) == (code, True), error


def test_a_mistake_in_a_name_gets_a_hint() -> None:
    assert refused({"n": (float, mean("amunt"))}).fix == "Did you mean 'amount'?"
    assert refused({"n": (int, count())}, entity="shopp").fix == "Did you mean 'shop'?"
    assert refused({"n": (int, mean("amount"))}).fix == "Annotate it as float."


@pytest.mark.parametrize("make", [count, lambda over: mean("amount", over=over), lambda over: latest("day", over=over)])
def test_a_window_has_a_length(make: Callable[..., object]) -> None:
    with pytest.raises(HeadraceError, match="0s") as caught:
        make(over="0s")
    assert caught.value.code == "HR446"


def test_a_class_of_features_is_not_derived_from_another() -> None:
    with pytest.raises(HeadraceError, match="derives from History") as caught:
        derived("More", History, {}, of=sales, entity="shop")
    assert caught.value.code == "HR444"


def view_by_function(**more: object) -> FeatureView:
    settings = cast("Any", {"entity": "shop", "at": "seen_at", **more})
    return FeatureView.from_function("weather", (sales,), rows_of, **settings)


def test_a_function_form_is_called_like_the_function() -> None:
    frame = pl.LazyFrame({"a": [1]})
    assert view_by_function()(frame) is frame
    with pytest.raises(HeadraceError) as caught:
        History.__view__(frame)
    assert caught.value.code == "HR449"


def test_settings_of_the_function_form() -> None:
    view = view_by_function(ttl="2h", delay="10m", known_at="told_at")
    assert dict(view.settings()) == {
        "entity": ("shop",),
        "delay": timedelta(minutes=10),
        "ttl": timedelta(hours=2),
        "at": "seen_at",
        "known_at": "told_at",
    }
    assert view.functions() == (rows_of,)
    assert view.columns() is None


def test_what_a_model_may_name() -> None:
    view = view_by_function()
    assert view_of(History) is History.__view__
    assert view_of(view) is view
    assert join_of(History) == JoinSpec(History.__view__, ("shop",))
    assert join_of(view.on("place", prefix="place_")) == JoinSpec(view, ("place",), "place_")
    assert join_of(History.on("other")) == JoinSpec(History.__view__, ("other",))
    assert view_of(History.on("other")) is History.__view__
    for wrong in (sales, "History", Features, None):
        with pytest.raises(HeadraceError) as caught:
            view_of(wrong)  # type: ignore[arg-type]
        assert caught.value.code == "HR450"


def test_a_view_is_looked_up_by_as_many_columns_as_its_entity_has() -> None:
    for view, columns in ((History, ("a", "b")), (view_by_function(entity=("a", "b")), ("a",)), (History, ())):
        with pytest.raises(HeadraceError) as caught:
            view_of(view).on(*columns)
        assert caught.value.code == "HR451"
