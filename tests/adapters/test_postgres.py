"""What only a server can do to a ledger: be away, come back, hold other people's tables."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.adapters.postgres import PostgresDatabase, translated
from headrace.errors import HeadraceError
from headrace.ledger.ledger import SqlLedger
from headrace.ledger.migrate import known_migrations
from headrace.ports.ledger import AddVersion, SendSignal
from headrace.testing.ledgers import version_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postgres_server import PostgresServer

pytest_plugins = ("tests.postgres_server",)


def open_ledger(url: str) -> SqlLedger:
    return SqlLedger(PostgresDatabase(url), SimulatedClock())


def test_parameters_are_translated() -> None:
    assert translated("SELECT a FROM b WHERE c = :c AND d <> :c2d") == "SELECT a FROM b WHERE c = %(c)s AND d <> :c2d"
    assert translated("SELECT a::text, b % 2 FROM c") == "SELECT a::text, b %% 2 FROM c"


def test_the_ledger_keeps_to_its_own_schema(new_database: Callable[[], str]) -> None:
    url = new_database()
    with psycopg.connect(url) as raw:
        raw.execute("CREATE TABLE runs (mine INTEGER)")
    with closing(open_ledger(url)) as ledger:
        ledger.write(SendSignal("refresh", "prod"))
        assert ledger.runs() == []
    with psycopg.connect(url) as raw:
        tables = raw.execute("SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'headrace')")
        names = set(tables.fetchall())
    assert ("public", "runs") in names
    assert {name for schema, name in names if schema == "public"} == {"runs"}
    assert ("headrace", "entries") in names


def test_two_schemas_are_two_ledgers(new_database: Callable[[], str]) -> None:
    url = new_database()
    databases = [PostgresDatabase(url, schema) for schema in ("one", 'an "odd" one')]
    ledgers = [SqlLedger(database, SimulatedClock()) for database in databases]
    ledgers[0].write(AddVersion(version_of(1)))
    assert [ledger.verify() for ledger in ledgers] == [1, 0]
    for ledger in ledgers:
        ledger.close()


def test_a_server_that_goes_and_comes_back(postgres_server: PostgresServer, new_database: Callable[[], str]) -> None:
    with closing(open_ledger(new_database())) as ledger:
        ledger.write(AddVersion(version_of(1)))
        assert ledger.versions() == [version_of(1)]
        postgres_server.stop()
        try:
            for act in (ledger.versions, lambda: ledger.write(AddVersion(version_of(2)))):
                with pytest.raises(HeadraceError) as raised:
                    act()
                assert raised.value.code == "HR614"
        finally:
            postgres_server.start()
        ledger.write(AddVersion(version_of(3)))
        assert ledger.versions() == [version_of(1), version_of(3)]
        assert ledger.verify() == 2


def test_a_connection_that_dies_in_the_middle(new_database: Callable[[], str]) -> None:
    url = new_database()
    database = PostgresDatabase(url)
    with closing(SqlLedger(database, SimulatedClock())) as ledger:
        with pytest.raises(HeadraceError) as raised, database.writing() as connection:  # noqa: PT012 - one transaction
            connection.run("DELETE FROM migrations")
            [(pid,)] = connection.rows("SELECT pg_backend_pid()")
            with psycopg.connect(url) as other:
                other.execute("SELECT pg_terminate_backend(%s, 30000)", (pid,))
            connection.run("DELETE FROM entries")
        assert raised.value.code == "HR614"
        ledger.write(AddVersion(version_of(1)))
        assert ledger.verify() == 1
        with database.reading() as connection:
            assert connection.rows("SELECT count(*) FROM migrations") == [(len(known_migrations(database.dialect)),)]


def test_a_server_that_cannot_be_reached(postgres_server: PostgresServer) -> None:
    url = f"postgresql://me:secret@/nothing?host={postgres_server.folder}/nowhere"
    with pytest.raises(HeadraceError) as raised:
        PostgresDatabase(url)
    assert raised.value.code == "HR614"
    assert "secret" not in str(raised.value)
    assert "nothing" in raised.value.what


@pytest.mark.parametrize("url", ["postgresql://h/d?unknown=secret", "nonsense secret"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(HeadraceError) as raised:
        PostgresDatabase(url)
    assert raised.value.code == "HR621"
    assert "secret" not in str(raised.value)


def test_a_user_who_may_not_write(postgres_server: PostgresServer, new_database: Callable[[], str]) -> None:
    url = new_database()
    with closing(open_ledger(url)), psycopg.connect(url, autocommit=True) as raw:
        raw.execute("DROP ROLE IF EXISTS reader")
        raw.execute("CREATE ROLE reader LOGIN")
        raw.execute("GRANT USAGE ON SCHEMA headrace TO reader")
        raw.execute("GRANT SELECT ON ALL TABLES IN SCHEMA headrace TO reader")
    with closing(open_ledger(url.replace("headrace@", "reader@"))) as ledger:
        assert ledger.versions() == []
        with pytest.raises(HeadraceError) as raised:
            ledger.write(AddVersion(version_of(1)))
        assert raised.value.code == "HR612"
    with pytest.raises(HeadraceError) as raised:
        open_ledger(postgres_server.new_database().replace("headrace@", "reader@"))
    assert raised.value.code == "HR612"


def test_commits_are_synced_whatever_the_server_prefers(new_database: Callable[[], str]) -> None:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as raw:
        raw.execute(f'ALTER DATABASE "{raw.info.dbname}" SET synchronous_commit = off'.encode())
    with closing(PostgresDatabase(url)) as database, database.writing() as connection:
        assert connection.rows("SHOW synchronous_commit") == [("on",)]
        assert connection.rows("SHOW transaction_isolation") == [("read committed",)]


def test_readers_see_one_moment_and_cannot_write(new_database: Callable[[], str]) -> None:
    database = PostgresDatabase(new_database())
    with closing(SqlLedger(database, SimulatedClock())) as ledger:
        with database.reading() as connection:
            assert connection.rows("SELECT count(*) FROM versions") == [(0,)]
            ledger.write(*(AddVersion(version_of(number)) for number in range(2500)))
            assert list(connection.stream("SELECT key FROM versions")) == []
        with database.reading() as connection:
            assert len(list(connection.stream("SELECT key FROM versions"))) == 2500
        with pytest.raises(HeadraceError) as raised, database.reading() as connection:
            connection.run("DELETE FROM versions")
        assert raised.value.code == "HR612"


def test_a_savepoint_undoes_what_is_inside_of_it(new_database: Callable[[], str]) -> None:
    database = PostgresDatabase(new_database())
    with closing(SqlLedger(database, SimulatedClock())) as ledger:
        ledger.write(AddVersion(version_of(1)), AddVersion(version_of(2)))
        with database.writing() as connection:
            connection.run("DELETE FROM versions WHERE key = 'table-1'")
            with pytest.raises(psycopg.errors.UndefinedTable), connection.savepoint():  # noqa: PT012 - one savepoint
                connection.run("DELETE FROM versions")
                connection.run("DELETE FROM nothing")
        assert ledger.versions() == [version_of(2)]
