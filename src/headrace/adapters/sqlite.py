"""A ledger's database in one SQLite file, for all processes of one machine.

Writers queue at an operating-system lock beside the file, so that no two ever meet inside SQLite and nobody is told
that "the database is locked". Readers read on meanwhile (write-ahead log). A commit is on the disk when it returns.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from headrace.adapters.durable import Folders, sync_folder
from headrace.adapters.mounts import on_network
from headrace.errors import HeadraceError
from headrace.ports.interrupts import Unbroken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PATIENCE = 60.0
"""Seconds to wait for a program that works on the file without the lock, such as the `sqlite3` shell."""
_PAGES = 400
"""Pages in the log before it is folded into the file. Writing the log anew is cheaper than letting it grow: an fsync
of a file that grew writes the file system's journal too. Measured: 0.21 instead of 0.25 ms a commit at 1,000 pages."""
_PAGE = 2_048
"""Bytes of a page of a new file. A commit writes each page that it touches, and an entry has about a kilobyte."""

_CODES = {
    sqlite3.SQLITE_BUSY: "HR617",
    sqlite3.SQLITE_CANTOPEN: "HR612",
    sqlite3.SQLITE_CORRUPT: "HR606",
    sqlite3.SQLITE_FULL: "HR613",
    sqlite3.SQLITE_IOERR: "HR619",
    sqlite3.SQLITE_LOCKED: "HR617",
    sqlite3.SQLITE_NOTADB: "HR606",
    sqlite3.SQLITE_PERM: "HR612",
    sqlite3.SQLITE_PROTOCOL: "HR617",
    sqlite3.SQLITE_READONLY: "HR612",
}


_NO_SPACE = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})
"""What SQLite says when a full disk takes no more of the log, or of the index in shared memory beside it."""


def _coded(error: sqlite3.Error, path: Path) -> Exception:
    """The error with a code, where it is one that a user can meet; else the error as it is."""
    number = getattr(error, "sqlite_errorcode", 0)
    if number in _NO_SPACE:
        return HeadraceError("HR613", f"{path}: {error}")
    if str(error).startswith("Could not decode to UTF-8"):  # Python's own error, without a number
        return HeadraceError("HR606", f"{path}: {error}")
    code = _CODES.get(number & 0xFF)
    return error if code is None else HeadraceError(code, f"{path}: {error}")


class SqliteConnection:
    """One open transaction. See `headrace.ports.ledger.Connection`."""

    def __init__(self, raw: sqlite3.Connection, path: Path) -> None:
        self._raw = raw
        self._path = path

    def run(self, statement: str, values: Mapping[str, object] | None = None) -> int:
        """Execute one statement; answers the number of rows it touched."""
        return self._execute(statement, values).rowcount

    def rows(self, statement: str, values: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Execute a query and fetch all of it."""
        try:
            return self._execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _coded(error, self._path) from error

    def stream(self, statement: str, values: Mapping[str, object] | None = None) -> Iterator[tuple[Any, ...]]:
        """Execute a query and fetch it row by row."""
        cursor = self._execute(statement, values)
        try:
            yield from cursor
        except sqlite3.Error as error:
            raise _coded(error, self._path) from error

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A nested transaction."""
        self._execute("SAVEPOINT item", None)
        try:
            yield
        except BaseException:
            if self._raw.in_transaction:  # a full disk may have ended it
                self._execute("ROLLBACK TO item", None)
                self._execute("RELEASE item", None)
            raise
        self._execute("RELEASE item", None)

    def _execute(self, statement: str, values: Mapping[str, object] | None) -> sqlite3.Cursor:
        try:
            return self._raw.execute(statement, values or ())
        except sqlite3.Error as error:
            raise _coded(error, self._path) from error


class SqliteDatabase:
    """See `headrace.ports.ledger.Database`. Folders and file are made where they are missing.

    Raises:
        HeadraceError: HR606 for a file that is damaged or no database, HR608 on a network file system, HR612 where
            the folder or the file cannot be written.
    """

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        self._turn = Lock()
        self._pool = Lock()
        self._idle: list[sqlite3.Connection] = []
        self._watcher: sqlite3.Connection | None = None
        folder = self._path.parent
        kind = on_network(folder)
        if kind is not None:
            raise HeadraceError("HR608", f"{self._path} lies on a file system of type {kind}")
        try:
            Folders().make(folder)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._lock = os.open(self._path.with_suffix(".lock"), flags, 0o644)
        except OSError as error:
            raise HeadraceError("HR612", f"{folder}: {os.strerror(error.errno or 0)}") from error
        try:
            self._writer = self._open()
        except BaseException:
            os.close(self._lock)
            raise

    @contextmanager
    def writing(self) -> Iterator[SqliteConnection]:
        """An exclusive transaction, on the disk when the block ends."""
        connection = SqliteConnection(self._writer, self._path)
        with Unbroken(), self._turn:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                connection.run("BEGIN IMMEDIATE")
                yield connection
                connection.run("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    connection.run("ROLLBACK")
                raise
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    @contextmanager
    def reading(self) -> Iterator[SqliteConnection]:
        """A consistent view of the file as it is when the block first asks."""
        with self._pool:
            raw = self._idle.pop() if self._idle else None
        if raw is None:
            raw = self._connect()
            raw.execute("PRAGMA query_only = 1")
        try:
            connection = SqliteConnection(raw, self._path)
            connection.run("BEGIN")
            try:
                yield connection
            finally:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")
        except BaseException:
            raw.close()
            raise
        with self._pool:
            self._idle.append(raw)

    def change_counter(self) -> int:
        """A number that differs after a commit of any connection of any process; only this object knows its origin."""
        with self._pool:
            if self._watcher is None:
                self._watcher = self._connect()
            return int(SqliteConnection(self._watcher, self._path).rows("PRAGMA data_version")[0][0])

    def close(self) -> None:
        """Close every connection. The last process to do so folds the write-ahead log into the file."""
        with self._pool:
            for raw in self._idle:
                raw.close()
            self._idle.clear()
            if self._watcher is not None:
                self._watcher.close()
                self._watcher = None
        with self._turn:
            if self._lock >= 0:
                with self._alone():
                    self._writer.close()
                os.close(self._lock)
                self._lock = -1

    def _open(self) -> sqlite3.Connection:
        """The connection that writes, opened alone, so that nobody else recovers or closes the file meanwhile."""
        with self._alone():
            new = not self._path.exists()
            raw = self._connect()
            try:
                connection = SqliteConnection(raw, self._path)
                connection.run(f"PRAGMA page_size = {_PAGE}")
                connection.run("PRAGMA journal_mode = WAL")
                connection.run("PRAGMA synchronous = FULL")
                connection.run("PRAGMA temp_store = MEMORY")
                connection.run(f"PRAGMA wal_autocheckpoint = {_PAGES}")
                connection.rows("SELECT count(*) FROM sqlite_master")
                if new:
                    sync_folder(self._path.parent)
            except BaseException:
                raw.close()
                raise
            return raw

    def _connect(self) -> sqlite3.Connection:
        try:
            raw = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise _coded(error, self._path) from error
        return raw

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock between processes."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
