"""A loaded model predicts for frames and dictionaries, and refuses what it was not trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from headrace.errors import HeadraceError
from headrace.models.gate import SCORE, read_holdout
from headrace.models.predictor import Predictor
from tests.models.building import file_stores, labelled_rows, version

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.records import Version
    from headrace.ports.stores import Stores


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return file_stores(tmp_path)


@pytest.fixture
def made(stores: Stores) -> Version:
    return version(stores, labelled_rows(), ["good", "bad"], 1500)


def test_it_predicts_what_was_recorded(stores: Stores, made: Version) -> None:
    predictor = Predictor.of(made, stores)
    holdout = read_holdout(made, stores)
    np.testing.assert_allclose(predictor.predict(holdout), holdout[SCORE], rtol=0, atol=1e-12)
    assert [each.name for each in predictor.inputs] == ["good", "bad"]
    assert predictor.metrics == {"rows": 499}
    assert predictor.version is made


def test_polars_pandas_and_dictionaries_give_the_same(stores: Stores, made: Version) -> None:
    predictor = Predictor.of(made, stores)
    frame = read_holdout(made, stores).select("bad", "good", "origin").head(5)
    expected = predictor.predict(frame)
    np.testing.assert_array_equal(predictor.predict(frame.to_pandas()), expected)
    np.testing.assert_array_equal(predictor.predict(frame.to_dicts()), expected)
    assert predictor.predict([]).shape == (0,)
    assert predictor.predict(frame.clear()).shape == (0,)


def test_what_it_cannot_read_is_refused(stores: Stores, made: Version) -> None:
    predictor = Predictor.of(made, stores)
    with pytest.raises(HeadraceError, match="HR530") as error:
        predictor.predict([{"good": 1.0, "Bad": 2.0}])
    assert error.value.fix == "Did you mean 'Bad'?"
    for code, rows in (
        ("HR531", [{"good": "much", "bad": 2.0}]),
        ("HR531", [{"good": 1.0, "bad": 2.0}, {"good": "much", "bad": 2.0}]),
        ("HR532", ["good"]),
        ("HR532", 7),
        ("HR532", {"good": 1.0, "bad": 2.0}),
    ):
        with pytest.raises(HeadraceError, match=code):
            predictor.predict(rows)  # type: ignore[arg-type]


def test_a_model_that_predicts_otherwise_is_refused(stores: Stores, made: Version) -> None:
    sample = [value + 1e-6 for value in made.manifest.facts["sample"]]
    moved = replace(made, manifest=replace(made.manifest, facts={**made.manifest.facts, "sample": sample}))
    with pytest.raises(HeadraceError, match="HR524"):
        Predictor.of(moved, stores)


def test_rows_that_the_estimator_refuses(stores: Stores, made: Version) -> None:
    with pytest.raises(HeadraceError, match=r"HR518 LogisticRegression refused the rows: Input X contains NaN\."):
        Predictor.of(made, stores).predict([{"good": None, "bad": 1.0}])
