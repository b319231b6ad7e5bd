"""How the types of batches go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError
from headrace.sources.types import dtype, union_schema

if TYPE_CHECKING:
    from random import Random

KINDS = [
    *(pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64()),
    *(pl.Float32(), pl.Float64(), pl.String(), pl.Boolean(), pl.Date(), pl.Null(), pl.Decimal(12, 3)),
    pl.Datetime("us", "UTC"),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_type_comes_back_from_its_text(kind: pl.DataType) -> None:
    assert dtype(str(kind)) == kind


@pytest.mark.parametrize("text", ["List(Int64)", "Object", "Int128", "", "DataType"])
def test_a_type_that_is_never_landed(text: str) -> None:
    with pytest.raises(HeadraceError, match="HR316"):
        dtype(text)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("Int64", "Float64", "Float64"),
        ("Int32", "Int64", "Int64"),
        ("Int8", "UInt32", "Int64"),
        ("UInt8", "UInt64", "UInt64"),
        ("Float32", "Float64", "Float64"),
        ("Null", "Date", "Date"),
        ("Null", "Null", "String"),
        ("String", "String", "String"),
        ("Int64", "UInt64", None),
        ("Int64", "String", None),
        ("Boolean", "Int64", None),
        ("Date", str(pl.Datetime("us", "UTC")), None),
        (str(pl.Decimal(10, 2)), str(pl.Decimal(10, 3)), None),
    ],
)
def test_two_types(one: str, other: str, both: str | None) -> None:
    for first, second in ((one, other), (other, one)):
        batches = [("x.csv", {"a": first}), ("y.csv", {"a": second})]
        if both is not None:
            assert union_schema(batches) == {"a": both}
            continue
        with pytest.raises(HeadraceError, match="HR314") as caught:
            union_schema(batches)
        assert caught.value.what == f"column 'a' is {first} in x.csv and {second} in y.csv"
        assert 'schema={"a": pl.String}' in caught.value.fix


@given(st.lists(st.sampled_from([str(kind) for kind in KINDS]), min_size=1, max_size=5), st.randoms())
def test_the_order_of_batches_does_not_matter(kinds: list[str], chance: Random) -> None:
    def union(of: list[str]) -> object:
        try:
            return union_schema((f"{n}.csv", {"a": kind}) for n, kind in enumerate(of))
        except HeadraceError as error:
            return error.code

    shuffled = list(kinds)
    chance.shuffle(shuffled)
    assert union(shuffled) == union(kinds)


def test_the_order_of_columns_is_that_of_the_first_batch() -> None:
    schemas = [("x.csv", {"b": "Int64", "a": "Int64"}), ("y.csv", {"a": "Int64", "b": "Null"})]
    assert list(union_schema(schemas)) == ["b", "a"]


def test_a_column_that_a_batch_lacks_is_there_all_the_same() -> None:
    schemas = [("x.csv", {"a": "Int64", "b": "Int64"}), ("y.csv", {"a": "Float64", "c": "Null"})]
    assert union_schema(schemas) == {"a": "Float64", "b": "Int64", "c": "String"}


def test_what_is_to_blame_is_told() -> None:
    schemas = [("x.csv", {"a": "String"}), ("y.csv", {"a": "Int64"})]
    with pytest.raises(HeadraceError, match="HR314") as caught:
        union_schema(schemas, lambda batch, column, kind: f"{batch} {column} is no {kind}")
    assert caught.value.what == "column 'a' is String in x.csv and Int64 in y.csv: x.csv a is no Int64"
