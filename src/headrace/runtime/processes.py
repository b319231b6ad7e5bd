"""Jobs in worker processes: several at once, and each can be ended by force."""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from headrace.adapters.durable import storage_errors
from headrace.errors import HeadraceError
from headrace.ports.interrupts import Unbroken
from headrace.runtime.jobs import Died, Progressed
from headrace.runtime.link import Link
from headrace.runtime.printed import salvage, spool_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headrace.runtime.jobs import Event, Job, KitLoader


_POLITE = {"OMP_WAIT_POLICY": "passive"}
"""OpenMP threads that wait must sleep: spinning, they made a training 100 times slower beside other busy workers."""


class _Worker:
    """One forked process and the pipe to it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.link = Link(connection)
        self.pid: int = self.link.recv()
        self.node: str | None = None
        self._spool: Path | None = None

    def give(self, job: Job) -> None:
        """Send a job. Raises HR636 or HR637 where what it prints cannot be stored."""
        spool = spool_of(job.logs, self.pid)
        if spool != self._spool:
            with storage_errors(job.logs):
                job.logs.mkdir(parents=True, exist_ok=True)
                spool.touch()
            self._leave_spool()
            self._spool = spool
        self.node = job.node
        self.link.send(job, anew=True)

    def kill(self) -> None:
        """End the process and whatever its job started; keep what it printed."""
        self.connection.close()
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(self.pid, signal.SIGKILL)
        self._leave_spool()

    def _leave_spool(self) -> None:
        if self._spool is not None:
            salvage(self._spool)


class ProcessExecutor:
    """Warm workers, forked from a process that has loaded the project. `start` before planning: it loads meanwhile."""

    def __init__(self, loader: KitLoader, capacity: int, log: Path) -> None:
        self.capacity = capacity
        self._loader = loader
        self._log = log
        self._workers: list[_Worker] = []
        self._listening = selectors.DefaultSelector()
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._lifeline = -1
        self._ready = False

    def start(self) -> None:
        """Begin to load the project in the background. Raises HR636 or HR637 where no log can be written."""
        if self._zygote is not None:
            return
        with storage_errors(self._log.parent):
            self._log.parent.mkdir(parents=True, exist_ok=True)
            log = self._log.open("ab")
        ours, theirs = socket.socketpair()
        reading, self._lifeline = os.pipe()
        environment = {**_POLITE, **os.environ, "HEADRACE_MAIN_PROCESS": str(os.getpid())}
        command = [sys.executable, "-m", "headrace.runtime.zygote", str(theirs.fileno()), str(reading)]
        with log:
            self._zygote = subprocess.Popen(  # noqa: S603 - our own module
                command, pass_fds=(theirs.fileno(), reading), env=environment, stdout=log, stderr=log
            )
        theirs.close()
        os.close(reading)
        content = pickle.dumps(self._loader)
        ours.sendall(len(content).to_bytes(8, "big") + content)
        self._control = ours

    def get_ready(self) -> None:
        """Wait until the project is loaded, and have one worker at hand. Raises what loading raised, HR704."""
        if not self._workers:
            self._fork()

    def submit(self, job: Job) -> None:
        """See `Executor`."""
        for worker in [each for each in self._workers if each.node is None]:
            try:
                worker.give(job)
            except (BrokenPipeError, ConnectionResetError):  # somebody killed it while it was idle
                self._end(worker)
            else:
                return
        self._fork().give(job)

    def events(self, patience: float) -> Sequence[Event]:
        """See `Executor`."""
        received = [self._receive(key.data) for key, _ in self._listening.select(patience)]
        return [event for event in received if event is not None]

    def kill(self, node: str) -> None:
        """See `Executor`."""
        for worker in [each for each in self._workers if each.node == node]:
            self._end(worker)

    def close(self) -> None:
        """See `Executor`."""
        for worker in list(self._workers):
            self._end(worker)
        if self._zygote is None or self._control is None:
            return
        self._control.close()
        os.close(self._lifeline)
        self._zygote.kill()
        self._zygote.wait()
        self._zygote = None
        self._ready = False

    def _receive(self, worker: _Worker) -> Event | None:
        """What a worker says; None where it was idle and is gone."""
        node = worker.node
        try:
            event: Event = worker.link.recv()
        except (EOFError, ConnectionResetError):
            self._end(worker)
            return None if node is None else Died(node)
        if not isinstance(event, Progressed):
            worker.node = None
        return event

    def _fork(self) -> _Worker:
        control = self._loaded()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(control, [b"F"], [theirs.fileno()])
            worker = _Worker(Connection(ours.detach()))
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            ours.close()
            self.close()  # whoever comes next begins with a fresh one
            what = "the process that workers are forked from was ended"
            raise HeadraceError("HR704", what, fix="Apply again.") from error
        with Unbroken():
            self._workers.append(worker)
            self._listening.register(worker.connection, selectors.EVENT_READ, worker)
        return worker

    def _end(self, worker: _Worker) -> None:
        with Unbroken():
            self._listening.unregister(worker.connection)
            self._workers.remove(worker)
            worker.kill()

    def _loaded(self) -> socket.socket:
        """The control socket, once the project is loaded; raises what loading it raised."""
        self.start()
        control = self._control
        if control is None:
            message = "the executor is closed"
            raise RuntimeError(message)
        if not self._ready:
            try:
                error = self._answer(control)
            except KeyboardInterrupt:
                self.close()  # it may have read half of the answer
                raise
            if error is not None:
                raise error
            self._ready = True
        return control

    def _answer(self, control: socket.socket) -> HeadraceError | None:
        header = control.recv(8, socket.MSG_WAITALL)
        if len(header) < 8:  # noqa: PLR2004 - the size of the header
            return HeadraceError("HR704", "the process that loads the project ended", fix=f"Read {self._log}.")
        error: HeadraceError | None = pickle.loads(control.recv(int.from_bytes(header, "big"), socket.MSG_WAITALL))  # noqa: S301 - from our own child, over a private socket
        return error
