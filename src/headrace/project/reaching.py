"""Whether the databases that a pipeline reads from can be reached: each is asked once, all at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.sources.databases import Database
from headrace.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.project.workspace import Workspace

PATIENCE = 3
"""Seconds that a server has to answer in."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A database that rows are to come from and do not, for now: its error, and the sources that read it.

    `wrong` says that this is so on every machine: the settings do not name it, or by an address that is none.
    """

    error: HeadraceError
    sources: Sequence[str]
    wrong: bool


def unanswered(workspace: Workspace, *, offline: bool = False) -> list[Unanswered]:
    """The databases of the pipeline that cannot be read, by name. Offline, only what can be seen without asking."""
    readers: dict[str, list[str]] = {}
    for node in workspace.graph:
        if isinstance(node, Source) and isinstance(node.of, Database):
            readers.setdefault(node.of.name, []).append(node.name)
    if not readers:
        return []

    def ask(name: str) -> Unanswered | None:
        try:
            reader = workspace.outside.database(name)
            if not offline:
                reader.ask(PATIENCE)
        except HeadraceError as error:
            wrong = error.code == "HR349" or name not in workspace.settings.databases
            return Unanswered(error, sorted(readers[name]), wrong)
        return None

    with ThreadPoolExecutor(max_workers=len(readers)) as pool:
        return [found for found in pool.map(ask, sorted(readers)) if found is not None]
