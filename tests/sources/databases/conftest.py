"""Each test of this folder that asks for a `place` runs over every kind of database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mariadb_server import MariadbServer, mariadb_server
from tests.postgres_server import PostgresServer, new_database, postgres_server
from tests.sources.databases.places import MariadbPlace, Place, PostgresPlace, SqlitePlace

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["mariadb_server", "new_database", "postgres_server"]


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty database."""
    if request.param == "sqlite":
        return SqlitePlace(tmp_path)
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        return PostgresPlace(server.new_database())
    maria: MariadbServer = request.getfixturevalue("mariadb_server")
    return MariadbPlace(maria)
