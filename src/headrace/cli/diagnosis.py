"""What `headrace doctor` looks at."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.cli.output import counted, size
from headrace.errors import HeadraceError
from headrace.ports.durations import spell
from headrace.ports.records import RunState
from headrace.runtime.libraries import installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace.ports.records import Json, Version
    from headrace.project.workspace import Workspace

_LIBRARIES = ("deltalake", "duckdb", "headrace", "numpy", "polars", "pyarrow", "sklearn", "skops")
_LOW = 1_000_000_000
"""Bytes of free disk below which the doctor complains."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    about: str
    text: str
    fine: bool = True
    fix: str = ""

    def to_json(self) -> Json:
        """Plain data."""
        return {"about": self.about, "text": self.text, "fine": self.fine, "fix": self.fix}


def diagnose(workspace: Workspace) -> list[Finding]:
    """Look at everything. Changes nothing."""
    looks: list[tuple[str, Callable[[Workspace], Finding]]] = [
        ("libraries", _libraries),
        ("settings", _settings),
        ("disk", _disk),
        ("pipeline", _pipeline),
        ("ledger", _ledger),
        ("runs", _runs),
    ]
    found = []
    for about, look in looks:
        try:
            found.append(look(workspace))
        except HeadraceError as error:
            found.append(Finding(about, f"{error.code} {error.what}", fine=False, fix=error.fix))
    try:
        found += _stored(workspace)
    except HeadraceError as error:
        found.append(Finding("store", f"cannot be looked at: {error.code} {error.what}", fine=False, fix=error.fix))
    return [*found, *_databases(workspace), *_crash_files(workspace)]


def _libraries(_: Workspace) -> Finding:
    return Finding("libraries", ", ".join(f"{name} {version}" for name, version in installed(_LIBRARIES).items()))


def _settings(workspace: Workspace) -> Finding:
    settings = workspace.settings
    ledger = settings.ledger if settings.ledger.startswith("sqlite:") else settings.ledger.partition("@")[2]
    return Finding(
        "settings",
        f"ledger {ledger}, store {settings.store}, {counted(settings.workers, 'worker')}, keep {spell(settings.keep)}",
    )


def _disk(workspace: Workspace) -> Finding:
    free = shutil.disk_usage(workspace.settings.folder).free
    return Finding(
        "disk", f"{size(free)} free", fine=free >= _LOW, fix="" if free >= _LOW else "Make room, or `headrace gc`."
    )


def _pipeline(workspace: Workspace) -> Finding:
    coded = workspace.coded
    return Finding("pipeline", f"{workspace.pipeline.name}, {counted(len(coded), 'node')}")


def _ledger(workspace: Workspace) -> Finding:
    entries = workspace.ledger.verify()
    return Finding("ledger", f"{entries:,} entries, the hash chain holds and the state follows from it")


def _runs(workspace: Workspace) -> Finding:
    running = workspace.ledger.runs(state=RunState.RUNNING)
    dead = [run.id for run in running if not workspace.owners.alive(run.owner)]
    if not dead:
        return Finding("runs", f"{len(running)} at work, none left behind by a crash")
    return Finding(
        "runs",
        f"left behind by a crash: {', '.join(dead)}",
        fine=False,
        fix="The next `headrace apply` takes them over; `headrace cancel RUN` only records them as crashed.",
    )


def _databases(workspace: Workspace) -> Iterator[Finding]:
    """Every database of the settings: what its server says, or why it does not."""
    for name in workspace.settings.databases:
        about = f"database {name}"
        try:
            yield Finding(about, workspace.outside.database(name).ask())
        except HeadraceError as error:
            yield Finding(about, f"{error.code} {error.what}", fine=False, fix=error.fix)


def _stored(workspace: Workspace) -> Iterator[Finding]:
    """Every output that an environment points to: there, and as it was written."""
    versions = _pointed(workspace)
    outputs = 0
    broken = []
    for version in versions:
        for name, ref in version.manifest.outputs.items():
            outputs += 1
            try:
                workspace.stores.verify(ref)
            except HeadraceError as error:
                what = f"{name} of {version.node} {version.key[:12]}: {error.code} {error.what}"
                broken.append(Finding("store", what, fine=False, fix=error.fix))
    if broken:
        yield from broken
    else:
        yield Finding("store", f"{outputs} outputs of {counted(len(versions), 'version')} are as they were written")


def _pointed(workspace: Workspace) -> list[Version]:
    ledger = workspace.ledger
    keys = {key for name in ledger.environments() for key in ledger.snapshot(name).pointers.values()}
    live = ledger.live(sorted(keys))
    return [live[key] for key in sorted(live)]


def _crash_files(workspace: Workspace) -> list[Finding]:
    found = sorted(workspace.settings.logs.glob("crash-*.log"))
    if not found:
        return []
    text = f"{counted(len(found), 'traceback')} in {workspace.settings.logs}, the last one {found[-1].name}"
    return [Finding("crashes", text, fine=True)]
