"""Notices that go to a log, to a webhook, and to what apprise reaches: over real sockets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from headrace.adapters import notify
from headrace.adapters.clocks import SimulatedClock
from headrace.adapters.notify import LogNotifier, WebhookNotifier, open_notifier, signature
from headrace.errors import HeadraceError
from headrace.ports.notify import Notice, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOTICE = Notice("run failed", Severity.ERROR, "lateness", "HR701 it raised ValueError\nin Zürich", {"run": "r1"}, AT)


@dataclass
class Hook:
    """What a webhook's server received, and what it answers."""

    url: str = ""
    status: int = 204
    received: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


# apprise loads all its services at once, one of them by a module that the standard library has deprecated.
OF_APPRISE = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@contextmanager
def serving(hook: Hook) -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            hook.received.append((f"{self.command} {self.path}", headers, body))
            self.send_response(hook.status)
            if hook.status in (301, 302, 307):
                self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815 - the server's name for it

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        hook.url = f"http://127.0.0.1:{server.server_port}/hooks/very-secret-path"
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Hook()) as each:
        yield each


def test_a_notice_is_one_line_of_json_in_a_file(tmp_path: Path) -> None:
    notifier = open_notifier("log:notices.jsonl", SimulatedClock(), tmp_path)
    notifier.send(NOTICE)
    notifier.send(NOTICE)
    lines = (tmp_path / "notices.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0]) == {
        "id": NOTICE.id,
        "kind": "run failed",
        "severity": "error",
        "title": "lateness",
        "text": "HR701 it raised ValueError\nin Zürich",
        "facts": {"run": "r1"},
        "at": "2026-01-02T03:04:05.000000+00:00",
    }


def test_a_notice_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    open_notifier("log:", SimulatedClock(), tmp_path).send(NOTICE)
    written = capsys.readouterr()
    assert written.out == ""
    assert json.loads(written.err)["title"] == "lateness"
    assert written.err.count("\n") == 1


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    long = Notice("k", Severity.INFO, "t", "x" * 20_000, {}, AT)
    notifier = LogNotifier(tmp_path / "log")
    threads = [threading.Thread(target=notifier.send, args=(long,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [long.id] * 20


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HeadraceError, match="HR973"):
        LogNotifier(tmp_path / "missing" / "log").send(NOTICE)


def test_facts_are_made_fit_for_json() -> None:
    facts = {"psi": float("nan"), "bound": float("inf"), "at": AT, "many": (1, 2.5, None, True), 3: {"deep": {AT}}}
    notice = Notice("k", Severity.INFO, "t", "", facts, AT)  # type: ignore[arg-type]
    plain = notice.to_json()["facts"]
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["psi"] is None
    assert plain["bound"] is None
    assert plain["at"] == str(AT)
    assert plain["many"] == [1, 2.5, None, True]
    assert plain["3"]["deep"].startswith("{")
    assert len(notice.id) == 32


def test_a_webhook_is_posted_json(hook: Hook, tmp_path: Path) -> None:
    open_notifier(hook.url, SimulatedClock(AT), tmp_path).send(NOTICE)
    ((line, headers, body),) = hook.received
    assert line == "POST /hooks/very-secret-path"
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {"id": NOTICE.id, **NOTICE.to_json()}
    assert headers["webhook-id"] == NOTICE.id
    assert headers["webhook-timestamp"] == str(int(AT.timestamp()))
    assert "webhook-signature" not in headers


@pytest.mark.parametrize(("secret", "raw"), [("s3cret", b"s3cret"), ("whsec_AAEC/w==", b"\x00\x01\x02\xff")])
def test_a_webhook_is_signed_with_its_secret(hook: Hook, secret: str, raw: bytes) -> None:
    WebhookNotifier(hook.url, SimulatedClock(AT), secret).send(NOTICE)
    ((_, headers, body),) = hook.received
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_the_signature_is_that_of_standard_webhooks() -> None:
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")  # the example of the specification
    payload = b'{"test": 2432232314}'
    found = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", payload)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 429, 500, 503])
def test_anything_but_2xx_is_an_error_and_no_redirect_is_followed(hook: Hook, status: int) -> None:
    hook.status = status
    with pytest.raises(HeadraceError, match=f"answered {status}") as caught:
        WebhookNotifier(hook.url, SimulatedClock()).send(NOTICE)
    assert caught.value.code == "HR970"
    assert len(hook.received) == 1


def test_errors_do_not_tell_the_path_of_the_webhook(hook: Hook) -> None:
    hook.status = 500
    with pytest.raises(HeadraceError) as caught:
        WebhookNotifier(hook.url, SimulatedClock()).send(NOTICE)
    assert "127.0.0.1" in str(caught.value)
    assert "very-secret-path" not in str(caught.value)


def test_nobody_at_the_address_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
        with pytest.raises(HeadraceError, match=r"HR970 http://127\.0\.0\.1:\d+: .*refused"):
            WebhookNotifier(url, SimulatedClock()).send(NOTICE)


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert notify.LIMIT == 10.0
    monkeypatch.setattr(notify, "LIMIT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(HeadraceError, match=r"HR970.*timed out"):
            WebhookNotifier(url, SimulatedClock()).send(NOTICE)


def test_a_server_that_talks_nonsense_is_an_error() -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"hello\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        with pytest.raises(HeadraceError, match="HR970"):
            WebhookNotifier(f"http://127.0.0.1:{server.getsockname()[1]}/x", SimulatedClock()).send(NOTICE)
        thread.join()


@pytest.mark.parametrize(
    ("address", "secret", "code"),
    [("https://", None, "HR972"), ("http://host:port/x", None, "HR972"), ("https://host/x", "whsec_?", "HR974")],
)
def test_unfit_webhooks_are_refused_at_once(address: str, secret: str | None, code: str, tmp_path: Path) -> None:
    with pytest.raises(HeadraceError) as caught:
        open_notifier(address, SimulatedClock(), tmp_path, secret)
    assert caught.value.code == code


def test_without_apprise_its_addresses_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(HeadraceError, match=r"headrace\[notify\]") as caught:
        open_notifier("slack://token-a/token-b", SimulatedClock(), tmp_path)
    assert caught.value.code == "HR971"
    assert "token" not in str(caught.value)


@OF_APPRISE
@pytest.mark.parametrize("severity", list(Severity))
def test_apprise_delivers(hook: Hook, severity: Severity, tmp_path: Path) -> None:
    pytest.importorskip("apprise")
    hook.status = 200
    address = hook.url.replace("http://", "json://")
    open_notifier(address, SimulatedClock(), tmp_path).send(Notice("k", severity, "the title", "the text", {}, AT))
    ((line, _, body),) = hook.received
    sent: dict[str, Any] = json.loads(body)
    assert line.startswith("POST /hooks/")
    assert (sent["title"], sent["message"]) == ("the title", "the text")
    assert sent["type"] == {"info": "info", "warning": "warning", "error": "failure"}[severity.value]


@OF_APPRISE
def test_what_apprise_cannot_deliver_is_an_error(hook: Hook, tmp_path: Path) -> None:
    pytest.importorskip("apprise")
    hook.status = 500
    notifier = open_notifier(hook.url.replace("http://", "json://"), SimulatedClock(), tmp_path)
    with pytest.raises(HeadraceError, match="did not take") as caught:
        notifier.send(NOTICE)
    assert caught.value.code == "HR970"


@OF_APPRISE
def test_what_apprise_does_not_understand_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("apprise")
    with pytest.raises(HeadraceError, match="HR972"):
        open_notifier("nonsense://password@host", SimulatedClock(), tmp_path)
