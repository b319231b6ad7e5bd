"""The Open Inference Protocol over gRPC: a public client against a real server."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
import tritonclient.grpc as triton  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from headrace.endpoints import grpc_server
from headrace.endpoints.access_log import open_access_log
from headrace.endpoints.exchange import Told
from headrace.endpoints.figures import Figures
from headrace.endpoints.grpc_server import Listening
from headrace.endpoints.tracing import Tracing
from headrace.endpoints.v2_messages import METHODS, SERVICE
from headrace.errors import HeadraceError
from tests.support.fake_service import FakeService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.endpoints.service import Answered, Call

MOST_BYTES = 1 << 20


@contextmanager
def running(service: FakeService, **more: Any) -> Iterator[str]:  # noqa: ANN401 - the settings of `Listening`
    """HOST:PORT of a server in a thread, which ends with the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        start = grpc_server.start(service, Listening("127.0.0.1:0", MOST_BYTES, **more))
        server = asyncio.run_coroutine_threadsafe(start, loop).result()
        yield f"127.0.0.1:{server.port}"
        asyncio.run_coroutine_threadsafe(server.stop(5), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeService, str]]:
    service = FakeService()
    with running(service) as address:
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
def channel(served: tuple[FakeService, str]) -> Iterator[Any]:
    with grpc.insecure_channel(served[1]) as found:
        yield found


def call(channel: Any, method: str, raw: bytes) -> bytes:  # noqa: ANN401
    """The answer to a message of bytes."""
    found: bytes = channel.unary_unary(f"/{SERVICE}/{method}")(raw, timeout=10)
    return found


def tensor(name: str, datatype: str, values: np.ndarray[Any, Any]) -> Any:  # noqa: ANN401
    return triton.InferInput(name, list(values.shape), datatype).set_data_from_numpy(values)


def test_the_client_finds_the_server_live_and_ready(client: Any, service: FakeService) -> None:  # noqa: ANN401
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("delays", "bbbb")
    service.taking = False
    assert client.is_server_live()
    assert not client.is_server_ready()
    assert not client.is_model_ready("delays")
    with pytest.raises(InferenceServerException, match="HR903"):
        client.is_model_ready("delays", "zzz")


def test_the_client_reads_the_metadata(client: Any) -> None:  # noqa: ANN401
    assert client.get_server_metadata().name == "headrace"
    model = client.get_model_metadata("delays")
    assert list(model.versions) == ["aaaa1111", "bbbb2222"]
    assert [(each.name, each.datatype, list(each.shape)) for each in model.inputs] == [
        ("distance", "FP64", [-1]),
        ("delayed", "BOOL", [-1]),
        ("origin", "BYTES", [-1]),
        ("mean_delay", "FP64", [-1]),
    ]
    assert len(client.get_model_metadata("delays", "bbbb").inputs) == 1


def test_the_client_predicts_with_raw_contents(client: Any, service: FakeService) -> None:  # noqa: ANN401
    inputs = [
        tensor("distance", "FP16", np.array([1.5, 2.0], np.float16)),
        tensor("delayed", "BOOL", np.array([[True], [False]])),
        tensor("origin", "BYTES", np.array(["JFK", "Ö"], np.object_)),
        tensor("mean_delay", "FP64", np.array([0.5, np.nan])),
    ]
    outputs = [triton.InferRequestedOutput(name) for name in ("prediction", "id")]
    parameters = {"at": 12, "nan_is_missing": True}
    result = client.infer("delays", inputs, "aaaa", outputs=outputs, request_id="r1", parameters=parameters)
    assert result.as_numpy("prediction").tolist() == [4.0, 4.0]
    assert result.as_numpy("id").tolist() == [b"id-0", b"id-1"]
    answer = result.get_response()
    assert (answer.id, answer.model_name, answer.model_version) == ("r1", "delays", "aaaa1111")
    assert {name: each.string_param for name, each in answer.parameters.items()} == {
        "model": "model-of-aaaa1111",
    }
    assert len(answer.raw_output_contents) == 2
    found = service.calls[0]
    assert (found.version, found.at) == ("aaaa", 12)
    assert found.rows == [
        {"distance": 1.5, "delayed": True, "origin": "JFK", "mean_delay": 0.5},
        {"distance": 2.0, "delayed": False, "origin": "Ö", "mean_delay": None},
    ]


def test_typed_contents_are_answered_by_typed_contents(channel: Any, service: FakeService) -> None:  # noqa: ANN401
    request = service_pb2.ModelInferRequest(model_name="delays")
    request.inputs.add(name="distance", datatype="INT32", shape=[2]).contents.int_contents.extend([3, -4])
    request.inputs.add(name="origin", datatype="BYTES", shape=[2, 1]).contents.bytes_contents.extend([b"A", b"B"])
    request.inputs.add(name="delayed", datatype="BOOL", shape=[2]).contents.bool_contents.extend([True, False])
    request.outputs.add(name="id")
    request.outputs.add(name="prediction")
    answer = service_pb2.ModelInferResponse.FromString(call(channel, "ModelInfer", request.SerializeToString()))
    assert list(answer.outputs[0].contents.bytes_contents) == [b"id-0", b"id-1"]
    assert list(answer.outputs[1].contents.fp64_contents) == [7.0, -8.0]
    assert not answer.raw_output_contents
    assert service.calls[0].rows == [
        {"distance": 3, "origin": "A", "delayed": True},
        {"distance": -4, "origin": "B", "delayed": False},
    ]


def wrong_requests() -> dict[str, Any]:
    """Messages that are refused, by what is said of them."""
    found = {}

    def one(says: str, *raws: bytes, model: str = "delays", name: str = "distance", datatype: str = "FP64") -> Any:  # noqa: ANN401
        """A message of one input."""
        message = service_pb2.ModelInferRequest(model_name=model, raw_input_contents=raws)
        message.inputs.add(name=name, datatype=datatype, shape=[1])
        found[says] = message
        return message

    number = bytes(8)
    one("NOT_FOUND HR901", model="nothing")
    one("UNAVAILABLE HR902", model="empty")
    one("INVALID_ARGUMENT HR915 the request has no inputs").ClearField("inputs")
    one("INVALID_ARGUMENT HR915 the endpoint 'delays' has no input 'distanse'; did you mean", name="distanse")
    one("INVALID_ARGUMENT HR915 the input 'distance' has 0 values")
    one("INVALID_ARGUMENT HR915 the input 'distance' has 7 bytes", bytes(7))
    one("INVALID_ARGUMENT HR915 there are 2 raw contents for 1 inputs", number, number)
    both = one("INVALID_ARGUMENT HR915 an input has contents, though", number)
    both.inputs[0].contents.fp64_contents.append(1.0)
    one("INVALID_ARGUMENT HR915 the input 'distance' is of the datatype FP16", datatype="FP16")
    one("INVALID_ARGUMENT HR915 the input 'distance' is of the datatype 'X'", datatype="X")
    of_input = one("INVALID_ARGUMENT HR923 the input 'distance' has the parameter 'a'", number)
    of_input.inputs[0].parameters["a"].bool_param = True
    unknown = one("INVALID_ARGUMENT HR923 the request has the parameter 'priority'", number)
    unknown.parameters["priority"].int64_param = 1
    without_value = one("INVALID_ARGUMENT HR923 the parameter 'nan_is_missing' is no boolean", number)
    without_value.parameters["nan_is_missing"].SetInParent()
    one("INVALID_ARGUMENT HR915 there is no output 'score'", number).outputs.add(name="score")
    one("INVALID_ARGUMENT HR909", b"\1", name="delayed", datatype="BOOL")
    return found


@pytest.mark.parametrize("says", wrong_requests())
def test_what_is_wrong_has_a_status_and_a_code(channel: Any, says: str) -> None:  # noqa: ANN401
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "ModelInfer", wrong_requests()[says].SerializeToString())
    assert f"{caught.value.code().name} {caught.value.details()}".startswith(says)


@pytest.mark.parametrize("method", METHODS)
def test_bytes_that_are_no_message_are_refused(channel: Any, method: str) -> None:  # noqa: ANN401
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, method, b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith("HR926 ")


def test_a_message_over_the_limit_is_refused(channel: Any) -> None:  # noqa: ANN401
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "ModelInfer", bytes(MOST_BYTES + 1))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_errors_of_the_service_are_mapped(channel: Any, service: FakeService) -> None:  # noqa: ANN401
    request = service_pb2.ModelInferRequest(model_name="delays", raw_input_contents=[bytes(8)])
    request.inputs.add(name="distance", datatype="FP64", shape=[1])
    raised = {
        HeadraceError("HR902", "draining"): ("UNAVAILABLE", "HR902 draining"),
        HeadraceError("HR913", "busy"): ("RESOURCE_EXHAUSTED", "HR913 busy"),
        HeadraceError("HR914", "late"): ("DEADLINE_EXCEEDED", "HR914 late"),
        RuntimeError("a secret"): ("INTERNAL", "HR919 the method ModelInfer failed"),
    }
    for failure, (status, says) in raised.items():
        service.failure = failure
        with pytest.raises(grpc.RpcError) as caught:
            call(channel, "ModelInfer", request.SerializeToString())
        assert (caught.value.code().name, caught.value.details()) == (status, says)


@settings(deadline=None)
@given(st.sampled_from(METHODS), st.binary(max_size=60))
def test_any_bytes_are_answered_or_refused(served: tuple[FakeService, str], method: str, raw: bytes) -> None:
    with grpc.insecure_channel(served[1]) as channel:
        try:
            call(channel, method, raw)
        except grpc.RpcError as error:
            assert error.code().name in {"INVALID_ARGUMENT", "NOT_FOUND", "UNAVAILABLE"}  # noqa: PT017


def test_a_token_is_asked_for_but_not_for_health() -> None:
    def allow(given: str | None) -> None:
        if given != "Bearer right":
            raise HeadraceError("HR911", "no token, or a wrong one")

    with running(FakeService(), allow=allow) as address, triton.InferenceServerClient(address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        for headers in (None, {"authorization": "Bearer wrong"}):
            with pytest.raises(InferenceServerException, match="HR911") as caught:
                client.get_model_metadata("delays", headers=headers)
            assert caught.value.status() == "StatusCode.UNAUTHENTICATED"
        assert client.get_model_metadata("delays", headers={"authorization": "Bearer right"}).name == "delays"


class Holding(FakeService):
    """A service that answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.let_go = asyncio.Event(), asyncio.Event()

    async def predict(self, call: Call) -> Answered:
        self.asked.set()
        await self.let_go.wait()
        return await super().predict(call)


def test_what_is_under_way_is_answered_when_the_server_stops() -> None:
    request = service_pb2.ModelInferRequest(model_name="delays", raw_input_contents=[bytes(8)])
    request.inputs.add(name="distance", datatype="FP64", shape=[1])

    async def scenario() -> bytes:
        service = Holding()
        server = await grpc_server.start(service, Listening("127.0.0.1:0", MOST_BYTES))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            under_way = channel.unary_unary(f"/{SERVICE}/ModelInfer")(request.SerializeToString())
            asking = asyncio.ensure_future(_result(under_way))
            await service.asked.wait()
            stopping = asyncio.ensure_future(server.stop(30))
            with pytest.raises(grpc.RpcError):
                await _result(channel.unary_unary(f"/{SERVICE}/ServerLive")(b"", timeout=5))
            service.let_go.set()
            await stopping
            return await asking

    answer = service_pb2.ModelInferResponse.FromString(asyncio.run(scenario()))
    assert answer.model_version == "aaaa1111"


async def _result(call: Any) -> bytes:  # noqa: ANN401
    found: bytes = await call
    return found


def test_an_address_that_is_taken_is_refused(served: tuple[FakeService, str]) -> None:
    with pytest.raises(HeadraceError, match="HR925"):
        asyncio.run(grpc_server.start(FakeService(), Listening(served[1], MOST_BYTES)))


def test_a_certificate_that_is_none_is_refused() -> None:
    listening = Listening("127.0.0.1:0", MOST_BYTES, tls=(b"no key", b"no certificate"))
    with pytest.raises(HeadraceError, match="HR925"):
        asyncio.run(grpc_server.start(FakeService(), listening))


def test_a_server_with_a_certificate_speaks_tls(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "chain.pem")]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([openssl, *made, *files, *names], check=True, capture_output=True)
    key, chain = (tmp_path / "key.pem").read_bytes(), (tmp_path / "chain.pem").read_bytes()
    with running(FakeService(), tls=(key, chain)) as address:
        target = f"localhost:{address.rpartition(':')[2]}"
        trusted = grpc.ssl_channel_credentials(root_certificates=chain)
        with grpc.secure_channel(target, trusted) as channel:
            answer = call(channel, "ServerLive", b"")
    assert service_pb2.ServerLiveResponse.FromString(answer).live


def test_servers_may_share_an_address() -> None:
    with running(FakeService(), shared=True) as address:

        async def beside() -> int:
            server = await grpc_server.start(FakeService(), Listening(address, MOST_BYTES, shared=True))
            await server.stop(0)
            return server.port

        assert asyncio.run(beside()) == int(address.rpartition(":")[2])


def test_without_the_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(HeadraceError, match=r"(?s)HR924.*headrace\[grpc\]"):
        asyncio.run(grpc_server.start(FakeService(), Listening("127.0.0.1:0", MOST_BYTES)))


def test_calls_are_counted_traced_and_logged(tmp_path: Path) -> None:
    exporter, file, figures = InMemorySpanExporter(), tmp_path / "access.log", Figures()
    log, tracing = open_access_log(str(file), lambda: 1_000_000), Tracing(exporter)
    watched = running(FakeService(), figures=figures, told=Told(log, tracing))
    with watched as address, triton.InferenceServerClient(address) as found:
        headers = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "authorization": "Bearer s3cret"}
        found.infer("delays", [tensor("distance", "FP64", np.array([1.5]))], headers=headers)
        for name, inputs in (("delays", [tensor("distanse", "FP64", np.array([1.5]))]), ("nothing", [])):
            with pytest.raises(InferenceServerException, match="HR9"):
                found.infer(name, inputs)
    log.close()
    tracing.close()
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    told = [(each["method"], each["path"], each["endpoint"], each["status"]) for each in lines]
    path = f"/{SERVICE}/ModelInfer"
    assert told == [("POST", path, "delays", 200), ("POST", path, "delays", 400), ("POST", path, "", 404)]
    assert lines[0]["trace"] == "a" * 32
    assert all(each["received"] > 0 for each in lines)
    assert "s3cret" not in str(lines)
    spans = exporter.get_finished_spans()
    assert [each.name for each in spans] == [f"POST {path}"] * 3
    assert [(each.attributes or {})["http.response.status_code"] for each in spans] == [200, 400, 404]
    counted = figures.text().decode()
    assert 'headrace_requests_total{endpoint="delays",status="200"} 1.0' in counted
    assert 'headrace_requests_total{endpoint="delays",status="400"} 1.0' in counted
