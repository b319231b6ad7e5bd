"""`headrace serve` as a user has it: a real server, real requests, an environment that moves under load."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
import polars as pl
import pytest
import tritonclient.grpc as triton  # type: ignore[import-untyped]
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from headrace.errors import HeadraceError
from headrace.project.server import TOKEN
from headrace.project.serving import Where, serve
from headrace.runtime.environments import roll_back
from tests.support.projects import ORDERS, Project
from tests.support.served import served_project, serving

ROW = {"shop": "a", "amount": 7.0}


class Callers:
    """Threads that ask without a pause, each on a connection of its own, until the block ends."""

    def __init__(self, address: str, count: int = 4) -> None:
        self.answers: list[dict[str, Any]] = []
        self.failures: list[object] = []
        self._stopping = threading.Event()
        self._moved = threading.Condition()
        self._threads = [threading.Thread(target=self._ask, args=(address,)) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, version: str) -> None:
        """Until a caller was answered by this version."""
        with self._moved:
            assert self._moved.wait_for(lambda: self.answers and self.answers[-1]["version"] == version, 30)

    def _ask(self, address: str) -> None:
        with httpx.Client(base_url=address) as client:
            while not self._stopping.is_set():
                try:
                    answer = client.post("/predict/scores", json=[ROW])
                except httpx.HTTPError as error:
                    self.failures.append(error)
                    return
                with self._moved:
                    if answer.status_code == 200:
                        self.answers.append(answer.json())
                    else:
                        self.failures.append(answer.text)
                    self._moved.notify_all()


def pointer(project: Project, node: str = "scores") -> str:
    with project.opened() as workspace:
        return workspace.ledger.snapshot("prod").pointers[node]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return served_project(tmp_path_factory.mktemp("served"))


def test_no_request_fails_while_a_version_is_published_and_rolled_back(tmp_path: Path) -> None:
    project = served_project(tmp_path)
    first = pointer(project)
    with serving(project) as (address, process), Callers(address) as callers:
        callers.wait_for(first)
        project.edit("C=1.0", "C=0.01")
        project.apply()
        second = pointer(project)
        assert second != first
        callers.wait_for(second)
        with project.opened() as workspace:
            roll_back(workspace.graph, workspace.ledger, "prod", "model")
        callers.wait_for(first)
        assert not callers.failures
        process.poll()
    assert {each["version"] for each in callers.answers} == {first, second}
    by_version = {each["version"]: each["predictions"][0]["prediction"] for each in callers.answers}
    assert by_version[first] != by_version[second]


def test_every_answer_is_on_record_once_although_the_server_is_killed(tmp_path: Path) -> None:
    project = served_project(tmp_path)
    with serving(project) as (address, process), Callers(address) as callers:
        callers.wait_for(pointer(project))
        process.send_signal(signal.SIGKILL)  # the workers end when they see that their parent is gone
        process.wait()
    with serving(project) as (address, _):
        httpx.post(f"{address}/predict/scores", json=[ROW]).raise_for_status()
    given = {each["predictions"][0]["id"] for each in callers.answers}
    with project.opened() as workspace:
        key = workspace.ledger.snapshot("prod").pointers["scores.predictions"]
        version = workspace.ledger.version(key)
        assert version is not None
        ids = workspace.stores.tables.scan(version.manifest.outputs["rows"]).select("id").collect()["id"].to_list()
    assert len(ids) == len(set(ids))
    assert given < set(ids)


def test_an_answer_is_what_the_model_says_of_the_features_as_of_then(project: Project) -> None:
    with serving(project) as (address, _):
        asked = {"records": [ROW, {"shop": "nobody", "amount": 1}], "features": True, "explain": 1}
        answer = httpx.post(f"{address}/predict/scores", json=asked).raise_for_status().json()
        sent = {**ROW, "orders_30d": 3, "amount_30d": 2.5}
        given = httpx.post(f"{address}/predict/scores", json={"records": [sent], "features": True}).json()
    first, second = answer["predictions"]
    assert first["features"] == {"amount": 7.0, "orders_30d": 0, "amount_30d": None}  # the orders are years old
    assert second["features"]["orders_30d"] == 0
    assert given["predictions"][0]["features"] == {"amount": 7.0, "orders_30d": 3, "amount_30d": 2.5}
    assert len(first["contributions"]) == 1
    with project.opened() as workspace:
        version = workspace.ledger.version(pointer(project, "model"))
        assert version is not None
        predictor = workspace.graph["model"].predictor(version, workspace.stores)  # type: ignore[attr-defined]
    frame = pl.DataFrame([{"amount": 7.0, "orders_30d": 3, "amount_30d": 2.5}])
    assert given["predictions"][0]["prediction"] == pytest.approx(predictor.predict(frame)[0], abs=1e-6)


def test_a_process_that_dies_is_replaced(project: Project) -> None:
    with serving(project, "--processes", "2") as (address, process):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 2
        os.kill(int(children[0]), signal.SIGKILL)
        assert process.stderr is not None
        assert "ended with status -9" in process.stderr.readline()
        for _ in range(20):
            httpx.post(f"{address}/predict/scores", json=[ROW]).raise_for_status()


def test_a_token_is_asked_for(project: Project) -> None:
    with serving(project, **{TOKEN: "open sesame"}) as (address, _):
        assert httpx.get(f"{address}/ready").status_code == 200
        assert httpx.get(f"{address}/endpoints").status_code == 401
        told = {"authorization": "Bearer open sesame"}
        assert httpx.get(f"{address}/endpoints", headers=told).status_code == 200


def refusal(project: Project, where: Where) -> str:
    with project.opened() as workspace, pytest.raises(HeadraceError) as caught:
        serve(workspace, "prod", where, print)
    return caught.value.code


def test_what_cannot_be_served_is_told(project: Project, tmp_path: Path) -> None:
    bare = Project(tmp_path / "bare", ORDERS)
    bare.write_batch("01", range(5))
    bare.apply()
    assert refusal(bare, Where(port=0)) == "HR951"
    assert refusal(project, Where(host="0.0.0.0", port=0)) == "HR953"  # noqa: S104 - that is what is refused
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert refusal(project, Where(port=taken.getsockname()[1])) == "HR952"


def test_the_same_answer_over_grpc(project: Project) -> None:
    """By the client of another implementation; the token is asked for there as well."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
    with serving(project, "--grpc", port, **{TOKEN: "s3cret"}) as (address, _):
        bearer = {"authorization": "Bearer s3cret"}
        [told] = httpx.post(f"{address}/predict/scores", json=[ROW], headers=bearer).json()["predictions"]
        inputs = [triton.InferInput("shop", [1], "BYTES"), triton.InferInput("amount", [1], "FP64")]
        inputs[0].set_data_from_numpy(np.array(["a"], object))
        inputs[1].set_data_from_numpy(np.array([7.0]))
        with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
            answer = client.infer("scores", inputs, headers=bearer)
            with pytest.raises(InferenceServerException, match="HR911"):
                client.infer("scores", inputs)
    assert answer.as_numpy(answer.get_response().outputs[0].name).tolist() == [told["prediction"]]
