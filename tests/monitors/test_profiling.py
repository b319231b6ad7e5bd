"""Profiles: what is counted, that profiles can be merged, and awkward frames."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.monitors import profiling
from headrace.monitors.counts import SEEN, CategoryCounts, NumberCounts, Profile, merge_counts
from headrace.monitors.profiling import batches_profile, profiled, reference_profile, window_profile
from headrace.monitors.sketches import RANK_ERROR

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SPECIAL = st.sampled_from([math.nan, math.inf, -math.inf, 1e300, 0.0, 1.0, 2.0])
NUMBERS = st.lists(st.none() | st.floats(-1e6, 1e6) | SPECIAL, max_size=40)
TEXTS = st.lists(st.none() | st.sampled_from(["a", "b", "c", "d", "e", ""]), max_size=40)


def frame(numbers: Sequence[float | None], texts: Sequence[str | None] | None = None) -> pl.DataFrame:
    rows = min(len(numbers), len(numbers if texts is None else texts))
    texts = ([None] * rows if texts is None else texts)[:rows]
    return pl.DataFrame({"x": pl.Series(numbers[:rows], dtype=pl.Float64), "t": pl.Series(texts, dtype=pl.String)})


def number(profile: Profile, name: str = "x") -> NumberCounts:
    counts = profile.columns[name]
    assert isinstance(counts, NumberCounts)
    return counts


def category(profile: Profile, name: str = "t") -> CategoryCounts:
    counts = profile.columns[name]
    assert isinstance(counts, CategoryCounts)
    return counts


def same(one: Profile, two: Profile) -> bool:
    """Equal counts, and moments within 1e-9."""
    x, y = number(one), number(two)
    scale = 1e-9 * max(1.0, abs(x.low or 0), abs(x.high or 0))
    assert (x.edges, x.cells, x.below, x.above) == (y.edges, y.cells, y.below, y.above)
    assert (x.nulls, x.nans, x.infinite, x.low, x.high) == (y.nulls, y.nans, y.infinite, y.low, y.high)
    assert x.mean == pytest.approx(y.mean, rel=1e-9, abs=scale)
    assert x.m2 == pytest.approx(y.m2, rel=1e-9, abs=scale * scale)
    assert x.beyond == pytest.approx(y.beyond, rel=1e-9, abs=scale)
    assert x.distinct == y.distinct
    return one.rows == two.rows and category(one) == category(two)


@given(NUMBERS, NUMBERS, st.integers(1, 12))
def test_counts_are_those_of_the_definition(numbers: list[float | None], others: list[float | None], bins: int) -> None:
    reference = reference_profile(frame(others), bins=bins)
    found = number(window_profile(frame(numbers), reference))
    finite = [each for each in numbers if each is not None and abs(each) <= 1e140]
    edges = found.edges
    low, high = (edges[0], edges[-1]) if edges else (-math.inf, -math.inf)
    cells = [
        sum(left < each <= right or (place == 0 and each == left) for each in finite)
        for place, (left, right) in enumerate(pairwise(edges))
    ]
    assert list(found.cells) == cells
    assert (found.below, found.above) == (sum(x < low for x in finite), sum(x > high for x in finite))
    assert found.nulls == numbers.count(None)
    assert found.nans == sum(each is not None and math.isnan(each) for each in numbers)
    assert found.infinite == sum(each is not None and abs(each) > 1e140 for each in numbers)
    assert found.rows == len(numbers)
    assert (found.low, found.high) == (min(finite, default=None), max(finite, default=None))
    assert found.mean == pytest.approx(np.mean(finite) if finite else 0, rel=1e-9, abs=1e-6)
    assert found.m2 == pytest.approx(len(finite) * np.var(finite) if finite else 0, rel=1e-9, abs=1e-3)


@given(NUMBERS, st.integers(1, 12))
def test_a_reference_has_nothing_outside_its_own_edges(numbers: list[float | None], bins: int) -> None:
    found = number(reference_profile(frame(numbers), bins=bins))
    assert (found.below, found.above, found.beyond) == (0, 0, (0.0, 0.0))
    assert len(found.cells) <= bins
    assert list(found.edges) == sorted(found.edges)
    if found.edges:
        assert (found.edges[0], found.edges[-1]) == (found.low, found.high)


@given(NUMBERS, TEXTS, st.integers(0, 40), st.integers(0, 40))
def test_a_day_is_the_merge_of_its_hours(
    numbers: list[float | None], texts: list[str | None], cut: int, other: int
) -> None:
    whole = frame(numbers, texts)
    reference = reference_profile(frame([-5.0, 0.0, 1.0, 2.0, 100.0], ["a", "b", "c", "a", None]), bins=4, top=2)
    first, second = sorted((cut, other))
    a, b, c = (
        window_profile(part, reference) for part in (whole[:first], whole[first:second], whole[max(first, second) :])
    )
    assert same(a.merge(b).merge(c), window_profile(whole, reference))
    assert same(a.merge(b).merge(c), a.merge(b.merge(c)))
    assert same(a.merge(b), b.merge(a))


@given(NUMBERS, TEXTS, NUMBERS)
def test_a_profile_survives_json(
    numbers: list[float | None], texts: list[str | None], others: list[float | None]
) -> None:
    reference = reference_profile(frame(numbers, texts))
    window = window_profile(frame(others), reference)
    for profile in (reference, window):
        text = json.dumps(profile.to_json(), allow_nan=False)
        assert Profile.from_json(json.loads(text)) == profile


@given(st.lists(st.tuples(NUMBERS, TEXTS), max_size=5))
def test_a_profile_of_batches_is_that_of_all_rows(parts: list[tuple[list[float | None], list[str | None]]]) -> None:
    reference = reference_profile(frame([-5.0, 0.0, 1.0, 2.0, 100.0], ["a", "b", "c", "a", None]), bins=4, top=2)
    frames = [frame(numbers, texts) for numbers, texts in parts]
    whole = pl.concat([frame([]), *frames])
    assert same(batches_profile(iter(frames), reference), window_profile(whole, reference))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.sampled_from([0.0, 1e4, -1e9]), st.booleans())
def test_moments_are_exact_far_from_zero(values: list[float], far: float, near_reference: bool) -> None:
    """Whether the reference lies there as well, so that it is known beforehand, or not."""
    moved = [far + each for each in values]
    reference = reference_profile(frame([-1.0, 0.0, 1.0] if near_reference else moved))
    found = number(window_profile(frame(moved), reference))
    assert found.mean == pytest.approx(np.mean(moved), rel=1e-12, abs=1e-12)
    rounding = len(moved) * 1e-15 * max(map(abs, moved))
    assert found.m2 == pytest.approx(len(moved) * np.var(moved), rel=1e-9, abs=rounding + 1e-12)


def test_wide_scans_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random, rows = np.random.default_rng(2), 2_000
    columns: dict[str, object] = {f"c{place}": random.normal(size=rows) for place in range(12)}
    columns |= {"t": random.choice(["a", "b"], rows), "n": pl.Series([None, math.nan, math.inf, 1.0] * (rows // 4))}
    data = pl.DataFrame(columns)
    data.write_parquet(tmp_path / "rows.parquet", row_group_size=300)
    whole = window_profile(data, reference := reference_profile(data))
    monkeypatch.setattr(profiling, "GROUP", 5)
    monkeypatch.setattr(profiling, "BATCH", 250)
    scan = pl.scan_parquet(tmp_path / "rows.parquet")
    pieces, again = window_profile(scan, reference), reference_profile(scan)
    assert pieces.rows == whole.rows == rows
    for name, counts in whole.columns.items():
        for other in (pieces.columns[name], again.columns[name]):
            assert (counts.rows, counts.missing, counts.different) == (other.rows, other.missing, other.different)
            if isinstance(counts, NumberCounts) and isinstance(other, NumberCounts):
                assert (counts.edges, counts.cells, counts.low) == (other.edges, other.cells, other.low)
                assert counts.m2 == pytest.approx(other.m2)
            else:
                assert counts == other


def test_a_scan_that_lacks_all_columns_still_has_rows(tmp_path: Path) -> None:
    pl.DataFrame({"z": [1, 2, 3]}).write_parquet(tmp_path / "rows.parquet")
    found = window_profile(pl.scan_parquet(tmp_path / "rows.parquet"), reference_profile(frame([1.0, 2.0], ["a", "b"])))
    assert (found.rows, number(found).nulls, category(found).nulls) == (3, 3, 3)


def test_sketches_of_a_day_are_those_of_its_hours() -> None:
    random = np.random.default_rng(3)
    values, texts = random.normal(size=48_000), [f"id{each}" for each in random.integers(0, 15_000, 48_000)]
    day = pl.DataFrame({"x": values, "t": texts})
    reference = reference_profile(day)
    hours = [window_profile(each, reference) for each in day.iter_slices(2_000)]
    merged = hours[0]
    for each in hours[1:]:
        merged = merged.merge(each)
    whole = window_profile(day, reference)
    assert (number(merged).distinct, category(merged).distinct) == (number(whole).distinct, category(whole).distinct)
    assert category(whole).seen is None
    assert category(merged).different == pytest.approx(len(set(texts)), rel=0.05)
    assert number(merged).different == pytest.approx(48_000, rel=0.05)
    for counts in (number(merged), number(whole)):
        assert counts.quantiles is not None
        median = counts.quantiles.at([0.5])[0]
        assert median is not None
        assert abs(float((values <= median).mean()) - 0.5) <= RANK_ERROR


def test_sketches_are_kept_where_the_reference_has_them() -> None:
    data = frame([1.0, None, math.nan, math.inf, 1.0, 2.0], ["a", "a", None, "b", "c", "c"])
    without = window_profile(data, reference_profile(data, sketches=False))
    assert (number(without).quantiles, number(without).different, category(without).distinct) == (None, None, None)
    assert category(without).different == 3
    found = number(window_profile(data, reference := reference_profile(data)))
    assert found.quantiles is not None
    assert (found.quantiles.at([0.0, 0.5, 1.0]), round(found.different or 0)) == ([1.0, 1.0, 2.0], 2)
    assert number(reference.merge(without)).quantiles is None


def test_a_profile_that_was_stored_before_there_were_sketches_can_be_read() -> None:
    stored = reference_profile(frame([1.0, 2.0], ["a", "b"])).to_json()
    for each in stored["columns"].values():
        del each["distinct"]
        each.pop("quantiles", None)
    found = Profile.from_json(stored)
    assert (number(found).quantiles, number(found).distinct, category(found).distinct) == (None, None, None)
    assert window_profile(frame([1.0], ["a"]), found).rows == 1


@given(TEXTS, TEXTS, st.integers(1, 4))
def test_categories_are_counted_by_the_frequent_values_of_the_reference(
    texts: list[str | None], others: list[str | None], top: int
) -> None:
    reference = category(profile := reference_profile(frame([0.0] * len(texts), texts), top=top))
    present = [each for each in texts if each is not None]
    frequent = sorted(set(present), key=lambda each: (-present.count(each), each))[:top]
    assert list(reference.top.items()) == [(each, present.count(each)) for each in frequent]
    assert (reference.seen, reference.unseen, reference.rows) == (frozenset(present), 0, len(texts))
    window = category(window_profile(frame([0.0] * len(others), others), profile))
    values = [each for each in others if each is not None]
    assert window.top == {each: values.count(each) for each in frequent}
    assert window.unseen == sum(each not in present for each in values)
    assert (window.values, window.nulls, window.seen) == (len(values), others.count(None), frozenset(values))


def test_too_many_categories_are_told_as_such_and_still_counted() -> None:
    rows = SEEN + 1
    ids = pl.DataFrame({"t": ["x", "x", *(f"id{number}" for number in range(rows))]})
    reference = reference_profile(ids, top=1, sketches=False)
    assert category(reference) == CategoryCounts({"x": 2}, rows, 0, 0, None)
    window = window_profile(pl.DataFrame({"t": ["x", "new", None, None]}), reference)
    assert category(window) == CategoryCounts({"x": 1}, 1, 0, 2, None)
    few = reference_profile(pl.DataFrame({"t": ["x"]}))
    many = category(window_profile(ids, few))
    assert (many.top, many.unseen, many.seen) == ({"x": 2}, rows, None)


def test_values_forgotten_stay_forgotten_however_windows_are_merged() -> None:
    parts = [CategoryCounts({}, 0, 0, 0, frozenset(f"{p}{n}" for n in range(4_000))) for p in "abc"]
    left = parts[0].merge(parts[1]).merge(parts[2])
    right = parts[0].merge(parts[1].merge(parts[2]))
    assert left.seen is None
    assert left == right


def test_what_cannot_be_merged_is_refused() -> None:
    one, two = (reference_profile(frame(numbers, ["a"] * 2)) for numbers in ([0.0, 1.0], [0.0, 2.0]))
    three = reference_profile(frame([0.0, 1.0], ["b"] * 2))
    with pytest.raises(ValueError, match="different edges"):
        one.merge(two)
    with pytest.raises(ValueError, match="different values"):
        one.merge(three)
    with pytest.raises(ValueError, match="different columns"):
        one.merge(reference_profile(frame([0.0]).select("x")))
    with pytest.raises(ValueError, match="a number and of a category"):
        merge_counts(one.columns["x"], one.columns["t"])


def test_columns_that_a_window_lacks_or_that_changed_their_type_are_missing() -> None:
    reference = reference_profile(frame([1.0, 2.0], ["a", "b"]))
    gone = window_profile(pl.DataFrame({"z": [1, 2, 3]}), reference)
    assert (gone.rows, number(gone).nulls, category(gone).nulls) == (3, 3, 3)
    swapped = window_profile(pl.DataFrame({"x": ["1", None], "t": [1, None]}), reference)
    assert number(swapped).nulls == 2
    assert (category(swapped).unseen, category(swapped).nulls) == (1, 1)
    empty = window_profile(pl.DataFrame(), reference)
    assert (empty.rows, number(empty).rows, category(empty).rows) == (0, 0, 0)


def test_constant_and_missing_columns() -> None:
    data = pl.DataFrame({"c": [3, 3, 3], "n": pl.Series([None] * 3, dtype=pl.Float64), "e": [None] * 3})
    reference = reference_profile(data)
    assert (number(reference, "c").edges, number(reference, "c").cells) == ((3.0, 3.0), (3,))
    assert (number(reference, "n").edges, number(reference, "n").nulls) == ((), 3)
    assert number(reference, "e").nulls == 3
    window = window_profile(pl.DataFrame({"c": [2, 3, 4], "n": [0.0, math.nan, math.inf], "e": [1, 2, 3]}), reference)
    assert [number(window, "c").below, *number(window, "c").cells, number(window, "c").above] == [1, 1, 1]
    assert (number(window, "n").above, number(window, "n").nans, number(window, "n").infinite) == (1, 1, 1)
    assert number(window, "e").outside == 3


def test_every_type_of_column_that_has_an_order_or_a_text() -> None:
    moment = datetime(2013, 1, 1, tzinfo=UTC)
    data = pl.DataFrame(
        {
            "i": [1, 2],
            "d": [date(2013, 1, 1), date(2013, 1, 2)],
            "w": [moment, moment + timedelta(hours=1)],
            "l": [timedelta(seconds=1), timedelta(seconds=2)],
            "h": [time(0, 0, 1), time(0, 0, 2)],
            "b": [True, False],
            "c": pl.Series(["a", "b"], dtype=pl.Categorical),
            "m": pl.Series(["1.5", "2.5"]).str.to_decimal(scale=1),
            "s": [[1], [2]],
        }
    )
    assert profiled(data.schema) == ("i", "d", "w", "l", "h", "b", "c", "m")
    found = reference_profile(data)
    spans = {name: (each.high or 0) - (each.low or 0) for name in "idwlhm" for each in [number(found, name)]}
    assert spans == {"i": 1, "d": 86_400e6, "w": 3_600e6, "l": 1e6, "h": 1e6, "m": 1}
    assert category(found, "b").top == {"false": 1, "true": 1}
    milli = data.with_columns(pl.col("w").dt.cast_time_unit("ms"))
    assert number(window_profile(milli, found), "w") == number(found, "w")


def test_columns_may_have_any_name_and_frames_may_be_lazy() -> None:
    data = pl.DataFrame({"0": [1.0, 2.0], "0f": [3.0, 4.0], "rows": ["a", "b"], "value": ["c", "d"], "missing": [5, 6]})
    reference = reference_profile(data.lazy())
    assert list(reference.columns) == data.columns
    assert [number(reference, name).low for name in ("0", "0f", "missing")] == [1.0, 3.0, 5.0]
    assert category(reference, "value").top == {"c": 1, "d": 1}
    assert window_profile(data.lazy(), reference) == reference
