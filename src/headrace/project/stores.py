"""Which adapters a project's settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.ports.stores import Stores

if TYPE_CHECKING:
    from headrace.ports.clock import Clock
    from headrace.ports.ledger import Database, Ledger
    from headrace.project.settings import Settings


def open_stores(settings: Settings) -> Stores:
    """The three stores, below the folder that `store` names."""
    from headrace.adapters.artefacts import FileArtefactStore
    from headrace.adapters.delta import DeltaTableStore
    from headrace.adapters.manifests import FileManifestStore

    root = settings.folder / settings.store
    return Stores(
        DeltaTableStore(root / "tables"), FileArtefactStore(root / "artefacts"), FileManifestStore(root / "manifests")
    )


def open_ledger(settings: Settings, clock: Clock) -> Ledger:
    """The ledger behind `ledger`: "sqlite:PATH" or "postgresql://..."."""
    from headrace.ledger.ledger import SqlLedger

    return SqlLedger(open_database(settings), clock)


def open_database(settings: Settings) -> Database:
    """The database of the ledger, without the ledger on top of it. Raises HR807 for an address of another kind."""
    scheme, _, rest = settings.ledger.partition(":")
    if scheme == "sqlite":
        from headrace.adapters.sqlite import SqliteDatabase

        return SqliteDatabase(settings.folder / rest)
    if scheme in ("postgresql", "postgres"):
        from headrace.adapters.postgres import PostgresDatabase

        return PostgresDatabase(settings.ledger)
    raise HeadraceError("HR807", f"the ledger's address begins with {scheme!r}")
