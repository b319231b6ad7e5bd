"""`headrace serve` as a user has it: a real server, real requests, an environment that moves under load."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

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
from tests.cli.commands import headrace
from tests.support.projects import ORDERS, Project
from tests.support.served import served_project, serving

if TYPE_CHECKING:
    from headrace.project.workspace import Workspace

ROW = {"shop": "a", "amount": 7.0}


class Callers:
    """Threads that ask without a pause, each on a connection of its own, until the block ends."""

    def __init__(self, address: str, count: int = 4, shops: int = 1) -> None:
        self._shops = itertools.cycle([ROW | {"shop": f"shop {n}"} for n in range(shops)])
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
                    answer = client.post("/predict/scores", json=[next(self._shops)])
                except httpx.HTTPError as error:
                    self.failures.append(error)
                    return
                with self._moved:
                    if answer.status_code == 200:
                        self.answers.append(answer.json())
                    else:
                        self.failures.append(answer.text)
                    self._moved.notify_all()


def predictions_of(workspace: Workspace) -> pl.DataFrame:
    """What the endpoint has answered, out of its table."""
    version = workspace.ledger.version(workspace.ledger.snapshot("prod").pointers["scores.predictions"])
    assert version is not None
    return workspace.stores.tables.scan(version.manifest.outputs["rows"]).collect()


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
        ids = predictions_of(workspace)["id"].to_list()
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


def test_with_a_certificate_it_speaks_tls(project: Project, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, *made, *names, "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True)
    with serving(project, "--tls", str(chain), str(key)) as (address, _):
        assert address.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(chain))
        assert httpx.post(f"{address}/predict/scores", json=[ROW], verify=trusting).status_code == 200
    assert refusal(project, Where(port=0, certificate=str(key), private_key=str(key))) == "HR934"
    assert refusal(project, Where(port=0, certificate=str(tmp_path / "no.pem"), private_key=str(key))) == "HR934"


def test_what_is_under_way_at_sigterm_is_answered(project: Project) -> None:
    body = json.dumps([ROW]).encode()
    head = f"POST /predict/scores HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    with serving(project) as (address, process):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 30) as caller:
            caller.sendall(f"{head}\r\n\r\n".encode() + body[:5])
            assert httpx.get(f"{address}/live").status_code == 200  # by then, it has read what came before
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            assert process.stderr.readline().startswith("Stopping")
            caller.sendall(body[5:])
            answer = b"".join(iter(lambda: caller.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        assert process.wait(60) == 0


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


def said(process: subprocess.Popen[str], about: str) -> str:
    """The next line on standard error that tells of this."""
    assert process.stderr is not None
    patience = threading.Timer(150, process.kill)
    patience.start()
    try:
        found = next((line for line in process.stderr if about in line), None)
    finally:
        patience.cancel()
    assert found is not None, about
    return found


def test_a_canary_is_rolled_out_under_load_and_a_bad_one_returns(tmp_path: Path) -> None:
    """Nobody's request fails, and the server does all of it by itself."""
    project = served_project(
        tmp_path, 'canary(50, shadow="0.1s", bake="0.5s", answers=30, abort_if=[metric("mean_score") > champion + 0.1])'
    )
    with serving(project, "--processes", "2") as (address, process), Callers(address, shops=8) as callers:
        first = pointer(project)
        callers.wait_for(first)
        project.edit("C=1.0", "C=0.5")
        project.apply()
        second = pointer(project)
        said(process, "shadow -> 50 %")
        said(process, "50 % -> 100 %")
        assert f"{second[:12]} answers everything now" in said(process, "answers everything")
        project.edit("% 10 > 4", "% 10 > 1")  # a model that finds nearly everything returned
        assert not project.apply().failed
        third = pointer(project)
        assert "mean_score > champion + 0.1" in said(process, f"back to {second[:12]}")
        callers.answers.clear()
        callers.wait_for(second)
        assert pointer(project) == second
        assert not callers.failures
    with serving(project):  # which drains what the first one has logged
        pass
    with project.opened() as workspace:
        rows = predictions_of(workspace)
    stages = {(version, stage) for version, stage in rows.select("version", "stage").unique().iter_rows()}
    assert stages == {(first, None), (second, "shadow"), (second, "canary"), (second, None), (third, "shadow")}


def test_the_steps_of_a_person_are_followed(tmp_path: Path) -> None:
    project = served_project(tmp_path, 'canary(1, bake="1h")')
    with serving(project) as (address, _), Callers(address) as callers:
        first = pointer(project)
        callers.wait_for(first)
        project.edit("C=1.0", "C=0.5")
        project.apply()
        assert "1 % (1 of 2)" in headrace(project.folder, "rollout", "scores").out
        assert "100 % (2 of 2)" in headrace(project.folder, "rollout", "scores", "--advance").out
        callers.wait_for(pointer(project))
        told = headrace(project.folder, "rollout", "scores", "--abort").out
        assert told.startswith(f"scores in prod: {first[:12]} answers everything; no roll-out is under way.")
        callers.wait_for(first)
        assert not callers.failures


def test_latencies_are_told_finer_than_the_loop_tells_time(project: Project) -> None:
    """uvloop's clock moves in milliseconds, once in a turn: by it, most answers would take no time at all."""
    with serving(project) as (address, _), httpx.Client(base_url=address) as client:
        for _ in range(20):
            client.post("/predict/scores", json=[ROW]).raise_for_status()
    with project.opened() as workspace:
        micros = predictions_of(workspace)["micros"]
    assert micros.min() > 0  # type: ignore[operator]
    assert micros.n_unique() > 10
