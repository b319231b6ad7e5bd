"""A ledger as one portable file, which any kind of database can restore.

The file is gzipped text: a header, then for each table its columns and its rows as JSON lists, and at the end the
number of rows and the digest of all lines before. It is written under another name and renamed when it is on the disk.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError
from headrace.ledger.migrate import apply_migrations, known_migrations, schema_of
from headrace.ledger.queries import queries
from headrace.ledger.verify import verify
from headrace.ports.clock import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.ports.clock import Clock
    from headrace.ports.ledger import Connection, Database

FORMAT = "headrace ledger backup 1"

TABLES: dict[str, tuple[str, ...]] = {
    "migrations": ("number", "name", "at"),
    "entries": ("seq", "at", "kind", "body", "previous", "hash"),
    "pieces": ("digest", "body"),
    "versions": ("key", "node", "entry", "collected"),
    "decisions": ("key", "candidate", "entry"),
    "environments": ("name", "base", "entry"),
    "pointers": ("environment", "node", "key"),
    "starts": ("environment", "node", "key"),
    "pointer_changes": ("environment", "entry", "node", "previous", "key", "reason", "run"),
    "holds": ("environment", "node", "reason", "since"),
    "exclusions": ("environment", "node", "batch"),
    "runs": ("id", "environment", "owner", "state", "started_at", "ended_at", "summary", "entry"),
    "attempts": ("run", "node", "number", "again", "key", "state", "started_at", "ended_at", "error"),
    "leases": ("environment", "node", "owner", "run", "fence", "since"),
    "signals": ("id", "kind", "subject", "body", "at", "consumed"),
}
"""Every table of a ledger with all its columns."""

_LEVEL = 6


def write_backup(connection: Connection, dialect: str, target: Path, at: str) -> None:
    """Write what the open transaction sees into a new file. Raises HR616 when the file exists."""
    if target.exists():
        raise HeadraceError("HR616", f"{target} exists")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as packed:
                _write_lines(packed, connection, {"format": FORMAT, "schema": schema_of(connection, dialect), "at": at})
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _write_lines(packed: gzip.GzipFile, connection: Connection, header: dict[str, Any]) -> None:
    digest, count = sha256(), 0
    for line in _lines(connection, header):
        text = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        digest.update(text)
        packed.write(text)
        count += 1
    packed.write(json.dumps({"lines": count, "sha256": digest.hexdigest()}).encode() + b"\n")


def _lines(connection: Connection, header: dict[str, Any]) -> Iterator[Any]:
    yield header
    for table, columns in TABLES.items():
        yield {"table": table, "columns": columns}
        yield from connection.stream(f"SELECT {', '.join(columns)} FROM {table}")  # noqa: S608 - names from this module


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def restore(database: Database, source: Path, clock: Clock) -> int:
    """Fill an empty database from a backup, in one transaction, checked before it counts; answers the entries.

    Raises:
        HeadraceError: HR607 when the database holds a ledger, HR611 when the backup is of a newer program, HR615 when
            the file is damaged or no backup, HR605 and HR606 when what was backed up was damaged already.
    """
    with _damage(source), gzip.open(source, "rb") as file:
        _check(file)
    with database.writing() as connection:
        _require_empty(connection, database.dialect)
        with _damage(source), gzip.open(source, "rb") as file:
            _load(connection, database.dialect, file, stamp(clock))
        return verify(connection, queries(database.dialect))


def _check(file: gzip.GzipFile) -> None:
    """Read all of it: its last line must be the count and the digest of the others."""
    digest, count, last = sha256(), 0, b""
    for text in file:
        if last:
            digest.update(last)
            count += 1
        last = text
    if json.loads(last or b"null") != {"lines": count, "sha256": digest.hexdigest()}:
        message = "it was cut off or changed after it was written"
        raise ValueError(message)


def _require_empty(connection: Connection, dialect: str) -> None:
    """Refuse a ledger with anything in it; take the tables of an empty one away."""
    if not schema_of(connection, dialect):
        return
    for table in TABLES:
        if table != "migrations" and connection.rows(f"SELECT 1 FROM {table} LIMIT 1"):  # noqa: S608 - as above
            raise HeadraceError("HR607", f"the table {table} has rows")
    for table in TABLES:
        connection.run(f"DROP TABLE {table}")


@contextmanager
def _damage(source: Path) -> Iterator[None]:
    """Say HR615 for a file that cannot be unpacked or read."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise HeadraceError("HR615", f"{source}: {error}") from error
    except OSError as error:
        raise HeadraceError("HR615", f"{source} cannot be read: {os.strerror(error.errno or 0)}") from error


def _load(connection: Connection, dialect: str, file: gzip.GzipFile, at: str) -> None:
    """Make the schema that the backup was made of, insert its rows, and bring the schema up to date."""
    _begin(connection, dialect, json.loads(file.readline()), at)
    insert, columns = "", ()
    for text in file:
        line = json.loads(text)
        if isinstance(line, list):
            if insert:
                connection.run(insert, dict(zip(columns, line, strict=True)))
        elif "table" in line:
            insert, columns = _insertion(line["table"], line["columns"]), line["columns"]
    apply_migrations(connection, dialect, at, known_migrations(dialect))


def _begin(connection: Connection, dialect: str, header: dict[str, Any], at: str) -> None:
    """Make the schema that the backup was made of."""
    if header["format"] != FORMAT:
        message = f"its format is {header['format']!r}"
        raise ValueError(message)
    known = known_migrations(dialect)
    if header["schema"] > len(known):
        raise HeadraceError("HR611", f"the backup has schema {header['schema']}, this program knows {len(known)}")
    apply_migrations(connection, dialect, at, known[: header["schema"]])


def _insertion(table: str, columns: list[str]) -> str:
    """The statement that inserts a row. `migrations` has its rows already."""
    if table == "migrations":
        return ""
    if not set(columns) <= set(TABLES[table]):
        message = f"the table {table} has other columns"
        raise ValueError(message)
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in columns)})"  # noqa: S608 - checked
