"""The Open Inference Protocol over REST. Its models are endpoints, their versions are keys of endpoint versions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson

from headrace.endpoints import v2_calls, v2_wire
from headrace.endpoints.exchange import JSON, LARGE, Path, Reply
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from headrace.endpoints.exchange import Asked, Handler
    from headrace.endpoints.service import Call, Service

EXTENSIONS: Final = ("binary_tensor_data",)
OCTETS: Final = "application/octet-stream"
CONTENT_TYPES: Final = (JSON, OCTETS)
MODEL: Final = "/v2/models/{name}"
VERSION: Final = "/v2/models/{name}/versions/{version}"


def paths(service: Service) -> tuple[Path, ...]:
    """The routes of the protocol."""
    own = _Handlers(service)

    def path(method: str, template: str, handler: Handler, *, is_open: bool = False) -> Path:
        return Path(method, template, handler, render, open=is_open)

    return (
        path("GET", "/v2", own.server),
        path("GET", "/v2/health/live", own.live, is_open=True),
        path("GET", "/v2/health/ready", own.ready, is_open=True),
        *(path("GET", template, own.model) for template in (MODEL, VERSION)),
        *(path("GET", f"{template}/ready", own.model_ready) for template in (MODEL, VERSION)),
        *(path("POST", f"{template}/infer", own.infer) for template in (MODEL, VERSION)),
    )


def render(error: HeadraceError) -> bytes:
    """The body of an error, as the protocol has it: one text."""
    return orjson.dumps({"error": f"{error.code} {error.what}"})


class _Handlers:
    """What answers each path."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def server(self, _: Asked) -> Reply:
        """The metadata of the server."""
        return Reply(orjson.dumps(v2_calls.server(EXTENSIONS)))

    async def live(self, _: Asked) -> Reply:
        """Whether the process answers at all."""
        return Reply(orjson.dumps({"live": True}))

    async def ready(self, _: Asked) -> Reply:
        """Whether requests are taken; 503 while they are not."""
        return _readiness({"ready": self._service.ready()})

    async def model(self, asked: Asked) -> Reply:
        """The inputs and outputs of an endpoint, or of one version of it."""
        return Reply(orjson.dumps(v2_calls.model(self._service, asked.params["name"], asked.params.get("version"))))

    async def model_ready(self, asked: Asked) -> Reply:
        """Whether an endpoint, or one version of it, answers."""
        name = asked.params["name"]
        return _readiness({"name": name, "ready": v2_calls.ready(self._service, name, asked.params.get("version"))})

    async def infer(self, asked: Asked) -> Reply:
        """Predict."""
        _refuse_content(asked)
        if len(asked.body) < LARGE:
            infer, call = self._read(asked)
        else:
            infer, call = await asyncio.to_thread(self._read, asked)
        answered = await self._service.predict(call)
        body, length = v2_wire.answer(call.endpoint, infer, answered)
        if length is None:
            return Reply(body)
        return Reply(body, OCTETS, headers={v2_wire.HEADER_LENGTH: str(length)})

    def _read(self, asked: Asked) -> tuple[v2_wire.Infer, Call]:
        """The request and the call that it makes; its values are read once its inputs are known to be right."""
        name, key = asked.params["name"], asked.params.get("version")
        infer = v2_wire.parse(asked.body, asked.header(v2_wire.HEADER_LENGTH) or None)
        v2_calls.refuse_heads(self._service, name, key, infer.heads)
        table = infer.table()
        inputs = v2_calls.Inputs(infer.heads, infer.columns() if table is None else (), table)
        return infer, v2_calls.call_of(name, key, inputs, infer.parameters)


def _readiness(said: dict[str, object]) -> Reply:
    return Reply(orjson.dumps(said), status=200 if said["ready"] else 503)


def _refuse_content(asked: Asked) -> None:
    """Refuse a body of another type, or one that is compressed. Without a type it is taken for JSON."""
    given = asked.header("content-type", JSON).partition(";")[0].strip().lower()
    if given not in CONTENT_TYPES:
        raise HeadraceError("HR905", f"the content type is {given!r}; it takes {' or '.join(CONTENT_TYPES)}")
    encoding = asked.header("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise HeadraceError("HR905", f"the body is encoded as {encoding!r}; it is taken as it is")
