"""One table of orders in each kind of database, a way to change it, and a source on it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from headrace.adapters.reading import Address
from headrace.adapters.reading_mariadb import MariadbReader
from headrace.adapters.reading_postgres import PostgresReader
from headrace.adapters.reading_sqlite import SqliteReader
from headrace.ports.outside import Outlook, Outside
from headrace.sources.source import Source
from tests.tables.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headrace.ports.reading import Reader
    from headrace.ports.records import Observation, Version
    from headrace.sources.origin import Origin
    from tests.mariadb_server import MariadbServer


class Place:
    """A database of one kind, empty at first."""

    kind: str
    moment: str
    reader: Reader

    def run(self, *statements: str) -> None:
        """Execute statements, each in a transaction of its own."""
        raise NotImplementedError

    def make_orders(self) -> None:
        self.run(f"CREATE TABLE orders (id INTEGER NOT NULL, note VARCHAR(20), updated_at {self.moment})")

    def put(self, *rows: tuple[int, str | None, str]) -> None:
        for number, note, at in rows:
            text = "NULL" if note is None else f"'{note}'"
            self.run(f"INSERT INTO orders VALUES ({number}, {text}, '{at}')")


class SqlitePlace(Place):
    kind = "sqlite"
    moment = "TIMESTAMP"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "crm.db"
        self.reader = SqliteReader(Address("crm", "SQLite", f"sqlite:{self._file}"), self._file)
        self.run("CREATE TABLE other (x)")

    def run(self, *statements: str) -> None:
        connection = sqlite3.connect(self._file)
        for statement in statements:
            connection.execute(statement)
            connection.commit()
        connection.close()


class PostgresPlace(Place):
    kind = "postgresql"
    moment = "TIMESTAMPTZ"

    def __init__(self, url: str) -> None:
        self.url = url
        self.reader = PostgresReader(Address("crm", "PostgreSQL", url))

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


class MariadbPlace(Place):
    kind = "mariadb"
    moment = "DATETIME(6)"

    def __init__(self, server: MariadbServer) -> None:
        self._server = server
        self.name = server.new_database()
        self.reader = MariadbReader(Address("crm", "MariaDB", server.url(self.name)))

    def run(self, *statements: str) -> None:
        connection: Any = self._server.connect(self.name)
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def others(self) -> list[int]:
        """The connections of everybody else."""
        with self._server.connect(self.name) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
            )
            return [row[0] for row in cursor.fetchall()]


@dataclass
class Landing:
    """A source in an environment: what it has landed, version by version."""

    folder: Path
    reader: Reader
    of: Origin
    excluded: frozenset[str] = frozenset()
    versions: list[Version] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shop = Workshop(self.folder)
        self.source = Source("orders", self.of)

    def look(self) -> Observation:
        before = self.versions[-1] if self.versions else None
        outside = Outside(self.folder, self.shop.stores, lambda _: self.reader)
        made = self.shop.live.get("orders", [])
        seen = self.source.observe(Outlook(outside, before, self.excluded, lambda: made))
        assert seen is not None
        return self.source.settled(seen, before, self.excluded).without(self.excluded)

    def land(self) -> Version:
        """Observe and land, as a run does; a key that is there already is made no second time."""
        seen = self.look()
        for version in self.shop.live.get("orders", []):
            if version.batches == seen.identity():
                self.versions.append(version)
                return version
        self.versions.append(self.shop.make(self.source, {}, seen))
        return self.versions[-1]

    def rows(self) -> Sequence[tuple[object, ...]]:
        return sorted(self.shop.rows(self.source, self.versions[-1]).rows(), key=repr)

    def column(self, name: str) -> list[Any]:
        return sorted(self.shop.rows(self.source, self.versions[-1])[name].to_list())
