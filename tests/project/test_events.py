"""Events as they come in over HTTP: who may send them, which are events, and that each becomes its signals once."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.adapters.clocks import SimulatedClock
from headrace.adapters.notify import signature
from headrace.adapters.sqlite import SqliteDatabase
from headrace.errors import HeadraceError
from headrace.ledger.ledger import SqlLedger
from headrace.project.control import Control, Request
from headrace.project.events import TOLERANCE, Events, Guard, read
from headrace.runtime.triggers import EVENT, Event, Trigger, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
SECRET = b"a secret of the two"
STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
TRIGGERS = (
    Trigger("hook", "orders", Event("com.example.refresh")),
    Trigger("also", "report", Event("com.example.refresh")),
    Trigger("other", "report", Event("com.example.other")),
)


def event(number: object = 1, **more: object) -> dict[str, object]:
    return {"specversion": "1.0", "id": str(number), "source": "/shop", "type": "com.example.refresh", **more}


@dataclass
class Doors:
    """The address of events, the ledger behind it, and how often somebody was woken."""

    ledger: SqlLedger
    clock: SimulatedClock
    address: str = ""
    rung: list[int] = field(default_factory=list)

    def send(self, content: object, kind: str = STRUCTURED, **headers: str) -> httpx.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        named = {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return httpx.post(f"{self.address}/events", content=body, headers=named)

    def signals(self, name: str = "hook") -> list[dict[str, Any]]:
        return [dict(each.body) for each in self.ledger.signals(EVENT, subject_of("prod", name))]


@contextmanager
def doors_in(folder: Path, secrets: str | None = None, token: str | None = None) -> Iterator[Doors]:
    clock = SimulatedClock(NOW)
    with closing(SqlLedger(SqliteDatabase(folder / "ledger.db"), clock)) as ledger:
        doors = Doors(ledger, clock)
        events = Events(ledger, "prod", lambda: TRIGGERS, Guard(clock, secrets, token), lambda: doors.rung.append(1))
        with Control("127.0.0.1", 0, {("POST", "/events"): events}) as control:
            doors.address = control.address
            yield doors


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    with doors_in(tmp_path) as found:
        yield found


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


def test_a_structured_event_becomes_the_signals_of_its_triggers(doors: Doors) -> None:
    answer = doors.send(event(subject="orders", time="2026-01-05T09:00:00Z", data={"rows": 3}, extra="left out"))
    assert answer.status_code == 202
    assert answer.json() == {
        "events": [{"id": "1", "source": "/shop", "triggers": ["also", "hook"], "seen_before": False}]
    }
    (body,) = doors.signals()
    digest = body.pop("data_digest")
    assert len(digest) == 64
    assert body == {
        "id": "1",
        "source": "/shop",
        "type": "com.example.refresh",
        "subject": "orders",
        "time": "2026-01-05T09:00:00Z",
    }
    assert doors.signals("also")[0] == {**body, "data_digest": digest}
    assert doors.signals("other") == []
    assert doors.rung == [1]


def test_a_binary_event(doors: Doors) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/sh%C3%B6p", "ce-type": "com.example.refresh"}
    assert doors.send(b"\x00\x01", "application/octet-stream", **headers).status_code == 202
    (body,) = doors.signals()
    assert (body["source"], body["datacontenttype"], len(body["data_digest"])) == (
        "/shöp",
        "application/octet-stream",
        64,
    )


def test_a_batch(doors: Doors) -> None:
    batch = [event(1), event(2), event(1), event(3, type="com.example.other"), event(4, type="nobody.waits")]
    answer = doors.send(batch, BATCHED)
    assert [(each["triggers"], each["seen_before"]) for each in answer.json()["events"]] == [
        (["also", "hook"], False),
        (["also", "hook"], False),
        (["also", "hook"], True),
        (["other"], False),
        ([], False),
    ]
    assert [body["id"] for body in doors.signals()] == ["1", "2"]
    assert len(doors.signals("other")) == 1
    assert doors.send([], BATCHED).json() == {"events": []}


def test_a_batch_with_one_bad_event_is_refused_as_a_whole(doors: Doors) -> None:
    assert doors.send([event(1), {"id": "2"}], BATCHED).status_code == 400
    assert doors.signals() == []


def test_an_event_is_taken_once_for_good(tmp_path: Path) -> None:
    for before in (False, True):
        with doors_in(tmp_path) as doors:
            assert doors.send(event()).json()["events"][0]["seen_before"] is before
            assert len(doors.signals()) == 1
            assert doors.rung == [] if before else [1]


def test_source_and_id_together_tell_an_event(doors: Doors) -> None:
    doors.send(event(1, source="/a"))
    doors.send(event(1, source="/b"))
    assert len(doors.signals()) == 2


def test_the_same_event_at_the_same_moment_is_taken_once(doors: Doors) -> None:
    threads = [Thread(target=doors.send, args=(event(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(doors.signals()) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"no json",
        b"[" * 5000,
        "a text",
        ["a list"],
        event(specversion="0.3"),
        {name: value for name, value in event().items() if name != "source"},
        event(id=7),
        event(id=""),
        event(source="x" * 1025),
        event(source="a\nb"),
        event(type="\ud800"),
        event(subject=["x"]),
        event(data_base64="***"),
    ],
)
def test_what_is_no_event_is_refused(doors: Doors, content: object) -> None:
    answer = doors.send(content)
    assert (answer.status_code, code_of(answer)) == (400, "HR975")


@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
def test_another_content_type_is_refused(doors: Doors, kind: str) -> None:
    answer = doors.send(event(), kind)
    assert (answer.status_code, code_of(answer)) == (415, "HR949")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_whatever_comes_is_an_event_or_is_refused(content: object) -> None:
    body = json.dumps({**event(), "data": content}).encode()
    assert read(Request("POST", "/events", "", {"content-type": STRUCTURED}, body, ""))[0].digest
    with pytest.raises(HeadraceError, match="HR975"):
        read(Request("POST", "/events", "", {"content-type": STRUCTURED}, json.dumps(content).encode(), ""))


# ------------------------------------------------------------------ who may send


def signed(doors: Doors, content: object, secret: bytes = SECRET, late: float = 0) -> dict[str, str]:
    body, moment = json.dumps(content).encode(), str(int(doors.clock.now().timestamp() - late))
    return {
        "webhook-id": "m1",
        "webhook-timestamp": moment,
        "webhook-signature": signature(secret, "m1", moment, body),
    }


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Doors]:
    secrets = "whsec_" + base64.b64encode(SECRET).decode() + " the-old-one"
    with doors_in(tmp_path, secrets, "token") as found:
        yield found


@pytest.mark.parametrize("secret", [SECRET, b"the-old-one"])
def test_a_signed_event_is_taken(guarded: Doors, secret: bytes) -> None:
    assert guarded.send(event(), **signed(guarded, event(), secret)).status_code == 202


def test_one_of_several_signatures_is_enough(guarded: Doors) -> None:
    headers = signed(guarded, event())
    headers["webhook-signature"] = f"v1,AAAA v1a,xyz {headers['webhook-signature']}"
    assert guarded.send(event(), **headers).status_code == 202


Change = Callable[[dict[str, str]], dict[str, str]]


@pytest.mark.parametrize(
    "change",
    [
        lambda _: {},
        lambda _: {"authorization": "Bearer token"},
        lambda headers: {**headers, "webhook-id": "m2"},
        lambda headers: {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)},
        lambda headers: {**headers, "webhook-timestamp": "soon"},
        lambda headers: {**headers, "webhook-signature": headers["webhook-signature"][:-2] + "A="},
        lambda headers: {**headers, "webhook-signature": ""},
    ],
)
def test_an_event_that_is_not_signed_well_is_refused(guarded: Doors, change: Change) -> None:
    answer = guarded.send(event(), **change(signed(guarded, event())))
    assert (answer.status_code, code_of(answer)) == (401, "HR976")
    assert guarded.signals() == []


def test_a_signature_is_of_the_whole_body(guarded: Doors) -> None:
    assert code_of(guarded.send(event(2), **signed(guarded, event(1)))) == "HR976"


@pytest.mark.parametrize(("late", "status"), [(TOLERANCE, 202), (TOLERANCE + 1, 401), (-TOLERANCE - 1, 401)])
def test_a_signature_holds_for_a_while(guarded: Doors, late: float, status: int) -> None:
    assert guarded.send(event(), **signed(guarded, event(), late=late)).status_code == status


def test_without_a_secret_the_token_is_needed_where_there_is_one(tmp_path: Path) -> None:
    with doors_in(tmp_path, None, "token") as doors:
        assert code_of(doors.send(event())) == "HR911"
        assert code_of(doors.send(event(), authorization="Bearer other")) == "HR911"
        assert doors.send(event(), authorization="Bearer token").status_code == 202


def test_without_secret_and_token_only_this_machine_may_send(doors: Doors) -> None:
    answer = doors.send(event(), host="evil.example")
    assert (answer.status_code, code_of(answer)) == (403, "HR946")


def test_a_secret_that_is_none_is_refused() -> None:
    with pytest.raises(HeadraceError, match="HR974"):
        Guard(SimulatedClock(), "whsec_***")
