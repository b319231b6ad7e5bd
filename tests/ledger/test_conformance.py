"""The conformance suite, run by both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace.adapters.clocks import SystemClock
from headrace.adapters.postgres import PostgresDatabase
from headrace.adapters.sqlite import SqliteDatabase
from headrace.ledger.ledger import SqlLedger
from headrace.testing.environments import EnvironmentSuite
from headrace.testing.ledgers import LedgerSuite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headrace.ports.ledger import Ledger

pytest_plugins = ("tests.postgres_server",)


class TestSqlite(LedgerSuite, EnvironmentSuite):
    def open_ledger(self, folder: Path) -> Ledger:
        return SqlLedger(SqliteDatabase(folder / "state" / "ledger.db"), SystemClock())


class TestPostgres(LedgerSuite, EnvironmentSuite):
    @pytest.fixture(autouse=True)
    def _database(self, new_database: Callable[[], str]) -> None:
        self._url = new_database()

    def open_ledger(self, folder: Path) -> Ledger:
        assert folder.is_dir()
        return SqlLedger(PostgresDatabase(self._url), SystemClock())
