"""Rows that come after another one of the same values, against the slow way to tell."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.tables.repeated import repeated

DAY, MOMENT = date(2013, 1, 1), datetime(2013, 1, 1, tzinfo=UTC)
TYPES = {
    "whole": (pl.Int64(), st.sampled_from([None, 0, 1, -(2**63), 2**63 - 1])),
    "small": (pl.UInt8(), st.sampled_from([None, 0, 1, 255])),
    "number": (pl.Float64(), st.sampled_from([None, 0.0, -0.0, 1.5, float("nan"), float("inf")])),
    "text": (pl.String(), st.sampled_from([None, "", "a", "ä", "a" * 40])),
    "truth": (pl.Boolean(), st.sampled_from([None, True, False])),
    "day": (pl.Date(), st.sampled_from([None, DAY, DAY.replace(day=2)])),
    "moment": (pl.Datetime("us", "UTC"), st.sampled_from([None, MOMENT, MOMENT.replace(hour=2)])),
    "list": (pl.List(pl.Int64()), st.sampled_from([None, [], [1], [1, 2]])),
}


def frames(*names: str) -> st.SearchStrategy[pl.DataFrame]:
    rows = st.lists(st.tuples(*(TYPES[name][1] for name in names)), max_size=30)
    schema = {name: TYPES[name][0] for name in names}
    return rows.map(lambda found: pl.DataFrame(found, schema=schema, orient="row"))


def one_by_one(rows: pl.DataFrame) -> list[bool]:
    """A row is repeated where its values, spelled out, were met: of floats there is one zero and one NaN."""
    met: set[str] = set()
    found = []
    for row in rows.iter_rows():
        spelled = repr([0.0 if each == 0 and isinstance(each, float) else each for each in row])
        found.append(spelled in met)
        met.add(spelled)
    return found


@pytest.mark.parametrize("name", TYPES)
def test_one_column(name: str) -> None:
    @given(frames(name))
    def holds(rows: pl.DataFrame) -> None:
        found = repeated(rows, [name])
        assert found.dtype == pl.Boolean
        assert found.to_list() == one_by_one(rows)

    holds()


@given(st.lists(st.sampled_from(sorted(TYPES)), min_size=2, max_size=4, unique=True).flatmap(lambda n: frames(*n)))
def test_several_columns(rows: pl.DataFrame) -> None:
    assert repeated(rows, rows.columns).to_list() == one_by_one(rows)


def test_rows_whose_hashes_meet_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pl.DataFrame, "hash_rows", lambda rows, **_: pl.Series([7] * rows.height, dtype=pl.UInt64))
    rows = pl.DataFrame({"a": ["x", "y", "x", "z"]})
    assert repeated(rows, ["a"]).to_list() == [False, False, True, False]
