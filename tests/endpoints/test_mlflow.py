"""MLflow's scoring protocol on a real server."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.endpoints import mlflow
from headrace.endpoints.exchange import LARGE
from headrace.errors import HeadraceError
from tests.support.fake_service import FakeService, FakeTraffic
from tests.support.http_server import Received, answer, running

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = [{"distance": 1.5, "origin": "JFK"}, {"distance": 2, "origin": "Ö"}]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeService, str]]:
    service = FakeService()
    with running(mlflow.paths(service)) as address:
        yield service, address


@pytest.fixture
def service(served: tuple[FakeService, str]) -> Iterator[FakeService]:
    found = served[0]
    found.calls.clear()
    yield found
    found.failure, found.taking = None, True


@pytest.fixture
def http(served: tuple[FakeService, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{served[1]}") as found:
        yield found


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["distance", "origin"], "data": [[1.5, "JFK"], [2, "Ö"]]}},
        {"dataframe_records": ROWS},
        {"instances": ROWS},
        {"inputs": {"distance": [1.5, 2], "origin": ["JFK", "Ö"]}},
    ],
)
def test_all_forms_are_answered_alike(http: httpx.Client, service: FakeService, body: dict[str, object]) -> None:
    found = http.post("/invocations?endpoint=delays", json=body | {"params": {"at": 7, "version": "aaaa"}})
    assert (found.status_code, found.json()) == (200, {"predictions": [3.0, 4.0]})
    call = service.calls[0]
    assert (call.rows, call.at, call.version) == (ROWS, 7, "aaaa")


@pytest.mark.parametrize(
    "content_type", ["text/csv", "text/csv; charset=utf-8", "Text/CSV;charset=UTF8;header=present"]
)
def test_csv_is_answered(http: httpx.Client, service: FakeService, content_type: str) -> None:
    body = "distance,origin\n1.5,JFK\n2,Ö\n".encode()
    found = http.post("/invocations?endpoint=delays", content=body, headers={"content-type": content_type})
    assert found.json() == {"predictions": [3.0, 4.0]}
    assert service.calls[0].rows == ROWS


def test_the_only_endpoint_needs_no_name() -> None:
    several = FakeService()
    alone = FakeService(FakeTraffic({"fares": several.traffic.loaded["fares"]}))
    asked = Received({}, {}, {"content-type": "text/csv"}, b"distance\n1\n")
    for service, status in ((alone, 200), (several, 400), (FakeService(FakeTraffic({})), 503)):
        reply = asyncio.run(answer(mlflow.paths(service), "POST", "/invocations", asked))
        assert reply.status == status
    assert alone.calls[0].endpoint == "fares"


@pytest.mark.parametrize(
    ("query", "headers", "body", "status", "code"),
    [
        ("", {}, b"{}", 400, "HR920"),
        ("?endpoint=nothing", {}, b"{}", 404, "HR901"),
        ("?endpoint=empty", {}, b"{}", 503, "HR902"),
        ("?endpoints=delays", {}, b"{}", 400, "HR923"),
        ("?endpoint=delays", {}, b"{", 400, "HR904"),
        ("?endpoint=delays", {}, b"{}", 400, "HR921"),
        ("?endpoint=delays", {"content-type": "text/csv"}, b"", 400, "HR922"),
        ("?endpoint=delays", {"content-type": "text/csv; charset=latin-1"}, b"", 415, "HR905"),
        ("?endpoint=delays", {"content-type": "application/xml"}, b"", 415, "HR905"),
        ("?endpoint=delays", {"content-encoding": "gzip"}, b"", 415, "HR905"),
        ("?endpoint=delays", {}, b'{"instances": [], "params": {"att": 1}}', 400, "HR923"),
        ("?endpoint=delays", {}, b'{"instances": [], "params": {"at": "1"}}', 400, "HR923"),
        ("?endpoint=delays", {}, b'{"instances": [], "params": {"version": 1}}', 400, "HR923"),
        ("?endpoint=delays", {}, b'{"instances": [{"distanse": 1}]}', 422, "HR908"),
        ("?endpoint=delays", {}, b'{"instances": [{"origin": "JFK"}]}', 422, "HR909"),
        ("?endpoint=delays", {"content-type": "text/csv"}, b"distance\nfar\n", 422, "HR910"),
        ("?endpoint=delays", {"content-type": "text/csv"}, b"distance\nnan\n", 422, "HR910"),
    ],
)
def test_bad_input_has_a_code(
    http: httpx.Client, query: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    found = http.post(f"/invocations{query}", content=body, headers=headers)
    assert (found.status_code, found.json()["error"]["code"]) == (status, code)
    assert found.json()["message"].startswith(code)


def test_health_follows_the_service(http: httpx.Client, service: FakeService) -> None:
    assert [http.get(path).status_code for path in ("/ping", "/health")] == [200, 200]
    service.taking = False
    assert [http.get(path).status_code for path in ("/ping", "/health")] == [503, 503]
    assert http.get("/version").text == version("headrace")


def test_the_error_of_a_service_keeps_its_code(http: httpx.Client, service: FakeService) -> None:
    service.failure = HeadraceError("HR902", "draining")
    found = http.post("/invocations?endpoint=delays", json={"instances": ROWS})
    assert (found.status_code, found.json()["error"]["what"]) == (503, "draining")


def test_a_large_body_is_read_in_a_thread(http: httpx.Client, service: FakeService) -> None:
    rows = [{"distance": number} for number in range(LARGE // 10)]
    found = http.post("/invocations?endpoint=delays", json={"instances": rows})
    assert len(found.json()["predictions"]) == len(rows)
    assert service.calls[0].rows == rows


HEADERS = st.fixed_dictionaries(
    {}, optional={"content-type": st.sampled_from(["application/json", "text/csv"]) | st.text(max_size=9)}
)


@given(HEADERS, st.binary(max_size=80) | st.sampled_from([b'{"instances": [{"distance": 1}]}', b"distance\n1\n"]))
def test_any_request_is_answered_or_refused(headers: dict[str, str], body: bytes) -> None:
    asked = Received({}, {"endpoint": "delays"}, headers, body)
    reply = asyncio.run(answer(mlflow.paths(FakeService()), "POST", "/invocations", asked))
    assert reply.status in (200, 400, 415, 422)
