"""The access log: whole lines, no secrets, nothing lost in silence, and nobody waits for it."""

from __future__ import annotations

import json
import subprocess
import sys
from threading import Event
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.endpoints.access_log import AccessLog, Handled, open_access_log
from headrace.endpoints.app import Told
from headrace.errors import HeadraceError
from tests.support.application import running

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = Handled("GET", "/live", "", 200, 0.0012345, 13)


def lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def test_a_request_is_a_line(tmp_path: Path) -> None:
    log = open_access_log(str(tmp_path / "access.log"), lambda: 1_500_000)
    with running(told=Told(log)) as server:
        query = {"token": "s3cret"}
        headers = {"authorization": "Bearer s3cret", "x-api-key": "s3cret"}
        httpx.post(f"http://{server.address}/predict/delays", params=query, headers=headers, json={"origin": "s3cret"})
        httpx.get(f"http://{server.address}/{'x' * 500}")
    log.close()
    content = (tmp_path / "access.log").read_bytes()
    assert b"s3cret" not in content
    first, second = lines(content)
    assert first.pop("ms") >= 0
    assert first.pop("bytes") > 0
    path = "/predict/delays"
    assert first == {"at": 1.5, "method": "POST", "path": path, "endpoint": "delays", "status": 422}
    assert (second["path"], second["status"], second["endpoint"]) == ("/" + "x" * 199, 404, "")


@given(path=st.text(max_size=300), method=st.text(max_size=9))
def test_any_path_is_one_line_of_json(path: str, method: str) -> None:
    written: list[bytes] = []
    log = AccessLog(written.append, lambda: 0)
    log.add(Handled(method, path, "", 200, 0.0, 0))
    log.close()
    [line] = lines(b"".join(written)) if path.isprintable() else [json.loads(b"".join(written))]
    assert line["status"] == 200


def test_what_finds_no_room_is_counted() -> None:
    begun, gate, written = Event(), Event(), list[bytes]()

    def write(content: bytes) -> None:
        written.append(content)
        begun.set()
        gate.wait(30)

    log = AccessLog(write, lambda: 0, bound=3)
    log.add(REQUEST)
    assert begun.wait(30)
    for _ in range(10):  # while the disk is slow; whoever adds does not wait
        log.add(REQUEST)
    gate.set()
    log.close()
    found = lines(b"".join(written))
    assert sum("path" in line for line in found) == 4
    assert [line for line in found if "path" not in line] == [{"dropped": 7}]


def test_what_the_disk_refuses_is_counted() -> None:
    written: list[bytes] = []
    refused = Event()

    def write(content: bytes) -> None:
        if not refused.is_set():
            refused.set()
            raise OSError(28, "No space left on device")
        written.append(content)

    log = AccessLog(write, lambda: 0)
    log.add(REQUEST)
    assert refused.wait(30)
    log.add(REQUEST)
    log.close()
    found = lines(b"".join(written))
    assert sum("path" in line for line in found) + sum(line.get("dropped", 0) for line in found) == 2


def test_processes_share_a_file(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from headrace.endpoints.access_log import Handled, open_access_log\n"
        "log = open_access_log(sys.argv[1], lambda: 0)\n"
        "for n in range(5000):\n"
        "    log.add(Handled('GET', f'/{sys.argv[2]}/{n}', '', 200, 0.0, 0))\n"
        "log.close()\n"
    )
    file = str(tmp_path / "access.log")
    started = [subprocess.Popen([sys.executable, "-c", code, file, name]) for name in "ab"]
    assert [process.wait() for process in started] == [0, 0]
    found = [line["path"] for line in lines((tmp_path / "access.log").read_bytes())]
    for name in "ab":
        assert [path for path in found if path.startswith(f"/{name}")] == [f"/{name}/{n}" for n in range(5000)]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(HeadraceError, match="HR956"):
        open_access_log(str(tmp_path / "missing" / "access.log"), lambda: 0)
