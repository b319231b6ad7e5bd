"""A server as the benchmark sees it, and how its figures are taken: start, load, processor time, memory."""

from __future__ import annotations

import http.client
import json
import math
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.serving.processes import processor_seconds, resident
from benchmarks.support.children import child, run, wait_for
from benchmarks.support.figures import BenchError
from benchmarks.support.ours import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.support.children import Child

_START = 180.0
_LOAD_MORE = 60.0
_CLOSE = 1e-4
"""How far an answer may be off: servers compute in single or in double precision."""

Record = dict[str, float]


@dataclass(frozen=True, slots=True)
class Server:
    """How a server is started, asked and understood.

    `path`, `headers` and `encode` make the request for some records; `decode` takes the probabilities out of an
    answer. `note` is what a reader has to know, such as the version. `forms` are other forms of large requests, by
    what is added to the name.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    port: int
    path: str
    encode: Callable[[Sequence[Record]], bytes]
    decode: Callable[[bytes], Sequence[float]]
    headers: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    forms: Mapping[str, Server] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load found.

    `rate` is good answers a second; `p50`, `p99` and `cpu`, the processor time of all processes for an answer, are in
    milliseconds; `memory` is what the process that worked most has resident, and `together` all of them, in MiB.
    """

    rate: float
    p50: float
    p99: float
    cpu: float
    memory: float
    together: float


@contextmanager
def running(server: Server, folder: Path) -> Iterator[tuple[Child, float]]:
    """A server that runs while the block does, and how many seconds it took from its start to its first good answer.

    Raises:
        BenchError: It does not start.
    """
    log = folder / f"{server.name.replace(' ', '-')}.log"
    begin = time.perf_counter()
    with child(server.argv, server.env, log) as started:
        first: list[Record] = json.loads((folder / "rows.json").read_text(encoding="utf-8"))[0][:1]
        body = server.encode(first)
        wait_for(server.name, lambda: _answers(server, body), started, _START, pause=0.005)
        yield started, time.perf_counter() - begin


def check(server: Server, records: Sequence[Record], expected: Sequence[float]) -> None:
    """Raise a BenchError unless the server predicts what the graph predicts, one record at a time and all at once."""
    for part, wanted in ((records[:1], expected[:1]), (records, expected)):
        status, answer = _ask(server, server.encode(part))
        if status != http.HTTPStatus.OK:
            raise BenchError(f"{server.name} answered {status}: {answer[:500]!r}")
        found = server.decode(answer)
        if len(found) != len(wanted) or not all(
            math.isclose(one, other, abs_tol=_CLOSE) for one, other in zip(found, wanted, strict=True)
        ):
            raise BenchError(f"{server.name} predicts {found[:3]} where the graph predicts {wanted[:3]}")


def load(
    server: Server,
    started: Child,
    requests: Sequence[Sequence[Record]],
    *,
    connections: int,
    seconds: float,
    rate: float | None = None,
) -> Loaded:
    """Put a load on a server: as much as it answers or, with a rate, as many requests a second.

    Raises:
        BenchError: A request was answered with an error.
    """
    with tempfile.TemporaryDirectory() as name:
        spec, answer = Path(name) / "spec.json", Path(name) / "answer.json"
        wanted = {
            "port": server.port,
            "path": server.path,
            "headers": {"Content-Type": "application/json", **server.headers},
            "bodies": [server.encode(each).decode("latin-1") for each in requests],
            "connections": connections,
            "warm": seconds / 3,
            "seconds": seconds,
            "rate": rate,
        }
        spec.write_text(json.dumps(wanted), encoding="utf-8")
        before = processor_seconds(started.process.pid)
        argv = [sys.executable, "-m", "benchmarks.serving.load", str(spec), str(answer)]
        run(argv, environment(), Path(name) / "load.log", 2 * seconds + _LOAD_MORE)
        after = processor_seconds(started.process.pid)
        found = json.loads(answer.read_text(encoding="utf-8"))
    if found["failed"] or not found["measured"]:
        raise BenchError(f"{server.name}: {found['failed']} of {found['answered']} failed: {found['failure']}")
    used = {pid: spent - before.get(pid, 0.0) for pid, spent in after.items()}
    return Loaded(
        rate=found["rate"],
        p50=found["p50"],
        p99=found["p99"],
        cpu=1000 * sum(used.values()) / found["answered"],
        memory=resident(max(used, key=used.__getitem__)),
        together=sum(map(resident, used)),
    )


def _answers(server: Server, body: bytes) -> bool:
    try:
        return _ask(server, body)[0] == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False


def _ask(server: Server, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_START)
    try:
        headers = {"Content-Type": "application/json", **server.headers}
        connection.request("POST", server.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
