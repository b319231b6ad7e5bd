"""`headrace up`: one supervisor of an environment, which applies what is due, serves, and looks after roll-outs."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from headrace.adapters.durable import storage_errors
from headrace.errors import HeadraceError
from headrace.ports.canonical import digest_of
from headrace.project.serving import LOOK, Server, endpoints_of, until_told
from headrace.runtime.survey import observe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event

    from headrace.ports.clock import Clock
    from headrace.project.serving import Where
    from headrace.project.workspace import Workspace

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 1_800.0
"""Seconds after an apply that failed, before the next one: doubled each time, up to half an hour."""
_GRACE = 15.0
"""Seconds that an apply has to end in good order."""
_HANDOVER = 20.0
"""Seconds from the beginning on during which the address may still be taken."""
_GOOD = (0, 4)
"""Exit codes of an apply that need no other one: done, and done but for what a gate refused."""


def up(workspace: Workspace, environment: str, where: Where, watch: float, say: Callable[[str], None]) -> None:
    """Look after an environment until SIGTERM or SIGINT.

    The sources are looked at every `watch` seconds; new data is applied, as is everything at the beginning. Endpoints
    are served from the moment at which there are any. While another supervisor of the environment lives, this one
    stands by, and takes over when the other one is gone.

    Raises:
        HeadraceError: What `Server` raises, and HR612 or the like where the project's folder cannot be written.
    """
    with until_told() as stopping, _alone(workspace, environment, stopping, say) as alone:
        if alone:
            with Supervisor(workspace, environment, where, watch, say) as supervisor:
                while not stopping.wait(LOOK):
                    supervisor.look()


@contextmanager
def _alone(workspace: Workspace, environment: str, stopping: Event, say: Callable[[str], None]) -> Iterator[bool]:
    """Wait until no other supervisor lives, by a lock that the system frees with its owner; False: told to stop."""
    folder = workspace.settings.state / "up"
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / f"{environment}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        standing_by = False
        while not _locked(descriptor):
            if not standing_by:
                other = os.pread(descriptor, 20, 0).decode() or "another one"
                say(f"Standing by: process {other} looks after {environment}")
                standing_by = True
            if stopping.wait(LOOK):
                yield False
                return
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        if standing_by:
            say(f"Taking over {environment}")
        yield True
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Supervisor:
    """Looks after one environment for as long as the block, if `look` is called again and again."""

    def __init__(
        self, workspace: Workspace, environment: str, where: Where, watch: float, say: Callable[[str], None]
    ) -> None:
        self._workspace = workspace
        self._environment = environment
        self._where = where
        self._watch = watch
        self._say = say
        self._stack = ExitStack()
        self._server: Server | None = None
        self._applying = Applying(workspace, environment, say)
        self._seen: str | None = None
        self._due = 0.0
        self._began = workspace.clock.monotonic()

    def __enter__(self) -> Self:
        self._say(f"Looking after {self._environment}: its sources are looked at every {self._watch:g} s")
        self._applying.ask("the beginning")
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            self._applying.stop()

    def look(self) -> None:
        """Do what is due."""
        ended = self._applying.look()
        if ended:
            self._workspace.reload()
        self._serve()
        now = self._workspace.clock.monotonic()
        if now >= self._due:
            self._due = now + self._watch
            self._look_at_sources()

    def _serve(self) -> None:
        """Serve, from the moment at which there is an endpoint."""
        if self._server is not None:
            self._server.look()
            return
        try:
            endpoints_of(self._workspace, self._environment)
        except HeadraceError as error:
            if error.code not in ("HR609", "HR951"):
                raise
            return
        try:
            server = Server(self._workspace, self._environment, self._where, self._say)
            self._server = self._stack.enter_context(server)
        except HeadraceError as error:
            # Where another supervisor was killed, its processes may still give their last answers at this address.
            if error.code != "HR952" or self._workspace.clock.monotonic() > self._began + _HANDOVER:
                raise

    def _look_at_sources(self) -> None:
        """Ask for an apply where a source holds something else than when one was asked for last."""
        try:
            snapshot = self._workspace.ledger.snapshot(self._environment)
            found = observe(self._workspace.graph, self._workspace.settings.folder, snapshot)
        except HeadraceError as error:
            self._say(f"The sources cannot be looked at: {error.code} {error.what}")
            return
        seen = digest_of({name: dict(each.identity()) for name, each in found.items()})
        if self._seen is not None and seen != self._seen:
            self._applying.ask("new data")
        self._seen = seen


class Applying:
    """Applies an environment in a process of its own, once at a time. What is asked for meanwhile comes next."""

    def __init__(self, workspace: Workspace, environment: str, say: Callable[[str], None]) -> None:
        self._clock: Clock = workspace.clock
        self._command = [sys.executable, "-m", "headrace.cli.main", "apply", environment, "--quiet"]
        self._folder = workspace.settings.folder
        self._say = say
        self._reasons: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._due = 0.0
        self._pause = _FIRST_PAUSE

    def ask(self, reason: str) -> None:
        """Have the environment applied as soon as can be; a pause after a failure is over with that."""
        if reason not in self._reasons:
            self._reasons.append(reason)
        self._due = 0.0

    def look(self) -> bool:
        """Begin what was asked for; answers whether an apply has ended."""
        if self._process is None:
            if self._reasons and self._clock.monotonic() >= self._due:
                self._begin()
            return False
        code = self._process.poll()
        if code is None:
            return False
        self._end(self._process, code)
        return True

    def stop(self) -> None:
        """End an apply that is under way; the next one goes on where it was."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.communicate(timeout=_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def _begin(self) -> None:
        self._say(f"Applying: {', '.join(self._reasons)}")
        self._reasons.clear()
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            self._command,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C is for the supervisor, which ends it in good order
        )

    def _end(self, process: subprocess.Popen[str], code: int) -> None:
        said, _ = process.communicate()
        self._process = None
        for line in said.splitlines():
            self._say(f"  {line}")
        if code in _GOOD:
            self._pause = _FIRST_PAUSE
            return
        self._due = self._clock.monotonic() + self._pause
        self._say(f"The apply ended with {code}; another one begins in {self._pause:g} s")
        self._reasons.append(f"again after an apply that ended with {code}")
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
