"""The messages of the Open Inference Protocol's gRPC form, made when this module is imported.

They are written here as a table of names, types and numbers, after the public specification, and put into a pool of
their own: no generated code, whose version must match that of the runtime, and no clash with a client library of the
same protocol in one process. A test compares every message, field and method with those of a public client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE: Final = "inference"
SERVICE: Final = f"{PACKAGE}.GRPCInferenceService"
FILE: Final = "headrace/endpoints/v2.proto"

# As in a .proto file: a line for each field, "type name = number"; indented by a dot, the message that it nests in.
MESSAGES: Final[Mapping[str, str]] = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live = 1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready = 1",
    "ModelReadyRequest": "string name = 1; string version = 2",
    "ModelReadyResponse": "bool ready = 1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "string name = 1; string version = 2; repeated string extensions = 3",
    "ModelMetadataRequest": "string name = 1; string version = 2",
    "ModelMetadataResponse": """
        string name = 1; repeated string versions = 2; string platform = 3;
        repeated .TensorMetadata inputs = 4; repeated .TensorMetadata outputs = 5
    """,
    "ModelMetadataResponse.TensorMetadata": "string name = 1; string datatype = 2; repeated int64 shape = 3",
    "InferParameter": """
        oneof bool bool_param = 1; oneof int64 int64_param = 2; oneof string string_param = 3;
        oneof double double_param = 4; oneof uint64 uint64_param = 5
    """,
    "InferTensorContents": """
        repeated bool bool_contents = 1; repeated int32 int_contents = 2; repeated int64 int64_contents = 3;
        repeated uint32 uint_contents = 4; repeated uint64 uint64_contents = 5; repeated float fp32_contents = 6;
        repeated double fp64_contents = 7; repeated bytes bytes_contents = 8
    """,
    "ModelInferRequest": """
        string model_name = 1; string model_version = 2; string id = 3; map InferParameter parameters = 4;
        repeated .InferInputTensor inputs = 5; repeated .InferRequestedOutputTensor outputs = 6;
        repeated bytes raw_input_contents = 7
    """,
    "ModelInferRequest.InferInputTensor": """
        string name = 1; string datatype = 2; repeated int64 shape = 3; map InferParameter parameters = 4;
        InferTensorContents contents = 5
    """,
    "ModelInferRequest.InferRequestedOutputTensor": "string name = 1; map InferParameter parameters = 2",
    "ModelInferResponse": """
        string model_name = 1; string model_version = 2; string id = 3; map InferParameter parameters = 4;
        repeated .InferOutputTensor outputs = 5; repeated bytes raw_output_contents = 6
    """,
    "ModelInferResponse.InferOutputTensor": """
        string name = 1; string datatype = 2; repeated int64 shape = 3; map InferParameter parameters = 4;
        InferTensorContents contents = 5
    """,
}
METHODS: Final = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")
ONEOF: Final = "parameter_choice"

_Field = descriptor_pb2.FieldDescriptorProto


def _file() -> Any:  # noqa: ANN401 - the messages of protobuf have no types
    """The table as protobuf's own description of a file."""
    file = descriptor_pb2.FileDescriptorProto(name=FILE, package=PACKAGE, syntax="proto3")
    made: dict[str, Any] = {}
    for path, text in MESSAGES.items():
        outer, _, name = path.rpartition(".")
        message = made[outer].nested_type.add(name=name) if outer else file.message_type.add(name=name)
        made[path] = message
        for line in filter(None, map(str.strip, text.split(";"))):
            _add_field(message, path, line)
    service = file.service.add(name=SERVICE.rpartition(".")[2])
    for method in METHODS:
        names = {"input_type": f".{PACKAGE}.{method}Request", "output_type": f".{PACKAGE}.{method}Response"}
        service.method.add(name=method, **names)
    return file


def _add_field(message: Any, path: str, line: str) -> None:  # noqa: ANN401 - the messages of protobuf have no types
    """Add the field that a line such as "repeated int64 shape = 3" describes."""
    declared, _, number = line.partition("=")
    *rule, kind, name = declared.split()
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if rule == ["repeated"]:
        field.label = _Field.LABEL_REPEATED
    if rule == ["oneof"]:
        if not message.oneof_decl:
            message.oneof_decl.add(name=ONEOF)
        field.oneof_index = 0
    if rule == ["map"]:
        _make_map(message, field, path, kind)
    elif kind.lower() == kind:
        field.type = getattr(_Field, f"TYPE_{kind.upper()}")
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{path}{kind}" if kind.startswith(".") else f".{PACKAGE}.{kind}"


def _make_map(message: Any, field: Any, path: str, kind: str) -> None:  # noqa: ANN401 - the messages have no types
    """Make the field a map from text to a message, which on the wire is a repeated message of key and value."""
    entry = f"{field.name.capitalize()}Entry"
    nested = message.nested_type.add(name=entry)
    nested.options.map_entry = True
    nested.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
    value = nested.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_MESSAGE)
    value.type_name = f".{PACKAGE}.{kind}"
    field.label, field.type = _Field.LABEL_REPEATED, _Field.TYPE_MESSAGE
    field.type_name = f".{PACKAGE}.{path}.{entry}"


def _classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file())
    found = {path: pool.FindMessageTypeByName(f"{PACKAGE}.{path}") for path in MESSAGES}
    return {path: message_factory.GetMessageClass(each) for path, each in found.items()}


CLASSES: Final[Mapping[str, Any]] = _classes()
