"""A backup holds all of a ledger, restores into either kind of database, and is worth nothing when it is damaged."""

from __future__ import annotations

import gzip
import json
from hashlib import sha256
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.adapters.postgres import PostgresDatabase
from headrace.adapters.sqlite import SqliteDatabase
from headrace.errors import HeadraceError
from headrace.ledger.backup import TABLES, restore
from headrace.ledger.ledger import SqlLedger
from headrace.ports.ledger import (
    AddDecision,
    AddVersion,
    Collect,
    ConsumeSignal,
    CreateEnvironment,
    DropLease,
    Exclude,
    MovePointers,
    SendSignal,
    StartAttempt,
    StartRun,
    TakeLease,
)
from headrace.ports.records import PointerMove
from headrace.testing.ledgers import attempt_of, decision_of, run_of, version_of
from tests.support.versions import large_version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headrace.ports.ledger import Database, Ledger

pytest_plugins = ("tests.postgres_server",)

CLOCK = SimulatedClock()
BOTH = ("sqlite", "postgres")


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Database]]:
    """Makes an empty database of a kind."""
    made: list[Database] = []

    def make(kind: str) -> Database:
        database: Database
        if kind == "sqlite":
            database = SqliteDatabase(tmp_path / f"{len(made)}.db")
        else:
            database = PostgresDatabase(request.getfixturevalue("new_database")())
        made.append(database)
        return database

    yield make
    for database in made:
        database.close()


def fill(ledger: Ledger) -> None:
    """A row in every table."""
    answers = ledger.write(
        *(AddVersion(version_of(number)) for number in range(20)),
        AddVersion(large_version_of(100)),
        Collect(["table-3"]),
        AddDecision(decision_of(1, "table-1")),
        CreateEnvironment("prod"),
        MovePointers("prod", [PointerMove("table", None, "table-1")], "apply", hold="é"),
        CreateEnvironment("dev", "prod"),
        Exclude("dev", "source", frozenset({"2026-01"})),
        StartRun(run_of("r1")),
        StartAttempt(attempt_of("r1", "table")),
        TakeLease("prod", "table", "owner", "r1"),
        TakeLease("prod", "model", "owner", "r1"),
        SendSignal("refresh", "prod"),
        SendSignal("refresh", "prod"),
        ConsumeSignal(1),
    )
    ledger.write(DropLease(answers[-4].get()))


def content(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.reading() as connection:
        return {
            table: sorted(connection.rows(f"SELECT {', '.join(columns)} FROM {table}"), key=repr)  # noqa: S608 - names
            for table, columns in TABLES.items()
            if table != "migrations"
        }


@pytest.mark.parametrize("source", BOTH)
@pytest.mark.parametrize("target", BOTH)
def test_all_of_it_comes_back(source: str, target: str, make: Callable[[str], Database], tmp_path: Path) -> None:
    before, after = make(source), make(target)
    ledger = SqlLedger(before, CLOCK)
    fill(ledger)
    assert all(content(before).values())
    ledger.backup(tmp_path / "backup.gz")
    entries = restore(after, tmp_path / "backup.gz", CLOCK)
    assert content(after) == content(before)
    again = SqlLedger(after, CLOCK)
    assert again.verify() == entries == ledger.verify()
    for each in (ledger, again):
        each.write(AddVersion(version_of(99)), SendSignal("refresh", "dev"), TakeLease("prod", "model", "o", "r2"))
    assert again.signals("refresh", "dev")[0].id == 3
    assert content(after) == content(before)


def test_a_backup_is_of_one_moment(make: Callable[[str], Database], tmp_path: Path) -> None:
    ledger = SqlLedger(make("sqlite"), CLOCK)
    fill(ledger)
    stop = Event()

    def write_on() -> None:
        number = 100
        while not stop.is_set():
            ledger.write(AddVersion(version_of(number)))
            number += 1

    writer = Thread(target=write_on)
    writer.start()
    for number in range(5):
        ledger.backup(tmp_path / f"backup{number}")
    stop.set()
    writer.join()
    counts = [restore(make("sqlite"), tmp_path / f"backup{number}", CLOCK) for number in range(5)]
    assert counts == sorted(counts)
    assert counts[-1] <= ledger.verify()


@pytest.mark.parametrize("kind", BOTH)
def test_only_an_empty_database_is_restored_into(kind: str, make: Callable[[str], Database], tmp_path: Path) -> None:
    ledger = SqlLedger(make(kind), CLOCK)
    fill(ledger)
    ledger.backup(tmp_path / "backup")
    target = make(kind)
    SqlLedger(target, CLOCK).write(SendSignal("refresh", "prod"))
    before = content(target)
    with pytest.raises(HeadraceError) as raised:
        restore(target, tmp_path / "backup", CLOCK)
    assert raised.value.code == "HR607"
    assert content(target) == before
    fresh = make(kind)
    SqlLedger(fresh, CLOCK)  # the schema alone does not count
    assert restore(fresh, tmp_path / "backup", CLOCK) == ledger.verify()


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def pack(path: Path, lines: list[Any]) -> None:
    """Write lines as a backup, with a right digest."""
    texts = [json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines]
    last = {"lines": len(texts), "sha256": sha256(b"".join(texts)).hexdigest()}
    path.write_bytes(gzip.compress(b"".join(texts) + json.dumps(last).encode() + b"\n"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def cut_lines(path: Path) -> None:
    path.write_bytes(gzip.compress(b"\n".join(gzip.decompress(path.read_bytes()).splitlines()[:-1])))


def change(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"table-7", b"table-8")))


def append(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"[]\n"))


def other_format(path: Path) -> None:
    lines = lines_of(path)[:-1]
    pack(path, [lines[0] | {"format": "other"}, *lines[1:]])


def other_columns(path: Path) -> None:
    lines = lines_of(path)[:-1]
    pack(path, [{"table": "runs", "columns": ["id) SELECT 1; --"]} if line == lines[1] else line for line in lines])


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        cut_lines,
        change,
        append,
        other_format,
        other_columns,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"text"),
        lambda path: path.write_bytes(gzip.compress(b"")),
        lambda path: path.write_bytes(gzip.compress(b"[1]\n")),
        lambda path: path.unlink(),
    ],
)
def test_a_damaged_backup_restores_nothing(
    damage: Callable[[Path], None], make: Callable[[str], Database], tmp_path: Path
) -> None:
    ledger = SqlLedger(make("sqlite"), CLOCK)
    fill(ledger)
    path, target = tmp_path / "backup", make("sqlite")
    ledger.backup(path)
    damage(path)
    with pytest.raises(HeadraceError) as raised:
        restore(target, path, CLOCK)
    assert raised.value.code == "HR615"
    fresh = SqlLedger(target, CLOCK)
    assert fresh.verify() == 0


def test_a_backup_of_a_newer_program_or_of_a_damaged_ledger(make: Callable[[str], Database], tmp_path: Path) -> None:
    ledger = SqlLedger(make("sqlite"), CLOCK)
    fill(ledger)
    path = tmp_path / "backup"
    ledger.backup(path)
    lines = lines_of(path)[:-1]
    target = make("sqlite")
    entry = next(line for line in lines if isinstance(line, list) and line[:1] == [7])
    newer, broken = [lines[0] | {"schema": 99}, *lines[1:]], [line for line in lines if line is not entry]
    for code, changed in (("HR611", newer), ("HR605", broken)):
        pack(path, changed)
        with pytest.raises(HeadraceError) as raised:
            restore(target, path, CLOCK)
        assert raised.value.code == code


def test_a_backup_that_fails_leaves_no_file(make: Callable[[str], Database], tmp_path: Path) -> None:
    ledger = SqlLedger(make("sqlite"), CLOCK)
    (tmp_path / "file").write_text("")
    with pytest.raises(HeadraceError) as raised:
        ledger.backup(tmp_path / "nowhere" / "backup")
    assert raised.value.code == "HR619"
    assert not list(tmp_path.glob("**/*.part"))
