"""Which adapters a project's settings ask for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from headrace.errors import HeadraceError
from headrace.ports.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headrace.ports.clock import Clock
    from headrace.ports.ledger import Database, Ledger
    from headrace.ports.online import OnlineStore
    from headrace.ports.stores import TableStore
    from headrace.project.settings import Settings

Store = TypeVar("Store")


class _WhenUsed(Generic[Store]):
    """Stands for a store until it is used: what only moves pointers need not import Polars and delta-rs."""

    def __init__(self, make: Callable[[], Store]) -> None:
        self._made = cache(make)

    def __getattr__(self, name: str) -> object:
        return getattr(self._made(), name)


def open_stores(settings: Settings) -> Stores:
    """The stores, below the folder that `store` names; the online store may be a server that `online` names."""
    from headrace.adapters.artefacts import FileArtefactStore
    from headrace.adapters.manifests import FileManifestStore

    root = settings.folder / settings.store
    tables = cast("TableStore", _WhenUsed(lambda: _delta(root / "tables", settings.memory)))
    online = cast("OnlineStore", _WhenUsed(lambda: open_online(settings)))
    return Stores(tables, FileArtefactStore(root / "artefacts"), FileManifestStore(root / "manifests"), online)


def open_online(settings: Settings) -> OnlineStore:
    """The online store behind `online`: "lmdb" or "redis://...". Raises HR477 for anything else, HR478."""
    if settings.online == "lmdb":
        from headrace.adapters.online_lmdb import LmdbOnlineStore

        return LmdbOnlineStore(settings.folder / settings.store / "online")
    from headrace.adapters.online_redis import RedisOnlineStore

    return RedisOnlineStore(settings.online)


def _delta(root: Path, memory: int) -> TableStore:
    from headrace.adapters.delta import DeltaTableStore

    return DeltaTableStore(root, memory)


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
