"""What the OpenAPI document says is so: schemathesis makes requests from it and compares the answers with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from headrace.endpoints.access import Access
from headrace.endpoints.answering import Limits
from headrace.endpoints.openapi import document
from headrace.endpoints.service import Field
from tests.support.application import Double, OneEndpoint, running

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "s3cret"  # noqa: S105
SCHEMA = schemathesis.openapi.from_dict(document(OneEndpoint(Double())))
CASES = SCHEMA.as_strategy()


@pytest.fixture(scope="module", params=[None, TOKEN], ids=["anyone", "by token"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    with running(Limits(seconds=20), Access(request.param)) as found:
        found.version.horizon = -(10**18)  # before every moment: which ones are too early is no matter of form
        yield f"http://{found.address}"


@settings(max_examples=400, suppress_health_check=list(HealthCheck), deadline=None)
@given(case=CASES)
def test_answers_are_as_documented(address: str, case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(base_url=address, headers={"authorization": f"Bearer {TOKEN}"})


def test_the_document_is_served() -> None:
    with running() as server:
        served: dict[str, Any] = httpx.get(f"http://{server.address}/openapi.json").json()
    assert served == document(OneEndpoint(Double()))
    assert list(served["paths"]) == ["/endpoints", "/ready", "/live", "/predict/delays"]


def test_a_field_says_what_it_is() -> None:
    version = Double()
    version.fields = (
        Field("origin", "text", required=True, entity=True, categories=tuple("abcdefg")),
        Field("mean_delay", "number", required=False, view="airports"),
        Field("flight_id", "text", required=False, key=True),
        Field("carrier", "text", required=False, categories=("AA", "UA"), closed=True),
    )
    record = document(OneEndpoint(version))["components"]["schemas"]["delays.record"]
    assert record["required"] == ["origin"]
    assert record["properties"]["origin"]["examples"] == list("abcde")
    assert record["properties"]["carrier"]["enum"] == ["AA", "UA", None]
    assert "airports" in record["properties"]["mean_delay"]["description"]
    assert record["properties"]["flight_id"]["type"] == ["string", "null"]
    assert "the model does not see it" in record["properties"]["flight_id"]["description"]
    assert record["anyOf"] == [{"properties": {"origin": {"type": "string"}}}, {"required": ["mean_delay"]}]
