"""Local times around the hour that comes twice and the one that is missing, and rows in any order."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.features.join import ViewRows, point_in_time
from headrace.features.recipes import computed, terms
from tests.features import oracle
from tests.features.building import OVERS, aggregates, joined, labels, newest_of, table, windows_of
from tests.features.oracle import MINUTE, Row
from tests.features.test_join_laws import delays, entities, exact, ttls, values

if TYPE_CHECKING:
    from polars._typing import Ambiguous

    from tests.features.oracle import Entity

ZONE = "America/New_York"
MOMENT = pl.Datetime("us", "UTC")
TWICE = datetime(2024, 11, 3, 5, 30, tzinfo=UTC)
"""Half past one in the morning in New York; an hour later it is half past one again."""
MISSING = datetime(2024, 3, 10, 6, 30, tzinfo=UTC)
"""Half past one in New York; half an hour later it is three."""

around = st.sampled_from([TWICE, MISSING])
steps = st.sampled_from([n * MINUTE for n in (0, 1, 29, 30, 31, 59, 60, 61, 90)])
moments = st.builds(lambda start, step: start + step, around, steps)
rows_of_a_table = st.lists(st.builds(Row, entities, st.none() | moments, st.none() | moments, values), max_size=14)
asked_of = st.lists(st.tuples(entities, st.none() | moments), max_size=8)


def local(frame: pl.DataFrame) -> pl.DataFrame:
    """The same moments, as clocks in New York show them."""
    names = [name for name, kind in frame.schema.items() if kind == MOMENT]
    return frame.with_columns(pl.col(name).dt.convert_time_zone(ZONE) for name in names)


@given(rows_of_a_table, asked_of, delays, ttls)
def test_local_times_say_what_they_say_in_utc(
    rows: list[Row], asked: list[tuple[Entity, Any]], delay: timedelta, ttl: timedelta | None
) -> None:
    """A window over an hour that comes twice holds both: what counts is how much time has passed."""
    frame, asking, features = table(rows), labels(asked), aggregates()
    plain = point_in_time(asking, [windows_of(frame, delay, features), newest_of(frame, delay, ttl)], cutoff="cutoff")
    views = [windows_of(local(frame), delay, features), newest_of(local(frame), delay, ttl)]
    found = point_in_time(local(asking), views, cutoff="cutoff")
    assert found.drop("cutoff").equals(plain.drop("cutoff"))
    visible = oracle.seen(rows, delay)
    for (entity, cutoff), row in zip(asked, found.to_dicts(), strict=True):
        for word, over in OVERS.items():
            assert row[f"count_{word}"] == oracle.count(oracle.window(visible, entity, cutoff, over))


def test_the_two_half_past_ones_are_two_moments() -> None:
    hour = timedelta(hours=1)
    rows = [
        Row(("a", "x"), None, TWICE + n * hour, {"whole": n, "real": 0.0, "flag": None, "text": None}) for n in (0, 1)
    ]
    frame = local(table(rows))
    assert frame["known"].dt.to_string("%H:%M").to_list() == ["01:30", "01:30"]
    asked = [(("a", "x"), TWICE + place * hour / 2) for place in (0, 1, 2, 3)]
    view = newest_of(frame, timedelta(0), hour)
    assert [row["now_whole"] for row in joined(local(labels(asked)), view)] == [None, 0, 0, 1]


def view_of_local_times(texts: list[str], ambiguous: Ambiguous = "raise") -> ViewRows:
    """A view by a function that reads times without a zone as those of New York."""

    def read(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.with_columns(pl.col("at").dt.replace_time_zone(ZONE, ambiguous=ambiguous))

    frame = pl.LazyFrame({"who": ["a"] * len(texts), "at": texts, "value": range(len(texts))})
    when = terms("view", "who")
    recipe = computed("view", 1, read, "at", None)
    rows = recipe.rows([frame.with_columns(pl.col("at").str.to_datetime(time_unit="us"))], when)
    return ViewRows("view", rows, ("who",), ("who",), recipe.features(rows.columns, when))


@pytest.mark.parametrize("text", ["2024-11-03 01:30:00", "2024-03-10 02:30:00"])
def test_a_time_without_a_zone_that_may_be_two_or_none_is_refused(text: str) -> None:
    """It is never guessed: whoever knows says which it is."""
    with pytest.raises(HeadraceError) as caught:
        view_of_local_times(["2024-11-03 00:30:00", text])
    assert caught.value.code == "HR423"
    assert text in str(caught.value)


def test_the_later_of_two_is_the_one_that_is_not_seen_too_early() -> None:
    view = view_of_local_times(["2024-11-03 01:30:00"], ambiguous="latest")
    labels = pl.DataFrame({"who": ["a", "a"], "asked": [TWICE + 59 * MINUTE, TWICE + 61 * MINUTE]})
    assert point_in_time(labels, [view], cutoff="asked")["value"].to_list() == [None, 0]


@given(rows_of_a_table, asked_of, st.integers(0, 99), delays, ttls)
def test_rows_in_any_order_give_the_same(
    rows: list[Row], asked: list[tuple[Entity, Any]], seed: int, delay: timedelta, ttl: timedelta | None
) -> None:
    """Of the table, and of the view itself: rows of a view that are out of order are put in order, ties in theirs."""
    apart = [replace(row, event_time=TWICE + place * MINUTE) for place, row in enumerate(rows)]
    mixed = random.Random(seed).sample(apart, len(apart))  # noqa: S311 - hypothesis chose the seed
    frame, features = labels(asked), exact()
    straight = joined(frame, windows_of(table(apart), delay, features), newest_of(table(apart), delay, ttl))
    assert straight == joined(frame, windows_of(table(mixed), delay, features), newest_of(table(mixed), delay, ttl))
    late = windows_of(table(apart), delay, features)
    runs = late.rows.lazy().collect()
    upside = pl.concat([runs.filter(pl.col("_visible_at") >= MISSING), runs.filter(pl.col("_visible_at") < MISSING)])
    shuffled = replace(late, rows=upside.sort("_visible_at", descending=True, maintain_order=True))
    assert joined(frame, late) == joined(frame, shuffled)
