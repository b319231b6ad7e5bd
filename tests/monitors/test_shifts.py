"""A window against its reference: what is told of each column, the correction for many, and the minimum sample."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control  # type: ignore[import-untyped]

from headrace.monitors.profiling import reference_profile, window_profile
from headrace.monitors.shifts import Comparison, Verdict, adjusted, benjamini_hochberg, compare, worst

P_VALUES = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.05, 0.5, 1.0]), max_size=30)


def compared(reference: pl.DataFrame, window: pl.DataFrame, rows: int = 200, level: float = 0.01) -> Comparison:
    profile = reference_profile(reference)
    return compare(profile, window_profile(window, profile), rows=rows, level=level)


def flights(seed: int, rows: int, **changed: pl.Expr) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    data = {"miles": random.gamma(4, 200, rows), "delay": random.normal(5, 20, rows)}
    origin = random.choice(["EWR", "JFK", "LGA"], rows)
    return pl.DataFrame({**data, "origin": origin, "late": random.random(rows) < 0.2}).with_columns(**changed)


@given(P_VALUES, st.sampled_from([0.01, 0.05, 0.2]))
def test_benjamini_hochberg_is_its_definition(p_values: list[float], level: float) -> None:
    m = len(p_values)
    ordered = sorted(p_values)
    last = max((k for k in range(1, m + 1) if ordered[k - 1] <= k * level / m), default=0)
    expected = [last > 0 and p <= ordered[last - 1] for p in p_values]
    assert benjamini_hochberg(p_values, level) == expected


@given(P_VALUES)
def test_adjusted_p_values_are_those_of_scipy(p_values: list[float]) -> None:
    expected = false_discovery_control(p_values).tolist() if p_values else []
    assert adjusted(p_values) == pytest.approx(expected)


def test_the_worst_column_tells_each_measure() -> None:
    found = compared(flights(1, 20_000), flights(2, 5_000, miles=pl.col("miles") * 1.609))
    told = worst(found.columns)
    assert told["psi"] == found.columns["miles"].measures["psi"]
    assert told["p_value"] == pytest.approx(4 * (found.columns["miles"].measures["p_value"] or 0))
    assert "wasserstein" not in told
    assert set(worst({}).values()) == {None}


def test_no_column_is_accused_where_nothing_changed() -> None:
    found = compared(flights(1, 20_000), flights(2, 5_000))
    assert (found.verdict, found.significant) == (Verdict.NONE, ())
    assert found.volume == 0.25
    assert all((shift.measures["psi"] or 0) < 0.02 for shift in found.columns.values())


def test_a_unit_error_is_found_in_its_column_only() -> None:
    found = compared(flights(1, 20_000), flights(2, 5_000, miles=pl.col("miles") * 1.609))
    assert (found.verdict, found.significant) == (Verdict.DRIFT, ("miles",))
    measures = found.columns["miles"].measures
    assert measures["wasserstein"] == pytest.approx(800 * 0.609, rel=0.05)
    assert measures["wasserstein_deviations"] == pytest.approx(800 * 0.609 / 400, rel=0.05)
    assert (measures["psi"] or 0) > 0.25


def test_a_new_category_and_missing_values_are_told() -> None:
    origin = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("SWF")).otherwise("origin")
    delay = pl.when(pl.int_range(pl.len()) % 4 == 0).then(None).otherwise("delay")
    found = compared(flights(1, 20_000), flights(2, 4_000, origin=origin, delay=delay))
    assert found.columns["origin"].new == ("SWF",)
    assert found.columns["origin"].measures["outside"] == 0.5
    assert found.columns["origin"].measures["new_categories"] == 1
    assert found.columns["delay"].measures["nulls"] == 0.25
    assert found.columns["delay"].measures["nulls_change"] == 0.25
    assert (found.columns["delay"].measures["psi"] or 0) > 0.25
    assert found.significant == ("origin",)


def test_too_few_rows_is_not_no_drift() -> None:
    found = compared(flights(1, 1_000), flights(2, 199))
    assert (found.verdict, found.rows, found.needed, dict(found.columns)) == (Verdict.TOO_FEW, 199, 200, {})
    assert compared(flights(1, 1_000), flights(2, 200)).verdict is Verdict.NONE
    assert compared(flights(1, 1_000), flights(2, 0)).verdict is Verdict.TOO_FEW


def test_of_many_columns_few_are_accused_by_chance() -> None:
    random = np.random.default_rng(3)
    one, two = (pl.DataFrame(random.normal(size=(rows, 300))) for rows in (2_000, 1_000))
    found = compared(one, two)
    plain = [name for name, shift in found.columns.items() if (shift.measures["p_value"] or 0) < 0.05]
    assert len(plain) >= 3, "without a correction, some always are"
    assert found.significant == ()


NUMBER = st.none() | st.sampled_from([0.0, 1.0, -2.5, math.nan, math.inf, 1e300, -1e139, 5e-324])
TEXT = st.none() | st.sampled_from(["a", "b", ""])
ROWS = st.lists(st.tuples(NUMBER, TEXT), max_size=12)


@given(ROWS, ROWS)
def test_awkward_columns_never_give_anything_but_numbers(
    reference: list[tuple[float | None, str | None]], window: list[tuple[float | None, str | None]]
) -> None:
    schema = {"x": pl.Float64(), "t": pl.String()}
    one, two = (pl.DataFrame(rows, schema, orient="row") for rows in (reference, window))
    found = compared(one, two, rows=0)
    text = json.dumps(found.to_json(), allow_nan=False)
    assert set(json.loads(text)["columns"]) == {"x", "t"}
    for shift in found.columns.values():
        assert (shift.significant is None) == (shift.test is None)


def test_constant_columns_and_single_categories() -> None:
    same = pl.DataFrame({"x": [0.1] * 300, "t": ["a"] * 300})
    found = compared(same, same)
    assert found.verdict is Verdict.NONE
    assert found.columns["x"].measures["wasserstein_deviations"] == 0
    assert found.columns["t"].measures["p_value"] == 1
    moved = compared(same, same.with_columns(x=pl.lit(0.2), t=pl.lit("b")))
    assert moved.significant == ("x", "t")
    assert moved.columns["x"].measures["wasserstein"] == pytest.approx(0.1)
    assert moved.columns["x"].measures["wasserstein_deviations"] is None
    assert moved.columns["x"].measures["js"] == pytest.approx(1)


def test_a_window_counted_in_other_cells_is_refused() -> None:
    one, two = (reference_profile(flights(seed, 300)) for seed in (1, 2))
    with pytest.raises(ValueError, match="not counted in the cells"):
        compare(one, two)
