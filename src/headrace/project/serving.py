"""`headrace serve`: one socket, the processes that answer on it, and somebody who looks after them."""

from __future__ import annotations

import ipaddress
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from threading import Event
from typing import TYPE_CHECKING, Self

from headrace.errors import HeadraceError
from headrace.project.heartbeat import Patience
from headrace.project.serving_processes import Child, Children, Processes
from headrace.project.shared_figures import Figures, shared_figures
from headrace.runtime.environments import existing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from headrace.project.heartbeat import Pulse
    from headrace.project.workspace import Workspace

_NEEDED = ("uvicorn", "httptools", "uvloop", "orjson", "prometheus_client", "onnxruntime", "lmdb")
ACCESS_LOG = "HEADRACE_ACCESS_LOG"
"""The variable that names the access log."""
_START = 60.0
"""Seconds that a process has to load its models."""
LOOK = 0.2
_DRAIN = 10.0
"""Seconds between two looks for predictions to move into tables."""


@dataclass(frozen=True, slots=True)
class Where:
    """Which address, how many processes, which certificate (None: no TLS), which port for gRPC, which access log."""

    host: str = "127.0.0.1"
    port: int = 8000
    processes: int = 1
    certificate: str | None = None
    private_key: str | None = None
    grpc_port: int | None = None
    access_log: str | None = None


def serve(workspace: Workspace, environment: str, where: Where, say: Callable[[str], None]) -> None:
    """Serve the endpoints of an environment until SIGTERM or SIGINT; requests under way then get their answers.

    Raises:
        HeadraceError: See `Server`.
    """
    with until_told() as stopping, Server(workspace, environment, where, say) as server:
        while not stopping.wait(LOOK):
            server.look()


@contextmanager
def until_told() -> Iterator[Event]:
    """An event that SIGTERM and SIGINT set."""
    stopping = Event()
    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, _setting(stopping)))
        yield stopping


class Server:
    """A server that runs for as long as the block, if `look` is called again and again.

    Raises:
        HeadraceError: HR609 for an unknown environment, HR951 when it has no endpoint, HR952 for an address that
            cannot be used, HR953 for one beyond this machine without a token, HR954 and HR927 without an extra, HR955
            when the processes do not start, HR956 for an access log that cannot be written, HR934 for a certificate
            that cannot be used.
    """

    def __init__(
        self,
        workspace: Workspace,
        environment: str,
        where: Where,
        say: Callable[[str], None],
        patience: Patience | None = None,
    ) -> None:
        self._patience = patience or Patience()
        self._workspace = workspace
        self._environment = environment
        self._where = where
        self._say = say
        self._stack = ExitStack()
        self._due = 0.0

    def __enter__(self) -> Self:
        from headrace.endpoints.counted import counted, requests
        from headrace.project.request_counts import RequestCounts, folder_of_counts
        from headrace.project.watching import RolloutWatch

        workspace, where = self._workspace, self._where
        _refuse_what_cannot_be(where)
        endpoints = endpoints_of(workspace, self._environment)
        with ExitStack() as stack:
            listening = stack.enter_context(_listening(where))
            figures = stack.enter_context(shared_figures(workspace.settings.state))
            metrics = figures.folder
            start = partial(_started, workspace, self._environment, where, (listening, figures))
            self._processes = Processes(workspace.clock, where.processes, metrics, start, self._patience)
            stack.callback(self._processes.end)
            self._processes.start()
            self._tell(endpoints, listening.getsockname()[1])
            self._stack = stack.pop_all()
        self._rollouts = RolloutWatch(
            workspace.ledger, workspace.clock, self._environment, partial(counted, metrics), self._say
        )
        folder = folder_of_counts(workspace.settings.state, self._environment)
        self._counts = RequestCounts(folder, partial(requests, metrics))
        self._due = workspace.clock.monotonic() + _DRAIN
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            self._say("Stopping: requests under way get their answers.")
            self._processes.end()
            self._count()
            _drain(self._workspace, self._environment, self._say)

    def look(self) -> None:
        """Look after the processes, the roll-outs and the log."""
        self._processes.look(self._say)
        self._rollouts.look()
        now = self._workspace.clock.monotonic()
        if now >= self._due:
            self._count()
            _drain(self._workspace, self._environment, self._say)
            self._due = now + _DRAIN

    @property
    def children(self) -> Children:
        """How its processes are, as of the last look."""
        return self._processes.children

    def _count(self) -> None:
        """Write down how many requests were answered, with which status."""
        try:
            self._counts.write(self._workspace.clock.now())
        except OSError as error:
            self._say(f"The counts of requests cannot be written: {error.strerror or error}")

    def _tell(self, endpoints: Sequence[str], port: int) -> None:
        where, host = self._where, _shown(self._where.host)
        scheme = "http" if where.certificate is None else "https"
        address = f"{scheme}://{host}:{port}"
        self._say(f"Serving {', '.join(endpoints)} of {self._environment} on {address} (try it on /docs)")
        if where.grpc_port is not None:
            self._say(f"gRPC on {host}:{where.grpc_port}")


def _drain(workspace: Workspace, environment: str, say: Callable[[str], None]) -> None:
    """Move what was answered into its tables. What fails now is tried again: the segments stay until it is done."""
    from headrace.project.prediction_place import drain_predictions

    try:
        drain_predictions(workspace, environment)
    except HeadraceError as error:
        say(f"Predictions stay in their log for now: {error.code} {error.what}")


def _started(
    workspace: Workspace,
    environment: str,
    where: Where,
    shared: tuple[socket.socket, Figures],
    lifeline: int,
    pulse: Pulse,
) -> Child:
    """A process that can answer. Raises HR955."""
    from headrace.endpoints.figures import SHARED
    from headrace.project.server import Options

    listening, figures = shared
    ready, telling = os.pipe()
    options = Options(
        folder=str(workspace.settings.folder),
        environment=environment,
        listening=listening.fileno(),
        ready=telling,
        lifeline=lifeline,
        heart=pulse.theirs,
        certificate=where.certificate,
        private_key=where.private_key,
        access_log=where.access_log,
        grpc=None if where.grpc_port is None else f"{_shown(where.host)}:{where.grpc_port}",
    )
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "headrace.project.server", options.spelled()],
        pass_fds=(options.listening, options.ready, options.lifeline, options.heart, figures.lock),
        env={**os.environ, SHARED: figures.folder, "OMP_WAIT_POLICY": "passive"},
        start_new_session=True,  # Ctrl-C is for the parent, which has them end in good order
    )
    os.close(telling)
    try:
        answered, _, _ = select.select([ready], [], [], _START)
        if not answered or not os.read(ready, 1):
            process.kill()
            raise HeadraceError("HR955", f"a process ended with status {process.wait()} before it could answer")
    finally:
        os.close(ready)
    return Child(process, pulse)


def _refuse_what_cannot_be(where: Where) -> None:
    """Raise HR954, HR953, HR934, HR956 or HR927 before anything is started."""
    from headrace.project.server import ADMIN_TOKEN, TOKEN

    _refuse_without_libraries(*_NEEDED, *(("grpc",) if where.grpc_port is not None else ()))
    if not _is_loopback(where.host) and not (os.environ.get(TOKEN) or os.environ.get(ADMIN_TOKEN)):
        raise HeadraceError("HR953", f"{where.host} can be reached from elsewhere")
    _try_certificate(where)
    _try_to_tell(where)


def _refuse_without_libraries(*needed: str) -> None:
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise HeadraceError("HR954", f"missing: {', '.join(missing)}")


def _try_certificate(where: Where) -> None:
    """Raise HR934 for a certificate and a key that no process could use."""
    if where.certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(where.certificate, where.private_key)
    except OSError as error:  # that of ssl is one as well
        raise HeadraceError("HR934", f"{where.certificate}, {where.private_key}: {error.strerror or error}") from error


def _try_to_tell(where: Where) -> None:
    """Refuse with HR956 or HR927 here what each process would be refused later."""
    from headrace.endpoints.access_log import open_access_log
    from headrace.endpoints.tracing import tracing_of

    log = None if where.access_log is None else open_access_log(where.access_log, lambda: 0)
    for told in (log, tracing_of(os.environ)):
        if told is not None:
            told.close()


def endpoints_of(workspace: Workspace, environment: str) -> list[str]:
    """The endpoints that the environment points to. Raises HR951 where there are none."""
    pointers = existing(workspace.ledger, environment).pointers
    live = workspace.ledger.live(sorted(set(pointers.values())))
    served = {key for key, version in live.items() if version.kind == "endpoint"}
    found = [node for node, key in sorted(pointers.items()) if key in served and live[key].node == node]
    if not found:
        raise HeadraceError("HR951", f"{environment} has no endpoint")
    return found


def _listening(where: Where) -> socket.socket:
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    try:
        return socket.create_server((where.host, where.port), family=family, backlog=2048)
    except OSError as error:
        raise HeadraceError("HR952", f"{where.host}:{where.port}: {error.strerror or error}") from error


def _shown(host: str) -> str:
    """The host as a part of an address."""
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _setting(event: Event) -> Callable[[int, FrameType | None], None]:
    def handler(_: int, __: FrameType | None) -> None:
        event.set()

    return handler
