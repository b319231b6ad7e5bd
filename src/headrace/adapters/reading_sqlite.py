"""Reads rows from SQLite, by the standard library: it tells of each value what it is stored as.

A column of SQLite holds values of any type, whatever is declared of it. Where the declared type says what is meant
(whole numbers, truth values, dates, times), a value of another type is an error; elsewhere the values themselves say.
A cursor of texts is one of times.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from headrace.adapters.reading import Address, quoted, subject
from headrace.errors import HeadraceError
from headrace.ports.reading import ReadColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import date
    from pathlib import Path

    import polars as pl

    from headrace.ports.reading import Mark, Selection

_PIECE = 50_000
"""Rows of one piece."""
_TIMES_ALONE = 2000
"""The year that SQLite takes a time without a day to be of."""
_UTC = "Datetime(time_unit='us', time_zone='UTC')"

DECLARED = (
    ("BOOL", "Boolean"),
    ("DATETIME", _UTC),
    ("TIMESTAMP", _UTC),
    ("DATE", "Date"),
    ("INT", "Int64"),
    ("CHAR", "String"),
    ("CLOB", "String"),
    ("TEXT", "String"),
    ("REAL", "Float64"),
    ("FLOA", "Float64"),
    ("DOUB", "Float64"),
)
"""What the declared type of a column has to hold for its values to be of a type. Others are what they are stored as."""
STORED = {
    frozenset[str](): "Null",
    frozenset({"integer"}): "Int64",
    frozenset({"real"}): "Float64",
    frozenset({"integer", "real"}): "Float64",
    frozenset({"text"}): "String",
    frozenset({"blob"}): "String",
}
"""What values of these storage classes land as; other mixtures do not."""
FITS = {
    "Boolean": {"integer"},
    "Int64": {"integer"},
    "Float64": {"integer", "real"},
    "Date": {"text"},
    _UTC: {"text"},
    "String": {"text", "blob"},
    "Null": set[str](),
}


class SqliteReader:
    """See `headrace.ports.reading.Reader`. The file is opened for reading only."""

    def __init__(self, address: Address, file: Path) -> None:
        self._address = address
        self._file = file

    @property
    def where(self) -> str:
        """See the port."""
        return self._address.where

    def ask(self, seconds: int = 10) -> str:  # noqa: ARG002 - a file answers at once
        """The version of SQLite, once the file is known to be a database."""
        with self._connected() as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return f"SQLite {sqlite3.sqlite_version}"

    @contextmanager
    def open(self, selection: Selection) -> Iterator[SqliteReading]:
        """See the port."""
        with self._connected() as connection:
            connection.execute("BEGIN")
            yield SqliteReading(self._address, connection, selection)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            uri = f"file:{quote(str(self._file))}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._address.unreachable(f"{self._file}: {error}") from error
        with closing(connection):
            try:
                yield connection
            except sqlite3.DatabaseError as error:
                raise self._coded(error) from error

    def _coded(self, error: sqlite3.DatabaseError) -> HeadraceError:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_PERM")):
            return self._address.unreachable(f"{self._file}: {error}")
        if name.startswith(("SQLITE_IOERR", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CORRUPT")):
            return self._address.gone(error)
        return self._address.refused(error)


class SqliteReading:
    """See `headrace.ports.reading.Reading`."""

    def __init__(self, address: Address, connection: sqlite3.Connection, selection: Selection) -> None:
        self._address = address
        self._connection = connection
        self._selection = selection
        self._from = subject(selection, '"')
        names = [each[0] for each in connection.execute(f"SELECT * FROM {self._from} LIMIT 0").description]  # noqa: S608
        self._compared = self._comparable(names)
        self._stored = self._storage(names)
        declared = self._declared(names)
        self.columns = tuple(ReadColumn(name, self._kind(name, declared.get(name))) for name in names)

    def without_cursor(self) -> int:
        """See the port."""
        query = f"SELECT count(*) FROM {self._from} WHERE {self._compared} IS NULL"  # noqa: S608 - names are quoted
        return int(self._connection.execute(query).fetchone()[0])

    def frames(self) -> Iterator[pl.DataFrame]:
        """See the port."""
        import polars as pl

        takers = [self._taker(column) for column in self.columns]
        cursor = self._connection.execute(f"SELECT * FROM {self._from}{self._where()}", self._values())  # noqa: S608
        while rows := cursor.fetchmany(_PIECE):
            cells = zip(*rows, strict=True)
            taken = zip(self.columns, takers, cells, strict=True)
            yield pl.DataFrame(
                [pl.Series(each.name, [take(cell) for cell in held], _wire(each)) for each, take, held in taken]
            )

    def _comparable(self, names: Sequence[str]) -> str:
        """The cursor as SQLite can compare it: texts are times of any spelling, of which it knows the milliseconds."""
        cursor = self._selection.cursor
        if cursor is None or cursor not in names:
            return "NULL"
        column = quoted(cursor, '"')
        return f"CASE typeof({column}) WHEN 'text' THEN julianday({column}) ELSE {column} END"

    def _where(self) -> str:
        """The condition, after one that an index on the cursor answers and that leaves no row out.

        Every spelling of a time begins with its day, which differs by at most one from that in UTC. Numbers come before
        texts, so that one among texts is met and refused.
        """
        since = self._selection.since
        if since is None:
            return ""
        column = quoted(self._selection.cursor or "", '"')
        if isinstance(since, int):
            return f" WHERE {column} >= ? AND {self._compared} >= ?"
        near = f"({column} >= ? OR {column} >= julianday(?) AND {column} < '') AND " if _day_before(since) else ""
        return f" WHERE {near}{self._compared} >= julianday(?)"

    def _values(self) -> tuple[object, ...]:
        since: Mark | None = self._selection.since
        if since is None:
            return ()
        if isinstance(since, int):
            return (since, since)
        near = _day_before(since)
        return (*near, *([_spelled(since)] if near else []), _spelled(since))

    def _storage(self, names: Sequence[str]) -> dict[str, frozenset[str]]:
        """The storage classes of the values of each column, by one pass."""
        classes = ("integer", "real", "text", "blob")
        asked = [f"max(typeof({quoted(name, chr(34))}) = '{each}')" for name in names for each in classes]
        query = f"SELECT {', '.join(asked)} FROM {self._from}{self._where()}"  # noqa: S608 - names are quoted
        found = iter(self._connection.execute(query, self._values()).fetchone())
        return {name: frozenset(each for each in classes if next(found)) for name in names}

    def _declared(self, names: Sequence[str]) -> Mapping[str, str]:
        """The declared types of a table's columns; those of a query are not known."""
        if self._selection.table is None:
            return {}
        *schema, table = self._selection.table.split(".")
        query = f"PRAGMA {quoted(schema[0], chr(34)) + '.' if schema else ''}table_info({quoted(table, chr(34))})"
        return {row[1]: row[2].upper() for row in self._connection.execute(query) if row[1] in names}

    def _kind(self, name: str, declared: str | None) -> str:
        if name in self._selection.declared:
            return "String"
        stored = self._stored[name]
        meant = next((kind for part, kind in DECLARED if part in (declared or "")), None)
        if meant is None:
            meant = STORED.get(stored)
        if meant is None or not stored <= FITS[meant] or stored == {"text", "blob"}:
            held = " and ".join(sorted(stored))
            what = f"{self._address.where}: column {name!r} holds {held}"
            what += f", such as {self._odd(name, stored - FITS.get(meant or '', set()) or stored)}"
            declared_as = f", and is declared {declared}" if declared else ""
            fix = f"Mend the values, or declare schema={{{name!r}: pl.String}} to land them as texts."
            raise HeadraceError("HR344", what + declared_as, fix=fix)
        return _UTC if name == self._selection.cursor and stored == {"text"} and meant == "String" else meant

    def _odd(self, name: str, classes: AbstractSet[str]) -> str:
        """The first value of a column that is of the last of these storage classes."""
        column, wanted = quoted(name, '"'), max(classes)
        query = f"SELECT {column} FROM {self._from} WHERE typeof({column}) = ? LIMIT 1"  # noqa: S608 - the name is quoted
        return f"{self._connection.execute(query, (wanted,)).fetchone()[0]!r:.60}"

    def _taker(self, column: ReadColumn) -> Callable[[object], object]:
        """What makes of a stored value the one that is delivered."""
        where = f"{self._address.where}: column {column.name!r}"
        if column.kind == "Boolean":
            return lambda cell: _truth(where, cell)
        if column.kind == "Float64":
            return lambda cell: _float(where, cell)
        if column.kind in ("Int64", "Null"):
            return lambda cell: cell
        return _text


def _wire(column: ReadColumn) -> pl.DataType:
    import polars as pl

    kinds = {"Int64": pl.Int64(), "Float64": pl.Float64(), "Boolean": pl.Boolean(), "Null": pl.Null()}
    return kinds.get(column.kind, pl.String())


def _text(cell: object) -> object:
    if cell is None or isinstance(cell, str):
        return cell
    return cell.hex() if isinstance(cell, bytes) else repr(cell)


def _truth(where: str, cell: object) -> object:
    if cell is not None and cell not in (0, 1):
        raise HeadraceError("HR311", f"{where} holds {cell!r}, which is no truth value")
    return None if cell is None else bool(cell)


def _float(where: str, cell: object) -> object:
    if isinstance(cell, int) and int(float(cell)) != cell:
        raise HeadraceError("HR330", f"{where} holds {cell}, which is more than a float keeps")
    return None if cell is None else float(cell)  # type: ignore[arg-type]  # an int or a float, by its storage class


def _day_before(since: date) -> tuple[str, ...]:
    """The day before a time, as text; none where a time without a day may be a later one."""
    return () if since.year <= _TIMES_ALONE else ((since - timedelta(days=1)).strftime("%Y-%m-%d"),)


def _spelled(mark: object) -> str:
    return mark.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(mark, datetime) else str(mark)
