"""What is sent to a worker and what comes back, and how a worker performs it."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from headrace.adapters.durable import full_disk_told
from headrace.errors import HeadraceError
from headrace.graph.keys import Coded, seed_of
from headrace.ports.failpoints import failpoint
from headrace.ports.work import MEMORY, Context
from headrace.runtime.libraries import installed

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.graph.graph import Graph
    from headrace.ports.clock import Clock
    from headrace.ports.records import Decision, Json, Manifest, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Step


@dataclass(frozen=True, slots=True)
class Kit:
    """What a worker has at hand: the user's graph as it was loaded, its fingerprints, the stores, a clock.

    `memory` is how many bytes the rows of one step may take at a time.
    """

    graph: Graph
    coded: Mapping[str, Coded]
    stores: Stores
    project: Path
    clock: Clock
    memory: int = MEMORY


@dataclass(frozen=True, slots=True)
class Job:
    """Make a version (no candidate), or decide about one. `logs` is the folder of the run for what code prints."""

    step: Step
    versions: Mapping[str, Version]
    logs: Path
    candidate: Version | None = None
    champion: Version | None = None

    @property
    def node(self) -> str:
        """The name of the node."""
        return self.step.node


@dataclass(frozen=True, slots=True)
class Progressed:
    """A node said how far it is."""

    node: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Finished:
    """A job came to its end; `seconds` of wall time."""

    node: str
    result: Manifest | Decision
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A job raised; `error` is `HeadraceError.to_json()`. `final` errors come again at each try: no retry helps."""

    node: str
    error: Mapping[str, str]
    final: bool


@dataclass(frozen=True, slots=True)
class Died:
    """The worker process ended in the middle of a job."""

    node: str


Event: TypeAlias = Progressed | Finished | Failed | Died
Report: TypeAlias = Callable[[Event], None]


def perform(kit: Kit, job: Job, report: Report) -> Manifest | Decision:
    """Run one job in this process."""
    node = kit.graph[job.node]
    if kit.coded[node.name].fingerprint != job.step.fingerprint:
        raise HeadraceError("HR703", f"the code of {node.name} is not the code that was planned")
    context = Context(
        key=job.step.key,
        seed=seed_of(job.step.key),
        project=kit.project,
        stores=kit.stores,
        versions=job.versions,
        log=_say,
        progress=lambda done, total: report(Progressed(job.node, done, total)),
        memory=kit.memory,
    )
    if job.candidate is not None:
        return node.decide(job.candidate, job.champion, context)
    failpoint("step.make.before")
    try:
        with full_disk_told(job.node):
            manifest = node.make(job.step, context)
    except Exception:
        _refuse_damaged(kit.stores, job)
        raise
    if manifest.outputs:
        libraries = installed(kit.coded[node.name].libraries)
        manifest = replace(manifest, facts={**manifest.facts, "libraries": libraries})
        kit.stores.manifests.put(manifest, _recorded(job) if any(manifest.trees()) else ())
    failpoint("step.make.after")
    return manifest


def _recorded(job: Job) -> set[str]:
    """The pieces that the ledger holds for sure: those of the versions that the job was given."""
    versions = [*job.versions.values(), *([] if job.step.base is None else [job.step.base])]
    return {digest for version in versions for tree in version.trees() for digest in tree.digests}


def _refuse_damaged(stores: Stores, job: Job) -> None:
    """Raise HR630 to HR634, HR470 or HR471 where what the failed step was made from is damaged.

    The user's code is not to blame then. Every byte is read, which is why it is done only after a failure.
    """
    base = [] if job.step.base is None else [job.step.base]
    for version in (*job.versions.values(), *base):
        for ref in version.manifest.outputs.values():
            stores.verify(ref)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the standard output of a worker is the log of the node


def failure(job: Job, error: Exception) -> Failed:
    """An exception as an event; its traceback goes to the log of the node."""
    traceback.print_exception(error)
    sys.stderr.flush()
    if isinstance(error, HeadraceError):
        return Failed(job.node, error.to_json(), final=not isinstance(error.__cause__, Exception))
    coded = HeadraceError("HR701", f"{job.node} raised {type(error).__name__}: {error}")
    return Failed(job.node, coded.to_json(), final=False)


@dataclass(frozen=True, slots=True)
class KitLoader:
    """How a fresh process gets its kit: a function named "module:function", called with the project's folder."""

    function: str
    project: Path
    arguments: Mapping[str, Json] = field(default_factory=dict)

    def load(self) -> Kit:
        """Import the function and call it."""
        module, _, name = self.function.partition(":")
        kit = getattr(importlib.import_module(module), name)(self.project, **self.arguments)
        if not isinstance(kit, Kit):
            message = f"{self.function} returned {type(kit).__name__}, not a Kit"
            raise TypeError(message)
        return kit
