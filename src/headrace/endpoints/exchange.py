"""What a protocol over HTTP asks of the server that it is mounted in: routes, from what is asked to a reply.

And who is told of each request, whatever it came by.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from headrace.endpoints.access_log import AccessLog
    from headrace.endpoints.tracing import Tracing
    from headrace.errors import HeadraceError

    Handler = Callable[["Asked"], Awaitable["Reply"]]

JSON: Final = "application/json"
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
LARGE: Final = 1 << 20  # bytes of a body, from which on it is read in a thread: other requests go on meanwhile


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told of each request, besides those who count."""

    log: AccessLog | None = None
    tracing: Tracing | None = None


class Asked(Protocol):
    """A request whose body is there in full."""

    @property
    def params(self) -> Mapping[str, str]:
        """The parts of the path that the route names, decoded."""

    @property
    def query(self) -> Mapping[str, str]:
        """What follows the question mark, decoded."""

    def header(self, name: str, default: str = "") -> str:
        """A header, by its name in lower case; the default where it is not there."""

    @property
    def body(self) -> bytes:
        """The body, within the server's limit."""


class Reply(NamedTuple):
    """An answer over HTTP; the server adds the length."""

    body: bytes
    content_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = _NO_HEADERS


@dataclass(frozen=True, slots=True)
class Path:
    """One path of a protocol, such as /v2/models/{name}.

    What `handler` raises is a HeadraceError; the server gives it its status, and `render` its body. An `open` path
    needs no token: load balancers ask it. An `admin` path needs the token of that scope.
    """

    method: str
    template: str
    handler: Handler
    render: Callable[[HeadraceError], bytes]
    open: bool = False
    admin: bool = False
