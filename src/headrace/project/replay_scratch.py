"""Where a replay works: stores of its own, which remember what was made, and for each policy a ledger that is new.

Nothing of the project is touched. A ledger is the logical state of one simulated life, so it begins empty; what the
life needs and finds in the stores under the same key it adopts, as after a crash: so policies share what they make of
the same rows, and a replay that is run again, or goes on after it was interrupted, makes nothing twice.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from headrace.adapters.artefacts import FileArtefactStore
from headrace.adapters.clocks import SimulatedClock, SystemClock
from headrace.adapters.durable import storage_errors
from headrace.adapters.locks import OwnerLocks, owner_here
from headrace.adapters.manifests import FileManifestStore
from headrace.adapters.sqlite import SqliteDatabase
from headrace.errors import HeadraceError
from headrace.graph.coding import code_of_graph
from headrace.ledger.ledger import SqlLedger
from headrace.ports.outside import Outside
from headrace.runtime.engine import Engine
from headrace.runtime.executor import InlineExecutor
from headrace.runtime.jobs import Kit
from headrace.runtime.observer import Observer
from headrace.runtime.surroundings import Surroundings
from headrace.runtime.survey import Question, survey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from headrace.graph.graph import Graph
    from headrace.graph.keys import Coded
    from headrace.plan.plan import Plan
    from headrace.ports.records import Version
    from headrace.ports.stores import Stores
    from headrace.project.workspace import Workspace
    from headrace.runtime.applied import Applied

_FOLDER = "replay"


class Scratch:
    """The folder `.headrace/replay` of a project, held by one replay at a time. A context manager."""

    def __init__(self, workspace: Workspace, graph: Graph) -> None:
        self._project = workspace.settings.folder
        self.folder = workspace.settings.state / _FOLDER
        artefacts, manifests = self.folder / "artefacts", self.folder / "manifests"
        self.stores: Stores = replace(
            workspace.stores, artefacts=FileArtefactStore(artefacts), manifests=FileManifestStore(manifests)
        )
        self.graph = graph
        self.coded: Mapping[str, Coded] = code_of_graph(graph, self._project)
        self.costs = _Costs(self.folder / "seconds.json")
        self._held = ExitStack()

    def __enter__(self) -> Self:
        with storage_errors(self.folder):
            self._held.enter_context(_alone(self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def life(self, name: str, start: datetime, seed: int) -> Life:
        """A simulated life that begins at a moment, without a past."""
        database = self.folder / "ledgers" / f"{name}.db"
        with storage_errors(self.folder):
            for each in database.parent.glob(f"{database.name}*"):
                each.unlink()
            database.parent.mkdir(parents=True, exist_ok=True)
        clock = SimulatedClock(start, seed)
        return Life(self, name, clock, SqlLedger(SqliteDatabase(database), clock))

    @property
    def project(self) -> Path:
        """The folder of the project."""
        return self._project


class Life:
    """One environment of its own ledger on its own clock, and the engine that applies to it. A context manager."""

    def __init__(self, scratch: Scratch, environment: str, clock: SimulatedClock, ledger: SqlLedger) -> None:
        self.environment = environment
        self.clock = clock
        self.ledger = ledger
        self.stores = scratch.stores
        self._scratch = scratch
        self._owners = OwnerLocks(scratch.folder / "owners")
        self._held = ExitStack()
        self._owner = owner_here(f"replay-{environment}")

    def __enter__(self) -> Self:
        self._held.callback(self.ledger.close)
        self._held.enter_context(self._owners.take(self._owner))
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def apply(self) -> tuple[Plan, Applied]:
        """Make what has changed, in this process, and publish what passes its gate. What code prints goes to a log."""
        scratch = self._scratch
        kit = Kit(scratch.graph, scratch.coded, self.stores, scratch.project, _NeverWaiting())
        around = Surroundings(
            ledger=self.ledger,
            stores=self.stores,
            executor=InlineExecutor(kit),
            owners=self._owners,
            clock=self.clock,
            owner=self._owner,
            project=scratch.project,
            logs=scratch.folder / "logs",
            observer=_Remembers(scratch.costs),
        )
        question = Question(self.environment)
        plan = survey(scratch.graph, scratch.coded, self.ledger, question, Outside(scratch.project, self.stores))
        with self._printed_to_log(), one_thread():
            return plan, Engine(scratch.graph, plan, around).apply()

    def cost(self, keys: Iterable[str]) -> float:
        """The seconds that versions took when they were made, for this life or for another one."""
        return sum(self._scratch.costs.of(key) for key in keys)

    def pointed(self) -> Mapping[str, Version]:
        """What the environment points to now."""
        pointers = self.ledger.snapshot(self.environment).pointers
        live = self.ledger.live(sorted(set(pointers.values())))
        return {name: live[key] for name, key in pointers.items() if key in live}

    @contextmanager
    def _printed_to_log(self) -> Iterator[None]:
        with storage_errors(self._scratch.folder), (self._scratch.folder / "printed.log").open("a") as log:
            log.write(f"--- {self.environment}, {self.clock.now():%Y-%m-%d %H:%M}\n")
            with redirect_stdout(log), redirect_stderr(log):
                yield


def one_thread() -> AbstractContextManager[object]:
    """Let libraries train on one thread: sums of floats would otherwise depend on how many cores a machine has.

    It is no slower: the trees of 300,000 flights took four fifths of the time that they took on two.
    """
    import sklearn  # noqa: F401 - what is not loaded yet cannot be limited
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits


class _NeverWaiting(SystemClock):
    """Measures as the computer's clock does. In one process nothing is ever waited for: a job is over at once."""

    def sleep(self, seconds: float) -> None:
        """Wait for nothing."""


class _Costs:
    """How many seconds each version took when it was made: what is only adopted later on has cost as much."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds: dict[str, float] = {}
        if path.is_file():
            self._seconds = json.loads(path.read_text(encoding="utf-8"))

    def of(self, key: str) -> float:
        """The seconds of a version."""
        return self._seconds.get(key, 0.0)

    def note(self, version: Version) -> None:
        """Remember what a version took."""
        self._seconds[version.key] = version.seconds

    def save(self) -> None:
        """Write them down, whole."""
        partial = self._path.with_suffix(".partial")
        with storage_errors(self._path.parent):
            partial.write_text(json.dumps(self._seconds), encoding="utf-8")
            partial.replace(self._path)


class _Remembers(Observer):
    """Keeps what versions took."""

    def __init__(self, costs: _Costs) -> None:
        self._costs = costs

    def step_made(self, version: Version) -> None:
        """See `Observer`."""
        if version.manifest.outputs:
            self._costs.note(version)
            self._costs.save()


def forget(workspace: Workspace) -> bool:
    """Remove all that replays keep; answers whether there was anything. Raises HR997 while one is at work."""
    folder = workspace.settings.state / _FOLDER
    if not folder.exists():
        return False
    with storage_errors(folder), _alone(folder):
        shutil.rmtree(folder)
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other replays of the project away. Raises HR997."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    with ExitStack() as held:
        held.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HeadraceError("HR997", f"{folder} is in use") from error
        yield
