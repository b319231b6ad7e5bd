"""Rows that are a matrix as well are the rows that they would be one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from headrace.endpoints.checking import Checker
from headrace.endpoints.log_encoding import encode
from headrace.endpoints.log_lines import decode
from headrace.endpoints.service import Field
from headrace.endpoints.tables import Table, table_of
from headrace.endpoints.v2_tensors import from_bytes, head, table_from_bytes, to_rows
from headrace.errors import HeadraceError
from tests.support.predictions import batch

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = ("distance", "hour", "mean_delay")
FIELDS = [Field(name, "number", required=name != "mean_delay") for name in NAMES]
FLOATS = some.floats(allow_nan=False, allow_infinity=False)
ROWS = some.integers(1, 30).flatmap(
    lambda count: some.lists(some.tuples(FLOATS, FLOATS, FLOATS), min_size=count, max_size=count)
)


def named(values: Sequence[Sequence[float]]) -> list[dict[str, object]]:
    return [dict(zip(NAMES, each, strict=True)) for each in values]


@given(ROWS)
def test_a_table_holds_the_rows_of_its_columns(values: list[tuple[float, float, float]]) -> None:
    table = table_of(NAMES, list(np.array(values).T))
    assert table is not None
    assert len(table) == len(values)
    assert [table[place] for place in range(len(table))] == named(values)
    assert list(table) == list(table[:]) == named(values)


@given(ROWS)
def test_many_rows_of_floats_are_checked_as_a_table(values: list[tuple[float, float, float]]) -> None:
    rows = named(values * 16)
    found = Checker(FIELDS).check(rows)
    assert isinstance(found, Table)
    assert found.matrix.tolist() == [list(each) for each in values * 16]
    assert found[3] is rows[3]


@pytest.mark.parametrize("change", [{"hour": 3}, {"hour": None}])
def test_other_rows_are_what_they_were(change: dict[str, object]) -> None:
    rows: list[dict[str, object]] = named([(1.0, 2.0, 3.0)] * 20)
    rows[17] = rows[17] | change
    assert Checker(FIELDS).check(rows) is rows


@pytest.mark.parametrize("change", [{"hour": True}, {"x": 1.0}, {"hour": float("nan")}, {"hour": "a"}])
def test_what_is_wrong_with_one_of_many_is_told(change: dict[str, object]) -> None:
    rows: list[dict[str, object]] = named([(1.0, 2.0, 3.0)] * 20)
    rows[17] = rows[17] | change
    with pytest.raises(HeadraceError, match="row 17"):
        Checker(FIELDS).check(rows)


def test_a_table_is_checked_by_its_first_row() -> None:
    with pytest.raises(HeadraceError, match="HR908"):
        Checker(FIELDS).check(Table(("distanse",), np.ones((20, 1))))
    with pytest.raises(HeadraceError, match="HR909"):
        Checker(FIELDS).check(Table(("distance",), np.ones((20, 1))))


@given(ROWS)
def test_a_table_is_logged_as_its_rows_are(values: list[tuple[float, float, float]]) -> None:
    table, logged = Table(NAMES, np.array(values)), batch([str(number) for number in range(len(values))])
    mine = replace(logged, rows=table, scored=replace(logged.scored, features=table))
    rows = named(values)
    theirs = replace(logged, rows=rows, scored=replace(logged.scored, features=rows))
    assert decode(encode(mine)) == decode(encode(theirs))


@given(some.lists(some.tuples(some.floats(width=16), some.floats(width=32), some.floats()), min_size=1, max_size=5))
def test_tensors_of_floats_are_a_table_where_all_are_finite(values: list[tuple[float, float, float]]) -> None:
    kinds: tuple[tuple[str, Any], ...] = (("FP16", "<f2"), ("FP32", "<f4"), ("FP64", "<f8"))
    columns = list(zip(*values, strict=True))
    heads = [head(name, datatype, [len(values)]) for name, (datatype, _) in zip(NAMES, kinds, strict=True)]
    raws = [memoryview(np.array(each, kind).tobytes()) for each, (_, kind) in zip(columns, kinds, strict=True)]
    table = table_from_bytes(heads, raws)
    assert (table is not None) == bool(np.isfinite(values).all())
    if table is not None:
        assert list(table) == to_rows(NAMES, [from_bytes(*each) for each in zip(heads, raws, strict=True)])
    with pytest.raises(HeadraceError, match="bytes"):
        table_from_bytes(heads, [raws[0][1:], *raws[1:]])
