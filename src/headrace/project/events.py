"""Events from outside: CloudEvents 1.0 over HTTP become signals for the triggers that wait for them, each once."""

from __future__ import annotations

import binascii
import hmac
import json
import re
from base64 import b64decode
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from headrace.adapters.notify import secret_bytes, signature
from headrace.endpoints.access import Access
from headrace.errors import HeadraceError
from headrace.ports.canonical import digest_of
from headrace.ports.ledger import AddDecision
from headrace.ports.records import Decision
from headrace.project.control import Response
from headrace.runtime.triggers import signals_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.ports.clock import Clock
    from headrace.ports.ledger import Item, Ledger
    from headrace.ports.records import Json
    from headrace.project.control import Request
    from headrace.runtime.triggers import Trigger

SECRET: Final = "HEADRACE_EVENTS_SECRET"  # noqa: S105 - the name of a variable, no secret
"""The variable that holds the secret of signed events, or several, separated by blanks, while one replaces another."""
TOKEN: Final = "HEADRACE_TOKEN"  # noqa: S105 - the name of a variable, no secret
"""The variable that holds the token of those who may send unsigned events; see `headrace.endpoints.access`."""
TOLERANCE: Final = 300
"""Seconds that a signature may be old, or ahead."""

_STRUCTURED = "application/cloudevents+json"
_BATCHED = "application/cloudevents-batch+json"
_NEEDED = ("id", "source", "type")
_KEPT = ("id", "source", "type", "subject", "time", "dataschema", "datacontenttype")
_LONGEST = 1024
"""Characters of an attribute."""
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of characters: CloudEvents have none."""
_SCHEME = 1


class Guard:
    """Who may send events: who signs them, where there is a secret; else who shows the token; else this machine."""

    def __init__(self, clock: Clock, secrets: str | None = None, token: str | None = None) -> None:
        """Raises HR974 for a secret in Base64 that is none."""
        self._clock = clock
        self._secrets = [secret_bytes(each) for each in (secrets or "").split()]
        self._access = Access(token) if token else None

    def check(self, request: Request) -> None:
        """Refuse a request. Raises HR976 without a good signature, HR911 without the token, HR946 from elsewhere."""
        if self._secrets:
            self._check_signature(request)
        elif self._access is not None:
            self._access.check(request.headers.get("authorization", "").encode())
        elif not request.is_local:
            raise HeadraceError("HR946", f"the request comes from {request.peer}, for {request.headers.get('host')!r}")

    def _check_signature(self, request: Request) -> None:
        """As Standard Webhooks say: `webhook-signature` may hold several; one of them must be by one of the secrets."""
        headers = request.headers
        identity, moment, shown = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
        if not (identity and shown and re.fullmatch(r"[0-9]{1,12}", moment)):
            raise HeadraceError("HR976", "webhook-id, webhook-timestamp or webhook-signature is missing")
        if abs(int(moment) - self._clock.now().timestamp()) > TOLERANCE:
            raise HeadraceError("HR976", f"the signature is more than {TOLERANCE // 60} minutes from the present")
        wanted = [signature(secret, identity, moment, request.body).encode() for secret in self._secrets]
        given = [each.encode("latin-1", "replace") for each in shown.split()]
        if not any([hmac.compare_digest(one, other) for one in wanted for other in given]):  # noqa: C419 - takes as long for any
            raise HeadraceError("HR976", "no signature of the request is by a secret that is known here")


@dataclass(frozen=True, slots=True)
class Received:
    """An event: its attributes, and the digest of its data, where it has some."""

    attributes: Mapping[str, str]
    digest: str | None

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from any other event: who sent it, and the sender's own name for it."""
        return self.attributes["source"], self.attributes["id"]

    def body(self) -> dict[str, Json]:
        """What is kept of it."""
        return {**self.attributes, "data_digest": self.digest}


class Events:
    """The route of events. Those that a trigger waits for are durable before they are answered for.

    `triggers` answers those that are declared now; `ring` has somebody look at the signals.
    """

    def __init__(
        self,
        ledger: Ledger,
        environment: str,
        triggers: Callable[[], Sequence[Trigger]],
        guard: Guard,
        ring: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._environment = environment
        self._triggers = triggers
        self._guard = guard
        self._ring = ring
        self._one_at_a_time = Lock()

    def __call__(self, request: Request) -> Response:
        """Take the events of a request: 202, with what each of them fires. Raises HR911, HR946, HR949, HR975, HR976."""
        self._guard.check(request)
        found = read(request)
        with self._one_at_a_time:
            told = self._take(found)
        if any(each["triggers"] and not each["seen_before"] for each in told):
            self._ring()
        return Response.of({"events": told}, 202)

    def _take(self, found: Sequence[Received]) -> list[dict[str, Json]]:
        """Write the new events and their signals, all in one transaction."""
        triggers = self._triggers()
        keys = {each.key: digest_of(["event", _SCHEME, self._environment, *each.key]) for each in found}
        seen = {each.key for each in self._ledger.decisions([_subject(key) for key in keys.values()])}
        items: list[Item] = []
        told: list[dict[str, Json]] = []
        for each in found:
            key = keys[each.key]
            signals = signals_of(self._environment, triggers, each.attributes["type"], each.body())
            names = [signal.subject.partition(":")[2] for signal in signals]
            told.append({"id": each.key[1], "source": each.key[0], "triggers": names, "seen_before": key in seen})
            if signals and key not in seen:
                seen.add(key)
                items += [AddDecision(_record(self._environment, each, key, names)), *signals]
        for answer in self._ledger.write(*items):
            answer.get()
        return told


def read(request: Request) -> list[Received]:
    """The events of a request, in any of the three forms. Raises HR949 and HR975."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _STRUCTURED:
        return [_structured(_json(request.body))]
    if kind == _BATCHED:
        batch = _json(request.body)
        if not isinstance(batch, list):
            raise HeadraceError("HR975", "a batch is a list of events")
        return [_structured(each) for each in batch]
    if "ce-specversion" in request.headers:
        return [_binary(request)]
    raise HeadraceError("HR949", f"the content type is {kind or 'missing'}")


def _json(body: bytes) -> object:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HeadraceError("HR975", f"the body is no JSON: {error}") from error
    return found


def _structured(event: object) -> Received:
    if not isinstance(event, dict):
        raise HeadraceError("HR975", "an event is a JSON object")
    if "data_base64" in event:
        try:
            data: bytes | None = b64decode(str(event["data_base64"]), validate=True)
        except (binascii.Error, ValueError) as error:
            raise HeadraceError("HR975", "data_base64 is no Base64") from error
    else:
        data = json.dumps(event["data"], sort_keys=True).encode() if "data" in event else None
    return _checked({name: value for name, value in event.items() if name not in ("data", "data_base64")}, data)


def _binary(request: Request) -> Received:
    found = {name[3:]: unquote(value) for name, value in request.headers.items() if name.startswith("ce-")}
    kind = request.headers.get("content-type")
    return _checked({**found, **({"datacontenttype": kind} if kind else {})}, request.body or None)


def _checked(attributes: Mapping[str, object], data: bytes | None) -> Received:
    if attributes.get("specversion") != "1.0":
        raise HeadraceError("HR975", f"the specversion is {attributes.get('specversion')!r}")
    kept: dict[str, str] = {}
    for name in _KEPT:
        value = attributes.get(name)
        if value is None and name not in _NEEDED:
            continue
        if not isinstance(value, str) or not value or len(value) > _LONGEST or _UNFIT.search(value):
            raise HeadraceError("HR975", f"{name} is no text of 1 to {_LONGEST} printable characters")
        kept[name] = value
    return Received(kept, None if data is None else sha256(data).hexdigest())


def _subject(key: str) -> str:
    return f"event:{key}"


def _record(environment: str, event: Received, key: str, triggers: Sequence[str]) -> Decision:
    """That an event was taken: it makes the second one of its source and id a repetition."""
    facts = {"kind": "event", "environment": environment, "event": event.body(), "triggers": list(triggers)}
    return Decision(key, triggers[0], _subject(key), None, passed=True, outcomes=(), facts=facts)
