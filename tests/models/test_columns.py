"""The matrix that estimators are fitted on: floats and fixed categories."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier

from headrace.errors import HeadraceError
from headrace.models.columns import Input, encode, inputs_of

if TYPE_CHECKING:
    import numpy as np

ROWS = pl.DataFrame(
    {
        "carrier": ["UA", None, "AA", "UA"],
        "late": [True, None, False, True],
        "distance": [100, None, 300, 400],
        "rate": [0.5, None, float("nan"), 1.0],
        "price": [Decimal("1.5"), None, Decimal(2), Decimal(3)],
        "nothing": [None, None, None, None],
        "no_text": pl.Series([None] * 4, dtype=pl.String),
    }
)


def test_encoding() -> None:
    inputs = inputs_of(ROWS, ROWS.columns)
    matrix = encode(ROWS, inputs)
    assert matrix.columns == ROWS.columns
    assert matrix.schema["carrier"] == pl.Enum(["AA", "UA"])
    assert matrix["carrier"].to_list() == ["UA", None, "AA", "UA"]
    for name in ("late", "distance", "rate", "price", "nothing", "no_text"):
        assert matrix.schema[name] == pl.Float64
        assert not matrix[name].null_count()
        assert math.isnan(matrix[name][1])
    assert matrix["late"].to_list()[2:] == [0.0, 1.0]
    assert matrix["price"][0] == 1.5


def test_inputs_survive_json() -> None:
    inputs = inputs_of(ROWS, ROWS.columns)
    assert tuple(Input.from_json(json.loads(json.dumps(each.to_json()))) for each in inputs) == inputs


@given(st.lists(st.sampled_from(["AA", "B6", "UA", None]), min_size=1), st.lists(st.text() | st.none(), min_size=1))
def test_categories_keep_their_codes_and_unseen_ones_are_missing(seen: list[Any], asked: list[Any]) -> None:
    frame = pl.DataFrame({"carrier": seen}, schema={"carrier": pl.String})
    inputs = inputs_of(frame, ["carrier"])
    found = encode(pl.DataFrame({"carrier": asked}, schema={"carrier": pl.String}), inputs)["carrier"].to_list()
    if any(each is not None for each in seen):
        assert found == [each if each in seen else None for each in asked]
    else:
        assert all(math.isnan(each) for each in found)


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["UA", "AA", "XX"]), pl.String])
def test_any_text_gives_the_same_categories(dtype: Any) -> None:  # noqa: ANN401
    (only,) = inputs_of(ROWS.with_columns(pl.col("carrier").cast(dtype)), ["carrier"])
    assert only.categories == ("AA", "UA")
    assert encode(ROWS.with_columns(pl.col("carrier").cast(dtype)), [only]).equals(encode(ROWS, [only]))


@pytest.mark.parametrize(
    "value", [datetime(2013, 1, 1, tzinfo=UTC), date(2013, 1, 1), time(1), timedelta(hours=1), [1], {"a": 1}, b"bytes"]
)
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(HeadraceError, match="HR510") as error:
        inputs_of(pl.DataFrame({"at": [value]}), ["at"])
    assert ("hour" in error.value.fix) == isinstance(value, datetime | date | time | timedelta)


def test_what_is_missing_or_of_another_type_is_refused() -> None:
    inputs = inputs_of(ROWS, ["carrier", "distance"])
    with pytest.raises(HeadraceError, match="HR530") as error:
        encode(ROWS.rename({"distance": "Distance"}), inputs)
    assert error.value.fix == "Did you mean 'Distance'?"
    for wrong in ({"carrier": 5, "distance": 5}, {"carrier": "UA", "distance": "far"}):
        with pytest.raises(HeadraceError, match="HR531"):
            encode(pl.DataFrame([wrong]), inputs)
    missing = encode(pl.DataFrame([{"carrier": None, "distance": None}]), inputs)
    assert missing["carrier"].to_list() == [None]
    assert math.isnan(missing["distance"][0])


def test_scikit_learn_takes_the_matrix_as_it_is() -> None:
    rows = pl.DataFrame({"carrier": ["AA", "B6", "UA", None] * 50, "distance": range(200)})
    inputs = inputs_of(rows, rows.columns)
    late = (rows["carrier"] == "AA").fill_null(value=False).cast(pl.Int64).to_numpy()
    estimator = HistGradientBoostingClassifier(random_state=0, min_samples_leaf=5).fit(encode(rows, inputs), late)
    assert estimator.is_categorical_.tolist() == [True, False]
    assert estimator.feature_names_in_.tolist() == ["carrier", "distance"]
    asked = pl.DataFrame({"carrier": ["AA", "B6", "never seen", None], "distance": [50] * 4})
    found: np.ndarray[Any, Any] = estimator.predict_proba(encode(asked, inputs))[:, 1]
    assert found[0] > 0.9
    assert found[1] < 0.1
    assert found[2] == found[3]
