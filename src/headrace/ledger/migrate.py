"""Brings a database to the schema of this program, in one transaction, by migrations that are never edited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.ledger.queries import migrations, queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.ports.ledger import Connection, Database


@dataclass(frozen=True, slots=True)
class Migration:
    """One change of the schema. Numbers count from 1 without gaps."""

    number: int
    name: str
    statements: Sequence[str]


def known_migrations(dialect: str) -> list[Migration]:
    """The migrations of this program, in order."""
    return [Migration(int(name.split("_")[0]), name, statements) for name, statements in migrations(dialect)]


def schema_of(connection: Connection, dialect: str) -> int:
    """The number of the newest migration that the database has; 0 for one without a ledger."""
    known = queries(dialect)
    if not connection.rows(known["count_ledgers"])[0][0]:
        return 0
    return int(connection.rows(known["newest_migration"])[0][0] or 0)


def migrate(database: Database, at: str, wanted: Sequence[Migration] | None = None) -> None:
    """Apply the migrations that the database lacks. Raises HR611 when it has more than this program knows."""
    steps = known_migrations(database.dialect) if wanted is None else wanted
    with database.reading() as connection:
        present = schema_of(connection, database.dialect)
    if present == steps[-1].number:
        return
    with database.writing() as connection:
        apply_migrations(connection, database.dialect, at, steps)


def apply_migrations(connection: Connection, dialect: str, at: str, steps: Sequence[Migration]) -> None:
    """Apply those of the migrations that the database lacks, inside a transaction. Raises HR611."""
    known = queries(dialect)
    present = schema_of(connection, dialect)
    if present > steps[-1].number:
        raise HeadraceError("HR611", f"the ledger has schema {present}, this program knows {steps[-1].number}")
    if not connection.rows(known["count_ledgers"])[0][0]:
        connection.run(known["create_migrations"])
    for step in steps:
        if step.number > present:
            for statement in step.statements:
                connection.run(statement)
            connection.run(known["add_migration"], {"number": step.number, "name": step.name, "at": at})
