"""Another project on this machine, for its published tables. Its code is not imported, and nothing of it is written."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from headrace.adapters.clocks import SystemClock
from headrace.errors import HeadraceError, suggestion
from headrace.project import settings as project_settings
from headrace.project.stores import open_ledger, open_stores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import polars as pl

    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Version
    from headrace.project.settings import Settings

_TABLE = "table"
"""The output of a version that holds the rows of a table."""


class OtherProject:
    """See `headrace.ports.outside.Neighbour`."""

    def __init__(self, settings: Settings, ledger: Ledger, shown: str) -> None:
        self._settings = settings
        self._ledger = ledger
        self._shown = shown
        self.environment = settings.environment

    def version(self, table: str, environment: str | None) -> Version:
        """See the port."""
        self.environment = environment or self._settings.environment
        snapshot = self._ledger.snapshot(self.environment)
        if not snapshot.exists:
            hint = suggestion(self.environment, self._ledger.environments())
            raise HeadraceError("HR354", f"{self._shown} has no environment {self.environment!r}", fix=hint)
        live = self._ledger.live(sorted(set(snapshot.pointers.values())))
        tables = {name: live[key] for name, key in snapshot.pointers.items() if key in live}
        tables = {name: each for name, each in tables.items() if _TABLE in each.manifest.outputs}
        if table not in tables:
            what = f"{self.environment} of {self._shown} has no table {table!r}"
            raise HeadraceError("HR354", what, fix=suggestion(table, tables))
        return tables[table]

    def rows(self, version: Version, start: int = 0) -> Iterator[pl.DataFrame]:
        """See the port."""
        try:
            found = open_stores(self._settings).tables.scan(version.manifest.outputs[_TABLE])
            yield from found.slice(start).collect_batches(maintain_order=True)
        except (HeadraceError, OSError) as error:
            if self._ledger.live([version.key]):
                raise
            what = f"{version.node} of {self._shown} was collected there while it was read"
            raise HeadraceError("HR356", what) from error

    def continues(self, version: Version, key: str) -> bool:
        """See the port. A version that was collected may lie in the same files as those that came after it."""
        before = self._ledger.version(key)
        if before is None or _TABLE not in before.manifest.outputs:
            return False
        tables = open_stores(self._settings).tables
        try:
            difference = tables.difference(version.manifest.outputs[_TABLE], before.manifest.outputs[_TABLE])
        except HeadraceError:
            if self._ledger.live([key]):
                raise
            return False
        return difference is not None and difference.behind


@contextmanager
def open_neighbour(folder: Path, project: str) -> Iterator[OtherProject]:
    """Another project, by its folder relative to this one. Raises HR354 where there is none that was ever applied."""
    place = (folder / project).resolve()
    if not (place / project_settings.FILE).is_file():
        raise HeadraceError("HR354", f"there is no {project_settings.FILE} in {place}")
    settings = project_settings.load(place)
    scheme, _, path = settings.ledger.partition(":")
    if scheme == "sqlite" and not (place / path).is_file():
        raise HeadraceError("HR354", f"{place} was never applied: it has no ledger yet")
    with closing(open_ledger(settings, SystemClock())) as ledger:
        yield OtherProject(settings, ledger, project)
