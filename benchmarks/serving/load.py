"""The load, from a process of its own: `python -m benchmarks.serving.load SPEC FILE`.

Plain sockets with keep-alive, and as little work a request as Python allows: the client must not be what is measured.
With a rate the load is open: requests are due at random moments (a Poisson process) whatever the answers do, and a
latency counts from the moment at which the request was due, so that a stall is seen by all that fall into it.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import uvloop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HEAD_END = b"\r\n\r\n"
_LATE = 30.0
"""Seconds that answers may take after the last request."""


@dataclass(slots=True)
class _Tally:
    """What came back. `warm_until` and `until` are moments of the clock that frame what is measured."""

    warm_until: float
    until: float
    latencies: list[float] = field(default_factory=list)
    answered: int = 0
    failed: int = 0
    failure: str = ""

    def take(self, asked: float, *, good: bool, answer: bytes) -> None:
        now = time.perf_counter()
        self.answered += 1
        if not good:
            self.failed += 1
            self.failure = self.failure or answer[:500].decode("latin-1")
        if self.warm_until <= asked and now <= self.until:
            self.latencies.append(now - asked)


class _Connection(asyncio.Protocol):
    """One connection, which carries one request at a time. `idle` is called when its answer has come."""

    def __init__(self, caller: _Caller) -> None:
        self._caller = caller
        self._parts: list[bytes] = []
        self._wanted = 0
        self._good = False
        self._asked = 0.0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, request: bytes, asked: float) -> None:
        """Send a request whose time counts from `asked`."""
        self._asked = asked
        self._transport.write(request)

    def close(self) -> None:
        """End the connection."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._parts:
            self._parts.append(data)
            self._wanted -= len(data)
        else:
            end = data.find(_HEAD_END)
            if end < 0:
                raise ValueError(f"the head of an answer came in parts: {data!r:.200}")
            self._good = data[9:12] == b"200"
            self._wanted = _length(data[:end].lower()) - (len(data) - end - len(_HEAD_END))
            self._parts = [data]
        if self._wanted <= 0:
            answer = b"".join(self._parts)
            self._parts = []
            self._caller.answered(self, self._asked, good=self._good, answer=answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._caller.lost(exc)


def _length(head: bytes) -> int:
    """The length of the body, from the head in small letters."""
    place = head.find(b"content-length:")
    if place < 0:
        raise ValueError(f"an answer without a length: {head!r:.300}")
    return int(head[place + 15 :].partition(b"\r\n")[0])


class _Caller:
    """Sends requests in turn over its connections: as answers come or, with a rate, when they are due."""

    def __init__(self, requests: Sequence[bytes], tally: _Tally, rate: float | None) -> None:
        self._requests = requests
        self._place = 0
        self._tally = tally
        self._rate = rate
        self._random = random.Random(1)  # noqa: S311 - moments of a load, no secret
        self._idle: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._next = 0.0
        self._under_way = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self, connections: Sequence[_Connection]) -> None:
        """Put the load on."""
        if self._rate is None:
            for each in connections:
                self._ask(each, time.perf_counter())
            return
        self._idle.extend(connections)
        self._next = time.perf_counter()
        self._tick()

    def answered(self, connection: _Connection, asked: float, *, good: bool, answer: bytes) -> None:
        """Count an answer, and go on."""
        self._under_way -= 1
        self._tally.take(asked, good=good, answer=answer)
        if self._rate is None and time.perf_counter() < self._tally.until:
            self._ask(connection, time.perf_counter())
        elif self._due:
            self._ask(connection, self._due.popleft())
        else:
            self._idle.append(connection)
            self._end_if_done()

    def lost(self, error: Exception | None) -> None:
        """A connection has gone, which is no matter once everything is answered."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server has closed a connection"))

    def _ask(self, connection: _Connection, asked: float) -> None:
        self._under_way += 1
        connection.ask(self._requests[self._place], asked)
        self._place = (self._place + 1) % len(self._requests)

    def _tick(self) -> None:
        """Send what is due, by the connection that has rested longest: servers close those that rest too long.

        It asks the clock in every turn of the loop: timers are a millisecond too coarse.
        """
        now = time.perf_counter()
        while self._next <= min(now, self._tally.until):
            if self._idle:
                self._ask(
                    self._idle.popleft(), self._next
                )  # the one that has rested longest: servers close what is idle
            else:
                self._due.append(self._next)
            self._next += self._random.expovariate(cast("float", self._rate))
        if self._next <= self._tally.until:
            asyncio.get_running_loop().call_soon(self._tick)
        else:
            self._end_if_done()

    def _end_if_done(self) -> None:
        over = self._next > self._tally.until if self._rate is not None else True
        if over and not self._under_way and not self._due and not self.done.done():
            self.done.set_result(None)


async def _load(spec: Mapping[str, Any]) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    requests = [_request(spec, body.encode("latin-1")) for body in spec["bodies"]]
    begin = time.perf_counter() + 0.1
    warm_until = begin + spec["warm"]
    tally = _Tally(warm_until, warm_until + spec["seconds"])
    caller = _Caller(requests, tally, spec["rate"])
    made = [
        await loop.create_connection(lambda: _Connection(caller), "127.0.0.1", spec["port"])
        for _ in range(spec["connections"])
    ]
    connections = [connection for _, connection in made]
    caller.begin(connections)
    async with asyncio.timeout_at(loop.time() + tally.until - time.perf_counter() + _LATE):
        await caller.done
    for each in connections:
        each.close()
    return _figures(tally, spec["seconds"])


def _request(spec: Mapping[str, Any], body: bytes) -> bytes:
    headers = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **spec["headers"]}
    head = [f"POST {spec['path']} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(head).encode("latin-1") + _HEAD_END + body


def _figures(tally: _Tally, seconds: float) -> dict[str, object]:
    """Requests a second and latencies in milliseconds. `answered` counts the warm-up as well."""
    found = sorted(tally.latencies)
    return {
        "rate": len(found) / seconds,
        "p50": 1000 * _quantile(found, 0.5),
        "p99": 1000 * _quantile(found, 0.99),
        "measured": len(found),
        "answered": tally.answered,
        "failed": tally.failed,
        "failure": tally.failure,
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)))] if ordered else math.nan


def main() -> None:
    """Put the load on that a file describes, and write what came of it into another one."""
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_load(spec))
    Path(sys.argv[2]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
