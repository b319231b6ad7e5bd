"""No training row's label was known later than a model could have been trained to score the first held-out row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.models.split import LEAST_ROWS, LabelColumns, TimeSplit, divide, labelled, time_split
from headrace.ports.canonical import digest_of

COLUMNS = LabelColumns("late", "scheduled_at", "departed_at", ("flight_id",))
START = datetime(2013, 1, 1, tzinfo=UTC)

hours = st.integers(0, 24 * 30)
rows_of = st.lists(
    st.tuples(hours, st.none() | st.integers(-48, 24 * 10), st.none() | st.booleans()), min_size=30, max_size=120
)


def frame(rows: list[tuple[int, int | None, bool | None]]) -> pl.DataFrame:
    """Rows of (hours until the event, hours from the event until the label is known, label)."""
    return pl.DataFrame(
        {
            "flight_id": range(len(rows)),
            "scheduled_at": [START + timedelta(hours=event) for event, _, _ in rows],
            "departed_at": [
                None if delay is None else START + timedelta(hours=event + delay) for event, delay, _ in rows
            ],
            "late": [label for _, _, label in rows],
        },
        schema={
            "flight_id": pl.Int64,
            "scheduled_at": pl.Datetime("us", "UTC"),
            "departed_at": pl.Datetime("us", "UTC"),
            "late": pl.Boolean,
        },
    )


@given(rows_of, st.integers(1, 24 * 20), st.integers(0, 48))
def test_laws_of_the_split(rows: list[tuple[int, int | None, bool | None]], holdout: int, lead: int) -> None:
    known = labelled(frame(rows).lazy(), COLUMNS)
    assert len(known) == sum(label is not None and delay is not None for _, delay, label in rows)
    try:
        parts = divide(known, COLUMNS, time_split(f"{holdout}h"), timedelta(hours=lead))
    except HeadraceError as error:
        if error.code != "HR512":
            raise
        return
    newest = known["scheduled_at"].max()
    assert isinstance(newest, datetime)
    assert parts.boundary == newest - timedelta(hours=holdout)
    assert parts.cutoff == parts.boundary - timedelta(hours=lead)
    train, held = set(parts.train["flight_id"]), set(parts.holdout["flight_id"])
    for row in known.iter_rows(named=True):
        past = row["scheduled_at"] <= parts.boundary
        assert (row["flight_id"] in held) == (not past)
        assert (row["flight_id"] in train) == (past and row["departed_at"] < parts.cutoff)
    assert parts.skipped == len(known) - len(train) - len(held)
    assert min(len(train), len(held)) >= LEAST_ROWS


@given(rows_of, st.integers(0, 10**6))
def test_the_order_of_rows_does_not_matter(rows: list[tuple[int, int | None, bool | None]], seed: int) -> None:
    one = frame(rows)
    other = one.sample(fraction=1.0, shuffle=True, seed=seed)
    assert labelled(one.lazy(), COLUMNS).equals(labelled(other.lazy(), COLUMNS))


def regular(count: int = 100) -> pl.DataFrame:
    return frame([(hour, 1, hour % 3 == 0) for hour in range(count)])


def test_without_known_at_a_label_is_known_at_its_event() -> None:
    columns = LabelColumns("late", "scheduled_at", None, ("flight_id",))
    parts = divide(labelled(regular().lazy(), columns), columns, time_split("20h"), timedelta(hours=5))
    assert parts.train["flight_id"].to_list() == list(range(74))  # up to 5 h before hour 79
    assert parts.holdout["flight_id"].to_list() == list(range(80, 100))
    assert parts.skipped == 6


@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_any_zone_and_unit(zone: str | None) -> None:
    rows = regular(24 * 140)  # from January into May: over the change to summer time
    for unit in ("ms", "us", "ns"):
        moved = rows.with_columns(
            pl.col("scheduled_at", "departed_at").dt.convert_time_zone(zone or "UTC").dt.cast_time_unit(unit)
        )
        if zone is None:
            moved = moved.with_columns(pl.col("scheduled_at", "departed_at").dt.replace_time_zone(None))
        one, other = (
            divide(labelled(each.lazy(), COLUMNS), COLUMNS, time_split("70d"), timedelta(0)) for each in (rows, moved)
        )
        assert one.train["flight_id"].to_list() == other.train["flight_id"].to_list()
        assert one.holdout["flight_id"].to_list() == other.holdout["flight_id"].to_list()


def test_dates_are_times() -> None:
    columns = LabelColumns("late", "day", None, ())
    rows = pl.DataFrame({"day": [START.date() + timedelta(days=day) for day in range(40)], "late": [True, False] * 20})
    parts = divide(labelled(rows.lazy(), columns), columns, time_split("10d"), timedelta(0))
    assert (len(parts.train), len(parts.holdout), parts.skipped) == (29, 10, 1)


def test_nan_is_no_known_label() -> None:
    columns = LabelColumns("delay", "at", None, ())
    rows = pl.DataFrame({"at": [START, START, START], "delay": [1.0, float("nan"), None]})
    assert labelled(rows.lazy(), columns)["delay"].to_list() == [1.0]


@pytest.mark.parametrize("rows", [0, 5, 15])
def test_too_few_rows_are_refused(rows: int) -> None:
    with pytest.raises(HeadraceError, match="HR512"):
        divide(labelled(regular(rows).lazy(), COLUMNS), COLUMNS, time_split("7h"), timedelta(0))


def test_time_split_is_a_value() -> None:
    assert time_split("14d") == time_split(timedelta(days=14)) == TimeSplit(timedelta(days=14))
    assert digest_of(time_split("14d")) != digest_of(time_split("15d"))
    assert str(time_split("36h")) == "time_split(holdout='1d12h')"
    for code, wrong in (("HR503", "0s"), ("HR110", "a while"), ("HR110", "-3d")):
        with pytest.raises(HeadraceError, match=code):
            time_split(wrong)
