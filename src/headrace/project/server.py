"""One process of a server: `python -m headrace.project.server OPTIONS`, started by `headrace.project.serving`.

It answers on a socket that it was handed, follows the ledger, and ends when its parent does.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from headrace.adapters.clocks import SystemClock
from headrace.adapters.segments import FileSegments
from headrace.endpoints import grpc_server
from headrace.endpoints.access import Access
from headrace.endpoints.access_log import open_access_log
from headrace.endpoints.answering import AnsweringService, Limits
from headrace.endpoints.app import Application
from headrace.endpoints.exchange import Told
from headrace.endpoints.figures import Figures, count_as_one_process
from headrace.endpoints.joined import JoinedProtocol
from headrace.endpoints.log import SegmentLog
from headrace.endpoints.tracing import tracing_of
from headrace.project.heartbeat import beat
from headrace.project.prediction_place import folder_of
from headrace.project.settings import load
from headrace.project.stores import open_ledger, open_stores
from headrace.project.traffic import LiveTraffic

if TYPE_CHECKING:
    from headrace.errors import HeadraceError
    from headrace.ports.ledger import Ledger

TOKEN = "HEADRACE_TOKEN"  # noqa: S105 - the name of a variable, not a token
ADMIN_TOKEN = "HEADRACE_ADMIN_TOKEN"  # noqa: S105
_LOOK = 0.1
"""Seconds between two looks whether the ledger has moved."""
_GRACE = 10
"""Seconds that requests under way have to end, when the server is told to."""
_YOUNG = 20_000
"""New containers after which the collector looks for cycles: a large request makes thousands, and no cycle."""
_log = logging.getLogger("headrace.server")


@dataclass(frozen=True, slots=True)
class Options:
    """What a process is told by its parent: the project, the environment, and descriptors that it inherits.

    It writes a byte to `ready` once it can answer, gives signs of life on `heart` from its event loop, and ends when
    `lifeline` is closed.
    """

    folder: str
    environment: str
    listening: int
    ready: int
    lifeline: int
    heart: int
    certificate: str | None = None
    private_key: str | None = None
    grpc: str | None = None
    access_log: str | None = None

    def spelled(self) -> str:
        """The options as one argument."""
        return json.dumps(asdict(self))


def main() -> None:
    """Serve until told to end."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")
    options = Options(**json.loads(sys.argv[1]))
    settings, clock = load(Path(options.folder)), SystemClock()
    ledger = open_ledger(settings, clock)
    count_as_one_process()
    figures = Figures()
    traffic = LiveTraffic(ledger, open_stores(settings), options.environment, figures.unloaded)
    seen = ledger.change_counter()
    _refresh(traffic)
    log = SegmentLog(FileSegments(folder_of(settings.state, options.environment)), clock, _tell_of_log)
    tracing = tracing_of(os.environ)
    access_log = open_access_log(options.access_log, clock.micros) if options.access_log else None
    service = AnsweringService(traffic, log, clock.micros, Limits(), figures)
    service.tracing = tracing
    service.measure_by(clock.monotonic)
    access = Access(os.environ.get(TOKEN), os.environ.get(ADMIN_TOKEN))
    page = files("headrace.endpoints").joinpath("page.html").read_bytes()
    told = Told(access_log, tracing)
    application = Application(service, figures, lambda: log.waiting + log.dropped, page=page, access=access, told=told)
    over_grpc = None if options.grpc is None else _grpc_listening(service, access, options, told)
    server = uvicorn.Server(_config(application, options))
    stopping = Event()
    Thread(target=_follow, args=(ledger, seen, traffic, stopping), daemon=True).start()
    Thread(target=_end_with_parent, args=(options.lifeline, server, service), daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises them again once it has ended
        signal.signal(number, lambda *_: None)
    gc.freeze()  # what is loaded stays: no collection needs to look at it
    gc.set_threshold(_YOUNG)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_answer(server, service, over_grpc, options))
    stopping.set()
    log.close()
    for each in (access_log, tracing):
        if each is not None:
            each.close()
    ledger.close()


async def _answer(
    server: uvicorn.Server, service: AnsweringService, over_grpc: grpc_server.Listening | None, options: Options
) -> None:
    """Answer over HTTP, and over gRPC where that is asked for, until told to end."""
    service.figures.later = asyncio.get_running_loop().call_soon
    grpc = None if over_grpc is None else await grpc_server.start(service, over_grpc)
    beats = asyncio.create_task(beat(options.heart))
    await asyncio.sleep(0)  # the first beat comes before anybody may rely on this process
    os.write(options.ready, b"r")
    await server.serve([socket.socket(fileno=options.listening)])
    beats.cancel()
    if grpc is not None:
        await grpc.stop(_GRACE)
    await service.close()


def _grpc_listening(service: AnsweringService, access: Access, options: Options, told: Told) -> grpc_server.Listening:
    tls = None
    if options.certificate is not None and options.private_key is not None:
        tls = Path(options.private_key).read_bytes(), Path(options.certificate).read_bytes()
    return grpc_server.Listening(
        address=options.grpc or "",
        most_bytes=Limits().body,
        allow=lambda given: access.check((given or "").encode()),
        tls=tls,
        shared=True,
        figures=service.figures,
        seconds=service.seconds,
        told=told,
    )


def _config(application: Application, options: Options) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=JoinedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # nothing is done with the address of a caller
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE,
        ssl_certfile=options.certificate,
        ssl_keyfile=options.private_key,
    )


def _follow(ledger: Ledger, seen: int, traffic: LiveTraffic, stopping: Event) -> None:
    """Load what is published, until the server ends."""
    while not stopping.wait(_LOOK):
        counter = ledger.change_counter()
        if counter != seen:
            seen = counter
            _refresh(traffic)


def _refresh(traffic: LiveTraffic) -> None:
    known = dict(traffic.problems)
    traffic.refresh()
    for endpoint, problem in traffic.problems.items():
        if str(known.get(endpoint)) != str(problem):
            _log.warning("%s cannot be loaded: %s %s", endpoint, problem.code, problem.what)


def _tell_of_log(problem: HeadraceError | None) -> None:
    if problem is None:
        _log.warning("the prediction log can be written again")
    else:
        _log.error("the prediction log cannot be written: %s %s", problem.code, problem.what)


def _end_with_parent(lifeline: int, server: uvicorn.Server, service: AnsweringService) -> None:
    os.read(lifeline, 1)
    service.drain()
    server.should_exit = True


if __name__ == "__main__":
    main()
