"""Quality with late labels, its confidence intervals, and what is estimated before labels come."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest  # type: ignore[import-untyped]
from sklearn import metrics

from headrace.models.metrics import CLASSIFICATION, measure
from headrace.monitors.estimation import estimated
from headrace.monitors.intervals import Estimate, mean_of, roc_auc, wilson
from headrace.monitors.quality import Names, labelled, quality

START = datetime(2013, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def covers(found: Estimate, true: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= true <= found.high


@given(st.integers(0, 300), st.integers(1, 300))
def test_wilson_is_that_of_scipy(part: int, more: int) -> None:
    rows = part + more
    theirs = binomtest(part, rows).proportion_ci(method="wilson")
    found = wilson(part, rows)
    assert found.value == part / rows
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_nothing_known_has_no_interval() -> None:
    assert wilson(0, 0) == mean_of(np.empty(0)) == roc_auc([], []) == Estimate(None)
    assert mean_of(np.ones(5)) == Estimate(1.0)
    assert roc_auc([1, 1], [0.2, 0.4]) == Estimate(None)
    assert roc_auc([1, 0, 0], [0.5, 0.4, 0.6]) == Estimate(0.5)


def test_perfect_separation_has_a_wide_interval() -> None:
    found = roc_auc([1] * 10 + [0] * 1_000, [0.9] * 10 + [0.1] * 1_000)
    assert found.value == found.high == 1
    assert found.low == pytest.approx(10 / (10 + 1.96**2), abs=1e-3)
    assert roc_auc([0, 1], [0.9, 0.1]).value == 0


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.4, 0.9])), min_size=4, max_size=60))
def test_the_area_is_that_of_sklearn(rows: list[tuple[bool, float]]) -> None:
    y, score = [int(truth) for truth, _ in rows], [each for _, each in rows]
    found = roc_auc(y, score)
    if 0 < sum(y) < len(y):
        assert found.value == pytest.approx(metrics.roc_auc_score(y, score))
        if found.low is not None and found.high is not None and found.value is not None:
            assert 0 <= found.low <= found.value <= found.high <= 1
    else:
        assert found == Estimate(None)


def test_the_variance_is_delongs_definition() -> None:
    random = np.random.default_rng(4)
    ones, zeros = np.round(random.normal(1, 1, 40), 1), np.round(random.normal(0, 1, 60), 1)
    wins = (ones[:, None] > zeros) + (ones[:, None] == zeros) / 2
    auc = wins.mean()
    variance = wins.mean(1).var(ddof=1) / 40 + wins.mean(0).var(ddof=1) / 60
    half = 1.959964 * math.sqrt(variance) / (auc * (1 - auc))
    found = roc_auc([1] * 40 + [0] * 60, np.concatenate([ones, zeros]))
    low, high = (1 / (1 + math.exp(-(math.log(auc / (1 - auc)) + side))) for side in (-half, half))
    assert (found.value, found.low, found.high) == pytest.approx((auc, low, high), rel=1e-5)


@pytest.mark.parametrize(("shift", "ones", "zeros"), [(0.5, 60, 240), (1.0, 100, 100), (2.5, 50, 300)])
def test_delongs_interval_covers_the_true_area_about_as_often_as_it_says(shift: float, ones: int, zeros: int) -> None:
    random, true = np.random.default_rng(5), 0.5 * (1 + math.erf(shift / 2))
    y = np.repeat([1, 0], [ones, zeros])
    covered = sum(covers(roc_auc(y, random.normal(size=ones + zeros) + shift * y), true) for _ in range(1_000))
    assert 915 <= covered <= 975, "slightly less often near an area of 1"


@pytest.mark.parametrize("share", [0.03, 0.2, 0.5])
def test_wilsons_interval_covers_the_true_share_as_often_as_it_says(share: float) -> None:
    random = np.random.default_rng(6)
    assert 925 <= sum(covers(wilson(random.binomial(200, share), 200), share) for _ in range(1_000)) <= 980


def test_the_interval_of_a_mean_covers_the_true_one_as_often_as_it_says() -> None:
    random = np.random.default_rng(7)
    assert 925 <= sum(covers(mean_of(random.exponential(size=400), 0.0), 1) for _ in range(1_000)) <= 975


@pytest.mark.parametrize(("a", "b"), [(2, 5), (0.5, 0.5), (1, 30)])
def test_estimates_meet_the_truth_of_calibrated_scores(a: float, b: float) -> None:
    random = np.random.default_rng(8)
    score = random.beta(a, b, 200_000)
    truth = measure((random.random(200_000) < score).astype(float), score, "classification")
    found = estimated(score)
    for name in ("roc_auc", "accuracy", "log_loss", "brier", "base_rate"):
        assert found[name] == pytest.approx(truth[name], abs=0.01), name


@given(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]) | st.floats(0, 1), max_size=8))
def test_the_estimated_area_is_that_of_all_expected_pairs(score: list[float]) -> None:
    right = pairs = 0.0
    for i, one in enumerate(score):
        for j, other in enumerate(score):
            if i != j:
                pairs += one * (1 - other)
                right += one * (1 - other) * (1.0 if one > other else 0.5 if one == other else 0.0)
    found = estimated(score)["roc_auc"]
    if pairs > 1e-9:
        assert found == pytest.approx(right / pairs, abs=1e-6)
    assert all(value is None or math.isfinite(value) for value in estimated(score).values())
    assert set(estimated(score)) <= set(CLASSIFICATION)


def answers(count: int) -> pl.DataFrame:
    at = [START + number * DAY / count for number in range(count)]
    data = {"id": [str(number) for number in range(count)], "at": at}
    score = np.random.default_rng(9).random(count)
    return pl.DataFrame({**data, "score": score, "origin": [["JFK", None, "EWR"][n % 7 % 3] for n in range(count)]})


def labels(rows: pl.DataFrame, delay: timedelta) -> pl.DataFrame:
    label = (np.random.default_rng(10).random(rows.height) < rows["score"].to_numpy()).astype(int)
    return rows.select("id", known_at=pl.col("at") + delay, label=pl.Series(label))


def test_only_labels_that_are_known_by_now_count() -> None:
    asked = answers(1_000)
    told = labels(asked, timedelta(hours=6))
    window, names = (START, START + DAY), Names()
    halfway = quality(labelled(asked, told, window, START + DAY / 2, names), ["origin"])
    assert (halfway.overall.rows, halfway.overall.labelled) == (1_000, 251)
    assert halfway.overall.share.value == 0.251
    assert halfway.overall.metrics["roc_auc"].value == pytest.approx(5 / 6, abs=0.1)
    assert halfway.overall.estimated["roc_auc"] == pytest.approx(5 / 6, abs=0.02)
    assert list(halfway.slices["origin"]) == ["JFK", "EWR", "(missing)"]
    assert sum(part.rows for part in halfway.slices["origin"].values()) == 1_000
    none = quality(labelled(asked, told, window, START, names)).overall
    assert (none.labelled, none.share.value, dict(none.metrics)) == (0, 0, {})
    later = quality(labelled(asked, told, window, START + 2 * DAY, names), ["origin"])
    assert later.overall.labelled == 1_000
    assert covers(later.overall.metrics["accuracy"], 0.75)
    assert set(later.overall.metrics) == set(CLASSIFICATION)
    json.dumps(later.to_json(), allow_nan=False)


def test_the_metrics_are_those_of_the_gate() -> None:
    asked = answers(500)
    rows = labelled(asked, labels(asked, DAY), (START, START + DAY), START + 3 * DAY, Names())
    found = quality(rows).overall.metrics
    expected = measure(rows["label"].to_numpy(), rows["score"].to_numpy(), "classification")
    assert {name: each.value for name, each in found.items()} == expected
    for name in ("roc_auc", "accuracy", "log_loss", "brier", "base_rate"):
        assert covers(found[name], expected[name] or 0.0), name


def test_the_window_ends_before_its_end_and_a_small_slice_has_no_metrics() -> None:
    asked = answers(240)
    window = (START + DAY / 4, START + DAY / 2)
    rows = labelled(asked, labels(asked, DAY), window, START + 3 * DAY, Names())
    assert rows["at"].to_list() == [START + number * DAY / 240 for number in range(60, 120)]
    found = quality(rows, ["origin"])
    assert found.overall.metrics
    assert [dict(part.metrics) for part in found.slices["origin"].values()] == [{}, {}, {}]


def test_the_label_that_became_known_last_counts() -> None:
    asked = answers(3)
    known_at = [START + DAY, START + 2 * DAY, START + 5 * DAY, START + DAY, START + DAY]
    told = pl.DataFrame({"id": ["0", "0", "0", "1", None], "known_at": known_at, "label": [1, 0, 1, None, 1]})
    rows = labelled(asked, told, (START, START + DAY), START + 3 * DAY, Names())
    assert rows["label"].to_list() == [0.0, None, None]


def test_answers_without_a_score_are_left_out_and_an_empty_window_is_no_error() -> None:
    asked = answers(3).with_columns(score=pl.Series([None, math.nan, 0.5]))
    rows = labelled(asked, labels(answers(3), DAY), (START, START + DAY), START + 3 * DAY, Names())
    assert quality(rows).overall.rows == 1
    empty = quality(rows.clear(), ["origin"])
    assert (empty.overall.rows, empty.overall.share.value, dict(empty.slices["origin"])) == (0, None, {})
    json.dumps(empty.to_json(), allow_nan=False)


def test_numbers_are_measured_too() -> None:
    asked = answers(400)
    told = asked.select("id", known_at=pl.col("at") + DAY, label=pl.col("score") + 0.1 * pl.int_range(400).mod(2))
    rows = labelled(asked, told, (START, START + DAY), START + 3 * DAY, Names())
    found = quality(rows, task="regression").overall
    assert found.metrics["mae"].value == pytest.approx(0.05)
    assert covers(found.metrics["rmse"], math.sqrt(0.005))
    assert dict(found.estimated) == {}
