"""Reads rows from MariaDB through PyMySQL: a consistent snapshot, row by row from the server, as the texts it sends.

There is no ADBC driver for MariaDB of the Arrow project. The values are taken as the server writes them and read by the
types that it names, so that neither a zero date nor an unsigned number is bent on the way.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from headrace.adapters.reading import Address, patiently, quoted, subject
from headrace.ports.reading import ReadColumn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from headrace.errors import HeadraceError
    from headrace.ports.reading import Mark, Selection

_PIECE = 50_000
"""Rows of one piece."""
_UTC = "Datetime(time_unit='us', time_zone='UTC')"
_DIGITS = 38
"""The digits of the largest decimal that is landed."""
_UNSIGNED = 32
"""The flag of a column of unsigned numbers."""
_BINARY = 63
"""The character set of what is no text."""

INTEGERS = {1: "Int8", 2: "Int16", 9: "Int32", 3: "Int32", 8: "Int64", 13: "Int16"}
"""By the number of a type: TINYINT, SMALLINT, MEDIUMINT, INT, BIGINT, YEAR."""
TIMES = {7: _UTC, 12: _UTC, 10: "Date"}
"""TIMESTAMP, DATETIME, DATE."""
FLOATS = {4: "Float64", 5: "Float64"}
"""FLOAT, which is selected as DOUBLE, since the server writes fewer of its digits than it has; and DOUBLE."""
TEXTS = (11, 15, 245, 247, 248, 249, 250, 251, 252, 253, 254)
"""TIME, texts, JSON, ENUM, SET and bytes; the last of these land as hexadecimal digits."""
DECIMALS = (0, 246)
_FLOAT, _BIT = 4, 16

_UNREACHABLE = (1040, 1044, 1045, 1049, 1129, 1130, 1698, 2002, 2003, 2005, 2026)
_LOST = (1053, 1077, 1078, 1079, 1080, 1152, 1184, 1927, 2006, 2013, 2014, 2055)
"""Numbers of errors of a server that cannot be reached, and of one that goes away."""


class MariadbReader:
    """See `headrace.ports.reading.Reader`."""

    def __init__(self, address: Address) -> None:
        self._address = address

    @property
    def where(self) -> str:
        """See the port."""
        return self._address.where

    def ask(self, seconds: int = 10) -> str:
        """The server's own words."""
        import pymysql

        try:
            connection = self._connect(connect_timeout=seconds, read_timeout=seconds)
            connection.close()
        except (pymysql.err.Error, OSError, ValueError) as error:
            raise self._address.unreachable(error.args[-1] if error.args else error) from error
        return f"MariaDB {connection.get_server_info()}"

    @contextmanager
    def open(self, selection: Selection) -> Iterator[MariadbReading]:
        """See the port."""
        import pymysql

        with self.coded():
            connection = patiently(self._connect, pymysql.err.OperationalError)
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SET time_zone = '+00:00'")
                    cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
                reading = MariadbReading(self._address, connection, selection)
                try:
                    yield reading
                finally:
                    reading.stop()
            finally:
                connection._force_close()  # noqa: SLF001 - `close` would say good-bye to a server that is gone

    @contextmanager
    def coded(self) -> Iterator[None]:
        """Give the errors of the driver their codes."""
        import pymysql

        try:
            yield
        except (pymysql.err.Error, OSError, ValueError) as error:
            raise self._coded(error) from error

    def _coded(self, error: Exception) -> HeadraceError:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        text = error.args[1] if len(error.args) > 1 else error
        if number in _UNREACHABLE:
            return self._address.unreachable(text)
        if number in _LOST or isinstance(error, OSError) or "closed" in str(error):
            return self._address.gone(text)
        return self._address.refused(text)

    def _connect(self, **limits: int) -> Any:  # noqa: ANN401 - PyMySQL has types for its annotations only
        import pymysql
        from pymysql.converters import encoders
        from pymysql.cursors import SSCursor

        parts = urlsplit(self._address.url)
        more = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return pymysql.connect(
            host=parts.hostname or "localhost",
            port=parts.port or 3306,
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password or ""),
            database=unquote(parts.path.lstrip("/")),
            unix_socket=more.get("unix_socket"),
            ssl={"ca": more["ssl_ca"]} if "ssl_ca" in more else None,
            charset="utf8mb4",
            cursorclass=SSCursor,
            conv=dict(encoders),  # and no decoder: values stay as they were sent
            **{"connect_timeout": 10, **limits},
        )


class MariadbReading:
    """See `headrace.ports.reading.Reading`."""

    def __init__(self, address: Address, connection: Any, selection: Selection) -> None:  # noqa: ANN401 - the same
        self._address = address
        self._connection = connection
        self._selection = selection
        self._from = subject(selection, "`")
        self._open: Any = None
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {self._from} LIMIT 0")  # noqa: S608 - the user's own query
            fields = list(cursor._result.fields)  # noqa: SLF001 - the flags and the character set stand nowhere else
            cursor.fetchall()
        found = [self._column(field) for field in fields]
        self.columns: Sequence[ReadColumn] = tuple(column for column, _ in found)
        self._selected = ", ".join(selected for _, selected in found)
        self._times = {field.name for field in fields if field.type_code in TIMES}

    def without_cursor(self) -> int:
        """See the port. A date of zeros is none."""
        column = quoted(self._selection.cursor or "", "`")
        zeros = f" OR {column} = 0" if self._selection.cursor in self._times else ""
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {self._from} WHERE {column} IS NULL{zeros}")  # noqa: S608 - the name is quoted
            return int(cursor.fetchall()[0][0])

    def frames(self) -> Iterator[pl.DataFrame]:
        """See the port."""
        import polars as pl

        since, column = self._selection.since, quoted(self._selection.cursor or "", "`")
        where = "" if since is None else f" WHERE {column} >= {_literal(since)}"
        names = [each.name for each in self.columns]
        cursor = self._open = self._connection.cursor()
        cursor.execute(f"SELECT {self._selected} FROM {self._from}{where}")  # noqa: S608 - quoted, or the user's own
        while rows := cursor.fetchmany(_PIECE):
            taken = zip(names, zip(*rows, strict=True), strict=True)
            yield pl.DataFrame([pl.Series(name, list(cells), pl.String) for name, cells in taken])

    def stop(self) -> None:
        """Read no more: the cursor would otherwise fetch all that the server still sends when it is closed."""
        if self._open is not None and self._open._result is not None:  # noqa: SLF001 - there is no other way
            self._open._result.unbuffered_active = False  # noqa: SLF001 - the same

    def _column(self, field: Any) -> tuple[ReadColumn, str]:  # noqa: ANN401 - the same
        own = quoted(field.name, "`")
        kind = _kind(field)
        selected = {_FLOAT: f"CAST({own} AS DOUBLE)"}.get(field.type_code, own)
        if kind == "String" and field.charsetnr == _BINARY and field.type_code in TEXTS[2:]:
            selected = f"LOWER(HEX({own}))"
        declared = self._selection.declared.get(field.name)
        if declared is not None and declared != kind:
            return ReadColumn(field.name, "String"), f"{selected} AS {own}"
        if kind is None:
            other = "UNSIGNED" if field.type_code == _BIT else "CHAR"
            raise self._address.no_type(field.name, f"number {field.type_code}", f"CAST({own} AS {other}) AS {own}")
        return ReadColumn(field.name, kind), f"{selected} AS {own}"


def _kind(field: Any) -> str | None:  # noqa: ANN401 - the same
    """What a column lands as; None for a type that has no place in the table."""
    code, unsigned = field.type_code, bool(field.flags & _UNSIGNED)
    if code in INTEGERS:
        return f"U{INTEGERS[code]}" if unsigned else INTEGERS[code]
    if code in DECIMALS:
        digits = field.length - (field.scale > 0) - (not unsigned)
        return f"Decimal(precision={digits}, scale={field.scale})" if digits <= _DIGITS else None
    return TIMES.get(code) or FLOATS.get(code) or ("String" if code in TEXTS else None)


def _literal(mark: Mark) -> str:
    if isinstance(mark, datetime):
        return f"'{mark.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}'"
    return str(mark) if isinstance(mark, int) else f"'{mark.isoformat()}'"
