"""A look beyond the watermark is answered by an index of SQLite, however times are spelled, and leaves no row out."""

from __future__ import annotations

import sqlite3
import tempfile
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.adapters.reading import Address
from headrace.adapters.reading_sqlite import SqliteReader, SqliteReading
from headrace.errors import HeadraceError
from headrace.ports.reading import Selection

SINCE = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
OFFSETS = [timezone(timedelta(hours=hours)) for hours in (-12, -1, 0, 5, 14)]


def reader(folder: Path) -> SqliteReader:
    return SqliteReader(Address("crm", "SQLite", f"sqlite:{folder / 'crm.db'}"), folder / "crm.db")


def fill(folder: Path, kind: str, values: list[object]) -> None:
    connection = sqlite3.connect(folder / "crm.db")
    connection.execute(f"CREATE TABLE orders (id INTEGER, at {kind})")
    connection.execute("CREATE INDEX by_time ON orders (at)")
    connection.executemany("INSERT INTO orders VALUES (?, ?)", list(enumerate(values)))
    connection.commit()
    connection.close()


def read(folder: Path, since: datetime | date | int | None) -> set[int]:
    with reader(folder).open(Selection(table="orders", cursor="at", since=since)) as reading:
        return {number for frame in reading.frames() for number in frame["id"].to_list()}


def spelled(at: datetime, offset: timezone, form: int) -> str:
    local = at.astimezone(offset)
    return [local.isoformat(), local.isoformat(" "), local.isoformat(timespec="milliseconds")][form]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3000, 3000), st.sampled_from(OFFSETS), st.integers(0, 2)), max_size=20),
    st.sampled_from(["TIMESTAMP", "TEXT", "DATETIME"]),
)
def test_no_row_is_left_out(rows: list[tuple[int, timezone, int]], kind: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        times = [SINCE + timedelta(minutes=minutes) for minutes, _, _ in rows]
        texts = [spelled(at, offset, form) for at, (_, offset, form) in zip(times, rows, strict=True)]
        fill(Path(name), kind, list(texts))
        assert read(Path(name), SINCE) == {number for number, at in enumerate(times) if at >= SINCE}


@pytest.mark.parametrize("since", [SINCE, SINCE.date(), 17])
@pytest.mark.parametrize("kind", ["TIMESTAMP", "TEXT", "INTEGER", ""])
@pytest.mark.parametrize("query", [False, True])
def test_the_index_is_used(tmp_path: Path, kind: str, since: datetime | date | int, *, query: bool) -> None:
    fill(tmp_path, kind, [])
    selection = Selection(None if query else "orders", "SELECT * FROM orders" if query else None, "at", since)
    asked: list[str] = []
    with reader(tmp_path).open(selection) as reading:
        assert isinstance(reading, SqliteReading)
        connection = reading._connection  # noqa: SLF001 - to see what it is asked
        connection.set_trace_callback(asked.append)
        assert list(reading.frames()) == []
        connection.set_trace_callback(None)
        [(told,), *more] = [row[3:] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked[0]}")]
    assert not any("SCAN" in each for each, *_ in ((told,), *more))


def test_a_number_among_texts_is_met(tmp_path: Path) -> None:
    fill(tmp_path, "TIMESTAMP", ["2026-03-02", 1_790_000_000])
    with pytest.raises(HeadraceError, match="HR344"):
        read(tmp_path, SINCE)


def test_a_time_without_a_day_is_one_of_the_year_2000(tmp_path: Path) -> None:
    fill(tmp_path, "", ["12:00", "1999-12-31", "1999-01-01"])
    assert read(tmp_path, datetime(1999, 12, 1, tzinfo=UTC)) == {0, 1}
