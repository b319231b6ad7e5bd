"""The methods of the Open Inference Protocol's gRPC form, from message to message.

Only `grpc_server` imports this module: it needs protobuf, which is an extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headrace.endpoints import v2_calls, v2_tensors
from headrace.endpoints.v2_messages import CLASSES, ONEOF
from headrace.endpoints.v2_tensors import refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.endpoints.service import Answered, Service
    from headrace.endpoints.v2_tensors import Tensor

# Where a message keeps the values of each datatype. FP16 has no place: it comes as raw bytes only.
CONTENTS: Final[Mapping[str, str]] = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class Methods:
    """The methods by their names. Each takes a message of its request's class and returns one of its response's."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def ServerLive(self, _: Any) -> Any:  # noqa: ANN401, N802 - messages have no types; the protocol's names
        """Whether the process answers at all."""
        return CLASSES["ServerLiveResponse"](live=True)

    async def ServerReady(self, _: Any) -> Any:  # noqa: ANN401, N802
        """Whether requests are taken."""
        return CLASSES["ServerReadyResponse"](ready=self._service.ready())

    async def ModelReady(self, request: Any) -> Any:  # noqa: ANN401, N802
        """Whether an endpoint, or one version of it, answers."""
        found = v2_calls.ready(self._service, request.name, request.version or None)
        return CLASSES["ModelReadyResponse"](ready=found)

    async def ServerMetadata(self, _: Any) -> Any:  # noqa: ANN401, N802
        """What this server is."""
        return CLASSES["ServerMetadataResponse"](**v2_calls.server([]))

    async def ModelMetadata(self, request: Any) -> Any:  # noqa: ANN401, N802
        """The inputs and outputs of an endpoint."""
        found = v2_calls.model(self._service, request.name, request.version or None)
        return CLASSES["ModelMetadataResponse"](**found)

    async def ModelInfer(self, request: Any) -> Any:  # noqa: ANN401, N802
        """Predict."""
        heads = [v2_tensors.head(each.name, each.datatype, tuple(each.shape)) for each in request.inputs]
        v2_calls.refuse_heads(self._service, request.model_name, request.model_version or None, heads)
        given = v2_calls.parameters(_parameters(request.parameters))
        outputs = _outputs(request)
        inputs = v2_calls.Inputs(heads, _columns(request, heads, nan_is_missing=given.nan_is_missing))
        call = v2_calls.call_of(request.model_name, request.model_version or None, inputs, given)
        return _response(request, outputs, await self._service.predict(call))


def _columns(request: Any, heads: Sequence[Tensor], *, nan_is_missing: bool) -> list[list[object]]:  # noqa: ANN401
    """The values of the inputs, raw or typed. Raises HR915."""
    for each in request.inputs:
        v2_calls.refuse_unknown(each.parameters, (), "input", each.name)
    if not request.raw_input_contents:
        return [_typed(tensor, each.contents) for tensor, each in zip(heads, request.inputs, strict=True)]
    if len(request.raw_input_contents) != len(heads):
        raise refused(f"there are {len(request.raw_input_contents)} raw contents for {len(heads)} inputs")
    if any(each.HasField("contents") for each in request.inputs):
        raise refused("an input has contents, though there are raw contents as well")
    raws = [memoryview(each) for each in request.raw_input_contents]
    return [
        v2_tensors.from_bytes(tensor, raw, nan_is_missing=nan_is_missing)
        for tensor, raw in zip(heads, raws, strict=True)
    ]


def _typed(tensor: Tensor, contents: Any) -> list[object]:  # noqa: ANN401
    """The values of an input whose contents are not raw."""
    name = CONTENTS.get(tensor.datatype)
    if name is None:
        raise refused(f"the input {tensor.name!r} is of the datatype {tensor.datatype}, which comes as raw bytes only")
    return v2_tensors.from_values(tensor, getattr(contents, name))


def _outputs(request: Any) -> tuple[str, ...]:  # noqa: ANN401
    """The outputs that are asked for; without any, the predictions. Raises HR915, HR923."""
    names = [each.name for each in request.outputs]
    v2_calls.refuse_outputs(names)
    for each in request.outputs:
        v2_calls.refuse_unknown(each.parameters, (), "output", each.name)
    return tuple(names) or (v2_calls.PREDICTION,)


def _parameters(given: Any) -> dict[str, object]:  # noqa: ANN401
    """Parameters as plain values; one without a value is None."""
    found = {}
    for name, value in given.items():
        choice = value.WhichOneof(ONEOF)
        found[name] = None if choice is None else getattr(value, choice)
    return found


def _response(request: Any, outputs: Sequence[str], answered: Answered) -> Any:  # noqa: ANN401
    """The answer: raw where the request was raw."""
    response = CLASSES["ModelInferResponse"](model_name=request.model_name, model_version=answered.key, id=request.id)
    for name, text in v2_calls.answer_parameters(answered).items():
        response.parameters[name].string_param = text
    for name in outputs:
        output = response.outputs.add(name=name, datatype=v2_calls.OUTPUTS[name], shape=[len(answered.ids)])
        numbers = name == v2_calls.PREDICTION
        if request.raw_input_contents:
            scores, ids = answered.scored.scores, answered.ids
            raw = v2_tensors.numbers_to_bytes(scores) if numbers else v2_tensors.texts_to_bytes(ids)
            response.raw_output_contents.append(raw)
        elif numbers:
            output.contents.fp64_contents.extend(answered.scored.scores.tolist())
        else:
            output.contents.bytes_contents.extend(each.encode() for each in answered.ids)
    return response
