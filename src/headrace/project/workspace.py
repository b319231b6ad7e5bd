"""A project, opened: everything that the command line and `headrace.open` do goes through here."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from headrace.adapters.clocks import SystemClock
from headrace.adapters.durable import storage_errors
from headrace.adapters.locks import OwnerLocks, owner_here
from headrace.errors import HeadraceError
from headrace.graph.coding import code_of_graph
from headrace.ports.outside import Outside
from headrace.project import settings as project_settings
from headrace.project.databases import open_reader
from headrace.project.loading import forget, load_pipeline
from headrace.project.neighbours import open_neighbour
from headrace.project.objects import open_objects
from headrace.project.pacing import Pacing
from headrace.project.stores import open_database, open_ledger, open_stores
from headrace.project.workers import workers_of
from headrace.runtime.collect import collect, find_garbage
from headrace.runtime.compact import COMMITS, compact
from headrace.runtime.engine import Engine
from headrace.runtime.environments import existing, rebase
from headrace.runtime.recovery import recover
from headrace.runtime.surroundings import Surroundings, Turning, unheard
from headrace.runtime.survey import Question, survey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import timedelta

    from headrace.graph.graph import Graph
    from headrace.graph.keys import Coded
    from headrace.pipeline import Pipeline
    from headrace.plan.plan import Plan
    from headrace.ports.ledger import Ledger
    from headrace.ports.stores import Stores
    from headrace.project.settings import Settings
    from headrace.runtime.applied import Applied
    from headrace.runtime.collect import Garbage
    from headrace.runtime.compact import Compacted
    from headrace.runtime.observer import Observer
    from headrace.runtime.processes import ProcessExecutor

_CONFLICTS = 5
"""How often an apply plans again because another run published first, before it gives up."""


class Workspace:
    """One project folder. Nothing is opened before it is needed; use it as a context manager, or call `close`."""

    def __init__(self, settings: Settings, executor: ProcessExecutor | None = None) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.turned: Turning = unheard
        """Hears of the loop of each apply."""
        self._executor = executor

    @classmethod
    def open(cls, folder: Path | str | None = None) -> Workspace:
        """The project at or above a folder (default: the present one). Raises HR801 where there is none."""
        start = Path.cwd() if folder is None else Path(folder).resolve()
        return cls(project_settings.load(project_settings.find(start)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and let go of the ledger."""
        if self._executor is not None:
            self._executor.close()
            self._executor = None
        if "ledger" in self.__dict__:
            self.ledger.close()
            del self.__dict__["ledger"]

    @cached_property
    def pipeline(self) -> Pipeline:
        """The user's pipeline."""
        return load_pipeline(self.settings)

    @cached_property
    def graph(self) -> Graph:
        """Its checked graph."""
        return self.pipeline.graph()

    @cached_property
    def coded(self) -> Mapping[str, Coded]:
        """The fingerprints of its nodes."""
        return code_of_graph(self.graph, self.settings.folder)

    @cached_property
    def ledger(self) -> Ledger:
        """The project's ledger."""
        return open_ledger(self.settings, self.clock)

    @cached_property
    def stores(self) -> Stores:
        """The project's stores."""
        return open_stores(self.settings)

    @cached_property
    def outside(self) -> Outside:
        """The world around the project."""
        databases, objects = partial(open_reader, self.settings), partial(open_objects, self.settings)
        return Outside(
            self.settings.folder,
            self.stores,
            databases,
            objects,
            neighbour=partial(open_neighbour, self.settings.folder),
        )

    @cached_property
    def owners(self) -> OwnerLocks:
        """Who of the processes of this project is alive."""
        return OwnerLocks(self.settings.state / "owners")

    def question(
        self,
        environment: str | None = None,
        *,
        refresh: Iterable[str] = (),
        only: Iterable[str] = (),
        forward: Iterable[str] = (),
    ) -> Question:
        """What to plan: the main environment unless another is named, which then branches from the main one."""
        main = self.settings.environment
        name = environment or main
        return Question(name, None if name == main else main, frozenset(refresh), frozenset(only), frozenset(forward))

    def plan(self, question: Question) -> Plan:
        """Observe the sources and plan. Changes nothing. Raises HR969 for a view that its schedule makes too late."""
        Pacing.of(self.pipeline, self.graph).refuse_too_slow()
        return survey(self.graph, self.coded, self.ledger, question, self.outside)

    def warm_up(self) -> None:
        """Begin to load the project for the workers, while this process is still planning."""
        if self._executor is None:
            self._executor = workers_of(self.settings)
        self._executor.start()

    def apply(self, question: Question, observer: Observer, plan: Plan | None = None) -> Applied:
        """Plan (unless a plan is given) and apply; plan again while others publish first or the code moves.

        Raises HR717 when others keep publishing first.
        """
        with self.shared(), self._owned() as owner:
            recover(self.ledger, self.owners, observer)
            for _ in range(_CONFLICTS):
                applied = self._apply_once(plan or self.plan(question), observer, owner)
                if applied.conflict is None:
                    return self._compacted(question.environment, applied, observer)
                plan = None
                question = replace(question, refresh=frozenset())
        raise HeadraceError("HR717", f"other runs published into {question.environment} first, {_CONFLICTS} times")

    def rebase(self, environment: str) -> None:
        """Let a branch start from the present pointers of its base. Raises HR719 for an environment without a base."""
        base = existing(self.ledger, environment).base
        if base is None:
            raise HeadraceError("HR719", f"{environment} was not branched from another environment")
        rebase(self.ledger, environment, base)

    def recover(self, observer: Observer) -> None:
        """Record the runs whose process died as crashed, so that nothing waits for them."""
        recover(self.ledger, self.owners, observer)

    def restore(self, backup: Path) -> int:
        """Fill the empty ledger from a backup; answers the number of entries. Raises HR607 and HR614 to HR617."""
        from headrace.ledger.backup import restore

        database = open_database(self.settings)
        try:
            return restore(database, backup, self.clock)
        finally:
            database.close()

    def garbage(self, keep: timedelta | None = None) -> Garbage:
        """What a collection would remove."""
        return find_garbage(self.ledger, self.stores, self.clock, self.settings.keep if keep is None else keep)

    def collect(self, keep: timedelta | None = None) -> Garbage:
        """Remove what nothing needs. Raises HR718 while a run is in flight."""
        with self._exclusive():
            garbage = self.garbage(keep)
            collect(self.ledger, self.stores, garbage)
        return garbage

    def compact(self) -> list[Compacted]:
        """Lay the tables of every environment into fewer files, where there are several small ones."""
        with self.shared():
            return [each for name in self.ledger.environments() for each in self._compact(name, None, 0)]

    def _compacted(self, environment: str, applied: Applied, observer: Observer) -> Applied:
        """Compact what was published. Where that fails the publish stands, and the next apply tries again."""
        try:
            self._compact(environment, applied.published, COMMITS)
        except HeadraceError as error:
            what = f"tables of {environment} are published, and not compacted: {error.what}"
            warning = HeadraceError(error.code, what, why=error.why, fix=error.fix)
            observer.warned(warning)
            return replace(applied, warnings=(warning,))
        return applied

    def _compact(self, environment: str, nodes: Iterable[str] | None, commits: int) -> list[Compacted]:
        """Compact what an environment points to: tables of these nodes (None: all) after at least so many commits."""
        pointers = self.ledger.snapshot(environment).pointers
        keys = [pointers[node] for node in (pointers if nodes is None else nodes) if node in pointers]
        return compact(self.ledger, self.stores, self.ledger.live(keys).values(), commits)

    def reload(self) -> None:
        """Import the present code of the project."""
        forget(self.settings.folder)
        for name in ("pipeline", "graph", "coded"):
            self.__dict__.pop(name, None)
        if self._executor is not None:
            self._executor.close()
            self._executor = None

    def _apply_once(self, plan: Plan, observer: Observer, owner: str) -> Applied:
        self.warm_up()
        if self._executor is None:
            message = "warm_up made no executor"
            raise RuntimeError(message)
        around = Surroundings(
            ledger=self.ledger,
            stores=self.stores,
            executor=self._executor,
            owners=self.owners,
            clock=self.clock,
            owner=owner,
            project=self.settings.folder,
            logs=self.settings.logs,
            observer=observer,
            turned=self.turned,
        )
        return Engine(self.graph, plan, around).apply()

    @contextmanager
    def _owned(self) -> Iterator[str]:
        owner = owner_here(self.clock.new_id())
        with self.owners.take(owner):
            yield owner

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Keep `gc` away while this process writes what the ledger does not know yet."""
        with self._collection_lock(fcntl.LOCK_SH):
            yield

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        try:
            with self._collection_lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield
        except BlockingIOError as error:
            raise HeadraceError("HR718", "a run is in flight") from error

    @contextmanager
    def _collection_lock(self, how: int) -> Iterator[None]:
        with storage_errors(self.settings.state):
            self.settings.state.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.settings.state / "gc.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)
