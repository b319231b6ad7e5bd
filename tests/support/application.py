"""The whole application over a version whose predictions can be worked out by hand, on a real uvicorn."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import uvicorn
import uvloop

from headrace.endpoints.answering import AnsweringService, Limits
from headrace.endpoints.app import Application
from headrace.endpoints.figures import Figures
from headrace.endpoints.service import Field, Lane, Scored
from headrace.errors import HeadraceError, suggestion

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from headrace.endpoints.access import Access
    from headrace.endpoints.exchange import Told
    from headrace.endpoints.service import Logged, Served
    from headrace.endpoints.tracing import Tracing

FIELDS = (
    Field("distance", "number", required=True),
    Field("delayed", "boolean", required=True),
    Field("origin", "text", required=True, entity=True),
    Field("mean_delay", "number", required=False, view="airports"),
)
HORIZON = 1_000
"""The moment before which a double refuses to look up, as an online store does."""


class Double:
    """A version that doubles the distance, and adds what is looked up: 1 for each letter of the origin.

    It waits for `gate` before it scores, and tells by `entered` that it waits. `poison` is what it raises for a
    distance of 666.
    """

    def __init__(self, key: str = "a" * 64, *, quick: bool = True) -> None:
        self.key, self.model, self.quick = key, "m" * 64, quick
        self.fields: tuple[Field, ...] = FIELDS
        self.generations: Mapping[str, str] = {"airports": "g" * 64}
        self.horizon = HORIZON
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.poison: BaseException = RuntimeError("a secret of the model")
        self.asked: list[list[object]] = []
        self.make: Callable[[list[float]], Sequence[float]] = list

    def score(self, rows: Sequence[Mapping[str, object]], at: Sequence[int]) -> Scored:
        self.asked.append([row["distance"] for row in rows])
        self.entered.set()
        assert self.gate.wait(30)
        if any(moment < self.horizon for moment in at):
            raise HeadraceError("HR475", "before the horizon")
        if any(row["distance"] == 666 for row in rows):
            raise self.poison
        features = [{"mean_delay": float(len(str(row["origin"] or ""))), **row} for row in rows]
        scores = [2 * _number(row["distance"]) + _number(row["mean_delay"]) for row in features]
        return Scored(np.array(self.make(scores)), features, [{"airports": 5} for _ in at])

    def contributions(self, features: Sequence[Mapping[str, object]], top: int) -> Sequence[Mapping[str, float]]:
        self.entered.set()
        assert self.gate.wait(30)
        if any(each["distance"] == 667 for each in features):
            raise self.poison
        return [dict([("distance", 2.0 * _number(each["distance"])), ("mean_delay", 1.0)][:top]) for each in features]


def _number(value: object) -> float:
    """A number that is small enough to be doubled; null counts as none."""
    return float(np.clip(float(str(value)), -1e300, 1e300)) if value is not None else 0.0


@dataclass
class OneEndpoint:
    """Traffic of an endpoint `delays`, which answers with `served`; an endpoint `empty` has no version.

    A `candidate` gets what comes from EWR; `shadowing` is asked besides.
    """

    served: Served
    candidate: Served | None = None
    shadowing: Served | None = None

    def endpoints(self) -> Sequence[str]:
        return ("delays",)

    def route(self, endpoint: str) -> Served:
        if endpoint == "empty":
            raise HeadraceError("HR902", "no version of empty is live")
        if endpoint != "delays":
            raise HeadraceError("HR901", f"there is no endpoint {endpoint!r}", fix=suggestion(endpoint, ["delays"]))
        return self.served

    def divided(self, endpoint: str) -> bool:
        self.route(endpoint)
        return self.candidate is not None

    def lane(self, endpoint: str, row: Mapping[str, object]) -> Lane:
        if self.candidate is not None and row["origin"] == "EWR":
            return Lane(self.candidate, "canary")
        return Lane(self.route(endpoint))

    def shadow(self, endpoint: str) -> Lane | None:
        return None if endpoint == "empty" or self.shadowing is None else Lane(self.shadowing, "shadow")

    def version(self, endpoint: str, key: str) -> Served:
        if not self.route(endpoint).key.startswith(key):
            raise HeadraceError("HR903", f"the endpoint {endpoint!r} has no version {key!r}")
        return self.served

    def versions(self, endpoint: str) -> Sequence[Served]:
        return (self.route(endpoint),)


@dataclass
class MemoryLog:
    """A prediction log in memory; `failure` is what the next append raises, once. `appended` is told of each."""

    batches: list[Logged] = field(default_factory=list)
    failure: Exception | None = None
    appended: Callable[[Logged], None] = lambda _: None
    given: int = 0

    def ids(self, count: int) -> Sequence[str]:
        self.given += count
        return [f"id-{number}" for number in range(self.given - count, self.given)]

    def append(self, batch: Logged) -> None:
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        self.appended(batch)
        self.batches.append(batch)


@dataclass
class RunningServer:
    """A running server and what stands behind it."""

    address: str
    version: Double
    service: AnsweringService
    log: MemoryLog

    @property
    def pair(self) -> tuple[str, int]:
        host, _, port = self.address.partition(":")
        return host, int(port)


@contextmanager
def running(
    limits: Limits | None = None,
    access: Access | None = None,
    told: Told | None = None,
    tracing: Tracing | None = None,
) -> Iterator[RunningServer]:
    """A server that ends with the block, as `headrace serve` starts one."""
    version, log, figures = Double(), MemoryLog(), Figures()
    service = AnsweringService(OneEndpoint(version), log, lambda: HORIZON, limits or Limits(), figures)
    service.tracing = tracing
    application = Application(service, figures, lambda: 3, page=b"<html>a page</html>", access=access, told=told)
    config = uvicorn.Config(
        application, host="127.0.0.1", port=0, lifespan="off", http="httptools", ws="none", log_config=None
    )
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    listening.listen()  # what connects before the server runs waits in the queue
    thread = threading.Thread(target=_serve, args=(server, listening))
    thread.start()
    try:
        host, port = listening.getsockname()
        yield RunningServer(f"{host}:{port}", version, service, log)
    finally:
        version.gate.set()
        server.should_exit = True
        thread.join()
        service.batches.close()


def _serve(server: uvicorn.Server, listening: socket.socket) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve([listening]))
