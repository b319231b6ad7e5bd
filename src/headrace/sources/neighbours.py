"""A table of another project as the origin of a source: it follows the pointer of an environment of that project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.ports.records import Batch
from headrace.sources.origin import Origin
from headrace.sources.staged import Staging, known, landed

if TYPE_CHECKING:
    from headrace.ports.outside import Outlook
    from headrace.ports.work import Context
    from headrace.sources.origin import Landing


@dataclass(frozen=True)
class Shared(Origin):
    """What to read of another project. See `shared`."""

    project: str
    table: str
    environment: str | None = None

    def settings(self) -> dict[str, object]:
        """Which table it is. Where the project lies does not matter, nor which environment of it is followed."""
        return {"table": self.table}

    def observe(self, outlook: Outlook) -> tuple[Batch, ...]:
        """The published version, as one batch; it is copied into the store where it is not there yet.

        A version that this environment leaves out leaves the one before it in place. Raises HR354 where there is no
        such project, environment or table, HR316 for a column that cannot be landed.
        """
        from headrace.sources.types import landable

        there = known(outlook)
        with outlook.outside.neighbour(self.project) as neighbour:
            version = neighbour.version(self.table, self.environment)
            name = f"{self.table}/{version.key[:12]}"
            if name in outlook.excluded and outlook.before is not None:
                return tuple(batch for each, batch in sorted(there.items()) if each not in outlook.excluded)
            if name in there:
                return (there[name],)
            with Staging(outlook.outside.stores.artefacts) as staging:
                for frame in neighbour.rows(version):
                    staging.add(landable(f"{self.table} of {self.project}", frame, frame.columns))
                digest = staging.digest.hexdigest()
                if not staging.rows:
                    return ()
                ref, size = staging.kept()
        facts = {"project": self.project, "environment": neighbour.environment, "key": version.key}
        return (Batch(name, digest, size, ref.path, facts),)

    def land(self, batch: Batch, context: Context) -> Landing:
        """Its rows lie in the store already. Raises HR350 where they do not any more."""
        return landed(batch, context)


def shared(project: str, table: str, *, environment: str | None = None) -> Shared:
    """A table of another Headrace project, such as ``shared("../flights", "departures", environment="prod")``.

    Each look follows the pointer of that environment (by default the main one of that project). A new version of the
    table takes the place of the one before. The other project is only read.
    """
    return Shared(project, table, environment)
