"""The tensors of the Open Inference Protocol: what is written is read back; what does not hold together is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.endpoints import v2_tensors
from headrace.endpoints.v2_tensors import DATATYPES, NUMBERS, RANGES, Tensor
from headrace.errors import HeadraceError

SHAPES = st.sampled_from([(), (1,)])


def values_of(datatype: str) -> st.SearchStrategy[object]:
    """Values that a tensor of a datatype can hold exactly."""
    if datatype == "BOOL":
        return st.booleans()
    if datatype == "BYTES":
        return st.text(st.characters(exclude_categories=["Cs"]))
    if datatype in RANGES:
        least, most = RANGES[datatype]
        return st.integers(least, most)
    width: dict[str, int] = {"FP16": 16, "FP32": 32, "FP64": 64}
    return st.floats(width=width[datatype], allow_nan=False)  # type: ignore[arg-type]


@st.composite
def tensors(draw: st.DrawFn) -> tuple[Tensor, list[object]]:
    datatype = draw(st.sampled_from(DATATYPES))
    values = draw(st.lists(values_of(datatype), min_size=1, max_size=20))
    return Tensor("x", datatype, (len(values), *draw(SHAPES))), values


def to_bytes(tensor: Tensor, values: list[object]) -> bytes:
    if tensor.datatype == "BYTES":
        return v2_tensors.texts_to_bytes([str(value) for value in values])
    return np.array(values, NUMBERS.get(tensor.datatype, np.dtype("?"))).tobytes()


@given(tensors())
def test_bytes_give_back_what_they_were_made_of(tensor: tuple[Tensor, list[object]]) -> None:
    head, values = tensor
    read = v2_tensors.from_bytes(head, memoryview(to_bytes(head, values)))
    assert read == values
    assert set(map(type, read)) == set(map(type, values))


@given(tensors(), st.binary(min_size=1, max_size=9))
def test_bytes_that_are_cut_or_followed_by_others_are_refused(tensor: tuple[Tensor, list[object]], more: bytes) -> None:
    head, values = tensor
    whole = to_bytes(head, values)
    cut = whole[: -len(more)] if len(more) <= len(whole) else b""
    for raw in (cut, whole + b"\xff\xff\xff\xff" + more):
        with pytest.raises(HeadraceError, match="HR915"):
            v2_tensors.from_bytes(head, memoryview(raw))


@given(st.sampled_from(DATATYPES), st.integers(1, 5), st.binary(max_size=60))
def test_bytes_of_any_kind_are_read_or_refused(datatype: str, count: int, raw: bytes) -> None:
    try:
        assert len(v2_tensors.from_bytes(Tensor("x", datatype, (count,)), memoryview(raw))) == count
    except HeadraceError as error:
        assert error.code == "HR915"  # noqa: PT017 - either outcome is right


@given(tensors())
def test_json_gives_back_what_it_holds_flat_or_nested(tensor: tuple[Tensor, list[object]]) -> None:
    head, values = tensor
    assert v2_tensors.from_json(head, list(values)) == values
    if len(head.shape) > 1:
        assert v2_tensors.from_json(head, [[value] for value in values]) == values


def test_null_is_a_missing_value() -> None:
    for datatype in DATATYPES:
        assert v2_tensors.from_json(Tensor("x", datatype, (1,)), [None]) == [None]


def test_nan_is_a_missing_value_on_request_only() -> None:
    raw = memoryview(np.array([1.5, math.nan]).tobytes())
    head = Tensor("x", "FP64", (2,))
    assert v2_tensors.from_bytes(head, raw, nan_is_missing=True) == [1.5, None]
    kept = v2_tensors.from_bytes(head, raw)
    assert isinstance(kept[1], float)
    assert math.isnan(kept[1])


@pytest.mark.parametrize(
    ("datatype", "shape", "data"),
    [
        ("FP64", (2,), [1.0]),
        ("FP64", (1,), 1.0),
        ("FP64", (1,), None),
        ("FP64", (1,), [True]),
        ("FP64", (1,), ["1.0"]),
        ("FP64", (1,), [[1.0]]),
        ("FP64", (1, 1), [[1.0, 2.0]]),
        ("FP64", (2, 1), [[1.0], 2.0]),
        ("FP64", (1, 1), [[[1.0]]]),
        ("INT8", (1,), [128]),
        ("UINT8", (1,), [-1]),
        ("INT64", (1,), [2**63]),
        ("INT64", (1,), [1.0]),
        ("INT64", (1,), [True]),
        ("BOOL", (1,), [1]),
        ("BYTES", (1,), [1]),
        ("BYTES", (1,), [{"a": 1}]),
    ],
)
def test_json_that_does_not_fit_is_refused(datatype: str, shape: tuple[int, ...], data: object) -> None:
    with pytest.raises(HeadraceError, match=r"HR915.*'x'"):
        v2_tensors.from_json(Tensor("x", datatype, shape), data)


@pytest.mark.parametrize(
    ("name", "datatype", "shape"),
    [
        (None, "FP64", [1]),
        ("", "FP64", [1]),
        ("x", "FLOAT", [1]),
        ("x", None, [1]),
        ("x", ["FP64"], [1]),
        ("x", "FP64", None),
        ("x", "FP64", 1),
        ("x", "FP64", []),
        ("x", "FP64", [0]),
        ("x", "FP64", [-1]),
        ("x", "FP64", [True]),
        ("x", "FP64", [1.0]),
        ("x", "FP64", [1, 2]),
        ("x", "FP64", [1, 0]),
        ("x", "FP64", [1, 1, 1]),
        ("x", "FP64", ["1"]),
    ],
)
def test_a_head_that_is_none_is_refused(name: object, datatype: object, shape: object) -> None:
    with pytest.raises(HeadraceError, match="HR915"):
        v2_tensors.head(name, datatype, shape)


def test_values_of_a_message_are_text_and_numbers_in_range() -> None:
    assert v2_tensors.from_values(Tensor("x", "BYTES", (1,)), ["ö".encode()]) == ["ö"]
    assert v2_tensors.from_values(Tensor("x", "INT8", (1, 1)), [-128]) == [-128]


@pytest.mark.parametrize(
    ("datatype", "values"), [("INT8", [128]), ("UINT16", [65536]), ("BYTES", [b"\xff"]), ("FP64", [1.0, 2.0])]
)
def test_values_of_a_message_that_do_not_fit_are_refused(datatype: str, values: list[object]) -> None:
    with pytest.raises(HeadraceError, match="HR915"):
        v2_tensors.from_values(Tensor("x", datatype, (1,)), values)


def test_columns_become_rows() -> None:
    assert v2_tensors.to_rows(["a", "b"], [[1, 2], ["x", None]]) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    with pytest.raises(ValueError, match="shorter"):
        v2_tensors.to_rows(["a", "b"], [[1, 2], ["x"]])
