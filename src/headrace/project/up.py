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
from headrace.monitors.monitor import Monitor
from headrace.ports.canonical import digest_of
from headrace.project.monitoring import Watcher
from headrace.project.serving import LOOK, Server, endpoints_of, until_told
from headrace.runtime.survey import observe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet
    from threading import Event

    from headrace.ports.clock import Clock
    from headrace.project.serving import Where
    from headrace.project.workspace import Workspace

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 1_800.0
"""Seconds after an apply that failed, before the next one: doubled each time, up to half an hour."""
_WATCHING = 12
"""How many looks at the sources there are for one at the monitors: with the default, that is once a minute."""
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
        self._problem = ""
        self._due = 0.0
        self._watching_due = 0.0
        self._watcher = Watcher(workspace, environment, self._retrain, say)
        self._began = workspace.clock.monotonic()

    def __enter__(self) -> Self:
        self._say(f"Looking after {self._environment}: its sources are looked at every {self._watch:g} s")
        self._look_at_sources()  # before all else: what comes in from now on is new data
        self._applying.ask("the beginning", self._unpaced() if self._is_complete() else frozenset())
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
        if self._server is not None and now >= self._watching_due:
            self._watching_due = now + _WATCHING * self._watch
            self._watcher.look()

    def _retrain(self, node: str, monitor: str) -> None:
        """Have a node made of what has come in since, with what is made from it."""
        self._applying.ask(f"{monitor} asks for {node}", {node, *self._workspace.graph.descendants(node)})

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

    def _paced(self) -> frozenset[str]:
        """What is made when a monitor asks for it, rather than when data comes in; with what is made from it."""
        graph = self._workspace.graph
        asked = {
            each.node
            for node in graph
            if isinstance(node, Monitor)
            for each in node.watch.then
            if each.kind == "retrain"
        }
        return frozenset(asked.union(*(graph.descendants(name) for name in asked)))

    def _unpaced(self) -> frozenset[str]:
        """What is made when data comes in; empty where that is everything."""
        paced = self._paced()
        return frozenset(self._workspace.graph.nodes) - paced if paced else frozenset()

    def _is_complete(self) -> bool:
        """Whether the environment has something of all that is made when a monitor asks for it."""
        snapshot = self._workspace.ledger.snapshot(self._environment)
        return self._paced() <= snapshot.pointers.keys()

    def _look_at_sources(self) -> None:
        """Ask for an apply where a source holds something else than when one was asked for last."""
        try:
            snapshot = self._workspace.ledger.snapshot(self._environment)
            found = observe(self._workspace.graph, self._workspace.settings.folder, snapshot)
        except HeadraceError as error:
            self._workspace.reload()  # a file that was just being written may have been read
            if str(error) != self._problem:
                self._say(f"The sources cannot be looked at: {error.code} {error.what}")
            self._problem = str(error)
            return
        self._problem = ""
        seen = digest_of({name: dict(each.identity()) for name, each in found.items()})
        if self._seen is not None and seen != self._seen:
            self._applying.ask("new data", self._unpaced())
        self._seen = seen


class Applying:
    """Applies an environment in a process of its own, once at a time. What is asked for meanwhile comes next."""

    def __init__(self, workspace: Workspace, environment: str, say: Callable[[str], None]) -> None:
        self._clock: Clock = workspace.clock
        self._command = [sys.executable, "-m", "headrace.cli.main", "apply", environment, "--quiet"]
        self._folder = workspace.settings.folder
        self._say = say
        self._asked: dict[str, AbstractSet[str]] = {}
        self._under_way: AbstractSet[str] = frozenset()
        self._process: subprocess.Popen[str] | None = None
        self._due = 0.0
        self._pause = _FIRST_PAUSE

    def ask(self, reason: str, only: AbstractSet[str] = frozenset()) -> None:
        """Have the environment applied as soon as can be, all of it or `only` these nodes and what they are made from.

        A pause after a failure is over with that. What is asked for several times before it begins is done once.
        """
        asked = self._asked.get(reason)
        self._asked[reason] = only if asked is None else asked | only if asked and only else frozenset()
        self._due = 0.0

    def look(self) -> bool:
        """Begin what was asked for; answers whether an apply has ended."""
        if self._process is None:
            if self._asked and self._clock.monotonic() >= self._due:
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
        self._say(f"Applying: {', '.join(self._asked)}")
        self._under_way = frozenset[str]().union(*self._asked.values()) if all(self._asked.values()) else frozenset()
        self._asked.clear()
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [*self._command, *(f"--only={name}" for name in sorted(self._under_way))],
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
        self._asked.setdefault(f"again after an apply that ended with {code}", self._under_way)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
