"""The schema is made by migrations only, all or none, and an older program leaves a newer schema alone."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.adapters.postgres import PostgresDatabase
from headrace.adapters.sqlite import SqliteDatabase
from headrace.errors import HeadraceError
from headrace.ledger.backup import TABLES
from headrace.ledger.ledger import SqlLedger
from headrace.ledger.migrate import Migration, known_migrations, migrate, schema_of
from headrace.ledger.queries import parse, queries, statements
from headrace.ports.ledger import AddVersion
from headrace.testing.ledgers import version_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headrace.ports.ledger import Database

pytest_plugins = ("tests.postgres_server",)

COLUMNS = {
    "sqlite": "SELECT name FROM pragma_table_info(:table)",
    "postgres": "SELECT column_name FROM information_schema.columns "
    "WHERE table_schema = current_schema() AND table_name = :table",
}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    database: Database
    if request.param == "sqlite":
        database = SqliteDatabase(tmp_path / "ledger.db")
    else:
        database = PostgresDatabase(request.getfixturevalue("new_database")())
    with closing(database):
        yield database


def next_migration(database: Database, *statements: str) -> list[Migration]:
    known = known_migrations(database.dialect)
    return [*known, Migration(len(known) + 1, "next", statements)]


def number_of(database: Database) -> int:
    with database.reading() as connection:
        return schema_of(connection, database.dialect)


def test_migrations_count_from_one_and_agree_between_dialects() -> None:
    known = {dialect: known_migrations(dialect) for dialect in ("sqlite", "postgres")}
    assert [step.number for step in known["sqlite"]] == list(range(1, len(known["sqlite"]) + 1))
    assert [step.name for step in known["sqlite"]] == [step.name for step in known["postgres"]]


def test_both_dialects_have_the_same_queries() -> None:
    assert queries("sqlite").keys() == queries("postgres").keys()


def test_the_migrations_make_exactly_the_tables_that_a_backup_holds(database: Database) -> None:
    assert number_of(database) == 0
    migrate(database, "now")
    with database.reading() as connection:
        for table, columns in TABLES.items():
            found = connection.rows(COLUMNS[database.dialect], {"table": table})
            assert sorted(column for (column,) in found) == sorted(columns), table


def test_a_ledger_is_brought_up_to_date_with_its_content(database: Database) -> None:
    ledger = SqlLedger(database, SimulatedClock())
    ledger.write(AddVersion(version_of(1)))
    steps = next_migration(database, "ALTER TABLE runs ADD COLUMN host TEXT", "CREATE TABLE more (name TEXT)")
    migrate(database, "later", steps)
    migrate(database, "later", steps)
    assert number_of(database) == len(steps)
    with database.reading() as connection:
        assert connection.rows("SELECT host FROM runs") == []
        assert connection.rows("SELECT name, at FROM migrations ORDER BY number DESC LIMIT 1") == [("next", "later")]
    assert ledger.versions() == [version_of(1)]


def test_a_migration_that_fails_leaves_everything_as_it_was(database: Database) -> None:
    migrate(database, "now")
    before = number_of(database)
    steps = next_migration(database, "CREATE TABLE more (name TEXT)", "CREATE TABLE more (name TEXT)")
    with pytest.raises(Exception, match="more"):
        migrate(database, "later", steps)
    assert number_of(database) == before
    migrate(database, "later", next_migration(database, "CREATE TABLE more (name TEXT)"))
    assert number_of(database) == before + 1


def test_an_older_program_refuses_a_newer_schema(database: Database) -> None:
    migrate(database, "now", next_migration(database, "CREATE TABLE more (name TEXT)"))
    with pytest.raises(HeadraceError) as raised:
        SqlLedger(database, SimulatedClock())
    assert raised.value.code == "HR611"


def test_statements_are_read_from_text() -> None:
    text = "-- All of it.\n\n-- name: one\nSELECT 1;\n\n-- name: two\n-- why\nSELECT 2,\n    3;\n"
    assert dict(parse(text)) == {"one": "SELECT 1", "two": "SELECT 2,\n    3"}
    assert list(statements("-- why\nCREATE TABLE a (b);\n\nCREATE TABLE c (\n    d\n);\n")) == [
        "CREATE TABLE a (b)",
        "CREATE TABLE c (\n    d\n)",
    ]
