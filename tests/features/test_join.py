"""The join on single cases that can be read off: boundaries, types, precision, mistakes."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from headrace.errors import HeadraceError
from headrace.features.aggregates import Aggregate, Count, Latest, Mean, Newest, Total
from headrace.features.join import ViewRows, point_in_time
from tests.features.building import MOMENT, aggregates, labels, newest_of, table, windows_of
from tests.features.oracle import MINUTE, START, Row

DAY = timedelta(days=1)


def at(minutes: float) -> datetime:
    return START + minutes * MINUTE


def view(visible: list[datetime | None], values: list[Any], features: dict[str, Aggregate]) -> ViewRows:
    """Rows of the entity "a" that become visible at these moments."""
    rows = pl.DataFrame(
        {"shop": ["a"] * len(values), "_visible_at": visible, "value": values},
        schema_overrides={"shop": pl.String, "_visible_at": MOMENT},
    )
    return ViewRows("history", rows, ("shop",), ("shop",), features)


def asked(*moments: datetime | None) -> pl.DataFrame:
    return pl.DataFrame(
        {"shop": ["a"] * len(moments), "cutoff": moments}, schema_overrides={"shop": pl.String, "cutoff": MOMENT}
    )


def column(labels: pl.DataFrame, side: ViewRows, name: str = "f") -> list[Any]:
    return point_in_time(labels, [side], cutoff="cutoff")[name].to_list()


def code_of(labels: pl.DataFrame, *views: ViewRows, cutoff: str = "cutoff") -> str:
    with pytest.raises(HeadraceError) as caught:
        point_in_time(labels, views, cutoff=cutoff)
    return caught.value.code


def test_a_row_is_seen_strictly_after_it_became_visible() -> None:
    newest = view([at(5)], [1], {"f": Newest("value", None)})
    assert column(asked(at(5), at(5) + timedelta(microseconds=1)), newest) == [None, 1]


def test_a_row_is_seen_up_to_the_end_of_its_ttl() -> None:
    newest = view([at(5)], [1], {"f": Newest("value", 3 * MINUTE)})
    assert column(asked(at(8), at(8) + timedelta(microseconds=1)), newest) == [1, None]


def test_an_older_row_does_not_come_back_when_the_newer_one_ends() -> None:
    newest = view([at(5), at(6)], [1, 2], {"f": Newest("value", 3 * MINUTE)})
    assert column(asked(at(6), at(7), at(9), at(10)), newest) == [1, 2, 2, None]


def test_the_latest_value_is_the_newest_that_is_not_missing() -> None:
    for values, expected in (([1.5, None], 1.5), ([1.5, math.nan], 1.5), ([None, 2.5], 2.5), ([None, None], None)):
        features = {"f": Latest("value", 5 * MINUTE), "newest": Newest("value", 5 * MINUTE)}
        side = view([at(1), at(2)], values, features)
        assert column(asked(at(3)), side) == [expected]
        if None in values:
            assert column(asked(at(3)), side, "newest") == values[1:]
        assert column(asked(at(1)), side) == [None]
    side = view([at(1), at(2)], [1.5, None], {"f": Latest("value", 5 * MINUTE)})
    assert column(asked(at(6), at(7)), side) == [1.5, None]


def test_a_window_shrinks_although_no_row_arrives() -> None:
    counted = view([at(0), at(1), at(2)], [0, 0, 0], {"f": Count(None, 3 * MINUTE)})
    assert column(asked(at(0), at(1), at(2), at(3), at(4), at(5), at(6)), counted) == [0, 1, 2, 3, 2, 1, 0]


def test_of_rows_that_become_visible_together_the_later_event_is_newer_then_the_later_row() -> None:
    def row(event: float, text: str) -> Row:
        return Row(("a", "x"), at(event), at(9), {"whole": 1, "real": 1.0, "flag": True, "text": text})

    frame = labels([(("a", "x"), at(10))])
    for rows, expected in (
        ([row(3, "late"), row(1, "early")], "late"),
        ([row(1, "early"), row(3, "late")], "late"),
        ([row(3, "first"), row(3, "second"), row(1, "early")], "second"),
    ):
        newest = newest_of(table(rows), timedelta(0), None)
        latest = windows_of(table(rows), timedelta(0), {"latest": Latest("text", None)})
        found = point_in_time(frame, [newest, latest], cutoff="cutoff")
        assert (found["now_text"].item(), found["latest"].item()) == (expected, expected)


def test_rows_that_arrive_unsorted_are_sorted() -> None:
    newest = view([at(5), None, at(1), at(3)], [5, 9, 1, 3], {"f": Newest("value", None)})
    assert column(asked(at(4), at(6), at(2), at(0)), newest) == [3, 5, 1, None]


def test_every_label_row_comes_out_once_in_its_place() -> None:
    frame = pl.DataFrame(
        {"shop": ["a", "?", None, "a", "a"], "cutoff": [at(9), at(9), at(9), None, at(9)], "id": [3, 1, 4, 1, 5]}
    )
    features = {"n": Count(None, None), "f": Newest("value", None), "t": Total("value", None)}
    found = point_in_time(frame.lazy(), [view([at(1)] * 3, [7, 8, 9], features)], cutoff="cutoff")
    assert found.select(frame.columns).equals(frame)
    assert found.select("n", "f", "t").rows() == [(3, 9, 24), (0, None, 0), (None,) * 3, (None,) * 3, (3, 9, 24)]


def test_types_are_those_that_the_features_declare() -> None:
    rows = [Row(("a", "x"), at(1), at(1), {"whole": 1, "real": 1.0, "flag": True, "text": "p"})]
    frame = labels([(("a", "x"), at(2))])
    for given in (rows, []):  # an empty table has the same columns
        side = windows_of(table(given), timedelta(0), aggregates())
        for asked_for in (frame, frame.clear()):
            found = point_in_time(asked_for, [side], cutoff="cutoff").schema
            kinds = table([]).schema
            assert {name: str(found[name]) for name in side.features} == {
                name: each.type_of(str(kinds[each.column]) if each.column else "")
                for name, each in side.features.items()
            }


def test_empty_features_and_empty_labels() -> None:
    features = {"n": Count(None, DAY), "m": Mean("value", DAY), "t": Total("value", DAY), "l": Latest("value", DAY)}
    empty = view([], [], features)
    empty = replace(empty, rows=empty.rows.lazy().with_columns(pl.col("value").cast(pl.Float64)))
    assert point_in_time(asked(at(1)), [empty], cutoff="cutoff").select(*features).rows() == [(0, None, 0.0, None)]
    assert point_in_time(asked(), [empty], cutoff="cutoff").is_empty()
    full = view([at(0)], [1.0], features)
    assert point_in_time(asked(), [full], cutoff="cutoff").columns == ["shop", "cutoff", "n", "m", "t", "l"]
    assert point_in_time(asked(at(1)), [], cutoff="cutoff").equals(asked(at(1)))


def test_small_values_survive_next_to_large_ones() -> None:
    """Running sums of floats would say 0.0 for the last three."""
    values = [1e15, 0.1, 0.2, 0.3]
    side = view([at(n) for n in range(4)], values, {"f": Total("value", 3 * MINUTE), "m": Mean("value", 3 * MINUTE)})
    exact = math.fsum(values[1:])
    assert column(asked(at(4)), side) == [exact]
    assert column(asked(at(4)), side, "m") == [exact / 3]


def test_a_single_infinite_value_does_not_spoil_the_others() -> None:
    side = view(
        [at(n) for n in range(3)], [math.inf, math.nan, 2.5], {"f": Mean("value", None), "n": Count(None, None)}
    )
    assert column(asked(at(1), at(2), at(3)), side) == [None, None, 2.5]
    assert column(asked(at(3)), side, "n") == [3]


def test_a_mean_is_finite_where_the_sum_is_not() -> None:
    side = view([at(0), at(1)], [1.5e308, 1.5e308], {"f": Mean("value", None)})
    assert column(asked(at(2)), side) == [1.5e308]


def test_totals_of_integers_are_exact_up_to_64_bits_and_refused_beyond() -> None:
    big = 2**62
    side = view([at(n) for n in range(4)], [big, big, -big, 7], {"f": Total("value", 2 * MINUTE)})
    assert column(asked(at(1), at(3), at(4)), side) == [big, 0, 7 - big]
    with pytest.raises(HeadraceError, match=str(2**63)) as caught:
        column(asked(at(2)), side)
    assert caught.value.code == "HR456"


def test_an_entity_of_several_columns_is_compared_as_a_whole() -> None:
    rows = [
        Row((shop, till), at(1), at(1), {"whole": n, "real": None, "flag": None, "text": None})
        for n, (shop, till) in enumerate([("a", "x"), ("a", "y"), ("b", "x")])
    ]
    frame = labels([(key, at(2)) for key in [("b", "x"), ("a", "x"), ("a", "y"), ("b", "y"), ("a", None)]])
    found = point_in_time(frame, [newest_of(table(rows), timedelta(0), None)], cutoff="cutoff")
    assert found["now_whole"].to_list() == [2, 0, 1, None, None]


def test_one_view_can_be_joined_twice_by_other_columns() -> None:
    side = view([at(1)], [7], {"f": Newest("value", None)})
    frame = asked(at(2)).with_columns(pl.lit("b").alias("other"))
    other = replace(side, on=("other",), prefix="other_")
    found = point_in_time(frame, [side, other], cutoff="cutoff")
    assert found.select("f", "other_f").rows() == [(7, None)]
    assert other.columns() == ("other_f",)


@pytest.mark.parametrize("kind", [pl.Int8, pl.Int64, pl.UInt32, pl.UInt64])
def test_integers_of_every_width_name_the_same_entity(kind: type[pl.DataType]) -> None:
    side = view([at(1)], [7], {"f": Newest("value", None)})
    side = replace(side, rows=side.rows.lazy().with_columns(pl.lit(3, dtype=pl.Int16).alias("shop")))
    assert column(asked(at(2)).with_columns(pl.lit(3, dtype=kind).alias("shop")), side) == [7]


def test_categories_and_texts_name_the_same_entity() -> None:
    side = view([at(1)], [7], {"f": Newest("value", None)})
    for kind in (pl.Categorical(), pl.Enum(["b", "a"])):
        assert column(asked(at(2)).with_columns(pl.col("shop").cast(kind)), side) == [7]


@pytest.mark.parametrize(
    "cutoffs",
    [
        pl.Series([datetime(2024, 3, 2), datetime(2024, 3, 1)], dtype=pl.Datetime("ms")),  # noqa: DTZ001 - naive
        pl.Series([date(2024, 3, 2), date(2024, 3, 1)]),
        pl.Series([datetime(2024, 3, 2, tzinfo=UTC), START]).dt.convert_time_zone("America/New_York"),
        pl.Series([datetime(2024, 3, 2, tzinfo=UTC), START]).dt.cast_time_unit("ns"),
    ],
)
def test_a_cutoff_may_be_any_moment(cutoffs: pl.Series) -> None:
    frame = asked(at(0), at(0)).with_columns(cutoffs.alias("cutoff"))
    side = view([START], [7], {"f": Newest("value", None)})
    found = point_in_time(frame, [side], cutoff="cutoff")
    assert found["f"].to_list() == [7, None]
    assert found["cutoff"].dtype == cutoffs.dtype


def test_nanoseconds_never_let_a_row_be_seen_too_early() -> None:
    """In whole microseconds the row would be visible at 0 and the label cut off at 1."""
    base = pl.Series([START]).dt.cast_time_unit("ns")
    side = view([START], [7], {"f": Newest("value", None)})
    nanoseconds = pl.duration(nanoseconds=pl.lit(700))
    late = replace(
        side,
        rows=side.rows.lazy().with_columns((pl.lit(base.first()).cast(base.dtype) + nanoseconds).alias("_visible_at")),
    )
    for ahead, expected in ((600, None), (900, None), (1000, None), (2000, 7)):
        frame = asked(START).with_columns(base.alias("cutoff") + pl.duration(nanoseconds=pl.lit(ahead)))
        assert column(frame, late) == [expected]


def test_before_1970_too() -> None:
    old = datetime(1950, 1, 1, 12, 0, 0, 500, tzinfo=UTC)
    side = view([old], [7], {"f": Newest("value", MINUTE), "n": Count(None, MINUTE)})
    assert column(asked(old, old + MINUTE, old + 2 * MINUTE), side) == [None, 7, None]
    for_ever = view([old], [7], {"f": Newest("value", None)})
    assert column(asked(None, START), for_ever) == [None, 7]  # a missing cut-off is no moment, 1970 neither


def test_a_history_of_centuries_is_counted_whole() -> None:
    ends = [datetime(1700, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)]
    side = view([*ends], [1, 2], {"f": Count(None, timedelta(days=500 * 366))})
    assert column(asked(ends[1] + MINUTE), side) == [2]


def test_mistakes_in_the_labels_are_coded() -> None:
    side = view([at(1)], [7], {"f": Newest("value", None)})
    frame = asked(at(2))
    with pytest.raises(HeadraceError, match="cutof") as caught:
        point_in_time(frame, [side], cutoff="cutof")
    assert caught.value.code == "HR452"
    assert caught.value.fix == "Did you mean 'cutoff'?"
    assert code_of(frame.drop("shop"), side) == "HR452"
    assert code_of(frame.with_columns(shop=pl.lit(3)), side) == "HR453"
    assert code_of(frame.with_columns(f=pl.lit(3)), side) == "HR454"
    assert code_of(frame, side, side) == "HR454"
    assert code_of(frame, side, cutoff="shop") == "HR455"
