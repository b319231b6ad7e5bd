"""The ledger over a SQL database. What it promises stands in `headrace.ports.ledger`."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError
from headrace.ledger.backup import write_backup
from headrace.ledger.chain import decoded, encoded
from headrace.ledger.group import Group
from headrace.ledger.items import DirtyError, apply_fast, apply_safely
from headrace.ledger.migrate import migrate
from headrace.ledger.queries import queries
from headrace.ledger.records import (
    attempt_of,
    change_of,
    decision_of,
    lease_of,
    run_of,
    signal_of,
    snapshot_of,
    version_of,
)
from headrace.ledger.transaction import Transaction
from headrace.ledger.verify import verify
from headrace.ports.clock import stamp
from headrace.ports.failpoints import failpoint
from headrace.ports.records import Entry, RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from headrace.ledger.group import Request
    from headrace.ports.clock import Clock
    from headrace.ports.ledger import Answer, Database, Item
    from headrace.ports.records import Attempt, Decision, Lease, PointerChange, Run, Signal, Snapshot, Version

_HELD = 200_000
"""Digests of pieces that are remembered to be in the database."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class SqlLedger:
    """Implements `headrace.ports.ledger.Ledger`. Makes or updates the schema when it is opened.

    Raises:
        HeadraceError: HR611 when a newer program has written the ledger.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._queries = queries(database.dialect)
        self._group = Group(self._commit)
        self._held: set[str] = set()
        migrate(database, stamp(clock))

    # ------------------------------------------------------------------ writing

    def write(self, *items: Item) -> list[Answer]:
        """Write items in order, durably; one answer for each. Raises HR613 when the disk is full and writes nothing."""
        return self._group.submit(items) if items else []

    def _commit(self, group: Sequence[Request]) -> None:
        """Apply a group by one transaction.

        First without savepoints, which almost never are needed; where an item failed half-way, all of it again with.
        """
        try:
            self._apply(group, apply_fast)
        except DirtyError:
            self._apply(group, apply_safely)

    def _apply(self, group: Sequence[Request], apply: Callable[[Transaction, Item], Answer]) -> None:
        with _storage_errors():
            with self._database.writing() as connection:
                transaction = Transaction(connection, self._queries, stamp(self._clock), self._held)
                for request in group:
                    request.answers = [apply(transaction, item) for item in request.items]
                failpoint("ledger.commit.before")
            failpoint("ledger.commit.after")
        self._hold(transaction.pieces)

    def _hold(self, pieces: Iterable[str]) -> None:
        """Remember pieces that are in the database, where they stay for good. To forget some only costs time."""
        if len(self._held) > _HELD:
            self._held = set()
        self._held.update(pieces)

    # ------------------------------------------------------------------ versions and decisions

    def version(self, key: str) -> Version | None:
        """The version of this key, live or collected."""
        found = self._rows("version", key=key)
        return self._version_of(found[0]) if found else None

    def live(self, keys: Sequence[str]) -> Mapping[str, Version]:
        """Those of the keys that have a live version."""
        if not keys:
            return {}
        versions = map(self._version_of, self._rows("live_versions", keys=encoded(sorted(set(keys)))))
        return {version.key: version for version in versions}

    def versions(self, node: str | None = None, *, collected: bool = False) -> Sequence[Version]:
        """Versions of one node, or of all, oldest first; collected ones only when asked for."""
        if node is None:
            return [self._version_of(row) for row in self._rows("versions", collected=int(collected))]
        return [self._version_of(row) for row in self._rows("versions_of_node", node=node, collected=int(collected))]

    def newest_versions(self, node: str, limit: int) -> Sequence[Version]:
        """The newest live versions of a node, at most so many, oldest first."""
        return [self._version_of(row) for row in reversed(self._rows("newest_versions", node=node, limit=limit))]

    def pieces(self, digests: Sequence[str]) -> Mapping[str, str]:
        """The texts of those of these pieces of versions that it holds."""
        found = dict(self._rows("pieces", digests=encoded(sorted(digests)))) if digests else {}
        self._hold(found)
        return found

    def _version_of(self, row: tuple[Any, ...]) -> Version:
        return version_of(row, self.pieces)

    def decisions(self, candidates: Sequence[str]) -> Sequence[Decision]:
        """Every decision about these candidates, oldest first."""
        if not candidates:
            return []
        return [decision_of(row) for row in self._rows("decisions_of", candidates=encoded(sorted(set(candidates))))]

    # ------------------------------------------------------------------ environments

    def snapshot(self, environment: str) -> Snapshot:
        """An environment as it is now, read in one transaction."""
        with self._database.reading() as connection:
            return snapshot_of(
                environment, lambda name: connection.rows(self._queries[name], {"environment": environment})
            )

    def environments(self) -> Sequence[str]:
        """The names of all environments, sorted."""
        return sorted(row[0] for row in self._rows("environments"))

    def history(self, environment: str, node: str | None = None) -> Sequence[PointerChange]:
        """Every pointer move of an environment, oldest first."""
        if node is None:
            return [change_of(row) for row in self._rows("history", environment=environment)]
        return [change_of(row) for row in self._rows("history_of_node", environment=environment, node=node)]

    # ------------------------------------------------------------------ runs

    def runs(self, environment: str | None = None, *, state: RunState | None = None, limit: int = 50) -> Sequence[Run]:
        """The latest runs, newest first."""
        if state is RunState.RUNNING:
            return [run_of(row) for row in self._rows("runs_in_flight", environment=environment, limit=limit)]
        wanted = None if state is None else state.value
        return [run_of(row) for row in self._rows("runs", environment=environment, state=wanted, limit=limit)]

    def run(self, run: str) -> Run | None:
        """One run, by its id or the beginning of it. Raises HR610 where several ids begin so."""
        found = self._rows("run", run=run) or self._rows("runs_beginning", run=run, length=len(run))
        if len(found) > 1:
            raise HeadraceError("HR610", f"several runs begin with {run!r}: {', '.join(row[0] for row in found)}")
        return run_of(found[0]) if found else None

    def attempts(self, run: str) -> Sequence[Attempt]:
        """The attempts of one run, oldest first."""
        return [attempt_of(row) for row in self._rows("attempts", run=run)]

    def entries(self, after: int, limit: int = 500) -> Sequence[Entry]:
        """What was written after the entry of this number, oldest first, at most so many."""
        rows = self._rows("entries_after", after=after, limit=limit)
        return [Entry(number, at, kind, decoded(body)) for number, at, kind, body in rows]

    def newest_entry(self) -> int:
        """The number of the newest entry; 0 where there is none."""
        found = self._rows("head")
        return int(found[0][0]) if found else 0

    def leases(self, environment: str | None = None) -> Sequence[Lease]:
        """The leases that are held now."""
        return [lease_of(row) for row in self._rows("leases", environment=environment)]

    def signals(self, kind: str, subject: str) -> Sequence[Signal]:
        """Messages that nobody has consumed yet, oldest first."""
        return [signal_of(row) for row in self._rows("signals", kind=kind, subject=subject)]

    # ------------------------------------------------------------------ the whole

    def change_counter(self) -> int:
        """A number that differs after any write of any process."""
        return self._database.change_counter()

    def verify(self) -> int:
        """Check the chain (HR605) and that the tables follow from it (HR606); answers the number of entries."""
        with self._database.reading() as connection:
            return verify(connection, self._queries)

    def backup(self, target: Path) -> None:
        """Write a consistent copy into a new file. Raises HR616 when there is one, HR613 when the disk is full."""
        with _storage_errors(), self._database.reading() as connection:
            write_backup(connection, self._database.dialect, target, stamp(self._clock))

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _rows(self, name: str, **values: object) -> list[tuple[Any, ...]]:
        with self._database.reading() as connection:
            return connection.rows(self._queries[name], values)


@contextmanager
def _storage_errors() -> Iterator[None]:
    """Give errors of the operating system that a user can remedy their code."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        code = "HR613" if error.errno in _FULL else "HR619"
        raise HeadraceError(code, os.strerror(error.errno)) from error
