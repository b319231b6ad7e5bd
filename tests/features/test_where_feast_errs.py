"""What Feast gets wrong, and what comes here.

Each was reproduced with Feast 0.67.0 on 2026-11-30 by `benchmarks/rivals/feast/errs.py`, in Feast's own environment,
with its offline stores "file" (Dask) and "duckdb" and its online store on SQLite. The rows here are the rows there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from headrace.features.aggregates import Latest, Newest
from headrace.features.join import ViewRows, point_in_time
from headrace.features.recipes import computed, terms
from tests.features.shelves import opened

if TYPE_CHECKING:
    from collections.abc import Sequence

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TTL = 2 * HOUR
MOMENT = pl.Datetime("us", "UTC")


def view(rows: Sequence[tuple[str, datetime, datetime, int]]) -> ViewRows:
    """A view of rows: of whom, when it happened, when it was created, and the value; with a ttl of two hours."""
    schema = {"who": pl.String(), "at": MOMENT, "created": MOMENT, "value": pl.Int64()}
    when = terms("view", "who", ttl=TTL)
    recipe = computed("view", 1, lambda frame: frame, "at", "created")
    made = recipe.rows([pl.LazyFrame(rows, schema=schema, orient="row")], when)
    return ViewRows("view", made, ("who",), ("who",), recipe.features(made.columns, when))


def joined(labels: Sequence[tuple[str, datetime]], features: ViewRows) -> list[tuple[str, int | None]]:
    frame = pl.DataFrame(labels, schema={"who": pl.String(), "asked": MOMENT}, orient="row")
    return point_in_time(frame, [features], cutoff="asked").select("who", "value").rows()


def test_a_label_with_nothing_but_an_expired_row_is_not_dropped() -> None:
    """Feast 0.67.0 ("file") gives one row for these two labels: the label of "a" is gone, ttl filter and all.

    What is gone is not random: it is the labels of whoever was not heard of for a while.
    """
    features = view([("a", NOON - 5 * HOUR, NOON - 5 * HOUR, 1), ("b", NOON - HOUR, NOON - HOUR, 2)])
    assert joined([("a", NOON), ("b", NOON)], features) == [("a", None), ("b", 2)]


def test_labels_that_are_alike_are_not_made_one() -> None:
    """Feast 0.67.0 ("file") gives one row for two labels of one entity at one moment, whatever else they hold."""
    features = view([("a", NOON - HOUR, NOON - HOUR, 1)])
    assert joined([("a", NOON), ("a", NOON)], features) == [("a", 1), ("a", 1)]


def test_a_value_that_was_created_after_the_label_is_not_seen() -> None:
    """Feast 0.67.0 (both stores) joins the row of 11:00 that was created at 13:00 to the label of noon: it gives 7.

    The time of creation only decides between rows of the same event time there. Here it is when a row became known.
    """
    features = view([("a", NOON - HOUR, NOON + HOUR, 7)])
    assert joined([("a", NOON)], features) == [("a", None)]
    assert joined([("a", NOON + 2 * HOUR)], features) == [("a", 7)]


def test_a_correction_that_was_created_later_does_not_replace_what_was_known() -> None:
    """Feast 0.67.0 (both stores) takes, of the two values for 11:00, the one that was created last, at 13:00."""
    features = view([("a", NOON - HOUR, NOON - HOUR, 1), ("a", NOON - HOUR, NOON + HOUR, 7)])
    assert joined([("a", NOON), ("a", NOON + 2 * HOUR)], features) == [("a", 1), ("a", 7)]


def test_a_ttl_holds_online_as_well() -> None:
    """Feast 0.67.0 looks the value up that is 26 hours old, with a ttl of two hours, and gives 9.

    So the model is served with what its training never saw.
    """
    features = view([("a", NOON - 26 * HOUR, NOON - 26 * HOUR, 9), ("b", NOON - HOUR, NOON - HOUR, 2)])
    asked = round(NOON.timestamp() * 1_000_000)
    found, _ = opened(features).lookup([("a",), ("b",)], [asked, asked])
    assert [row["value"] for row in found] == [None, 2]
    assert joined([("a", NOON), ("b", NOON)], features) == [("a", None), ("b", 2)]


def test_a_ttl_that_ends_between_two_look_ups_is_noticed() -> None:
    """Nothing is written when a row ends: the look-up itself has to see that it did. In training and online alike."""
    rows = view([("a", NOON, NOON, 5)])
    both = ViewRows("view", rows.rows, ("who",), ("who",), {"v": Newest("value", TTL), "w": Latest("value", TTL)})
    online = opened(both)
    for after, expected in ((timedelta(0), None), (HOUR, 5), (TTL, 5), (TTL + timedelta(microseconds=1), None)):
        asked = round((NOON + after).timestamp() * 1_000_000)
        assert online.lookup([("a",)], [asked])[0] == [{"v": expected, "w": expected}]
        assert joined([("a", NOON + after)], rows) == [("a", expected)]
