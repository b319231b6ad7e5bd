"""The table of types: what each type of each database lands as, to the value, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from headrace.errors import HeadraceError
from headrace.sources import database
from tests.sources.databases.places import Landing, MariadbPlace, Place, PostgresPlace, SqlitePlace

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mariadb_server import MariadbServer
    from tests.postgres_server import PostgresServer

UTC_TIME = pl.Datetime("us", "UTC")
HOUR = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
LONG = Decimal("123456789012345678901234567890123456.78")
UUID = "0189f7ea-ae2c-7809-8aeb-b819cf5e9e7f"

POSTGRES = {
    "smallint": ("-32768", pl.Int16(), -32768),
    "integer": ("2147483647", pl.Int32(), 2147483647),
    "bigint": ("-9223372036854775808", pl.Int64(), -9223372036854775808),
    "real": ("0.1", pl.Float32(), 0.10000000149011612),
    "double precision": ("0.1", pl.Float64(), 0.1),
    "boolean": ("true", pl.Boolean(), True),
    "numeric(38,2)": (
        "123456789012345678901234567890123456.78",
        pl.Decimal(38, 2),
        LONG,
    ),
    "numeric(5)": ("12345", pl.Decimal(5, 0), Decimal(12345)),
    "date": ("'0001-01-01'", pl.Date(), date(1, 1, 1)),
    "timestamp": ("'2026-01-02 03:04:05.678901'", UTC_TIME, HOUR),
    "timestamptz": ("'2026-01-02 05:04:05.678901+02'", UTC_TIME, HOUR),
    "text": ("''", pl.String(), ""),
    "varchar(9)": ("'Grüße'", pl.String(), "Grüße"),
    "char(3)": ("'ab'", pl.String(), "ab"),
    "uuid": (f"'{UUID.upper()}'", pl.String(), UUID),
    "json": ("""'{"a": 1}'""", pl.String(), '{"a": 1}'),
    "jsonb": ("""'{"a":1}'""", pl.String(), '{"a": 1}'),
    "bytea": ("'\\x00ff'", pl.String(), "00ff"),
    "integer[]": ("'{1,NULL,3}'", pl.String(), "[1,null,3]"),
    "text[]": ("""'{a,"b c"}'""", pl.String(), '["a","b c"]'),
    "mood": ("'glad'", pl.String(), "glad"),
    "positive": ("7", pl.Int32(), 7),
    "inet": ("'10.0.0.1/8'", pl.String(), "10.0.0.1/8"),
    "time": ("'24:00:00'", pl.String(), "24:00:00"),
    "timetz": ("'10:00:00+02'", pl.String(), "10:00:00+02"),
    "xml": ("'<a/>'", pl.String(), "<a/>"),
}
MARIADB = {
    "TINYINT": ("-128", pl.Int8(), -128),
    "TINYINT UNSIGNED": ("255", pl.UInt8(), 255),
    "SMALLINT": ("-32768", pl.Int16(), -32768),
    "MEDIUMINT UNSIGNED": ("16777215", pl.UInt32(), 16777215),
    "INT": ("2147483647", pl.Int32(), 2147483647),
    "BIGINT UNSIGNED": ("18446744073709551615", pl.UInt64(), 18446744073709551615),
    "BOOLEAN": ("TRUE", pl.Int8(), 1),
    "YEAR": ("2026", pl.UInt16(), 2026),
    "FLOAT": ("16777215", pl.Float64(), 16777215.0),
    "DOUBLE": ("0.1234567890123456", pl.Float64(), 0.1234567890123456),
    "DECIMAL(38,2)": (
        "123456789012345678901234567890123456.78",
        pl.Decimal(38, 2),
        LONG,
    ),
    "DECIMAL(5) UNSIGNED": ("12345", pl.Decimal(5, 0), Decimal(12345)),
    "DATE": ("'1000-01-01'", pl.Date(), date(1000, 1, 1)),
    "DATETIME(6)": ("'2026-01-02 03:04:05.678901'", UTC_TIME, HOUR),
    "TIMESTAMP(6)": ("'2026-01-02 03:04:05.678901'", UTC_TIME, HOUR),
    "TIME": ("'838:59:59'", pl.String(), "838:59:59"),
    "VARCHAR(9)": ("'Grüße'", pl.String(), "Grüße"),
    "CHAR(3)": ("''", pl.String(), ""),
    "TEXT": ("'long'", pl.String(), "long"),
    "ENUM('sad','glad')": ("'glad'", pl.String(), "glad"),
    "SET('a','b')": ("'a,b'", pl.String(), "a,b"),
    "JSON": ("""'{"a": 1}'""", pl.String(), '{"a": 1}'),
    "BLOB": ("X'00ff'", pl.String(), "00ff"),
    "VARBINARY(4)": ("X'00ff'", pl.String(), "00ff"),
    "UUID": (f"'{UUID}'", pl.String(), UUID),
    "INET6": ("'::1'", pl.String(), "::1"),
}
SQLITE = {
    "INTEGER": ("-9223372036854775808", pl.Int64(), -9223372036854775808),
    "REAL": ("0.1", pl.Float64(), 0.1),
    "BOOLEAN": ("1", pl.Boolean(), True),
    "NUMERIC": ("1.5", pl.Float64(), 1.5),
    "DECIMAL(5,2)": ("2", pl.Int64(), 2),
    "DATE": ("'2026-01-02'", pl.Date(), date(2026, 1, 2)),
    "TIMESTAMP": ("'2026-01-02T05:04:05.678901+02:00'", UTC_TIME, HOUR),
    "DATETIME": ("'2026-01-02 03:04:05.678901'", UTC_TIME, HOUR),
    "TEXT": ("'2026-01-02'", pl.String(), "2026-01-02"),
    "VARCHAR(9)": ("'Grüße'", pl.String(), "Grüße"),
    "BLOB": ("X'00ff'", pl.String(), "00ff"),
}


def landed(place: Place, folder: Path, table: dict[str, tuple[str, pl.DataType, object]]) -> None:
    names = [f"c{number}" for number in range(len(table))]
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, table, strict=True))
    values = ", ".join(written for written, _, _ in table.values())
    place.run(f"CREATE TABLE kinds ({columns})", f"INSERT INTO kinds VALUES ({values})")
    place.run(f"INSERT INTO kinds VALUES ({', '.join(['NULL'] * len(table))})")
    landing = Landing(folder, place.reader, database("crm", table="kinds"))
    frame = landing.shop.rows(landing.source, landing.land())
    found = {kind: (frame.schema[name], *frame[name].to_list()) for name, kind in zip(names, table, strict=True)}
    assert found == {kind: (dtype, value, None) for kind, (_, dtype, value) in table.items()}


def refused(place: Place, folder: Path, query: str, **schema: type) -> HeadraceError:
    landing = Landing(folder, place.reader, database("crm", query=query, schema=schema))
    with pytest.raises(HeadraceError) as caught:
        landing.land()
    return caught.value


def test_postgresql(postgres_server: PostgresServer, tmp_path: Path) -> None:
    place = PostgresPlace(postgres_server.new_database())
    place.run("CREATE TYPE mood AS ENUM ('sad', 'glad')", "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)")
    landed(place, tmp_path, POSTGRES)
    for kind, value in (
        ("interval", "1 day"),
        ("money", "1"),
        ("point", "(1,2)"),
        ("int4range", "[1,2)"),
        ("numeric", "1"),
    ):
        error = refused(place, tmp_path, f"SELECT '{value}'::{kind} AS x")
        assert error.code == "HR344", kind
        assert kind in error.what
    for far in (
        "'infinity'::timestamp",
        "'-infinity'::timestamptz",
        "'infinity'::date",
        "'0044-03-15 BC'::date",
        "'12000-01-01'::timestamp",
    ):
        error = refused(place, tmp_path, f"SELECT {far} AS x")
        assert (error.code, "years 1 to 9999" in error.what) == ("HR311", True), far
    assert refused(place, tmp_path, "SELECT 'NaN'::numeric(5, 2) AS x").code == "HR311"
    declared = database(
        "crm", query="SELECT 1.25 AS x, '1 day'::interval AS y", schema={"x": pl.Decimal(9, 3), "y": str}
    )
    landing = Landing(tmp_path, place.reader, declared)
    assert landing.shop.rows(landing.source, landing.land()).rows() == [(Decimal("1.250"), "1 day")]


def test_mariadb(mariadb_server: MariadbServer, tmp_path: Path) -> None:
    place = MariadbPlace(mariadb_server)
    landed(place, tmp_path, MARIADB)
    for written in ("b'1'", "ST_GeomFromText('POINT(1 1)')"):
        place.run("DROP TABLE IF EXISTS odd", f"CREATE TABLE odd (x {'BIT(1)' if written[0] == 'b' else 'POINT'})")
        assert refused(place, tmp_path, "SELECT * FROM odd").code == "HR344", written
    place.run("CREATE TABLE zeros (d DATE)")
    connection = mariadb_server.connect(place.name)
    with connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute("INSERT INTO zeros VALUES ('0000-00-00')")
    error = refused(place, tmp_path, "SELECT * FROM zeros")
    assert (error.code, "'0000-00-00'" in error.what) == ("HR311", True)


def test_sqlite(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path)
    landed(place, tmp_path, SQLITE)
    place.run("CREATE TABLE odd (n INTEGER, b BOOLEAN, t TIMESTAMP, x)")
    place.run("INSERT INTO odd VALUES ('many', 7, 'soon', 1)", "INSERT INTO odd VALUES (1, 1, '2026-01-01', 'a')")
    for column, first in (("n", "'many'"), ("x", "'a'")):
        error = refused(place, tmp_path, f"SELECT {column} FROM odd")
        assert (error.code, f"holds integer and text, such as {first}" in error.what) == ("HR344", True)
    for column, value in (("b", "7"), ("t", "'soon'")):
        place.run("DROP TABLE IF EXISTS one")
        place.run(
            f"CREATE TABLE one ({column} {'BOOLEAN' if column == 'b' else 'TIMESTAMP'})",
            f"INSERT INTO one VALUES ({value})",
        )
        landing = Landing(tmp_path, place.reader, database("crm", table="one"))
        with pytest.raises(HeadraceError, match="HR311"):
            landing.land()
    landing = Landing(tmp_path, place.reader, database("crm", table="odd", schema=dict.fromkeys("nbtx", str)))
    assert landing.shop.rows(landing.source, landing.land()).rows()[0] == ("many", "7", "soon", "1")


def test_whole_numbers_that_no_float_keeps(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path)
    place.run("CREATE TABLE numbers (x)", f"INSERT INTO numbers VALUES (1.5), ({2**53 + 1})")
    error = refused(place, tmp_path, "SELECT * FROM numbers")
    assert (error.code, str(2**53 + 1) in error.what) == ("HR330", True)


def test_json_stays_json(place: Place, tmp_path: Path) -> None:
    kind = {"sqlite": "TEXT", "postgresql": "JSONB", "mariadb": "JSON"}[place.kind]
    value = {"text": 'a "quote" and ü', "numbers": [1, 2.5, None]}
    written = json.dumps(value, ensure_ascii=False).replace("\\", "\\\\" if place.kind == "mariadb" else "\\")
    place.run(f"CREATE TABLE documents (body {kind})", f"INSERT INTO documents VALUES ('{written}')")
    landing = Landing(tmp_path, place.reader, database("crm", table="documents"))
    [body] = landing.shop.rows(landing.source, landing.land())["body"].to_list()
    assert json.loads(body) == value
