"""MLflow's scoring protocol: POST /invocations, and the paths that ask whether the server is there."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import orjson

from headrace.endpoints import mlflow_bodies
from headrace.endpoints.exchange import JSON, LARGE, Path, Reply
from headrace.endpoints.service import Call
from headrace.errors import HeadraceError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.endpoints.exchange import Asked
    from headrace.endpoints.service import Service

CSV: Final = "text/csv"
PLAIN: Final = "text/plain"
CHARSETS: Final = ("utf-8", "utf8", "us-ascii")
ENDPOINT: Final = "endpoint"
PARAMS: Final = {"at": int, "version": str}  # what a body may set under "params"


def paths(service: Service) -> tuple[Path, ...]:
    """The routes of the protocol."""
    own = _Handlers(service)
    return (
        Path("POST", "/invocations", own.invocations, render),
        Path("GET", "/ping", own.health, render, open=True),
        Path("GET", "/health", own.health, render, open=True),
        Path("GET", "/version", own.version, render),
    )


def render(error: HeadraceError) -> bytes:
    """The body of an error: ours, and what MLflow's own clients look for beside it."""
    message = f"{error.code} {error.what}"
    return orjson.dumps({"error": error.to_json(), "error_code": "BAD_REQUEST", "message": message})


class _Handlers:
    """What answers each path."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def health(self, _: Asked) -> Reply:
        """Whether requests are taken; 503 while they are not."""
        return Reply(b"\n", PLAIN, 200 if self._service.ready() else 503)

    async def version(self, _: Asked) -> Reply:
        """The version of Headrace."""
        return Reply(version("headrace").encode(), PLAIN)

    async def invocations(self, asked: Asked) -> Reply:
        """Predict."""
        if len(asked.body) < LARGE:
            call = self._read(asked)
        else:
            call = await asyncio.to_thread(self._read, asked)
        answered = await self._service.predict(call)
        return Reply(orjson.dumps({"predictions": answered.scored.scores.tolist()}))

    def _read(self, asked: Asked) -> Call:
        """The call that a body makes. Raises HR901, HR902, HR904, HR905, HR920, HR921, HR922, HR923."""
        is_csv = _is_csv(asked)
        endpoint = self._endpoint(asked.query)
        if is_csv:
            served = self._service.traffic.versions(endpoint)
            fields = {each.name: each for one in reversed(served) for each in one.fields}
            return Call(endpoint, mlflow_bodies.from_csv(asked.body, tuple(fields.values())))
        rows, params = mlflow_bodies.from_json(asked.body)
        at, key = _params(params)
        return Call(endpoint, rows, at=at, version=key)

    def _endpoint(self, query: Mapping[str, str]) -> str:
        """The endpoint that the query names, or the only one. Raises HR901, HR902, HR920, HR923."""
        for name in query:
            if name != ENDPOINT:
                raise HeadraceError("HR923", f"the query has {name!r}; {did_you_mean(name, [ENDPOINT])}")
        known = self._service.traffic.endpoints()
        named = query.get(ENDPOINT)
        if named is not None:
            if named not in known:
                self._service.traffic.route(named)  # says why
            return named
        if not known:
            raise HeadraceError("HR902", "no endpoint has a version to answer with")
        if len(known) > 1:
            raise HeadraceError("HR920", f"the server has {len(known)} endpoints: {', '.join(sorted(known))}")
        return known[0]


def _params(given: Mapping[str, object]) -> tuple[int | None, str | None]:
    """The cut-off, in microseconds since 1970, and the version. Raises HR923."""
    for name, value in given.items():
        if name not in PARAMS:
            raise HeadraceError("HR923", f"'params' has the key {name!r}; {did_you_mean(name, PARAMS)}")
        if type(value) is not PARAMS[name]:
            raise HeadraceError("HR923", f"{name!r} of 'params' is no {PARAMS[name].__name__}")
    at, key = given.get("at"), given.get("version")
    return (at if isinstance(at, int) else None), (key if isinstance(key, str) else None)


def _is_csv(asked: Asked) -> bool:
    """Whether the body is CSV and not JSON. Raises HR905 for anything else; without a type it is taken for JSON."""
    given, _, options = asked.header("content-type", JSON).partition(";")
    kind = given.strip().lower()
    if kind not in (JSON, CSV):
        raise HeadraceError("HR905", f"the content type is {kind!r}; it takes {JSON} or {CSV}")
    for option in options.split(";"):
        name, _, value = option.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in CHARSETS:
            raise HeadraceError("HR905", f"the charset is {value.strip()!r}; it takes utf-8")
    encoding = asked.header("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise HeadraceError("HR905", f"the body is encoded as {encoding!r}; it is taken as it is")
    return kind == CSV
