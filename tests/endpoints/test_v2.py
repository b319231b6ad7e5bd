"""The Open Inference Protocol over REST: a public client against a real server on a real socket."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from headrace.endpoints import v2, v2_tensors
from headrace.endpoints.exchange import LARGE
from headrace.errors import HeadraceError
from tests.support.fake_service import FakeService
from tests.support.http_server import Received, answer, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeService, str]]:
    service = FakeService()
    with running(v2.paths(service)) as address:
        yield service, address


@pytest.fixture
def service(served: tuple[FakeService, str]) -> Iterator[FakeService]:
    found = served[0]
    found.calls.clear()
    yield found
    found.failure, found.taking = None, True


@pytest.fixture
def client(served: tuple[FakeService, str]) -> Iterator[Any]:
    with triton.InferenceServerClient(served[1]) as found:
        yield found


@pytest.fixture
def http(served: tuple[FakeService, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{served[1]}") as found:
        yield found


def tensor(name: str, datatype: str, values: np.ndarray[Any, Any], *, binary: bool) -> Any:  # noqa: ANN401
    found = triton.InferInput(name, list(values.shape), datatype)
    return found.set_data_from_numpy(values, binary_data=binary)


def three_rows(*, binary: bool) -> list[Any]:
    return [
        tensor("distance", "FP32", np.array([1.5, 2.0, -3.25], np.float32), binary=binary),
        tensor("delayed", "BOOL", np.array([[True], [False], [True]]), binary=binary),
        tensor("origin", "BYTES", np.array(["JFK", "Ö", "LGA"], np.object_), binary=binary),
    ]


ROWS = [
    {"distance": 1.5, "delayed": True, "origin": "JFK"},
    {"distance": 2.0, "delayed": False, "origin": "Ö"},
    {"distance": -3.25, "delayed": True, "origin": "LGA"},
]


def distance(**more: object) -> dict[str, object]:
    return {"inputs": [{"name": "distance", "datatype": "FP64", "shape": [1], "data": [1.5]}], **more}


def test_the_client_finds_the_server_live_and_ready(client: Any, service: FakeService) -> None:  # noqa: ANN401
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("delays")
    assert client.is_model_ready("delays", "bbbb2222")
    assert not client.is_model_ready("delays", "zzz")
    assert not client.is_model_ready("empty")
    service.taking = False
    assert client.is_server_live()
    assert not client.is_server_ready()
    assert not client.is_model_ready("delays")


def test_the_client_reads_the_metadata(client: Any) -> None:  # noqa: ANN401
    server = client.get_server_metadata()
    assert server["name"] == "headrace"
    assert server["extensions"] == ["binary_tensor_data"]
    model = client.get_model_metadata("delays")
    assert model["versions"] == ["aaaa1111", "bbbb2222"]
    assert model["inputs"] == [
        {"name": "distance", "datatype": "FP64", "shape": [-1]},
        {"name": "delayed", "datatype": "BOOL", "shape": [-1]},
        {"name": "origin", "datatype": "BYTES", "shape": [-1]},
        {"name": "mean_delay", "datatype": "FP64", "shape": [-1]},
    ]
    assert [each["name"] for each in model["outputs"]] == ["prediction", "id"]
    assert len(client.get_model_metadata("delays", "bbbb")["inputs"]) == 1


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("binary_output", [True, False])
def test_the_client_predicts(client: Any, service: FakeService, binary: bool, binary_output: bool) -> None:  # noqa: ANN401
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_output) for name in ("id", "prediction")]
    result = client.infer("delays", three_rows(binary=binary), outputs=outputs, request_id="r1")
    assert result.as_numpy("prediction").tolist() == [4.0, 4.0, -5.5]
    assert result.as_numpy("prediction").dtype == np.float64
    texts = [each.decode() if binary_output else each for each in result.as_numpy("id").tolist()]
    assert texts == ["id-0", "id-1", "id-2"]
    answer = result.get_response()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("r1", "delays", "aaaa1111")
    assert service.calls[0].rows == ROWS


def test_the_client_that_names_no_outputs_gets_predictions_in_binary(client: Any) -> None:  # noqa: ANN401
    result = client.infer("delays", three_rows(binary=True))
    assert result.as_numpy("prediction").tolist() == [4.0, 4.0, -5.5]
    assert result.as_numpy("id") is None


def test_a_version_and_a_cut_off_reach_the_service(client: Any, service: FakeService) -> None:  # noqa: ANN401
    inputs = [tensor("distance", "INT64", np.array([3]), binary=True)]
    result = client.infer("delays", inputs, model_version="bbbb", parameters={"at": 12})
    assert result.get_response()["model_version"] == "bbbb2222"
    call = service.calls[0]
    assert (call.version, call.at, call.rows) == ("bbbb", 12, [{"distance": 3}])
    assert type(call.rows[0]["distance"]) is int


def test_a_missing_value_is_sent_as_nan_on_request(client: Any, service: FakeService) -> None:  # noqa: ANN401
    inputs = [
        tensor("distance", "FP64", np.array([1.0]), binary=True),
        tensor("mean_delay", "FP64", np.array([np.nan]), binary=True),
    ]
    client.infer("delays", inputs, parameters={"nan_is_missing": True})
    assert service.calls[0].rows == [{"distance": 1.0, "mean_delay": None}]
    with pytest.raises(InferenceServerException, match="HR910"):
        client.infer("delays", inputs)


def test_the_client_is_told_what_is_wrong(client: Any) -> None:  # noqa: ANN401
    one = [tensor("distance", "FP64", np.array([1.0]), binary=True)]
    wrong = [
        ("nothing", one, "HR901", "404"),
        ("empty", one, "HR902", "503"),
        ("delays", [*one, *one], "HR915.*given twice", "400"),
        ("delays", [tensor("distanse", "FP64", np.array([1.0]), binary=True)], "did you mean 'distance'", "400"),
        ("delays", [tensor("distance", "BOOL", np.array([True]), binary=True)], "HR915.*it takes", "400"),
        ("delays", [tensor("distance", "FP64", np.array([[1.0, 2.0]]), binary=True)], "HR915.*shape", "400"),
        ("delays", [*one, tensor("delayed", "BOOL", np.array([True, False]), binary=True)], "HR915.*2 rows", "400"),
        ("delays", [tensor("delayed", "BOOL", np.array([True]), binary=True)], "HR909", "422"),
        ("delays", [], "HR915.*no inputs", "400"),
    ]
    for name, inputs, says, status in wrong:
        with pytest.raises(InferenceServerException, match=says) as caught:
            client.infer(name, inputs)
        assert caught.value.status() == status
    with pytest.raises(InferenceServerException, match="HR903"):
        client.infer("delays", one, model_version="zzz")
    with pytest.raises(InferenceServerException, match=r"HR915.*no output 'score'"):
        client.infer("delays", one, outputs=[triton.InferRequestedOutput("score")])


def test_an_input_of_another_version_is_left_to_the_one_that_answers(http: httpx.Client) -> None:
    both = distance()
    both["inputs"] = [*both["inputs"], {"name": "origin", "datatype": "BYTES", "shape": [1], "data": ["JFK"]}]  # type: ignore[misc]
    assert http.post("/v2/models/delays/infer", json=both).status_code == 200
    refused = http.post("/v2/models/delays/versions/bbbb/infer", json=both)
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("HR915 ")


def test_the_error_of_a_service_keeps_its_code(http: httpx.Client, service: FakeService) -> None:
    service.failure = HeadraceError("HR902", "draining")
    answer = http.post("/v2/models/delays/infer", json=distance())
    assert (answer.status_code, answer.json()) == (503, {"error": "HR902 draining"})


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content-type": "text/csv"}, "HR905"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, "HR905"),
        ({"inference-header-content-length": "9999"}, "HR915"),
        ({"inference-header-content-length": "3"}, "HR904"),
    ],
)
def test_wrong_headers_are_refused(http: httpx.Client, headers: dict[str, str], code: str) -> None:
    answer = http.post("/v2/models/delays/infer", content=b'{"inputs": []}', headers=headers)
    assert answer.status_code in (400, 415)
    assert answer.json()["error"].startswith(code)


def test_a_large_body_is_read_in_a_thread(client: Any, service: FakeService) -> None:  # noqa: ANN401
    values = np.arange(LARGE // 8 + 1, dtype=np.float64)
    result = client.infer("delays", [tensor("distance", "FP64", values, binary=True)])
    assert np.array_equal(result.as_numpy("prediction"), 2 * values)
    assert len(service.calls[0].rows) == len(values)


NAMES = st.sampled_from(["distance", "delayed", "origin", "mean_delay", "distanse"])
INPUT = st.fixed_dictionaries(
    {"name": NAMES, "datatype": st.sampled_from(v2_tensors.DATATYPES), "shape": st.sampled_from([[1], [2], [1, 1]])},
    optional={
        "data": st.lists(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3), max_size=2),
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(0, 9)}),
    },
)
MODELS = st.sampled_from(["delays", "delays/versions/bbbb", "delays/versions/zzz", "fares", "empty", "nothing"])


@given(MODELS, st.lists(INPUT, min_size=1, max_size=3), st.binary(max_size=18))
def test_any_request_is_answered_or_refused(target: str, inputs: list[object], binary: bytes) -> None:
    head = json.dumps({"inputs": inputs}).encode()
    asked = Received({}, {}, {"inference-header-content-length": str(len(head))}, head + binary)
    paths = v2.paths(FakeService())
    reply = asyncio.run(answer(paths, "POST", f"/v2/models/{target}/infer", asked))
    assert reply.status in {200, 400, 404, 422} or (reply.status == 503 and target == "empty")
