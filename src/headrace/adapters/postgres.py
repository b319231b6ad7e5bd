"""A ledger's database in PostgreSQL, for processes on many machines. Its tables lie in a schema of their own.

Writers queue at an advisory lock that ends with the transaction. A connection that the server dropped is replaced
when the next transaction begins.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from headrace.errors import HeadraceError
from headrace.ports.interrupts import Unbroken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PLACEHOLDER = re.compile(r"(?<![:\w]):([a-z_]+)(?!\w)")
_PIECE = 1000
"""Rows that a streaming query fetches at once."""

_CODES: tuple[tuple[type[psycopg.Error], str], ...] = (
    (psycopg.errors.DiskFull, "HR613"),
    (psycopg.errors.InsufficientPrivilege, "HR612"),
    (psycopg.errors.ReadOnlySqlTransaction, "HR612"),
    (psycopg.errors.DataCorrupted, "HR606"),
    (psycopg.errors.IndexCorrupted, "HR606"),
    (psycopg.errors.IoError, "HR619"),
    (psycopg.OperationalError, "HR614"),
    (psycopg.InterfaceError, "HR614"),
)


@cache
def translated(statement: str) -> str:
    """A statement with `:name` parameters in the spelling of psycopg."""
    return _PLACEHOLDER.sub(r"%(\1)s", statement.replace("%", "%%"))


class PostgresConnection:
    """One open transaction. See `headrace.ports.ledger.Connection`."""

    def __init__(self, raw: psycopg.Connection[tuple[Any, ...]], where: str) -> None:
        self._raw = raw
        self._where = where
        self._streams = count()

    def run(self, statement: str, values: Mapping[str, object] | None = None) -> int:
        """Execute one statement; answers the number of rows it touched."""
        with coded(self._where):
            return self._raw.execute(translated(statement).encode(), values).rowcount

    def rows(self, statement: str, values: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Execute a query and fetch all of it."""
        with coded(self._where):
            return self._raw.execute(translated(statement).encode(), values).fetchall()

    def stream(self, statement: str, values: Mapping[str, object] | None = None) -> Iterator[tuple[Any, ...]]:
        """Execute a query and fetch it piece by piece."""
        with coded(self._where), self._raw.cursor(name=f"stream_{next(self._streams)}") as cursor:
            cursor.itersize = _PIECE
            cursor.execute(translated(statement).encode(), values)
            yield from cursor

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A nested transaction."""
        self.run("SAVEPOINT item")
        try:
            yield
        except BaseException:
            if not self._raw.broken:
                self.run("ROLLBACK TO item")
                self.run("RELEASE item")
            raise
        self.run("RELEASE item")


@contextmanager
def coded(where: str) -> Iterator[None]:
    """Give errors that a user can meet their code."""
    try:
        yield
    except psycopg.Error as error:
        code = next((code for kind, code in _CODES if isinstance(error, kind)), None)
        if code is None:
            raise
        raise HeadraceError(code, f"{where}: {str(error).strip() or type(error).__name__}") from error


class PostgresDatabase:
    """See `headrace.ports.ledger.Database`. The schema is made where it is missing.

    Raises:
        HeadraceError: HR612 where this user may not make the schema, HR614 when the server cannot be reached, HR621
            for an address that is none.
    """

    dialect = "postgres"

    def __init__(self, url: str, schema: str = "headrace") -> None:
        self._url = url
        self._schema = schema
        self._where = _described(url)
        self._key = int.from_bytes(sha256(f"headrace ledger {schema}".encode()).digest()[:8], signed=True)
        self._turn = Lock()
        self._pool = Lock()
        self._idle: list[psycopg.Connection[tuple[Any, ...]]] = []
        self._writer = self._connect()
        try:
            self._prepare()
        except BaseException:
            self._writer.close()
            raise

    @contextmanager
    def writing(self) -> Iterator[PostgresConnection]:
        """An exclusive transaction, durable when the block ends."""
        with Unbroken(), self._turn:
            self._writer = self._begun(self._writer, "BEGIN")
            connection = PostgresConnection(self._writer, self._where)
            try:
                connection.rows("SELECT pg_advisory_xact_lock(:key)", {"key": self._key})
                yield connection
                connection.run("UPDATE writes SET number = number + 1")
                connection.run("COMMIT")
            except BaseException:
                self._undo(self._writer)
                raise

    @contextmanager
    def reading(self) -> Iterator[PostgresConnection]:
        """A consistent view of the database as it is when the block first asks."""
        with self._pool:
            raw = self._idle.pop() if self._idle else None
        raw = self._begun(raw or self._connect(), "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield PostgresConnection(raw, self._where)
        except BaseException:
            raw.close()
            raise
        self._undo(raw)
        with self._pool:
            self._idle.append(raw)

    def change_counter(self) -> int:
        """A number that each write raises."""
        with self.reading() as connection:
            return int(connection.rows("SELECT number FROM writes")[0][0])

    def close(self) -> None:
        """Close every connection."""
        with self._pool:
            for raw in self._idle:
                raw.close()
            self._idle.clear()
        with self._turn:
            self._writer.close()

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        try:
            raw = psycopg.connect(self._url, autocommit=True, application_name="headrace")
        except psycopg.ProgrammingError as error:
            raise HeadraceError("HR621", "the address of the PostgreSQL server cannot be understood") from error
        except psycopg.Error as error:
            raise HeadraceError("HR614", f"{self._where}: {str(error).strip()}") from error
        with coded(self._where):
            raw.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(self._schema)))
            raw.execute("SET synchronous_commit TO on")
        return raw

    def _begun(self, raw: psycopg.Connection[tuple[Any, ...]], begin: str) -> psycopg.Connection[tuple[Any, ...]]:
        """The connection with an open transaction; another one where the server dropped it while it was idle."""
        try:
            raw.execute(begin.encode())
        except psycopg.OperationalError:
            raw.close()
            raw = self._connect()
            with coded(self._where):
                raw.execute(begin.encode())
        return raw

    def _undo(self, raw: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Roll back what is open; a connection that cannot even do that is closed, and replaced when needed."""
        try:
            raw.execute("ROLLBACK")
        except psycopg.Error:
            raw.close()

    def _prepare(self) -> None:
        """Make the schema and the counter of writes, both once."""
        connection = PostgresConnection(self._writer, self._where)
        exists = "SELECT count(*) FROM pg_tables WHERE schemaname = :schema AND tablename = 'writes'"
        if connection.rows(exists, {"schema": self._schema})[0][0]:
            return
        with coded(self._where), self._writer.transaction():
            connection.rows("SELECT pg_advisory_xact_lock(:key)", {"key": self._key})
            self._writer.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self._schema)))
            connection.run("CREATE TABLE IF NOT EXISTS writes AS SELECT CAST(0 AS BIGINT) AS number")


def _described(url: str) -> str:
    """Where the database is, without the password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "PostgreSQL"
    host = parts.get("host") or "the local server"
    return f"PostgreSQL database {parts.get('dbname') or parts.get('user') or 'of this user'} on {host}"
