"""A loaded version scores plain values like `Predictor`, and is refused when its portable form is damaged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from headrace.errors import HeadraceError
from headrace.models.contributions import contributions
from headrace.models.gate import SCORE, read_holdout
from headrace.models.portable import Portable, export
from headrace.models.predictor import Predictor
from headrace.models.scorer import NativeScorer, OnnxScorer, load_scorer, rows_of
from tests.models.building import file_stores, labelled_rows, version

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.records import Ref, Version
    from headrace.ports.stores import Stores


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return file_stores(tmp_path)


@pytest.fixture
def made(stores: Stores) -> Version:
    return version(stores, labelled_rows(), ["good", "bad"], 1500)


@pytest.fixture
def portable(stores: Stores, made: Version) -> Ref:
    predictor = Predictor.of(made, stores)
    holdout = read_holdout(made, stores).head(100)
    found = export(predictor.estimator, predictor.inputs, holdout, holdout[SCORE].to_numpy())
    assert isinstance(found, Portable)
    return stores.artefacts.put(found.content, ".onnx")


def test_both_scorers_repeat_the_hold_out(stores: Stores, made: Version, portable: Ref) -> None:
    holdout = read_holdout(made, stores)
    native, quick = load_scorer(made, None, stores), load_scorer(made, portable, stores)
    assert isinstance(native, NativeScorer)
    assert isinstance(quick, OnnxScorer)
    assert (native.quick, quick.quick) == (False, True)
    assert native.inputs == quick.inputs == Predictor.of(made, stores).inputs
    rows = rows_of(holdout, native.inputs)
    np.testing.assert_allclose(native.score(rows), holdout[SCORE], rtol=0, atol=1e-12)
    np.testing.assert_allclose(quick.score(rows), holdout[SCORE], rtol=0, atol=1e-6)
    for each in (native, quick):
        assert each.score([]).shape == (0,)
        assert each.score(rows[:1]).shape == (1,)


def test_missing_values_are_refused_by_both_where_the_estimator_refuses_them(
    stores: Stores, made: Version, portable: Ref
) -> None:
    for scorer in (load_scorer(made, None, stores), load_scorer(made, portable, stores)):
        for missing in (None, float("nan")):
            with pytest.raises(HeadraceError, match="HR518"):
                scorer.score([(1.0, 1.0), (missing, 1.0)])


def test_a_damaged_portable_model(stores: Stores, made: Version, portable: Ref) -> None:
    content = stores.artefacts.get(portable)
    for broken in (b"", b"no graph at all", content[: len(content) // 2]):
        with pytest.raises(HeadraceError, match="HR540"):
            load_scorer(made, stores.artefacts.put(broken, ".onnx"), stores)


def test_a_portable_model_that_predicts_otherwise(stores: Stores, made: Version, portable: Ref) -> None:
    sample = [value + 1e-3 for value in made.manifest.facts["sample"]]
    moved = replace(made, manifest=replace(made.manifest, facts={**made.manifest.facts, "sample": sample}))
    with pytest.raises(HeadraceError, match="HR541"):
        load_scorer(moved, portable, stores)
    with pytest.raises(HeadraceError, match="HR524"):
        load_scorer(moved, None, stores)


def test_contributions_name_what_moved_the_prediction(stores: Stores, made: Version, portable: Ref) -> None:
    for scorer in (load_scorer(made, None, stores), load_scorer(made, portable, stores)):
        high, low = contributions(scorer, [(3.0, 0.0), (-3.0, 0.0)], 1)
        assert list(high) == list(low) == ["good"]
        assert high["good"] > 0.1 > -0.1 > low["good"]
        assert list(contributions(scorer, [(3.0, 0.0)], 5)[0]) == ["good", "bad"]
        assert contributions(scorer, [(3.0, 0.0)], 0) == [{}]
        assert contributions(scorer, [], 3) == []


def test_a_contribution_is_the_mean_change_over_the_reference(stores: Stores, made: Version) -> None:
    scorer = load_scorer(made, None, stores)
    row = (1.0, -2.0)
    found = contributions(scorer, [row], 2)[0]["bad"]
    others = [(row[0], other[1]) for other in scorer.reference]
    assert found == pytest.approx(scorer.score([row])[0] - scorer.score(others).mean(), abs=1e-12)
