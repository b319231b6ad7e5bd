"""The process that workers are forked from: it loads the user's project once, so that a new worker is ready at once.

It runs no job and starts no thread of its own, which is what makes forking it safe. Where the project computes while it
is loaded, Polars has started threads, which a fork lacks and would wait for without an end: each worker is a process of
its own then, which loads the project by itself. It ends when the engine's process does, and so do its workers, even in
the middle of a job: they watch a pipe that only the engine holds open.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import re
import signal
import socket
import sys
import threading
import warnings
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headrace.errors import HeadraceError
from headrace.ports.loading import checked_before
from headrace.runtime.jobs import Finished, KitLoader, failure, perform
from headrace.runtime.link import Link
from headrace.runtime.printed import Printed

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.runtime.jobs import Event, Job, Kit

_ALONE: Final = "alone"
_POOLS: Final = re.compile(r"polars-\d+|tokio-rt-worker")
"""The names of the threads by which Polars computes and reads."""


def main() -> None:
    """Load the kit, say so, then fork one worker for each socket that arrives. Arguments: control and lifeline fds."""
    if sys.argv[1] == _ALONE:
        _work_alone(*sys.argv[2:])
        return
    control = socket.socket(fileno=int(sys.argv[1]))
    lifeline = int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    loader: KitLoader = pickle.loads(_receive(control))  # noqa: S301 - from our own parent, over a private socket
    checked_before.set(True)
    try:
        kit = loader.load()
    except Exception as error:  # noqa: BLE001 - reported to the engine, which raises or records it
        _answer(control, error)
        return
    _answer(control, None)
    _import_libraries(kit)
    alone = _has_pools()
    warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork.*")
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            return
        if os.fork() == 0:
            control.close()
            if alone:
                _begin_anew(loader, descriptors[0], lifeline)
            _work(lambda: kit, Link(Connection(descriptors[0])), lifeline)
            os._exit(0)
        os.close(descriptors[0])


def _has_pools() -> bool:
    """Whether Polars has begun to compute in this process. Only Linux tells; elsewhere nothing is known."""
    with suppress(OSError):
        return any(_POOLS.fullmatch(each.read_text().strip()) for each in Path("/proc/self/task").glob("*/comm"))
    return False


def _begin_anew(loader: KitLoader, connection: int, lifeline: int) -> None:
    """Become a process that loads the project by itself and works."""
    for descriptor in (connection, lifeline):
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - it takes no name
    told = [str(connection), str(lifeline), loader.function, str(loader.project), json.dumps(dict(loader.arguments))]
    os.execv(sys.executable, [sys.executable, "-m", "headrace.runtime.zygote", _ALONE, *told])  # noqa: S606 - ourselves


def _work_alone(connection: str, lifeline: str, function: str, project: str, arguments: str) -> None:
    loader = KitLoader(function, Path(project), json.loads(arguments))
    _work(cache(loader.load), Link(Connection(int(connection))), int(lifeline))


def _import_libraries(kit: Kit) -> None:
    """Import what the nodes' code uses, once for all workers: many import a heavy library only where they need it."""
    for library in sorted({library for coded in kit.coded.values() for library in coded.libraries}):
        with suppress(ImportError):  # a step that needs it will say so, with its own traceback
            importlib.import_module(library)
        _ = kit.stores.tables.scan  # code that uses a library handles frames: their store will be needed


def _receive(control: socket.socket) -> bytes:
    size = int.from_bytes(control.recv(8), "big")
    received = b""
    while len(received) < size:
        received += control.recv(size - len(received))
    return received


def _answer(control: socket.socket, error: Exception | None) -> None:
    if error is not None and not isinstance(error, HeadraceError):
        error = HeadraceError("HR704", f"the project cannot be loaded: {type(error).__name__}: {error}")
    content = pickle.dumps(error)
    control.sendall(len(content).to_bytes(8, "big") + content)


def _work(load: Callable[[], Kit], link: Link, lifeline: int) -> None:
    """Perform jobs until the engine closes the connection. What loading raises is the answer to each of them."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    threading.Thread(target=_end_with_engine, args=(lifeline,), daemon=True).start()
    link.send(os.getpid())
    with suppress(Exception):
        load()
    printed = Printed()
    while True:
        try:
            job: Job = link.recv()
        except EOFError:
            return
        _perform(load, job, link, printed)


def _perform(load: Callable[[], Kit], job: Job, link: Link, printed: Printed) -> None:
    event: Event
    printed.begin(job.logs, job.node)
    try:
        kit = load()
        started = kit.clock.monotonic()
        event = Finished(job.node, perform(kit, job, link.send), kit.clock.monotonic() - started)
    except Exception as error:  # noqa: BLE001 - reported to the engine, which raises or records it
        event = failure(job, error)
    try:
        printed.end(job.node)
    except OSError as error:
        event = failure(job, error)
    link.send(event)


def _end_with_engine(lifeline: int) -> None:
    """Wait until the engine's process is gone, then end this worker and whatever its job started."""
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
