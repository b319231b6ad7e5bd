"""Windows of a report: which there are, that a day is the merge of its hours, and what is told of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.monitors.profiling import reference_profile
from headrace.monitors.report import Bucket, Every, every_of, quantiles_of, starts, told
from headrace.monitors.shifts import compare
from tests.support.reported import EMPTY_WINDOW, EVIL, NEEDED, NOW, answers, bucket, report


@pytest.mark.parametrize("every", list(Every))
def test_the_last_window_is_under_way(every: Every) -> None:
    begins = starts(NOW, every)
    assert begins[-1] <= NOW < begins[-1] + every.length
    assert len(begins) == every.shown
    assert {after - before for before, after in pairwise(begins)} == {every.length}
    assert begins[-1] == (NOW.replace(minute=0) if every is Every.HOUR else datetime(2026, 11, 23, tzinfo=UTC))


def test_windows_suit_what_the_monitor_looks_at() -> None:
    assert [every_of(seconds) for seconds in (600.0, 3_600.0, 86_400.0)] == [Every.HOUR, Every.HOUR, Every.DAY]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.floats(0, 1))
def test_a_day_is_the_merge_of_its_hours(rows: list[int], shift: float) -> None:
    before = answers(100, 0.0)
    reference = reference_profile(before)
    frames = [answers(count, shift, seed) for seed, count in enumerate(rows)]
    hours = [bucket(each, reference) for each in frames]
    empty = bucket(before.clear(), reference)
    day = told(NOW, Every.DAY, hours, empty, (reference, 1))
    merged = reduce(Bucket.merge, hours)
    assert day.answers == sum(rows)
    assert day.comparison == compare(reference, merged.profile, rows=1)
    assert day.measured["answers"] == sum(rows)
    if sum(rows):
        assert day.measured["mean_ms"] == pytest.approx(sum(count * (count + 1) / 2 for count in rows) / sum(rows))
        assert day.measured["p99_ms"] is not None
    else:
        assert (day.measured["mean_ms"], day.measured["p50_ms"], day.measured["mean_score"]) == (None, None, None)


def test_columns_that_drifted_are_corrected_for_their_number_and_the_worst_comes_first() -> None:
    found = report()
    assert found.latest is found.windows[-1]
    assert found.drifted == ("distance", "carrier")
    assert report(shift_from=99).drifted == ()


def test_a_report_without_enough_answers_tells_no_drift() -> None:
    few = report(rows=NEEDED - 1, labels=False)
    assert (few.latest, few.drifted) == (None, ())
    assert few.windows[-1].value("psi(distance)") is None
    assert few.windows[-1].value("answers") == NEEDED - 1


def test_the_measures_of_a_report_are_those_that_are_watched_then_the_usual_ones() -> None:
    assert report().measures == ("psi(distance)", "roc_auc", "answers", "mean_score", "p99_ms", "labelled")
    assert report(labels=False).measures == ("psi(distance)", "answers", "mean_score", "p99_ms")


def test_quality_is_that_of_answers_whose_labels_are_known() -> None:
    found = report()
    first, last = found.windows[0], found.windows[-1]
    assert first.value("labelled") == pytest.approx(0.4, abs=0.1)
    assert 0 < (first.value("roc_auc") or 0) < 1
    assert (last.value("labelled"), last.value("roc_auc")) == (0.0, None)
    assert found.windows[EMPTY_WINDOW].value("labelled") is None
    assert 0 < (last.value("estimated(roc_auc)") or 0) < 1
    assert last.value("estimated(nothing)") is None


def test_a_report_is_plain_data() -> None:
    found = json.loads(json.dumps(report().to_json(), allow_nan=False))
    assert found["state"] == "alert"
    assert found["drifted"] == ["distance", "carrier"]
    assert [each["kind"] for each in found["notes"]] == ["raised", "acted", "withheld"]
    assert [each["answers"] for each in found["windows"]][EMPTY_WINDOW] == 0
    assert datetime.fromisoformat(found["windows"][-1]["end"]) - NOW <= timedelta(hours=1)
    distance = found["columns"]["distance"]
    assert distance["reference"]["different"] == pytest.approx(2_000, rel=0.08)
    assert distance["reference"]["quantiles"]["50%"] == pytest.approx(500, rel=0.1)
    assert distance["latest"]["quantiles"]["50%"] == pytest.approx(1_000, rel=0.2)
    assert found["columns"]["carrier"]["reference"]["different"] == 4
    assert EVIL in found["columns"]


def test_quantiles_are_told_from_the_smallest_to_the_largest_value() -> None:
    found = report().reference.columns
    told_of = quantiles_of(found["distance"])
    assert list(told_of) == ["0%", "5%", "25%", "50%", "75%", "95%", "100%"]
    values = list(told_of.values())
    assert values == sorted(each for each in values if each is not None)
    assert quantiles_of(found["carrier"]) == {}
    assert set(quantiles_of(found["empty"]).values()) == {None}
