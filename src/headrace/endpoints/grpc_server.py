"""The gRPC server of the Open Inference Protocol. It needs the extra `headrace[grpc]`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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


def nobody_is_refused(_: str | None) -> None:
    """The check of a server without tokens."""


@dataclass(frozen=True, slots=True)
class Listening:
    """How the server listens.

    `address` is HOST:PORT; with port 0 the system chooses one. `allow` is handed what the metadata "authorization"
    says, and raises HR911 or HR912. `tls` is the private key and the chain of certificates, both PEM. Several
    processes may listen on one address with `shared`.
    """

    address: str
    most_bytes: int
    allow: Callable[[str | None], None] = nobody_is_refused
    tls: tuple[bytes, bytes] | None = None
    shared: bool = False


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
    methods = Methods(service)
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(_handler(name, getattr(methods, name), listening.allow))
        for name in METHODS
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
    name: str, method: Callable[[Any], Awaitable[Any]], allow: Callable[[str | None], None]
) -> Callable[[bytes, Any], Awaitable[bytes]]:
    """The method from bytes to bytes, with its errors as statuses of gRPC."""
    import grpc
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    from headrace.endpoints.v2_messages import CLASSES

    read = CLASSES[f"{name}Request"].FromString

    async def handle(raw: bytes, context: Any) -> bytes:  # noqa: ANN401 - grpcio has no types
        try:
            if name not in OPEN:
                allow(_authorization(context))
            answer: bytes = (await method(read(raw))).SerializeToString()
        except HeadraceError as error:
            refusal = error
        except DecodeError as error:
            refusal = HeadraceError("HR926", f"the message of {name} cannot be read: {error}")
        except Exception:
            LOG.exception("the gRPC method %s failed", name)
            refusal = HeadraceError("HR919", f"the method {name} failed")
        else:
            return answer
        await context.abort(
            grpc.StatusCode[CODES.get(refusal.code, "INVALID_ARGUMENT")], f"{refusal.code} {refusal.what}"
        )
        raise AssertionError

    return handle


def _authorization(context: Any) -> str | None:  # noqa: ANN401 - grpcio has no types
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return str(value)
    return None
