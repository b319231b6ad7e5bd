"""The body of an inference request: JSON, and behind it the binary tensors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.endpoints import v2_tensors, v2_wire
from headrace.endpoints.service import Answered, Scored
from headrace.errors import HeadraceError

FAULTS = {"HR904", "HR915", "HR923"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def answered(count: int = 2) -> Answered:
    scores = np.arange(count, dtype=np.float64) + 0.5
    return Answered([f"id-{n}" for n in range(count)], Scored(scores, [], []), "key1", "model1")


def parse(message: object, binary: bytes = b"") -> v2_wire.Infer:
    head = orjson.dumps(message)
    return v2_wire.parse(head + binary, str(len(head)) if binary else None)


def one(**more: object) -> dict[str, Any]:
    """A message of one input."""
    return {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2], **more}]}


def test_json_and_binary_inputs_stand_side_by_side() -> None:
    texts = v2_tensors.texts_to_bytes(["JFK", "Ö"])
    numbers = np.array([1, -2], "<i4").tobytes()
    inputs = [
        {"name": "a", "datatype": "BYTES", "shape": [2, 1], "parameters": {"binary_data_size": len(texts)}},
        {"name": "b", "datatype": "BOOL", "shape": [2], "data": [True, None]},
        {"name": "c", "datatype": "INT32", "shape": [2], "parameters": {"binary_data_size": len(numbers)}},
    ]
    infer = parse({"id": "7", "inputs": inputs, "parameters": {"at": 5}}, texts + numbers)
    assert infer.columns() == [["JFK", "Ö"], [True, None], [1, -2]]
    assert [each.name for each in infer.heads] == ["a", "b", "c"]
    assert infer.id == "7"
    assert infer.parameters.at == 5
    assert infer.outputs == (v2_wire.Output("prediction", binary=False),)


def test_each_output_may_differ_from_the_rule_of_the_request() -> None:
    message = one(data=[1, 2]) | {
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "id"}, {"name": "prediction", "parameters": {"binary_data": False}}],
    }
    assert parse(message).outputs == (v2_wire.Output("id", binary=True), v2_wire.Output("prediction", binary=False))


def test_binary_outputs_follow_the_json_in_their_order() -> None:
    message = one(data=[1, 2]) | {
        "id": "7",
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "id"}, {"name": "prediction"}],
    }
    body, length = v2_wire.answer("delays", parse(message), answered())
    head, rest = orjson.loads(body[:length]), body[length:]
    assert head["id"] == "7"
    assert (head["model_name"], head["model_version"]) == ("delays", "key1")
    assert head["parameters"] == {"model": "model1"}
    sizes = [each["parameters"]["binary_data_size"] for each in head["outputs"]]
    assert rest[: sizes[0]] == b"\4\0\0\0id-0\4\0\0\0id-1"
    assert np.frombuffer(rest[sizes[0] :], "<f8").tolist() == [0.5, 1.5]
    assert sum(sizes) == len(rest)


def test_an_answer_of_json_alone_has_no_length() -> None:
    strided = np.arange(4, dtype=np.float64)[::2]
    given = Answered(["a", "b"], Scored(strided, [], []), "key1", "model1")
    body, length = v2_wire.answer("delays", parse(one(data=[1, 2])), given)
    assert length is None
    message = orjson.loads(body)
    assert message["outputs"] == [{"name": "prediction", "datatype": "FP64", "shape": [2], "data": [0.0, 2.0]}]
    assert "id" not in message


@pytest.mark.parametrize(
    ("message", "binary", "says"),
    [
        ([], b"", "the body must be a JSON object"),
        ({}, b"", "'inputs' must be an array"),
        ({"inputs": [1]}, b"", "each of 'inputs' must be a JSON object"),
        (one(), b"", "either data or binary_data_size"),
        (one(data=[1, 2], parameters={"binary_data_size": 16}), b"0" * 16, "either data or"),
        (one(parameters={"binary_data_size": 16}), b"0" * 15, "has 15 bytes left"),
        (one(parameters={"binary_data_size": 16}), b"", "has 0 bytes left"),
        (one(parameters={"binary_data_size": 16}), b"0" * 17, "1 bytes that belong to no input"),
        (one(parameters={"binary_data_size": -1}), b"0", "binary_data_size of the input 'x' is -1"),
        (one(parameters={"binary_data_size": "16"}), b"0" * 16, "is '16'"),
        (one(parameters={"binary_data_size": True}), b"0", "is True"),
        (one(parameters={"binary_size": 16}), b"", r"HR923.*did you mean 'binary_data_size'"),
        (one(parameters=3), b"", "the parameters of each input must be a JSON object"),
        (one(data=[1, 2]) | {"id": 7}, b"", "the id of the request is no text"),
        (one(data=[1, 2]) | {"parameters": {"priority": 1}}, b"", "HR923.*'priority'"),
        (one(data=[1, 2]) | {"parameters": {"at": "now"}}, b"", "HR923.*'at'"),
        (one(data=[1, 2]) | {"parameters": {"nan_is_missing": 1}}, b"", "HR923.*'nan_is_missing'"),
        (one(data=[1, 2]) | {"parameters": {"binary_data_output": 1}}, b"", "HR923.*'binary_data_output'"),
        (one(data=[1, 2]) | {"outputs": [{}]}, b"", "an output has no name"),
        (one(data=[1, 2]) | {"outputs": [{"name": "predictions"}]}, b"", "did you mean 'prediction'"),
        (one(data=[1, 2]) | {"outputs": [{"name": "id"}, {"name": "id"}]}, b"", "asked for twice"),
        (one(data=[1, 2]) | {"outputs": [{"name": "id", "parameters": {"classification": 1}}]}, b"", "HR923.*'class"),
    ],
)
def test_what_does_not_hold_together_is_refused(message: object, binary: bytes, says: str) -> None:
    with pytest.raises(HeadraceError, match=says) as caught:
        parse(message, binary)
    assert caught.value.code in FAULTS


@pytest.mark.parametrize("length", ["", "-1", "1.5", "abc", "99999", "1" * 5000, "²"])
def test_a_header_that_is_no_length_is_refused(length: str) -> None:
    with pytest.raises(HeadraceError, match="HR915"):
        v2_wire.parse(b'{"inputs": []}', length)


@given(st.binary(max_size=200), st.none() | st.integers(-5, 300).map(str) | st.text(max_size=4))
def test_any_bytes_are_read_or_refused(body: bytes, length: str | None) -> None:
    with pytest.raises(HeadraceError) as caught:
        v2_wire.parse(body, length).columns()
    assert caught.value.code in FAULTS


TENSOR = st.fixed_dictionaries(
    {
        "name": JSON | st.just("x"),
        "datatype": st.sampled_from(v2_tensors.DATATYPES),
        "shape": JSON | st.just([1]),
    },
    optional={
        "data": JSON | st.lists(JSON, max_size=2),
        "parameters": JSON | st.fixed_dictionaries({"binary_data_size": JSON | st.integers(0, 20)}),
    },
)
MESSAGE = st.fixed_dictionaries(
    {"inputs": JSON | st.lists(TENSOR, max_size=3)}, optional={"id": JSON, "parameters": JSON, "outputs": JSON}
)


@given(MESSAGE, st.binary(max_size=20))
def test_any_message_is_read_or_refused(message: object, binary: bytes) -> None:
    head = json.dumps(message).encode()
    try:
        infer = v2_wire.parse(head + binary, str(len(head)))
        assert len(infer.columns()) == len(infer.heads)
    except HeadraceError as error:
        assert error.code in FAULTS  # noqa: PT017 - either outcome is right
