"""The gRPC server of the Open Inference Protocol. It needs the extra `headrace[grpc]`."""

from __future__ import annotations

import logging
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from headrace.endpoints.access_log import SHOWN, Handled
from headrace.endpoints.exchange import Told
from headrace.endpoints.statuses import status_of
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from headrace.endpoints.figures import Figures
    from headrace.endpoints.service import Service

LOG: Final = logging.getLogger(__name__)
OPEN: Final = frozenset({"ServerLive", "ServerReady"})  # what a load balancer asks needs no token
# The names of gRPC's statuses; what is not here is a wrong argument.
CODES: Final = {
    "HR901": "NOT_FOUND",
    "HR902": "UNAVAILABLE",
    "HR903": "NOT_FOUND",
    "HR907": "RESOURCE_EXHAUSTED",
    "HR911": "UNAUTHENTICATED",
    "HR912": "PERMISSION_DENIED",
    "HR913": "RESOURCE_EXHAUSTED",
    "HR914": "DEADLINE_EXCEEDED",
    "HR919": "INTERNAL",
}

_OK: Final = 200


def nobody_is_refused(_: str | None) -> None:
    """The check of a server without tokens."""


@dataclass(frozen=True, slots=True)
class Listening:
    """How the server listens.

    `address` is HOST:PORT; with port 0 the system chooses one. `allow` is handed what the metadata "authorization"
    says, and raises HR911 or HR912. `tls` is the private key and the chain of certificates, both PEM. Several
    processes may listen on one address with `shared`. Each call is counted in `figures`, and `told` is told of it;
    how long it took is told by `seconds`.
    """

    address: str
    most_bytes: int
    allow: Callable[[str | None], None] = nobody_is_refused
    tls: tuple[bytes, bytes] | None = None
    shared: bool = False
    figures: Figures | None = None
    seconds: Callable[[], float] = lambda: 0.0
    told: Told = field(default_factory=Told)


class GrpcServer:
    """A server that runs."""

    def __init__(self, server: Any, port: int) -> None:  # noqa: ANN401 - grpcio has no types
        self.port = port
        self._server = server

    async def stop(self, grace: float) -> None:
        """Take nothing more, and give what is under way `grace` seconds to end."""
        await self._server.stop(grace)


async def start(service: Service, listening: Listening) -> GrpcServer:
    """Start answering in the running loop. Raises HR924 without the libraries, HR925 where nothing can listen."""
    try:
        import grpc  # type: ignore[import-untyped]

        from headrace.endpoints.grpc_methods import Methods
        from headrace.endpoints.v2_messages import METHODS, SERVICE
    except ImportError as error:
        raise HeadraceError("HR924", f"gRPC cannot be served: {error}") from error
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", listening.most_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", int(listening.shared)),
        ]
    )
    methods, watch = Methods(service), _Watch(service, listening)
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(_handler(name, getattr(methods, name), watch)) for name in METHODS
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = _bind(server, listening)
    await server.start()
    return GrpcServer(server, port)


def _bind(server: Any, listening: Listening) -> int:  # noqa: ANN401 - grpcio has no types
    import grpc

    try:
        if listening.tls is None:
            port = server.add_insecure_port(listening.address)
        else:
            port = server.add_secure_port(listening.address, grpc.ssl_server_credentials([listening.tls]))
    except RuntimeError as error:
        raise HeadraceError("HR925", f"gRPC cannot listen on {listening.address}") from error
    return int(port)


def _handler(
    name: str, method: Callable[[Any], Awaitable[Any]], watch: _Watch
) -> Callable[[bytes, Any], Awaitable[bytes]]:
    """The method from bytes to bytes, with its errors as statuses of gRPC."""
    import grpc
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    from headrace.endpoints.v2_messages import CLASSES, SERVICE

    read = CLASSES[f"{name}Request"].FromString

    async def answered(raw: bytes, call: _Call) -> bytes:
        try:
            if name not in OPEN:
                watch.listening.allow(call.metadata.get("authorization"))
            request = read(raw)
            call.endpoint = getattr(request, "model_name", "") or getattr(request, "name", "")
            answer: bytes = (await method(request)).SerializeToString()
        except HeadraceError as error:
            call.refusal = error
        except DecodeError as error:
            call.refusal = HeadraceError("HR926", f"the message of {name} cannot be read: {error}")
        except Exception:
            LOG.exception("the gRPC method %s failed", name)
            call.refusal = HeadraceError("HR919", f"the method {name} failed")
        else:
            return answer
        return b""

    async def handle(raw: bytes, context: Any) -> bytes:  # noqa: ANN401 - grpcio has no types
        metadata = {str(key): str(value) for key, value in context.invocation_metadata() or ()}
        call = _Call(f"/{SERVICE}/{name}", metadata, len(raw))
        with watch.call(call):
            answer = await answered(raw, call)
            call.sent = len(answer)
        if call.refusal is not None:
            code = CODES.get(call.refusal.code, "INVALID_ARGUMENT")
            await context.abort(grpc.StatusCode[code], f"{call.refusal.code} {call.refusal.what}")
        return answer

    return handle


@dataclass(slots=True)
class _Call:
    """One call: what it asked for, and what became of it. Sizes are in bytes."""

    path: str
    metadata: Mapping[str, str]
    received: int
    endpoint: str = ""
    sent: int = 0
    refusal: HeadraceError | None = None


@dataclass(frozen=True, slots=True)
class _Watch:
    """Counts calls, traces them and has them logged, as those over HTTP are: to HTTP/2 each is a POST."""

    service: Service
    listening: Listening

    @contextmanager
    def call(self, call: _Call) -> Iterator[None]:
        """A call that is answered within the block. One that its caller breaks off is told to nobody."""
        listening, began = self.listening, self.listening.seconds()
        tracing = listening.told.tracing
        with nullcontext() if tracing is None else tracing.request(_scope(call, listening)) as span:
            yield
            status = _OK if call.refusal is None else status_of(call.refusal)
            seconds = self.listening.seconds() - began
            known = call.endpoint if call.endpoint in self.service.traffic.endpoints() else ""
            if listening.figures is not None:
                listening.figures.answered(known, status, seconds)
            if span is not None:
                span.ends("POST", call.path, status)
            if listening.told.log is not None:
                trace = None if span is None else span.trace_id
                sizes = call.received, call.sent
                listening.told.log.add(Handled("POST", call.path[:SHOWN], known, status, seconds, *sizes, trace))


def _scope(call: _Call, listening: Listening) -> Mapping[str, Any]:
    """The call as the tracing of requests takes it."""
    return {
        "method": "POST",
        "path": call.path,
        "scheme": "http" if listening.tls is None else "https",
        "headers": [(name.encode(), value.encode()) for name, value in call.metadata.items()],
    }
