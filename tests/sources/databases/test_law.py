"""The law of a cursor: whatever is inserted and changed, in whatever order, late or tied, each row is there once."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.sources import database
from tests.sources.databases.places import Landing, SqlitePlace

OVERLAP = 5
START = datetime(2026, 1, 1, tzinfo=UTC)

# What happens: rows are put in at moments up to the overlap behind the newest one, changed, or what is there is landed.
PUT = st.tuples(st.just("put"), st.integers(-OVERLAP, 3), st.integers(0, 2))
CHANGE = st.tuples(st.just("change"), st.integers(0, 3), st.integers(0, 9))
LAND = st.tuples(st.just("land"), st.just(0), st.just(0))
STORY = st.lists(PUT | PUT | CHANGE | LAND, max_size=25)


class Life:
    """A table with a log of everything that was ever committed to it."""

    def __init__(self, place: SqlitePlace, *, numbers: bool) -> None:
        self.place = place
        self.numbers = numbers
        self.newest = 100
        self.count = 0
        self.now: dict[int, tuple[int, str]] = {}
        kind = "INTEGER" if numbers else "TIMESTAMP"
        place.run(f"CREATE TABLE orders (id INTEGER, note TEXT, at {kind})")

    def spelled(self, at: int) -> str:
        return str(at) if self.numbers else f"'{(START + timedelta(microseconds=at * 700)).isoformat()}'"

    def put(self, back: int, text: int) -> None:
        at = self.newest + back
        self.newest = max(self.newest, at)
        self.count += 1
        self.now[self.count] = (at, f"text {text}")
        self.place.run(f"INSERT INTO orders VALUES ({self.count}, 'text {text}', {self.spelled(at)})")

    def change(self, ahead: int, which: int) -> None:
        if not self.now:
            return
        number = sorted(self.now)[which % len(self.now)]
        self.newest += ahead
        self.now[number] = (self.newest, f"changed to {self.newest}")
        self.place.run(
            f"UPDATE orders SET note = 'changed to {self.newest}', at = {self.spelled(self.newest)} WHERE id = {number}"
        )


def play(story: list[tuple[str, int, int]], landing: Landing, life: Life) -> None:
    for what, one, other in [*story, ("land", 0, 0)]:
        if what == "put":
            life.put(one, other)
        elif what == "change":
            life.change(one, other)
        elif life.now:
            landing.land()


@settings(max_examples=20)
@given(STORY, st.booleans())
def test_each_row_is_there_once_in_its_newest_state(story: list[tuple[str, int, int]], numbers: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = Life(SqlitePlace(Path(folder)), numbers=numbers)
        window = OVERLAP if numbers else timedelta(microseconds=OVERLAP * 700)
        source = database("crm", table="orders", cursor="at", overlap=window, key="id")
        landing = Landing(Path(folder), life.place.reader, source)
        play(story, landing, life)
        if life.now:
            found = landing.shop.rows(landing.source, landing.versions[-1])
            assert sorted(found["id"].to_list()) == sorted(life.now)
            assert dict(found.select("id", "note").rows()) == {each: note for each, (_, note) in life.now.items()}


@settings(max_examples=20)
@given(st.lists(PUT | PUT | LAND, max_size=25))
def test_rows_that_are_never_changed_need_no_key(story: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = Life(SqlitePlace(Path(folder)), numbers=True)
        source = database("crm", query="SELECT note, at FROM orders", cursor="at", overlap=OVERLAP)
        landing = Landing(Path(folder), life.place.reader, source)
        play(story, landing, life)
        if life.now:
            found = landing.shop.rows(landing.source, landing.versions[-1])
            assert sorted(found.rows()) == sorted((note, at) for at, note in life.now.values())
            once = landing.land()
            assert once is landing.versions[-2], "nothing new is nothing new"
