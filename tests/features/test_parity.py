"""Logged features replayed through the offline join."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given

from headrace.errors import HeadraceError
from headrace.features.aggregates import Count, Latest, Mean
from headrace.features.join import ViewRows
from headrace.features.parity import Mismatch, parity
from tests.features.building import MOMENT, aggregates, table, windows_of
from tests.features.oracle import MINUTE, START, Row
from tests.features.shelves import opened
from tests.features.test_join_laws import delays, rows_of_a_table
from tests.features.test_lookup_laws import asked_of, micros

HOUR = timedelta(hours=1)


def view() -> ViewRows:
    times = pl.Series([START, START + MINUTE, START + 2 * MINUTE], dtype=MOMENT)
    rows = pl.DataFrame(
        {"who": ["a", "b", "a"], "_visible_at": times, "x": [0.1, None, 0.2], "late": [True, None, None]}
    )
    features = {"n": Count(None, HOUR), "mean": Mean("x", None), "late": Latest("late", None)}
    return ViewRows("view", rows, ("who",), ("person",), features, "v_")


def logged(**changed: list[Any]) -> pl.DataFrame:
    """What a look-up of two entities, an unknown one and none gives."""
    values: dict[str, Any] = {
        "person": ["a", "b", "zzz", None],
        "at": [micros(START + HOUR)] * 4,
        "v_n": [2, 1, 0, None],
        "v_mean": [(0.1 + 0.2) / 2, None, None, None],
        "v_late": [True, None, None, None],
    }
    return pl.DataFrame({**values, **changed})


def test_what_agrees() -> None:
    found = parity(logged(), view(), cutoff="at")
    assert (found.rows, found.values, found.mismatches) == (4, 12, ())


def test_every_mismatch_is_told_with_both_values() -> None:
    log = logged(v_n=[2, 2, 0, 0], v_late=[True, False, None, None], v_mean=[0.15001, None, math.nan, None])
    assert parity(log, view(), cutoff="at").mismatches == (
        Mismatch(0, "v_mean", 0.15001, pytest.approx(0.15)),
        Mismatch(1, "v_n", 2, 1),
        Mismatch(1, "v_late", False, None),
        Mismatch(2, "v_mean", pytest.approx(math.nan, nan_ok=True), None),
        Mismatch(3, "v_n", 0, None),
    )


def test_floats_may_differ_by_the_tolerance_and_whole_numbers_may_be_floats() -> None:
    log = logged(v_mean=[0.15 * (1 + 1e-10), None, None, None], v_n=[2.0, 1.0, 0.0, None])
    assert parity(log, view(), cutoff="at").mismatches == ()
    assert len(parity(log, view(), cutoff="at", tolerance=1e-12).mismatches) == 1


def test_true_is_not_one() -> None:
    log = logged(v_late=[1, None, None, None])
    assert parity(log, view(), cutoff="at").mismatches == (Mismatch(0, "v_late", 1, True),)


def test_a_log_that_keeps_times_and_some_features() -> None:
    log = logged(v_n=[2, 1, 0, None]).drop("v_late").with_columns(pl.lit(START + HOUR).cast(MOMENT).alias("at"))
    assert parity(log, view(), cutoff="at").values == 8


@pytest.mark.parametrize("column", ["person", "at"])
def test_a_log_that_lacks_what_is_needed(column: str) -> None:
    with pytest.raises(HeadraceError) as caught:
        parity(logged().drop(column), view(), cutoff="at")
    assert caught.value.code == "HR452"


def test_a_log_without_features() -> None:
    with pytest.raises(HeadraceError) as caught:
        parity(logged().select("person", "at"), view(), cutoff="at")
    assert caught.value.code == "HR452"


@given(rows_of_a_table, asked_of, delays)
def test_look_ups_agree(rows: list[Row], asked: list[Any], delay: timedelta) -> None:
    shown = windows_of(table(rows), delay, aggregates())
    online = opened(shown)
    entities, cutoffs = [entity for entity, _ in asked], [micros(cutoff) for _, cutoff in asked]
    found, _ = online.lookup(entities, cutoffs)
    keys = {name: pl.Series([each[place] for each in entities], dtype=pl.String) for place, name in enumerate(shown.on)}
    used = {name: pl.Series([row[name] for row in found], strict=False) for name in shown.columns()}
    frame = pl.DataFrame({**keys, "at": pl.Series(cutoffs, dtype=pl.Int64), **used})
    assert parity(frame, shown, cutoff="at").mismatches == ()
