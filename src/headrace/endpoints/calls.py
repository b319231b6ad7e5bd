"""Our own protocol: records by name in, predictions with ids out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import orjson

from headrace.endpoints.exchange import JSON, LARGE, Path, Reply
from headrace.endpoints.openapi import document
from headrace.endpoints.service import Call
from headrace.errors import HeadraceError, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.endpoints.exchange import Asked
    from headrace.endpoints.service import Answered, Served, Service

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SETTINGS: Final = {"records", "at", "features", "explain", "version"}
_NO_SETTINGS: Final[Mapping[str, Any]] = MappingProxyType({})
_MOST_EXPLAINED: Final = 100
_HTML: Final = "text/html; charset=utf-8"


def paths(service: Service, page: bytes) -> tuple[Path, ...]:
    """The routes of the protocol, and what describes them."""
    own = _Handlers(service, page)
    return (
        Path("POST", "/predict/{endpoint}", own.predict, render),
        Path("GET", "/endpoints", own.endpoints, render),
        Path("GET", "/openapi.json", own.openapi, render),
        Path("GET", "/docs", own.docs, render, open=True),
        Path("GET", "/live", own.live, render, open=True),
        Path("GET", "/ready", own.ready, render, open=True),
    )


def render(error: HeadraceError) -> bytes:
    """The body of an error."""
    return orjson.dumps({"error": error.to_json()})


class _Handlers:
    """What answers each path."""

    def __init__(self, service: Service, page: bytes) -> None:
        self._service = service
        self._page = page

    async def predict(self, asked: Asked) -> Reply:
        """Predict."""
        _refuse_content(asked)
        body = (
            orjson_loaded(asked.body) if len(asked.body) < LARGE else await asyncio.to_thread(orjson_loaded, asked.body)
        )
        call, with_features = _call(asked.params["endpoint"], body, asked.body)
        return Reply(_answer(await self._service.predict(call), with_features=with_features))

    async def endpoints(self, _: Asked) -> Reply:
        """What is served."""
        traffic = self._service.traffic
        found = {name: [_described(each) for each in traffic.versions(name)] for name in traffic.endpoints()}
        return Reply(orjson.dumps({"endpoints": found}))

    async def openapi(self, _: Asked) -> Reply:
        """The OpenAPI document."""
        return Reply(orjson.dumps(document(self._service.traffic)))

    async def docs(self, _: Asked) -> Reply:
        """A page to try requests on."""
        return Reply(self._page, _HTML)

    async def live(self, _: Asked) -> Reply:
        """Whether the process answers at all."""
        return Reply(orjson.dumps({"live": True}))

    async def ready(self, _: Asked) -> Reply:
        """Whether requests are taken; 503 while they are not."""
        ready = self._service.ready()
        return Reply(orjson.dumps({"ready": ready}), status=200 if ready else 503)


def orjson_loaded(body: bytes) -> object:
    """The body as data. Raises HR904 for what is no JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HeadraceError("HR904", f"the body is no JSON: {error}") from error


def _call(endpoint: str, body: object, sent: bytes) -> tuple[Call, bool]:
    """The call that a body makes, and whether it asks for features. A bare record, or a list of them, will do."""
    text = None if b"\n" in sent else sent
    if isinstance(body, list):
        records, body = body, _NO_SETTINGS
        text = None if text is None else text.strip()[1:-1]
    elif not isinstance(body, dict):
        raise HeadraceError("HR904", "the body is neither an object nor a list of objects")
    elif "records" in body:
        records, text = body["records"], None
    else:
        records, body = [body], _NO_SETTINGS
    if not isinstance(records, list) or not all(type(each) is dict for each in records):
        raise HeadraceError("HR904", "records is no list of objects")
    if body is _NO_SETTINGS:
        return Call(endpoint, records, text=text), False
    for name in body:
        if name not in _SETTINGS:
            raise HeadraceError("HR904", f"{name!r:.100} beside records", fix=suggestion(name, _SETTINGS))
    features, version = body.get("features", False), body.get("version")
    if type(features) is not bool:
        raise HeadraceError("HR904", f"features is {features!r:.40}, not true or false")
    if version is not None and (type(version) is not str or not version):
        raise HeadraceError("HR904", f"version is {version!r:.40}, not a key")
    return Call(endpoint, records, _moment(body.get("at")), version, _top(body.get("explain", 0))), features


def _top(value: object) -> int:
    """How many contributions are asked for. In JSON, 3.0 is an integer too."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value in range(_MOST_EXPLAINED + 1):
        return int(value)
    raise HeadraceError("HR904", f"explain is {value!r:.40}, not a number from 0 to {_MOST_EXPLAINED}")


def _moment(text: object) -> int | None:
    """A moment in microseconds since 1970; without a zone it is in UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)  # type: ignore[arg-type]  # a TypeError tells
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1)
    except (TypeError, ValueError, OverflowError) as error:
        raise HeadraceError("HR904", f"at is {text!r:.40}, not a moment such as 2013-12-31T17:00:00Z") from error


def _answer(answered: Answered, *, with_features: bool) -> bytes:
    scored = answered.scored
    predictions: list[dict[str, Any]] = [
        {"id": one, "prediction": score} for one, score in zip(answered.ids, scored.scores.tolist(), strict=True)
    ]
    if with_features:
        for each, features in zip(predictions, scored.features, strict=True):
            each["features"] = features
    for each, told in zip(predictions, answered.contributions, strict=False):
        each["contributions"] = told
    for each, (version, model) in zip(predictions, answered.made, strict=False):
        each |= {"version": version, "model": model}
    answer: dict[str, Any] = {"predictions": predictions, "version": answered.key, "model": answered.model}
    if answered.warnings:
        answer["warnings"] = answered.warnings
    return orjson.dumps(answer)


def _described(served: Served) -> Mapping[str, object]:
    fields = [
        {
            "name": each.name,
            "kind": each.kind,
            "required": each.required,
            "view": each.view,
            "entity": each.entity,
            "key": each.key,
        }
        for each in served.fields
    ]
    return {"version": served.key, "model": served.model, "generations": dict(served.generations), "fields": fields}


def _refuse_content(asked: Asked) -> None:
    given = asked.header("content-type", JSON)
    if given != JSON and (given := given.partition(";")[0].strip().lower()) != JSON:
        raise HeadraceError("HR905", f"the content type is {given!r:.60}; it takes {JSON}")
    encoding = asked.header("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise HeadraceError("HR905", f"the body is encoded as {encoding!r:.60}; it is taken as it is")
