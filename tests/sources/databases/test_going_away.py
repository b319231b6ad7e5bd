"""A database that goes away, in the middle or before: a coded error, nothing half landed, and no password in sight."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.reading import Address
from headrace.adapters.reading_mariadb import MariadbReader
from headrace.adapters.reading_postgres import PostgresReader
from headrace.adapters.reading_sqlite import SqliteReader
from headrace.errors import HeadraceError
from headrace.sources import database
from tests.sources.databases.places import Landing, MariadbPlace, PostgresPlace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import polars as pl

    from headrace.ports.reading import ReadColumn, Reader, Reading, Selection
    from tests.mariadb_server import MariadbServer
    from tests.postgres_server import PostgresServer
    from tests.sources.databases.places import Place

ROWS = 60_000
"""More than one piece of what a server sends."""


class Failing:
    """A reader whose server fails after the first piece, as often as it is told."""

    def __init__(self, reader: Reader, fail: Callable[[], None], times: int) -> None:
        self._reader = reader
        self._fail = fail
        self.left = times
        self.where = reader.where

    def ask(self, seconds: int = 10) -> str:
        return self._reader.ask(seconds)

    @contextmanager
    def open(self, selection: Selection) -> Iterator[Reading]:
        with self._reader.open(selection) as reading:
            yield _Reading(reading, self)

    def fail(self) -> None:
        if self.left:
            self.left -= 1
            self._fail()


class _Reading:
    def __init__(self, reading: Reading, failing: Failing) -> None:
        self._reading = reading
        self._failing = failing

    @property
    def columns(self) -> Sequence[ReadColumn]:
        return self._reading.columns

    def without_cursor(self) -> int:
        return self._reading.without_cursor()

    def frames(self) -> Iterator[pl.DataFrame]:
        for frame in self._reading.frames():
            yield frame
            self._failing.fail()


def postgres(server: PostgresServer) -> tuple[Place, Callable[[], None]]:
    place = PostgresPlace(server.new_database())
    place.run(f"CREATE TABLE many AS SELECT g AS id, repeat('x', 300) AS text FROM generate_series(1, {ROWS}) AS g")
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    kill = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
    return place, lambda: place.run(kill)


def mariadb(server: MariadbServer) -> tuple[Place, Callable[[], None]]:
    place = MariadbPlace(server)
    place.run(
        "CREATE TABLE many (id INT, text CHAR(250))",
        f"INSERT INTO many SELECT seq, REPEAT('x', 250) FROM seq_1_to_{ROWS}",
    )
    return place, lambda: place.run(*[f"KILL {number}" for number in place.others()])


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_connection_that_is_lost(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server = request.getfixturevalue(f"{kind}_server")
    place, kill = postgres(server) if kind == "postgres" else mariadb(server)
    source = database("crm", table="many", cursor="id")
    landing = Landing(tmp_path, Failing(place.reader, kill, 3), source)
    with pytest.raises(HeadraceError) as caught:
        landing.land()
    assert caught.value.code == "HR342"
    assert not landing.shop.stores.artefacts.paths()
    assert not list((tmp_path / ".headrace").rglob("rows.parquet")), "nothing is left under construction"
    landing = Landing(tmp_path, Failing(place.reader, kill, 2), source)
    assert landing.land().rows == ROWS, "two losses are outlived"


@pytest.mark.parametrize(
    ("reader", "address"),
    [
        (PostgresReader, "postgresql://app:s3cret@127.0.0.1:1/crm"),
        (PostgresReader, "postgresql://app:s3cret@:::/crm"),
        (MariadbReader, "mariadb://app:s3cret@127.0.0.1:1/crm"),
        (MariadbReader, "mariadb://app:s3cret@host:port/crm"),
    ],
)
def test_no_server(reader: type[PostgresReader | MariadbReader], address: str, tmp_path: Path) -> None:
    landing = Landing(tmp_path, reader(Address("crm", "Server", address)), database("crm", table="t"))
    for attempt in (landing.land, landing.reader.ask):
        with pytest.raises(HeadraceError) as caught:
            attempt()
        assert caught.value.code in ("HR341", "HR342", "HR343")
        assert "s3cret" not in str(caught.value)
        assert "crm" in caught.value.what
    assert "s3cret" not in repr(landing.reader)


@pytest.mark.parametrize("content", [None, b"this is no database at all, but long enough to be looked at" * 20])
def test_no_file(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "crm.db"
    if content is not None:
        file.write_bytes(content)
    reader = SqliteReader(Address("crm", "SQLite", f"sqlite:{file}"), file)
    for attempt in (Landing(tmp_path, reader, database("crm", table="t")).land, reader.ask):
        with pytest.raises(HeadraceError, match="HR341"):
            attempt()
