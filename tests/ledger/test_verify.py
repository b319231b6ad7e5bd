"""A ledger that was changed behind Headrace's back says so, and says where."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.adapters.sqlite import SqliteDatabase
from headrace.errors import HeadraceError
from headrace.ledger.chain import GENESIS, RefusalError, decoded, encoded, hash_of
from headrace.ledger.ledger import SqlLedger
from headrace.ledger.replay import TABLES
from headrace.ports.ledger import (
    AddDecision,
    AddVersion,
    Collect,
    ConsumeSignal,
    CreateEnvironment,
    EndRun,
    Exclude,
    MovePointers,
    SendSignal,
    StartRun,
)
from headrace.ports.records import PointerMove, RunState
from headrace.testing.ledgers import decision_of, run_of, version_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a ledger with a row in every table."""
    path = tmp_path / "ledger.db"
    with closing(SqlLedger(SqliteDatabase(path), SimulatedClock())) as ledger:
        moves = [PointerMove("table", None, "table-1"), PointerMove("model", None, "model-1")]
        answers = ledger.write(
            AddVersion(version_of(1)),
            AddVersion(version_of(2)),
            Collect(["table-2"]),
            AddDecision(decision_of(1, "model-1")),
            CreateEnvironment("prod"),
            MovePointers("prod", moves, "apply", hold="held"),
            CreateEnvironment("dev", "prod"),
            Exclude("prod", "table", frozenset({"batch"})),
            StartRun(run_of("r1")),
            StartRun(run_of("r2")),
            EndRun("r1", RunState.DONE),
            SendSignal("refresh", "prod"),
            SendSignal("refresh", "dev"),
            ConsumeSignal(1),
        )
        assert [answer.error for answer in answers] == [None] * 14
        assert ledger.verify() == 14
    return path


def tamper(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement).rowcount > 0


def verify(path: Path) -> int:
    with closing(SqlLedger(SqliteDatabase(path), SimulatedClock())) as ledger:
        return ledger.verify()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE entries SET body = replace(body, '0.25', '0.26') WHERE seq = 2", "entry 2 "),
        ("UPDATE entries SET at = replace(at, '2026', '2025') WHERE seq = 5", "entry 5 "),
        ("UPDATE entries SET kind = 'decision' WHERE seq = 1", "entry 1 "),
        ("UPDATE entries SET hash = replace(hash, 'a', 'b') WHERE seq = 7", "entry 7 "),
        ("UPDATE entries SET previous = hash WHERE seq = 3", "entry 3 "),
        ("DELETE FROM entries WHERE seq = 4", "entry 4 is missing"),
        ("DELETE FROM entries WHERE seq = 1", "entry 1 is missing"),
    ],
)
def test_a_changed_entry_breaks_the_chain(path: Path, statement: str, said: str) -> None:
    tamper(path, statement)
    with pytest.raises(HeadraceError, match=said) as raised:
        verify(path)
    assert raised.value.code == "HR605"


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("DELETE FROM entries WHERE seq = 14", "signals"),  # the end of the chain
        ("DELETE FROM versions WHERE key = 'table-1'", "versions"),
        ("UPDATE versions SET collected = 0", "versions"),
        ("UPDATE versions SET entry = 1", "versions"),
        ("UPDATE decisions SET candidate = 'table-1'", "decisions"),
        ("UPDATE environments SET base = 'prod' WHERE name = 'prod'", "environments"),
        ("UPDATE pointers SET key = 'table-2' WHERE environment = 'prod'", "pointers"),
        ("DELETE FROM starts", "starts"),
        ("UPDATE pointer_changes SET reason = 'none'", "pointer_changes"),
        ("DELETE FROM holds WHERE environment = 'dev'", "holds"),
        ("UPDATE exclusions SET batch = 'other'", "exclusions"),
        ("UPDATE runs SET state = 'done'", "runs"),
        ("UPDATE signals SET consumed = 1", "signals"),
        ("INSERT INTO holds VALUES ('prod', 'other', 'why', 'now')", "holds"),
    ],
)
def test_a_changed_table_does_not_follow_from_the_chain(path: Path, statement: str, table: str) -> None:
    tamper(path, statement)
    with pytest.raises(HeadraceError, match=f"the table {table} ") as raised:
        verify(path)
    assert raised.value.code == "HR606"


def test_every_table_that_follows_from_the_chain_is_tampered_with_above(path: Path) -> None:
    marks = test_a_changed_table_does_not_follow_from_the_chain.pytestmark  # type: ignore[attr-defined]
    assert {table for _, table in marks[0].args[1]} == TABLES.keys()
    with closing(sqlite3.connect(path)) as connection:
        counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}  # noqa: S608 - names of tables
    assert all(counts.values()), counts


def test_an_entry_of_an_unknown_kind(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        [(seq, digest)] = connection.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1")
        row = (seq + 1, "now", "approval", "{}", digest, hash_of((seq, digest), "now", "approval", "{}"))
        connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)
    with pytest.raises(HeadraceError, match="unknown kind 'approval'") as raised:
        verify(path)
    assert raised.value.code == "HR606"


def test_a_body_that_is_no_json_is_damage(path: Path) -> None:
    tamper(path, "UPDATE entries SET body = 'nonsense' WHERE seq = 1")
    with closing(SqlLedger(SqliteDatabase(path), SimulatedClock())) as ledger, pytest.raises(HeadraceError) as raised:
        ledger.version("table-1")
    assert raised.value.code == "HR606"


def test_the_hash_covers_every_field_of_an_entry() -> None:
    base = ((1, GENESIS), "2026", "run", "{}")
    variants = [
        ((2, GENESIS), "2026", "run", "{}"),
        ((1, "1" * 64), "2026", "run", "{}"),
        ((1, GENESIS), "2025", "run", "{}"),
    ]
    variants += [((1, GENESIS), "2026", "runs", "{}"), ((1, GENESIS), "2026", "run", "[]")]
    hashes = {hash_of(*fields) for fields in (base, *variants)}
    assert len(hashes) == 6
    assert hash_of(*base) == "095bae392b7fbff8e7a97f41a9ca287b7a7c099217ec6e6223d69b45f39b59d5"


def test_the_encoding_is_canonical() -> None:
    assert encoded({"b": [1, 2.5, None, True], "a": "é\u0000"}) == '{"a":"\\u00e9\\u0000","b":[1,2.5,null,true]}'
    assert decoded(encoded({"b": 1, "a": "é\u0000"})) == {"a": "é\u0000", "b": 1}
    endless: list[object] = []
    endless.append(endless)
    for bad in ({1: "a", "b": 2}, object(), b"", {1, 2}, endless):
        with pytest.raises(RefusalError, match="HR601"):
            encoded({"value": bad})
