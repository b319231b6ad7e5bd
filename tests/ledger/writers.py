"""What processes of the tests do to a ledger; they are started afresh, so that this is a module of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headrace.adapters.clocks import SystemClock
from headrace.ledger.ledger import SqlLedger
from headrace.ports.ledger import AddVersion, DropLease, SendSignal, TakeLease
from headrace.testing.ledgers import version_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from headrace.ports.ledger import Database


def open_address(address: str) -> SqlLedger:
    """A ledger by its address: a path, or a URL of PostgreSQL."""
    database: Database
    if address.startswith("postgresql:"):
        from headrace.adapters.postgres import PostgresDatabase

        database = PostgresDatabase(address)
    else:
        from headrace.adapters.sqlite import SqliteDatabase

        database = SqliteDatabase(Path(address))
    return SqlLedger(database, SystemClock())


def write_many(job: tuple[str, int, int]) -> list[str]:
    """Open the ledger and write `rounds` versions, one commit each, racing the others for a few keys and a lease."""
    address, writer, rounds = job
    ledger = open_address(address)
    mine = []
    for number in range(rounds):
        own, shared = version_of(number, f"node{writer}"), version_of(number % 5, "shared", seconds=float(writer))
        lease = ledger.write(TakeLease("prod", "contested", f"owner{writer}", f"run{writer}"))[0].get()
        answers = ledger.write(AddVersion(own), AddVersion(shared), DropLease(lease))
        assert answers[0].get() == own
        mine.append(own.key)
        assert ledger.live([own.key]) == {own.key: own}
    ledger.close()
    return mine


def write_for_ever(address: str, writer: int, said: Connection) -> None:
    """Write, and say after each write what is durable, until somebody kills this process."""
    ledger = open_address(address)
    number = 0
    while True:
        ledger.write(AddVersion(version_of(number, f"node{writer}")), SendSignal("refresh", "prod"))
        said.send(f"node{writer}-{number}")
        number += 1
