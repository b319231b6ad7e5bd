"""Where notices go: a log, a webhook, or any service that apprise knows."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import importlib
import json
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from headrace.errors import HeadraceError
from headrace.ports.notify import Severity

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.clock import Clock
    from headrace.ports.notify import Notice, Notifier

LIMIT: Final = 10.0
"""Seconds to wait for a webhook to connect, and for each piece of its answer."""

_LOG = "log:"
_ENCODED_SECRET = "whsec_"  # noqa: S105 - the mark of a secret in Base64, no secret
_APPRISE_TYPES = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.ERROR: "failure"}


def open_notifier(address: str, clock: Clock, folder: Path, secret: str | None = None) -> Notifier:
    """The notifier of an address.

    `log:` is standard error and `log:PATH` a file, relative to `folder`; `http://` and `https://` are webhooks, signed
    when there is a `secret`; anything else is apprise's. Raises HR971, HR972 and HR974.
    """
    if address.startswith(_LOG):
        path = address.removeprefix(_LOG)
        return LogNotifier(folder / path if path else None)
    if urlsplit(address).scheme in ("http", "https"):
        return WebhookNotifier(address, clock, secret)
    return AppriseNotifier(address)


class LogNotifier:
    """Writes each notice as one line of JSON, to a file or to standard error."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    def send(self, notice: Notice) -> None:
        """Write one line, whole even beside other writers. Raises HR973."""
        line = json.dumps({"id": notice.id, **notice.to_json()}, ensure_ascii=False) + "\n"
        if self._path is None:
            sys.stderr.write(line)
            sys.stderr.flush()
            return
        try:
            with self._path.open("ab") as file:
                file.write(line.encode())
        except OSError as error:
            raise HeadraceError("HR973", f"{self._path}: {error.strerror}") from error


class WebhookNotifier:
    """Posts each notice as JSON, signed by the rules of Standard Webhooks when there is a secret.

    `webhook-id` is the same for every try of one notice, so that the receiver can tell a repetition.
    """

    def __init__(self, url: str, clock: Clock, secret: str | None = None) -> None:
        host = _host(url)
        if not host:
            raise HeadraceError("HR972", f"{url!r} names no host")
        self._url = url
        self._clock = clock
        self._name = host
        self._secret = None if secret is None else secret_bytes(secret)
        self._opener = urllib.request.build_opener(_NoRedirect)

    def send(self, notice: Notice) -> None:
        """Post it. Raises HR970 for anything but an answer of 2xx in time; a redirect is not followed."""
        body = json.dumps({"id": notice.id, **notice.to_json()}).encode()
        request = urllib.request.Request(self._url, body, self._headers(notice.id, body), method="POST")  # noqa: S310 - checked: http or https
        try:
            with self._opener.open(request, timeout=LIMIT):
                return
        except urllib.error.HTTPError as error:
            error.close()
            raise HeadraceError("HR970", f"{self._name} answered {error.code}") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise HeadraceError("HR970", f"{self._name}: {reason}") from error

    def _headers(self, identity: str, body: bytes) -> dict[str, str]:
        moment = str(int(self._clock.now().timestamp()))
        headers = {
            "content-type": "application/json",
            "user-agent": "headrace",
            "webhook-id": identity,
            "webhook-timestamp": moment,
        }
        if self._secret is not None:
            headers["webhook-signature"] = signature(self._secret, identity, moment, body)
        return headers


class AppriseNotifier:
    """Hands notices to apprise, which knows how to reach about a hundred services. Raises HR971 and HR972."""

    def __init__(self, address: str) -> None:
        try:
            apprise: Any = importlib.import_module("apprise")
        except ImportError as error:
            raise HeadraceError("HR971", f"the address {_scheme(address)} needs apprise") from error
        self._service = apprise.Apprise()
        self._scheme = _scheme(address)
        if not self._service.add(address):
            raise HeadraceError("HR972", f"apprise does not understand the address {self._scheme}...")

    def send(self, notice: Notice) -> None:
        """Send it. Raises HR970 where the service did not take it; apprise logs why."""
        kind = _APPRISE_TYPES[notice.severity]
        if not self._service.notify(body=notice.text or notice.title, title=notice.title, notify_type=kind):
            raise HeadraceError("HR970", f"{self._scheme}... did not take the notification")


def signature(secret: bytes, identity: str, moment: str, body: bytes) -> str:
    """The signature of a message, as Standard Webhooks spells it: `v1,` and the HMAC-SHA256 in Base64.

    `moment` is the time of sending in seconds since 1970, as it stands in the header.
    """
    signed = f"{identity}.{moment}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would go on as a GET without its body, and count as delivered."""

    def redirect_request(self, *_: object) -> None:
        """Follow none: the redirect is raised as the error that it is here."""


def secret_bytes(secret: str) -> bytes:
    """The key that a secret stands for: as it is written, or in Base64 after `whsec_`. Raises HR974."""
    if not secret.startswith(_ENCODED_SECRET):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_ENCODED_SECRET), validate=True)
    except binascii.Error as error:
        raise HeadraceError("HR974", "the secret of a webhook cannot be decoded") from error


def _host(url: str) -> str:
    """What may be shown of the address: the path of a webhook is often its secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.hostname else ""


def _scheme(address: str) -> str:
    """What may be shown of an address that holds user names and passwords."""
    before, colon, _ = address.partition(":")
    return before + colon if colon else repr(address)
