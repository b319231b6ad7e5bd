"""Reads rows from PostgreSQL through ADBC, in Arrow batches, within one repeatable-read transaction.

psycopg tells the types of the columns beforehand, with the digits of decimals, which ADBC does not. What Arrow would
deliver in a form that has to be guessed at is made text by the server.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace.adapters.reading import Address, patiently, quoted, subject
from headrace.ports.reading import ReadColumn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl
    import psycopg

    from headrace.ports.reading import Mark, Selection

_UTC = "Datetime(time_unit='us', time_zone='UTC')"
_DIGITS = 38
"""The digits of the largest decimal that is landed."""

TYPES: Mapping[str, tuple[str, str]] = {
    "smallint": ("Int16", "{}"),
    "integer": ("Int32", "{}"),
    "bigint": ("Int64", "{}"),
    "oid": ("Int64", "{}::bigint"),
    "real": ("Float32", "{}"),
    "double precision": ("Float64", "{}"),
    "boolean": ("Boolean", "{}"),
    "date": ("Date", "{}"),
    "timestamp without time zone": (_UTC, "{}"),
    "timestamp with time zone": (_UTC, "{}"),
    "text": ("String", "{}"),
    "character varying": ("String", "{}"),
    "character": ("String", "{}::text"),
    "name": ("String", "{}::text"),
    "citext": ("String", "{}::text"),
    "xml": ("String", "{}::text"),
    "uuid": ("String", "{}::text"),
    "json": ("String", "{}::text"),
    "jsonb": ("String", "{}::text"),
    "inet": ("String", "{}::text"),
    "cidr": ("String", "{}::text"),
    "macaddr": ("String", "{}::text"),
    "time without time zone": ("String", "{}::text"),
    "time with time zone": ("String", "{}::text"),
    "bytea": ("String", "encode({}, 'hex')"),
}
"""By the name of a type: what it lands as, and how it is selected. Enumerations are texts, arrays are JSON texts."""

_KINDS = """
SELECT oid, format_type(oid, NULL), typtype::text, typcategory::text FROM pg_type WHERE oid = ANY(%s)
"""
_LOST = ("08", "57P", "58")
"""Beginnings of the SQLSTATEs of a connection that was lost and of a server that fails."""


class PostgresReader:
    """See `headrace.ports.reading.Reader`."""

    def __init__(self, address: Address) -> None:
        self._address = address

    @property
    def where(self) -> str:
        """See the port."""
        return self._address.where

    def ask(self, seconds: int = 10) -> str:
        """The server's own words."""
        import psycopg

        try:
            with psycopg.connect(self._address.url, autocommit=True, connect_timeout=seconds) as connection:
                version = connection.info.server_version
        except psycopg.Error as error:
            raise self._address.unreachable(error) from error
        return f"PostgreSQL {version // 10000}.{version % 10000}"

    @contextmanager
    def open(self, selection: Selection) -> Iterator[PostgresReading]:
        """See the port."""
        import adbc_driver_postgresql.dbapi as adbc

        columns, selected = self._described(selection)
        try:
            connection = patiently(lambda: adbc.connect(self._address.url), adbc.OperationalError)
        except adbc.Error as error:
            raise self._address.unreachable(error) from error
        try:
            with connection.cursor() as cursor:
                with self.coded():
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                yield PostgresReading(self, cursor, selection, (columns, selected))
        finally:
            _close(connection)

    @contextmanager
    def coded(self) -> Iterator[None]:
        """Give the errors of the driver their codes."""
        import adbc_driver_postgresql.dbapi as adbc
        import pyarrow as pa

        try:
            yield
        except (adbc.Error, pa.ArrowException, OSError) as error:
            state = str(getattr(error, "sqlstate", None) or "")
            lost = state.startswith(_LOST) or (not state and isinstance(error, adbc.OperationalError | OSError))
            raise (self._address.gone(error) if lost else self._address.refused(error)) from error

    def _described(self, selection: Selection) -> tuple[tuple[ReadColumn, ...], str]:
        """The columns, and what is selected so that each of them is delivered as it is to land."""
        import psycopg

        try:
            connection = patiently(
                lambda: psycopg.connect(self._address.url, autocommit=True), psycopg.OperationalError
            )
        except psycopg.Error as error:
            raise self._address.unreachable(error) from error
        try:
            with connection:
                empty = f"SELECT * FROM {subject(selection, chr(34))} LIMIT 0"  # noqa: S608 - the user's own query
                found = connection.execute(empty.encode(), prepare=False).description or []
                oids = [column.type_code for column in found]
                kinds = {row[0]: row[1:] for row in connection.execute(_KINDS, [oids])}
        except psycopg.OperationalError as error:
            raise self._address.gone(error) from error
        except psycopg.Error as error:
            raise self._address.refused(error) from error
        each = [self._column(column, kinds[column.type_code], selection.declared) for column in found]
        selected = [f"{expression} AS {quoted(column.name, chr(34))}" for column, expression in each]
        return tuple(column for column, _ in each), ", ".join(selected)

    def _column(
        self, column: psycopg.Column, kind: Sequence[str], declared: Mapping[str, str]
    ) -> tuple[ReadColumn, str]:
        name, (called, sort, category) = column.name, kind
        own = quoted(name, '"')
        found = TYPES.get(called)
        if called == "numeric" and column.precision is not None and 0 <= (column.scale or 0) <= column.precision:
            found = (f"Decimal(precision={column.precision}, scale={column.scale or 0})", "{}::text")
            found = found if column.precision <= _DIGITS else None
        elif sort == "e":
            found = ("String", "{}::text")
        elif category == "A":
            found = ("String", "to_json({})::text")
        if name in declared and (found is None or found[0] != declared[name]):
            return ReadColumn(name, "String"), (found[1] if found and found[0] == "String" else "{}::text").format(own)
        if found is None:
            instead = f"{own}::numeric(18, 2)" if called == "numeric" else f"{own}::text"
            raise self._address.no_type(name, called, f"{instead} AS {own}")
        return ReadColumn(name, found[0]), found[1].format(own)


class PostgresReading:
    """See `headrace.ports.reading.Reading`."""

    def __init__(
        self,
        reader: PostgresReader,
        cursor: Any,  # noqa: ANN401 - ADBC publishes no types
        selection: Selection,
        found: tuple[Sequence[ReadColumn], str],
    ) -> None:
        self._reader = reader
        self._cursor = cursor
        self._selection = selection
        self.columns, self._selected = found
        self._from = subject(selection, '"')

    def without_cursor(self) -> int:
        """See the port."""
        cursor = quoted(self._selection.cursor or "", '"')
        with self._reader.coded():
            self._cursor.execute(f"SELECT count(*) FROM {self._from} WHERE {cursor} IS NULL")  # noqa: S608 - the name is quoted
            return int(self._cursor.fetchone()[0])

    def frames(self) -> Iterator[pl.DataFrame]:
        """See the port."""
        import polars as pl

        since, cursor = self._selection.since, quoted(self._selection.cursor or "", '"')
        where = "" if since is None else f" WHERE {cursor} >= {_literal(since)}"
        with self._reader.coded():
            self._cursor.execute(f"SELECT {self._selected} FROM {self._from}{where}")  # noqa: S608 - quoted, or the user's own
            batches = self._cursor.fetch_record_batch()
            while True:
                try:
                    batch = batches.read_next_batch()
                except StopIteration:
                    return
                yield pl.DataFrame(pl.from_arrow(batch))


def _literal(mark: Mark) -> str:
    if isinstance(mark, datetime):
        return f"TIMESTAMPTZ '{mark.isoformat()}'"
    return str(mark) if isinstance(mark, int) else f"DATE '{mark.isoformat()}'"


def _close(connection: Any) -> None:  # noqa: ANN401 - the same
    import adbc_driver_postgresql.dbapi as adbc

    try:
        connection.close()
    except adbc.Error:
        return  # it was lost already, which has its own error
