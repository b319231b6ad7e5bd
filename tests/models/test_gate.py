"""A candidate passes on its own held-out rows, and against the champion on rows that neither was trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from headrace.graph.conditions import champion, metric
from headrace.models.gate import COMMON_ROWS, SCORE, decide, decision_key, read_holdout
from headrace.models.predictor import Predictor
from headrace.ports.records import Decision, Version
from tests.models.building import file_stores, labelled_rows, version

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.stores import Stores

ROWS = labelled_rows()
BETTER = [metric("roc_auc") >= champion]


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return file_stores(tmp_path)


def seen(decision: Decision) -> list[str]:
    return [outcome.seen for outcome in decision.outcomes]


def test_without_a_champion_only_numbers_count(stores: Stores) -> None:
    candidate = version(stores, ROWS, ["good"], 1500)
    gate = [metric("roc_auc") >= 0.8, *BETTER, metric("roc_auc").by("origin") >= 0.8, metric("rows") >= 499]
    decision = decide(gate, candidate, None, stores)
    assert decision.passed
    assert decision.key == decision_key(gate, candidate, None)
    assert seen(decision)[1] == "no champion yet"
    holdout = read_holdout(candidate, stores)
    assert seen(decision)[0] == f"{roc_auc_score(holdout['late'], holdout[SCORE]):.6g}"
    assert seen(decision)[2].startswith("3 of 3 slices hold")
    assert Decision.from_json(json.loads(json.dumps(decision.to_json(), allow_nan=False))) == decision


def test_a_worse_candidate_is_refused(stores: Stores) -> None:
    good, bad = version(stores, ROWS, ["good"], 1500), version(stores, ROWS, ["bad"], 1500)
    assert not decide(BETTER, bad, good, stores).passed
    assert decide(BETTER, good, bad, stores).passed
    refused = decide([metric("roc_auc") >= 0.99, metric("roc_auc") >= 0.5], good, bad, stores)
    assert [outcome.passed for outcome in refused.outcomes] == [False, True]
    assert not refused.passed


def test_the_champion_scores_the_candidates_rows_after_both_cutoffs(stores: Stores) -> None:
    old, new = version(stores, ROWS[:1800], ["good"], 1000), version(stores, ROWS, ["good", "bad"], 1500)
    decision = decide(BETTER, new, old, stores)
    compared = decision.facts["compared"]
    assert compared["rows"] == 499
    assert compared["how"] == "the champion scored the same rows"
    holdout = read_holdout(new, stores)
    score = Predictor.of(old, stores).predict(holdout)
    assert compared["champion"]["metrics"]["roc_auc"] == roc_auc_score(holdout["late"], score)
    # the other way round, the champion was trained on a part of the candidate's hold-out: that part does not count
    back = decide(BETTER, old, replace(new, manifest=replace(new.manifest, facts={**new.manifest.facts})), stores)
    assert back.facts["compared"]["rows"] == 299
    assert back.facts["compared"]["how"].startswith("recorded predictions of the champion, because bad changed")


def test_a_champion_that_has_seen_the_rows_is_not_asked_about_them(stores: Stores) -> None:
    old, new = version(stores, ROWS, ["good"], 1000), version(stores, ROWS, ["good"], 1500)
    compared = decide(BETTER, old, new, stores).facts["compared"]
    assert (compared["rows"], compared["how"]) == (499, "the champion scored the same rows")


def test_changed_columns_fall_back_to_recorded_predictions_on_common_rows(stores: Stores) -> None:
    old = version(stores, ROWS[:1800], ["good"], 1000, {"good": "as it was"})
    new = version(stores, ROWS, ["good"], 1500, {"good": "another definition"})
    decision = decide(BETTER, new, old, stores)
    compared = decision.facts["compared"]
    assert compared["rows"] == 299
    assert compared["how"] == "recorded predictions of the champion, because good changed"
    common = ROWS[1501:1800]
    recorded = read_holdout(old, stores).filter(pl.col("flight_id").is_in(common["flight_id"].to_list()))
    assert compared["champion"]["metrics"]["roc_auc"] == roc_auc_score(common["late"], recorded[SCORE])


def test_a_champion_that_cannot_be_loaded_is_known_by_its_predictions(stores: Stores) -> None:
    old, new = version(stores, ROWS, ["good"], 1400), version(stores, ROWS, ["good"], 1500)
    broken = {**old.manifest.outputs, "model": stores.artefacts.put(b"no model", ".skops")}
    decision = decide(BETTER, new, replace(old, manifest=replace(old.manifest, outputs=broken)), stores)
    assert decision.facts["compared"]["rows"] == 499
    assert "the champion cannot be loaded: HR521" in decision.facts["compared"]["how"]


@pytest.mark.parametrize("reason", ["few", "class", "label", "task", "keys"])
def test_what_cannot_be_compared_is_refused_and_says_why(stores: Stores, reason: str) -> None:
    rows = ROWS
    facts: dict[str, object] = {}
    origins = {"good": "another definition"}
    cut = 1500
    if reason == "few":
        cut = 2000 - COMMON_ROWS
    elif reason == "class":
        rows = ROWS.with_columns(late=(pl.col("flight_id") < 1500) & pl.col("late"))
    elif reason == "label":
        facts["label"] = "very_late"
    elif reason == "task":
        facts["task"] = "regression"
    else:
        facts["keys"] = []
    old = version(stores, ROWS, ["good"], 1500, origins, **facts)
    decision = decide([*BETTER, metric("rows") >= 1], version(stores, rows, ["good"], cut), old, stores)
    assert [outcome.passed for outcome in decision.outcomes] == [False, True]
    expected = {
        "few": f"{COMMON_ROWS - 1} common rows",
        "class": "one class only",
        "label": "the label is late",
        "task": "the task is classification",
        "keys": "no common key",
    }[reason]
    assert seen(decision)[0].startswith("cannot be compared: ")
    assert expected in seen(decision)[0]


def test_slices_are_compared_with_the_champions(stores: Stores) -> None:
    good, bad = version(stores, ROWS, ["good"], 1400), version(stores, ROWS, ["bad"], 1400)
    gate = [metric("roc_auc").by("origin") >= champion]
    assert decide(gate, good, bad, stores).passed
    refused = decide(gate, bad, good, stores)
    assert not refused.passed
    assert seen(refused)[0].startswith("0 of 3 slices hold; failed: ")


def test_an_unknown_slice_does_not_pass(stores: Stores) -> None:
    decision = decide([metric("roc_auc").by("tail") >= 0.1], version(stores, ROWS, ["good"], 1500), None, stores)
    assert seen(decision) == ["roc_auc was not measured by tail"]
    assert not decision.passed


def test_the_key_covers_conditions_versions_and_rows(stores: Stores) -> None:
    one, two = version(stores, ROWS, ["good"], 1500), version(stores, ROWS, ["bad"], 1500)
    moved = replace(one, manifest=replace(one.manifest, outputs=two.manifest.outputs))
    keys = [
        decision_key(BETTER, one, None),
        decision_key(BETTER, one, two),
        decision_key(BETTER, two, one),
        decision_key(BETTER, moved, None),
        decision_key([metric("roc_auc") > champion], one, None),
    ]
    assert len(set(keys)) == len(keys)
    assert decision_key(BETTER, replace(one, run="r1", made_at="later"), None) == keys[0]


def test_regressions_are_judged(stores: Stores) -> None:
    holdout = ROWS[1500:].with_columns(pl.col("good").alias("late"), (pl.col("good") + 1).alias(SCORE))
    path = stores.artefacts.scratch() / "holdout"
    holdout.write_parquet(path)
    classified = version(stores, ROWS, ["good"], 1500)
    outputs = {**classified.manifest.outputs, "holdout": stores.artefacts.adopt(path, ".parquet")}
    facts = {**classified.manifest.facts, "task": "regression"}
    candidate: Version = replace(classified, manifest=replace(classified.manifest, outputs=outputs, facts=facts))
    decision = decide([metric("rmse") <= 1.0 + 1e-9, metric("roc_auc") > 0.5], candidate, None, stores)
    assert [outcome.passed for outcome in decision.outcomes] == [True, False]
    assert seen(decision)[1] == "roc_auc was not measured"
    assert np.isclose(decision.facts["candidate"]["metrics"]["mae"], 1)
