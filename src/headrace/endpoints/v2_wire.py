"""The body of an inference request over REST, and of its answer: JSON, and behind it tensors in the binary form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson

from headrace.endpoints import v2_calls, v2_tensors
from headrace.endpoints.v2_tensors import refused
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.endpoints.service import Answered
    from headrace.endpoints.tables import Table
    from headrace.endpoints.v2_tensors import Tensor

HEADER_LENGTH: Final = "inference-header-content-length"
BINARY_SIZE: Final = "binary_data_size"
BINARY: Final = "binary_data"
BINARY_OUTPUT: Final = "binary_data_output"


@dataclass(frozen=True, slots=True)
class Output:
    """An output that is asked for, and whether in the binary form."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True)
class Infer:
    """An inference request, whose values are not read yet: each is an array of JSON, or a piece of the body."""

    id: str | None
    parameters: v2_calls.Parameters
    heads: tuple[Tensor, ...]
    contents: tuple[object, ...]
    outputs: tuple[Output, ...]

    def columns(self) -> list[list[object]]:
        """The values of each input. Raises HR915."""
        return [self._values(tensor, content) for tensor, content in zip(self.heads, self.contents, strict=True)]

    def table(self) -> Table | None:
        """The values as a table, where they came as bytes of floats that are all finite. Raises HR915."""
        if not all(isinstance(each, memoryview) for each in self.contents):
            return None
        return v2_tensors.table_from_bytes(self.heads, self.contents)  # type: ignore[arg-type]  # see above

    def _values(self, tensor: Tensor, content: object) -> list[object]:
        if isinstance(content, memoryview):
            return v2_tensors.from_bytes(tensor, content, nan_is_missing=self.parameters.nan_is_missing)
        return v2_tensors.from_json(tensor, content)


def parse(body: bytes, header_length: str | None) -> Infer:
    """Read all of a request but its values. Raises HR904, HR915, HR923."""
    message, binary = _split(body, header_length)
    given = _object(message.get("parameters", {}), "the parameters of the request")
    binary_output = _flag(given, BINARY_OUTPUT, default=False)
    name = message.get("id")
    if name is not None and not isinstance(name, str):
        raise refused("the id of the request is no text")
    heads, contents = _inputs(message.get("inputs"), binary)
    return Infer(
        id=name,
        parameters=v2_calls.parameters({key: value for key, value in given.items() if key != BINARY_OUTPUT}),
        heads=heads,
        contents=contents,
        outputs=_outputs(message.get("outputs", []), default=binary_output),
    )


def answer(endpoint: str, infer: Infer, answered: Answered) -> tuple[bytes, int | None]:
    """The body of the answer; and how long its JSON is, if anything follows that."""
    outputs, pieces = [], []
    for each in infer.outputs:
        entry: dict[str, object] = {"name": each.name, "datatype": v2_calls.OUTPUTS[each.name]}
        entry["shape"] = [len(answered.ids)]
        if each.binary:
            piece = _binary(each.name, answered)
            entry["parameters"] = {BINARY_SIZE: len(piece)}
            pieces.append(piece)
        else:
            scores = answered.scored.scores
            entry["data"] = np.ascontiguousarray(scores) if each.name == v2_calls.PREDICTION else list(answered.ids)
        outputs.append(entry)
    message: dict[str, object] = {"model_name": endpoint, "model_version": answered.key}
    if infer.id is not None:
        message["id"] = infer.id
    message |= {"parameters": v2_calls.answer_parameters(answered), "outputs": outputs}
    head = orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join([head, *pieces]), len(head)) if pieces else (head, None)


def _binary(name: str, answered: Answered) -> bytes:
    if name == v2_calls.PREDICTION:
        return v2_tensors.numbers_to_bytes(answered.scored.scores)
    return v2_tensors.texts_to_bytes(answered.ids)


def _split(body: bytes, header_length: str | None) -> tuple[Mapping[str, object], memoryview]:
    """The JSON of a body, and what follows it. Raises HR904, HR915."""
    length = len(body)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdigit()) or len(header_length) > len(str(length)):
            raise refused(f"the header {HEADER_LENGTH} is no length within a body of {length} bytes")
        length = int(header_length)
        if length > len(body):
            raise refused(f"the header {HEADER_LENGTH} is {length}, the body has {len(body)} bytes")
    view = memoryview(body)
    try:
        message = orjson.loads(view[:length])
    except orjson.JSONDecodeError as error:
        raise HeadraceError("HR904", f"the body is no JSON: {error}") from error
    return _object(message, "the body"), view[length:]


def _inputs(given: object, binary: memoryview) -> tuple[tuple[Tensor, ...], tuple[object, ...]]:
    """The heads of the inputs and where their values are. Raises HR915, HR923."""
    heads, contents, at = [], [], 0
    for each in _objects(given, "inputs"):
        tensor = v2_tensors.head(each.get("name"), each.get("datatype"), each.get("shape"))
        options = _object(each.get("parameters", {}), "the parameters of each input")
        v2_calls.refuse_unknown(options, (BINARY_SIZE,), "input", tensor.name)
        heads.append(tensor)
        size = options.get(BINARY_SIZE)
        if (size is None) is ("data" not in each):
            raise refused(f"the input {tensor.name!r} needs either data or {BINARY_SIZE}")
        if size is None:
            contents.append(each["data"])
            continue
        if type(size) is not int or not 0 <= size <= len(binary) - at:
            left = len(binary) - at
            raise refused(f"the {BINARY_SIZE} of the input {tensor.name!r} is {size!r}; the body has {left} bytes left")
        contents.append(binary[at : at + size])
        at += size
    if at != len(binary):
        raise refused(f"the body has {len(binary) - at} bytes that belong to no input")
    return tuple(heads), tuple(contents)


def _outputs(given: object, *, default: bool) -> tuple[Output, ...]:
    """The outputs that are asked for; without any, the predictions. Raises HR915, HR923."""
    found = []
    for each in _objects(given, "outputs"):
        name = each.get("name")
        if not isinstance(name, str):
            raise refused("an output has no name")
        options = _object(each.get("parameters", {}), "the parameters of each output")
        v2_calls.refuse_unknown(options, (BINARY,), "output", name)
        found.append(Output(name, _flag(options, BINARY, default=default)))
    v2_calls.refuse_outputs([each.name for each in found])
    return tuple(found) or (Output(v2_calls.PREDICTION, default),)


def _flag(given: Mapping[str, object], name: str, *, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise HeadraceError("HR923", f"the parameter {name!r} is no boolean")
    return value


def _object(given: object, what: str) -> Mapping[str, object]:
    if not isinstance(given, dict):
        raise refused(f"{what} must be a JSON object")
    return given


def _objects(given: object, what: str) -> Sequence[Mapping[str, object]]:
    if not isinstance(given, list):
        raise refused(f"{what!r} must be an array of objects")
    return [_object(each, f"each of {what!r}") for each in given]
