"""The access log: whole lines, no secrets, nothing lost in silence, and nobody waits for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.endpoints import access_log
from headrace.endpoints.access_log import AccessLog, Handled, open_access_log
from headrace.endpoints.exchange import Told
from headrace.errors import HeadraceError
from tests.support.application import running

if TYPE_CHECKING:
    from pathlib import Path

LINE = b'{"at":0.0,"method":"GET","path":"/live","endpoint":"","status":200,"ms":1.234,"received":0,"sent":13}\n'
REQUEST = Handled("GET", "/live", "", 200, 0.0012345, 0, 13)


CHARACTERS = st.text(st.characters(), max_size=300)
CODE = """
import sys
from headrace.endpoints.access_log import Handled, open_access_log
log = open_access_log(sys.argv[1], lambda: 0)
for n in range(5000):
    log.add(Handled('GET', f'/{sys.argv[2]}/{n}', '', 200, 0.0, 0, 0))
log.close()
"""


class Written:
    """A file in memory, which takes what `os.write` is given."""

    def __init__(self) -> None:
        self.content = b""

    def __call__(self, content: memoryview) -> int:
        self.content += content
        return len(content)


def lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def test_a_request_is_a_line(tmp_path: Path) -> None:
    log = open_access_log(str(tmp_path / "access.log"), lambda: 1_500_000)
    with running(told=Told(log)) as server:
        query = {"token": "s3cret"}
        headers = {"authorization": "Bearer s3cret", "x-api-key": "s3cret"}
        httpx.post(f"http://{server.address}/predict/delays", params=query, headers=headers, json={"origin": "s3cret"})
        httpx.get(f"http://{server.address}/{'x' * 500}")
        httpx.get(f"http://{server.address}/live%3Ftoken=s3cret")
    log.close()
    content = (tmp_path / "access.log").read_bytes()
    assert b"s3cret" not in content
    first, second, third = lines(content)
    assert first.pop("ms") >= 0
    assert first.pop("received") == len('{"origin":"s3cret"}')
    assert first.pop("sent") > 0
    path = "/predict/delays"
    assert first == {"at": 1.5, "method": "POST", "path": path, "endpoint": "delays", "status": 422}
    assert (second["path"], second["status"], second["endpoint"]) == ("/" + "x" * 199, 404, "")
    assert third["path"] == "/live"


@given(path=CHARACTERS | st.just("\x00" * 300), method=CHARACTERS)
def test_any_path_is_one_line_of_json(path: str, method: str) -> None:
    written = Written()
    log = AccessLog(written, lambda: 0)
    log.add(Handled(method, path, "", 200, 0.0, 0, 0))
    log.close()
    [line] = lines(written.content)
    assert line["status"] == 200


def test_what_finds_no_room_is_counted() -> None:
    begun, gate, written = Event(), Event(), Written()

    def write(content: memoryview) -> int:
        begun.set()
        gate.wait(30)
        return written(content)

    log = AccessLog(write, lambda: 0, bound=3)
    log.add(REQUEST)
    assert begun.wait(30)
    for _ in range(10):  # while the disk is slow; whoever adds does not wait
        log.add(REQUEST)
    gate.set()
    log.close()
    found = lines(written.content)
    assert sum("path" in line for line in found) == 4
    assert [line for line in found if "path" not in line] == [{"dropped": 7}]


@pytest.mark.parametrize("taken", [0, 10, 20_000, 30_000])
def test_what_the_disk_refuses_is_counted(taken: int, caplog: pytest.LogCaptureFixture) -> None:
    """The disk is full after some bytes, and has room again later: what was lost is told, and lines stay apart."""
    written, refused, gate = Written(), Event(), Event()

    def write(content: memoryview) -> int:
        assert gate.wait(30)
        if refused.is_set():
            return written(content)
        if len(written.content) < taken:
            return written(content[: taken - len(written.content)])
        refused.set()
        raise OSError(28, "No space left on device")

    log = AccessLog(write, lambda: 0, group=25_000)
    for _ in range(1_000):
        log.add(REQUEST)
    gate.set()
    assert refused.wait(30)
    log.add(REQUEST)
    log.close()
    kept = [json.loads(line) for line in written.content.splitlines() if line.endswith(b"}")]
    assert sum("path" in line for line in kept) + sum(line.get("dropped", 0) for line in kept) == 1_001
    assert sum(not line.endswith(b"}") for line in written.content.splitlines()) == (taken > 0)
    assert any("dropped" in line for line in kept)
    assert [each.message for each in caplog.records] == ["the access log cannot be written: No space left on device"]


def test_a_reader_that_is_stuck_holds_up_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "_LAST", 0.1)
    reading, writing = os.pipe()
    log = AccessLog(partial(os.write, writing), lambda: 0)
    for _ in range(5_000):
        log.add(REQUEST)
    log.close()
    assert "the access log ends without 5000 lines" in caplog.text
    with os.fdopen(reading, "rb") as pipe:  # the thread ends once somebody reads
        size = 0
        while size < len(LINE) * 5_000:
            size += len(pipe.read1())
    os.close(writing)
    assert size == len(LINE) * 5_000


def test_processes_share_a_file(tmp_path: Path) -> None:
    file = str(tmp_path / "access.log")
    started = [subprocess.Popen([sys.executable, "-c", CODE, file, name]) for name in "ab"]
    assert [process.wait() for process in started] == [0, 0]
    found = [line["path"] for line in lines((tmp_path / "access.log").read_bytes())]
    for name in "ab":
        assert [path for path in found if path.startswith(f"/{name}")] == [f"/{name}/{n}" for n in range(5000)]


def test_processes_share_a_pipe() -> None:
    """Standard output, as a collector of logs reads it. In this mode of a pipe a read answers what one write gave."""
    reading, writing = os.pipe2(os.O_DIRECT)
    started = [subprocess.Popen([sys.executable, "-c", CODE, "-", name], stdout=writing) for name in "ab"]
    os.close(writing)
    groups = []
    while group := os.read(reading, 1 << 16):
        groups.append(group)
    os.close(reading)
    assert [process.wait() for process in started] == [0, 0]
    assert all(group.endswith(b"\n") for group in groups)
    found = [line["path"] for line in lines(b"".join(groups))]
    for name in "ab":
        assert [path for path in found if path.startswith(f"/{name}")] == [f"/{name}/{n}" for n in range(5000)]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(HeadraceError, match="HR956"):
        open_access_log(str(tmp_path / "missing" / "access.log"), lambda: 0)
