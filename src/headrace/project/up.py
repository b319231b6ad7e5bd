"""`headrace up`: one supervisor of an environment, which applies what is due, serves, and looks after roll-outs."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from headrace.adapters.durable import storage_errors
from headrace.errors import HeadraceError
from headrace.project.announcing import Announcer
from headrace.project.applying import Applying
from headrace.project.bell import Bell
from headrace.project.control import Control
from headrace.project.events import SECRET, TOKEN, Events, Guard
from headrace.project.firing import Firing
from headrace.project.health import Check, Health, Limits, Visitors, routes_of
from headrace.project.lookout import Lookout
from headrace.project.monitoring import Watcher
from headrace.project.pacing import Pacing
from headrace.project.serving import LOOK, Server, Where, endpoints_of, until_told
from headrace.project.up_metrics import Metrics, Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from threading import Event

    from headrace.project.control import Routes
    from headrace.project.workspace import Workspace

_WATCHING = 12
"""How many looks at the sources there are for one at the monitors: with the default, that is once a minute."""
_MISSED = 3
"""Looks at something that may be left out before it is unwell."""
_HANDOVER = 20.0
"""Seconds from the beginning on during which the address may still be taken."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How an environment is looked after.

    Where it is served, how often its sources are looked at (in seconds), and the address of the supervisor itself; with
    `fallback`, any free port where that is taken. `limits` say when something is unwell, and when a child is replaced.
    """

    where: Where = field(default_factory=Where)
    watch: float = 5.0
    host: str = "127.0.0.1"
    port: int = 8181
    fallback: bool = True
    limits: Limits = field(default_factory=Limits)


def up(workspace: Workspace, environment: str, ways: Ways, say: Callable[[str], None]) -> None:
    """Look after an environment until SIGTERM or SIGINT.

    New data is applied, as is everything at the beginning, and what a trigger asks for. Endpoints are served from the
    moment at which there are any. While another supervisor of the environment lives, this one stands by, and takes
    over when the other one is gone.

    Raises:
        HeadraceError: What `Server` and `Control` raise, and HR612 or the like where the project's folder cannot be
            written.
    """
    with until_told() as stopping, _alone(workspace, environment, ways, stopping, say) as alone:
        if alone:
            with Supervisor(workspace, environment, ways, say) as supervisor:
                while not stopping.is_set():
                    supervisor.wait(LOOK)
                    supervisor.look()


def bell_of(workspace: Workspace, environment: str) -> Path:
    """The bell of the supervisor of an environment."""
    return workspace.settings.state / "up" / f"{environment}.bell"


@contextmanager
def _alone(
    workspace: Workspace, environment: str, ways: Ways, stopping: Event, say: Callable[[str], None]
) -> Iterator[bool]:
    """Wait until no other supervisor lives, by a lock that the system frees with its owner; False: told to stop."""
    folder = workspace.settings.state / "up"
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / f"{environment}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        standing_by = not _locked(descriptor)
        if standing_by:
            other = os.pread(descriptor, 20, 0).decode() or "another one"
            say(f"Standing by: process {other} looks after {environment}")
            health = Health(workspace.clock, environment, ways.limits)
            health.stand_by(other)
            if not _stood_by(descriptor, ways, health, stopping, say):
                yield False
                return
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        if standing_by:
            say(f"Taking over {environment}")
        yield True
    finally:
        os.close(descriptor)


def _stood_by(descriptor: int, ways: Ways, health: Health, stopping: Event, say: Callable[[str], None]) -> bool:
    """Wait for the lock; False: told to stop. It says how it is at its address, unless the other one answers there."""
    with ExitStack() as stack:
        try:
            control = stack.enter_context(Control(ways.host, ways.port, routes_of(health, _visitors())))
            say(f"Its health is told on {control.address}/healthz meanwhile")
        except HeadraceError as error:
            if error.code != "HR979":
                raise
        while not _locked(descriptor):
            health.turned()
            if stopping.wait(LOOK):
                return False
    return True


def _visitors() -> Visitors:
    return Visitors(os.environ.get(TOKEN))


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Supervisor:
    """Looks after one environment for as long as the block, if `wait` and `look` are called again and again."""

    def __init__(self, workspace: Workspace, environment: str, ways: Ways, say: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._environment = environment
        self._ways = ways
        self._say = say
        self._stack = ExitStack()
        self._server: Server | None = None
        self._health = Health(workspace.clock, environment, ways.limits)
        self._applying = Applying(workspace, environment, say, ways.limits.children)
        self._firing = Firing(workspace, environment, self._applying.ask, say)
        self._bell = Bell(bell_of(workspace, environment))
        self._lookout = Lookout(workspace, environment)
        self._problems: dict[str, str] = {}
        self._due = 0.0
        self._watching_due = 0.0
        self._watcher = Watcher(workspace, environment, self._make, say)
        self._announcer = Announcer(workspace, environment, say)
        self._began = workspace.clock.monotonic()
        self._health.add("apply", lambda: self._applying.past.check(ways.limits))
        self._health.add("server", self._check_server)
        for name in ("sources", "triggers"):
            self._health.expect(name, ways.limits.loop + _MISSED * ways.watch)

    def __enter__(self) -> Self:
        self._say(f"Looking after {self._environment}: its sources are looked at every {self._ways.watch:g} s")
        self._firing.load()  # before any event is taken
        with ExitStack() as stack:
            stack.enter_context(self._announcer)
            stack.enter_context(self._bell)
            control = stack.enter_context(self._opened_control())
            self._say(f"Taking events on {control.address}/events")
            self._stack = stack.pop_all()
        self._look_at_sources()  # before all else: what comes in from now on is new data
        pacing = self._pacing()
        complete = pacing.paced <= self._workspace.ledger.snapshot(self._environment).pointers.keys()
        self._ask_for_unpaced("the beginning", pacing if complete else None)
        self._look_at_triggers()  # what has waited is a part of it
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            self._applying.stop()

    def wait(self, patience: float) -> None:
        """Wait for so many seconds, or until there is something to look at."""
        self._bell.wait(patience, *self._applying.waits_for)

    def look(self) -> None:
        """Do what is due."""
        ended = self._applying.look()
        if ended:
            self._workspace.reload()
        now = self._workspace.clock.monotonic()
        if now >= self._due:
            self._due = now + self._ways.watch
            self._look_at_sources()
        self._look_at_triggers()
        self._serve()
        self._look_at_monitors(now)
        self._applying.look()
        self._announcer.look()
        self._health.turned()

    def _look_at_monitors(self, now: float) -> None:
        """Look at them now and then, as soon as there is an environment; some need no server."""
        if now < self._watching_due or not self._workspace.ledger.snapshot(self._environment).exists:
            return
        every = _WATCHING * self._ways.watch
        self._health.expect("monitors", self._ways.limits.loop + _MISSED * every)
        self._watching_due = now + every
        self._watcher.look()
        self._health.done("monitors")

    def _opened_control(self) -> Control:
        """The supervisor's own address, and what is answered there."""
        guard = Guard(self._workspace.clock, os.environ.get(SECRET), os.environ.get(TOKEN))
        events = Events(
            self._workspace.ledger, self._environment, lambda: self._firing.triggers, guard, self._bell.ring
        )
        visitors = _visitors()
        metrics = Metrics(self._told(), visitors)
        routes: Routes = {
            ("POST", "/events"): events,
            ("GET", "/metrics"): metrics,
            **routes_of(self._health, visitors),
        }
        return Control(self._ways.host, self._ways.port, routes, fallback=self._ways.fallback)

    def _told(self) -> Sources:
        """What the metrics are put together from."""
        return Sources(
            workspace=self._workspace,
            health=self._health,
            applies=self._applying.past,
            lookout=self._lookout,
            triggers=lambda: self._firing.triggers,
            looked=lambda: self._watcher.looked,
            notices=self._announcer.outbox.counts,
            restarts=lambda: {
                "apply": self._applying.past.replaced,
                "server": 0 if self._server is None else self._server.children.restarts,
            },
        )

    def _check_server(self) -> Check:
        """Whether all processes answer; before there is an endpoint, none is to."""
        return Check(0.0) if self._server is None else self._server.children.check(self._ways.limits.silent)

    def _make(self, node: str, monitor: str) -> None:
        """Have a node made of what has come in since, with what is made from it."""
        self._applying.ask(f"{monitor} asks for {node}", self._pacing().made_with(node))

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
            limits = self._ways.limits
            server = Server(self._workspace, self._environment, self._ways.where, self._say, limits.children)
            self._server = self._stack.enter_context(server)
        except HeadraceError as error:
            # Where another supervisor was killed, its processes may still give their last answers at this address.
            if error.code != "HR952" or self._workspace.clock.monotonic() > self._began + _HANDOVER:
                raise

    def _pacing(self) -> Pacing:
        return Pacing.of(self._workspace.pipeline, self._workspace.graph)

    def _ask_for_unpaced(self, reason: str, pacing: Pacing | None) -> None:
        """Ask for an apply of all that new data makes; without a pacing, of everything."""
        if pacing is None or not pacing.paced:
            self._applying.ask(reason)
        elif pacing.unpaced:
            self._applying.ask(reason, pacing.unpaced)

    def _look_at_sources(self) -> None:
        """Ask for an apply where a source holds something else than when one was asked for last, or is lost or back."""
        with self._telling("sources"):
            reasons = self._lookout.look()
            if reasons:
                self._ask_for_unpaced("; ".join(reasons), self._pacing())
            problem = self._lookout.problem
            if problem is not None:
                raise problem

    def _look_at_triggers(self) -> None:
        """Fire what is due. A process stands by for the next apply where there is anything that may ask for one."""
        with self._telling("triggers"):
            self._firing.look(self._lookout.digests or {})
            self._applying.keep_ready(wanted=bool(self._firing.triggers))

    @contextmanager
    def _telling(self, name: str) -> Iterator[None]:
        """Tell of an error, once, and go on: a file that was just being written may have been read."""
        try:
            yield
        except HeadraceError as error:
            self._workspace.reload()
            self._health.failed(name, error)
            if self._problems.get(name) != str(error):
                self._say(f"Looking at the {name}: {error.code} {error.what}")
            self._problems[name] = str(error)
        else:
            self._health.done(name)
            self._problems.pop(name, None)
