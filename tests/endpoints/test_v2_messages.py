"""The gRPC messages are those of the public protocol, field by field."""

from __future__ import annotations

from typing import Any

import pytest
from tritonclient.grpc import service_pb2  # type: ignore[import-untyped]

from headrace.endpoints.v2_messages import CLASSES, MESSAGES, METHODS, SERVICE

PUBLIC = service_pb2.DESCRIPTOR


def public(path: str) -> Any:  # noqa: ANN401 - descriptors have no types
    outer, *inner = path.split(".")
    found = PUBLIC.message_types_by_name[outer]
    for name in inner:
        found = found.nested_types_by_name[name]
    return found


def described(message: Any) -> dict[str, tuple[object, ...]]:  # noqa: ANN401
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.message_type and field.message_type.full_name,
            field.containing_oneof and field.containing_oneof.name,
        )
        for field in message.fields
    }


def maps(message: Any) -> dict[str, bool]:  # noqa: ANN401
    return {nested.name: nested.GetOptions().map_entry for nested in message.nested_types}


@pytest.mark.parametrize("path", MESSAGES)
def test_a_message_is_that_of_the_public_client(path: str) -> None:
    own = CLASSES[path].DESCRIPTOR
    assert own.full_name == public(path).full_name
    assert described(own) == described(public(path))
    assert maps(own) == maps(public(path))


def test_the_methods_are_those_of_the_public_client() -> None:
    service = PUBLIC.services_by_name[SERVICE.rpartition(".")[2]]
    assert service.full_name == SERVICE
    for name in METHODS:
        method = service.methods_by_name[name]
        assert not method.client_streaming
        assert not method.server_streaming
        assert method.input_type.full_name == CLASSES[f"{name}Request"].DESCRIPTOR.full_name
        assert method.output_type.full_name == CLASSES[f"{name}Response"].DESCRIPTOR.full_name


def test_a_message_of_the_public_client_is_read() -> None:
    request = service_pb2.ModelInferRequest(model_name="delays", raw_input_contents=[b"\1"])
    request.parameters["at"].int64_param = 5
    request.inputs.add(name="x", datatype="BOOL", shape=[1])
    own = CLASSES["ModelInferRequest"].FromString(request.SerializeToString())
    assert own.parameters["at"].int64_param == 5
    assert own.SerializeToString(deterministic=True) == request.SerializeToString(deterministic=True)
