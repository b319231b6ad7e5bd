"""The server as an ASGI application: it finds the path, reads the body, checks the token, and turns errors to answers.

No framework stands between the socket and the handlers: one costs three times as much as all of this.
"""

from __future__ import annotations

import asyncio
import logging
import re
from types import coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from headrace.endpoints import calls, mlflow, v2
from headrace.endpoints.access import Access
from headrace.endpoints.access_log import SHOWN, Handled
from headrace.endpoints.exchange import Path, Reply, Told
from headrace.endpoints.figures import CONTENT_TYPE
from headrace.endpoints.statuses import status_of
from headrace.errors import HeadraceError, suggestion

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping

    from headrace.endpoints.answering import AnsweringService
    from headrace.endpoints.exchange import Asked
    from headrace.endpoints.figures import Figures
    from headrace.endpoints.tracing import RequestSpan

    Message = Mapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger(__name__)
_MATCHES = 1_000
"""Paths whose routes are remembered."""
_SHOWN = 200
"""Characters of a path that an error repeats."""


class _GoneError(Exception):
    """The caller has gone: nobody waits for an answer."""


class _RefusedError(HeadraceError):
    """An error whose answer has headers of its own."""

    def __init__(self, code: str, what: str, headers: Mapping[str, str]) -> None:
        super().__init__(code, what)
        self.headers = headers


class _Received:
    """One request. A header and the query are decoded when somebody asks for them. See `exchange.Asked`."""

    __slots__ = ("_scope", "body", "params")

    def __init__(self, scope: Mapping[str, Any], params: Mapping[str, str], body: bytes) -> None:
        self._scope = scope
        self.params = params
        self.body = body

    @property
    def query(self) -> Mapping[str, str]:
        return dict(parse_qsl(self._scope["query_string"].decode("latin-1"), keep_blank_values=True))

    def header(self, name: str, default: str = "") -> str:
        wanted = name.encode("latin-1")
        for each, value in self._scope["headers"]:
            if each == wanted:
                return str(value, "latin-1")
        return default


class Application:
    """Serves every protocol over one service.

    `unlogged` says how many predictions are not on record yet, or never will be, `page` is what /docs answers,
    `access` says who may ask (None: everyone), and `told` is told of requests.
    """

    def __init__(
        self,
        service: AnsweringService,
        figures: Figures,
        unlogged: Callable[[], int],
        *,
        page: bytes,
        access: Access | None = None,
        told: Told | None = None,
    ) -> None:
        self._service = service
        self._unlogged = unlogged
        self._figures = figures
        self._access = access or Access()
        self._told = told or Told()
        metrics = Path("GET", "/metrics", self._metrics, calls.render, admin=True)
        routes = (*calls.paths(service, page), *v2.paths(service), *mlflow.paths(service), metrics)
        self._exact = {each.template: {} for each in routes if "{" not in each.template}  # type: dict[str, dict[str, Path]]
        self._patterns: dict[str, tuple[re.Pattern[str], dict[str, Path]]] = {}
        self._matches: dict[str, tuple[dict[str, Path], Mapping[str, str]]] = {}
        for each in routes:
            self._add(each)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if self._told.tracing is None:
            await self._handle(scope, receive, send, None)
            return
        with self._told.tracing.request(scope) as span:
            await self._handle(scope, receive, send, span)

    async def _handle(self, scope: Mapping[str, Any], receive: Receive, send: Send, span: RequestSpan | None) -> None:
        began = self._service.seconds()
        render: Callable[[HeadraceError], bytes] = calls.render
        params: Mapping[str, str] = {}
        template, body = "", b""
        try:
            path, params = self._found(scope["method"], scope["path"], scope.get("raw_path"))
            template = path.template
            render = path.render
            if not path.open:
                self._access.check(_authorization(scope) if self._access.asks else b"", admin=path.admin)
            body = await self._body(receive) if path.method == "POST" else b""
            reply = await path.handler(_Received(scope, params, body))
        except HeadraceError as error:
            reply = Reply(render(error), status=status_of(error), headers=_headers_of(error))
        except _GoneError:
            return
        except Exception as error:  # noqa: BLE001 - nothing that a caller sends may end the server, or tell of its code
            _log.exception("%s %s", scope["method"], scope["path"])
            failed = HeadraceError("HR919", f"the request failed with {type(error).__name__}")
            reply = Reply(render(failed), status=503)
        await self._send(send, reply)
        endpoint = params.get("endpoint") or params.get("name", "")
        known = endpoint if endpoint in self._service.traffic.endpoints() else ""
        seconds = self._service.seconds() - began
        self._figures.answered(known, reply.status, seconds)
        if span is not None:
            span.ends(scope["method"], template, reply.status)
        if self._told.log is not None:
            trace = None if span is None else span.trace_id
            sizes = len(body), len(reply.body)
            handled = Handled(scope["method"], scope["path"][:SHOWN], known, reply.status, seconds, *sizes, trace)
            self._told.log.add(handled)

    def _add(self, path: Path) -> None:
        if "{" not in path.template:
            self._exact[path.template][path.method] = path
            return
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.template))
        self._patterns.setdefault(path.template, (pattern, {}))[1][path.method] = path

    def _found(self, method: str, path: str, raw: bytes | None) -> tuple[Path, Mapping[str, str]]:
        """The route of a path and the parts that it names. Raises HR916, HR917."""
        methods = self._exact.get(path)
        params: Mapping[str, str] = {}
        if methods is None:
            target = path if raw is None else raw.decode("latin-1").partition("?")[0]
            methods, params = self._matches.get(target) or self._matched(target)
        if methods is None:
            known = (*self._exact, *self._patterns)
            raise HeadraceError("HR916", f"there is no path {path[:_SHOWN]!r}", fix=suggestion(path[:_SHOWN], known))
        if method not in methods:
            allowed = ", ".join(methods)
            what = f"{path[:_SHOWN]} takes {allowed}, not {method[:_SHOWN]}"
            raise _RefusedError("HR917", what, {"allow": allowed})
        return methods[method], params

    def _matched(self, target: str) -> tuple[dict[str, Path] | None, Mapping[str, str]]:
        """The routes that a path with parts fits, and its parts; remembered, since there are few that exist."""
        for pattern, candidates in self._patterns.values():
            if match := pattern.fullmatch(target):
                params = {name: unquote(value) for name, value in match.groupdict().items()}
                if len(target) <= _SHOWN:  # what callers may choose is bounded
                    if len(self._matches) >= _MATCHES:
                        self._matches.clear()
                    self._matches[target] = candidates, params
                return candidates, params
        return None, {}

    async def _body(self, receive: Receive) -> bytes:
        """The whole body. Raises HR906 when it is too large, HR904 when it comes too slowly.

        Most bodies are there already. They are taken without a time limit, which would cost ten times as much.
        """
        steps = receive().__await__()
        try:
            awaited = next(steps)
        except StopIteration as done:
            message: Message = done.value
            first = self._part(message, 0)
            if not message.get("more_body", False):
                return first
            following = receive()
        else:
            first, following = b"", _rest(steps, awaited)
        seconds = self._service.limits.seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._parts(first, following, receive)
        except TimeoutError as error:
            what = f"the body did not arrive within {seconds:g} seconds"
            raise _RefusedError("HR904", what, {"connection": "close"}) from error

    async def _parts(self, first: bytes, following: Awaitable[Message], receive: Receive) -> bytes:
        """A body that comes in parts: the first, the message that is awaited already, and those that follow it."""
        parts, size, message = [first], len(first), await following
        while True:
            parts.append(self._part(message, size))
            size += len(parts[-1])
            if not message.get("more_body", False):
                return b"".join(parts)
            message = await receive()

    def _part(self, message: Message, size: int) -> bytes:
        """The bytes of a message, of which `size` others came before. Raises HR906 when they are too many."""
        if message["type"] == "http.disconnect":
            raise _GoneError
        body: bytes = message.get("body", b"")
        if size + len(body) > self._service.limits.body:
            raise HeadraceError("HR906", f"the body has more than {self._service.limits.body} bytes")
        return body

    async def _metrics(self, _: Asked) -> Reply:
        self._figures.look(self._service.batches.waiting, self._unlogged())
        return Reply(self._figures.text(), CONTENT_TYPE)

    async def _send(self, send: Send, reply: Reply) -> None:
        headers = [
            (b"content-type", reply.content_type.encode("latin-1")),
            (b"content-length", b"%d" % len(reply.body)),
        ]
        if reply.headers:
            headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
        if not self._service.ready() and "connection" not in reply.headers:
            headers.append((b"connection", b"close"))
        try:
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            await send({"type": "http.response.body", "body": reply.body})
        except ConnectionError:
            return
        except RuntimeError as error:
            if not str(error).endswith(_CLOSED):
                raise


_CLOSED = "the handler is closed"
"""How the error ends that uvloop raises for writing to a caller that has gone."""


@coroutine
def _rest(steps: Generator[Any, Any, Message], awaited: object) -> Generator[Any, Any, Message]:
    """Await the rest of what has been begun by its first step, which gave `awaited`."""
    try:
        yield awaited
    except BaseException:
        steps.close()
        raise
    return (yield from steps)


def _authorization(scope: Mapping[str, Any]) -> bytes:
    """What the caller shows."""
    return next((value for name, value in scope["headers"] if name == b"authorization"), b"")


def _headers_of(error: HeadraceError) -> Mapping[str, str]:
    if isinstance(error, _RefusedError):
        return error.headers
    if error.code == "HR911":
        return {"www-authenticate": "Bearer"}
    return {"retry-after": "1"} if error.code in ("HR902", "HR913") else {}
