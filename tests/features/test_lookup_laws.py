"""The online look-up against the offline join, on rows of every awkward kind, for every moment from the horizon on."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.features import lookup, packing
from headrace.features.aggregates import Count, Latest, Newest, Total
from headrace.features.join import ViewRows, point_in_time
from headrace.features.packed import Header
from tests.features.building import OVERS, VALUES, aggregates, newest_of, table, windows_of
from tests.features.oracle import MINUTE, START, Row
from tests.features.shelves import header_of, opened
from tests.features.test_join_laws import delays, rows_of_a_table, ttls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SECOND = 1_000_000
moments = st.integers(0, 40).map(lambda minutes: START + minutes * MINUTE)
graces = st.sampled_from([0, 60 * SECOND, 5 * 60 * SECOND])
entities = st.sampled_from([("a", "x")] * 4 + [("a", "y"), ("b", "x"), (None, "x"), ("zzz", "x")])
asked_of = st.lists(st.tuples(entities, moments), max_size=12)


def micros(moment: datetime) -> int:
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def agreed(
    view: ViewRows, asked: Sequence[tuple[tuple[Any, ...], datetime]], kinds: Sequence[pl.DataType], grace: int
) -> int:
    """Look up what lies at or after the horizon, compare with the offline join; how many rows that were."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "GRACE", grace)
        online = opened(view)
    horizon = online.header.horizon
    asked = [(entity, cutoff) for entity, cutoff in asked if horizon is None or micros(cutoff) >= horizon]
    keys = {name: pl.Series([e[place] for e, _ in asked], dtype=kinds[place]) for place, name in enumerate(view.on)}
    frame = pl.DataFrame({**keys, "cutoff": pl.Series([c for _, c in asked], dtype=pl.Datetime("us", "UTC"))})
    offline = point_in_time(frame, [view], cutoff="cutoff").select(view.columns()).to_dicts()
    where = [entity for entity, _ in asked], [micros(cutoff) for _, cutoff in asked]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup, "KEPT", 0)
        first, _ = online.lookup(*where)
        again, _ = online.lookup(*where)  # the forms of the entries are known then
    for row, (mine, theirs) in enumerate(zip(first + again, offline + offline, strict=True)):
        for name, value in mine.items():
            wanted = theirs[view.prefix + name]
            assert same(value, wanted), (asked[row % len(asked)], name, value, wanted)
    return len(asked)


def same(found: object, expected: object) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        return found == expected or (math.isnan(found) and math.isnan(expected))
    return found == expected and type(found) is type(expected)


@given(rows_of_a_table, asked_of, delays, graces)
def test_windows_are_what_the_join_gives_to_the_last_bit(
    rows: list[Row], asked: list[Any], delay: timedelta, grace: int
) -> None:
    agreed(windows_of(table(rows), delay, aggregates()), asked, [pl.String()] * 2, grace)


@given(rows_of_a_table, asked_of, delays, graces)
def test_windows_alone_keep_no_more_than_they_reach(
    rows: list[Row], asked: list[Any], delay: timedelta, grace: int
) -> None:
    features = {name: each for name, each in aggregates().items() if each.over == OVERS["short"]}
    agreed(windows_of(table(rows), delay, features), asked, [pl.String()] * 2, grace)


@given(rows_of_a_table, asked_of, delays, ttls, graces)
def test_the_newest_row_is_what_the_join_gives(
    rows: list[Row], asked: list[Any], delay: timedelta, ttl: timedelta | None, grace: int
) -> None:
    agreed(newest_of(table(rows), delay, ttl), asked, [pl.String()] * 2, grace)


@given(rows_of_a_table, asked_of, graces)
def test_both_kinds_of_the_last_value_side_by_side(rows: list[Row], asked: list[Any], grace: int) -> None:
    features = {
        f"{kind.word}_{name}_{over}": kind(name, length)
        for kind in (Newest, Latest)
        for name in VALUES
        for over, length in OVERS.items()
    }
    agreed(windows_of(table(rows), MINUTE, features), asked, [pl.String()] * 2, grace)


@given(rows_of_a_table, asked_of, delays, graces)
def test_numbers_that_are_taken_together(rows: list[Row], asked: list[Any], delay: timedelta, grace: int) -> None:
    numbers = [name for name, dtype in table(rows).schema.items() if name in VALUES and dtype.is_numeric()]
    assert len(numbers) > 1
    features = {f"{name}_{over}": Newest(name, length) for name in numbers for over, length in OVERS.items()}
    agreed(windows_of(table(rows), delay, features), asked, [pl.String()] * 2, grace)


@given(rows_of_a_table, st.lists(st.tuples(entities, moments), max_size=8), delays)
def test_seen_is_the_newest_row_before_the_cut_off(rows: list[Row], asked: list[Any], delay: timedelta) -> None:
    view = windows_of(table(rows), delay, {"count": Count(None, OVERS["short"])})
    online = opened(view)
    _, seen = online.lookup([entity for entity, _ in asked], [micros(cutoff) for _, cutoff in asked])
    visible = [(row.entity, micros(row.known_at + delay)) for row in rows if row.known_at is not None]
    for (entity, cutoff), found in zip(asked, seen, strict=True):
        times = [time for whose, time in visible if whose == entity and time < micros(cutoff) and None not in entity]
        assert found == max(times, default=None)


KINDS: dict[str, tuple[pl.DataType, list[Any]]] = {
    "text": (pl.String(), ["", "a", "ä" * 400, "b" * 700, None]),
    "whole": (pl.Int64(), [0, 1, -1, 2**62, None]),
    "small": (pl.Int16(), [0, 1, -1, None]),
    "large": (pl.UInt64(), [0, 2**64 - 1, None]),
    "flag": (pl.Boolean(), [True, False, None]),
    "day": (pl.Date(), [date(2024, 2, 29), date(1960, 1, 1), None]),
    "moment": (pl.Datetime("us", "UTC"), [START, START + MINUTE, None]),
    "choice": (pl.Enum(["p", "q"]), ["p", "q", None]),
}


@given(st.data())
def test_entities_of_every_type(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=3, unique=True))
    entity = st.tuples(*(st.sampled_from(KINDS[name][1]) for name in names))
    rows = data.draw(st.lists(st.tuples(entity, moments, st.none() | st.integers(-3, 3)), max_size=15))
    columns = {
        name: pl.Series([e[place] for e, _, _ in rows], dtype=KINDS[name][0]) for place, name in enumerate(names)
    }
    times = pl.Series([moment for _, moment, _ in rows], dtype=pl.Datetime("us", "UTC"))
    values = pl.Series([value for _, _, value in rows], dtype=pl.Int64)
    frame = pl.DataFrame({**columns, "_visible_at": times, "value": values})
    features = {"n": Count(None, None), "sum": Total("value", OVERS["long"]), "last": Latest("value", None)}
    view = ViewRows("view", frame, tuple(names), tuple(names), features)
    asked = data.draw(st.lists(st.tuples(entity, moments), max_size=8))
    agreed(view, asked, [KINDS[name][0] for name in names], 0)


OF_EVERY_TYPE = {
    "text": pl.Series(["a", None, "", "é"]),
    "category": pl.Series(["a", None, "b", "a"], dtype=pl.Categorical()),
    "small": pl.Series([1, None, -3, 4], dtype=pl.Int8),
    "single": pl.Series([1.5, None, 0.1, math.inf], dtype=pl.Float32),
    "real": pl.Series([1.5, math.nan, 0.1, -math.inf]),
    "flag": pl.Series([True, None, False, True]),
    "day": pl.Series([date(2024, 2, 29), None, date(1960, 1, 1), date(1, 1, 1)]),
    "local": pl.Series([START, None, START + MINUTE, START], dtype=pl.Datetime("ms", "Europe/Berlin")),
    "plain": pl.Series([datetime(2024, 1, 1), None, datetime(1960, 1, 1, 1, 1, 1, 5), None], dtype=pl.Datetime("us")),  # noqa: DTZ001 - a time without a zone is what is tried
}


@pytest.mark.parametrize("kind", [Newest, Latest])
@pytest.mark.parametrize("over", [None, 2 * MINUTE])
def test_values_of_every_type(kind: type[Newest | Latest], over: timedelta | None) -> None:
    times = pl.Series([START + place * MINUTE for place in range(4)], dtype=pl.Datetime("us", "UTC"))
    frame = pl.DataFrame({"who": ["w"] * 4, "_visible_at": times, **OF_EVERY_TYPE})
    view = ViewRows("view", frame, ("who",), ("who",), {name: kind(name, over) for name in OF_EVERY_TYPE})
    asked = [(("w",), START + place * MINUTE / 2) for place in range(-1, 12)]
    assert agreed(view, asked, [pl.String()], 0) == 6
    assert agreed(view, asked, [pl.String()], 600 * SECOND) == len(asked)


def rising() -> Iterator[Row]:
    values = {"whole": 2**62, "real": 0.1, "flag": True, "text": "p"}
    for minute in range(6):
        yield Row(("a", "x"), START + minute * MINUTE, START + minute * MINUTE, values)


def test_a_total_beyond_64_bits_is_refused_as_the_join_refuses_it() -> None:
    view = windows_of(table(list(rising())), timedelta(0), {"sum": Total("whole", None)})
    online = opened(view)
    with pytest.raises(HeadraceError) as caught:
        online.lookup([("a", "x")], [micros(START + 9 * MINUTE)])
    assert caught.value.code == "HR456"
    assert "27670116110564327424" in caught.value.what


def test_rows_that_are_visible_only_later_are_counted_when_they_are() -> None:
    """As after a delay: the view is made before its newest row is visible, and asked about then already."""
    rows = [replace(row, known_at=row.known_at) for row in rising()]
    view = windows_of(table(rows), timedelta(hours=5), {"n": Count(None, None), "n3": Count(None, OVERS["short"])})
    online = opened(view, micros(START + timedelta(hours=5)))
    start = START + timedelta(hours=5)
    for minute, (whole, short) in enumerate([(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (5, 3), (6, 3), (6, 2)]):
        found, _ = online.lookup([("a", "x")], [micros(start + minute * MINUTE)])
        assert found == [{"n": whole, "n3": short}]


def test_a_generation_without_the_later_aggregates_is_spelled_as_the_first_ones_were() -> None:
    """So that what is filled already is read, and views that did not change are not filled again."""
    early = {name: each for name, each in aggregates().items() if each.word in ("count", "mean", "total", "latest")}
    for features, width in ((early, 7), (aggregates(), 11)):
        header = header_of(windows_of(table(list(rising())), timedelta(0), features))
        body = json.loads(header.encoded())
        assert {len(each) for each in body["columns"]} == {width}
        assert Header.decoded(header.encoded(), "") == header
