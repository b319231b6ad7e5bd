"""Whatever comes, changes and goes, in whatever order: a table is what a rebuild from all batches makes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.sources.files import files
from headrace.sources.source import Source
from headrace.tables.contract import Contract, column
from headrace.tables.layout import Layout
from headrace.tables.table import Table
from tests.tables.oracle import comparable
from tests.tables.workshop import Workshop

if TYPE_CHECKING:
    from headrace.ports.records import Version

COLUMNS = {"k": pl.Int64, "w": pl.Int64, "u": pl.String, "v": pl.Int64}
Rows = list[tuple[int, int, str, int | None]]


class Plain(Contract):
    k: int = column(key=True)
    w: int = column(ge=0)
    u: str | None
    v: int | None


class Pair(Contract):
    k: int = column(key=True)
    w: int = column(key=True)
    u: str | None
    v: int | None = column(ge=0)


class Apart(Contract):
    k: int = column(key=True)
    w: int
    u: str | None = column(unique=True)
    v: int | None


SHAPES: dict[str, dict[str, Any]] = {
    "no contract": {"contract": None, "partition_by": "u"},
    "the first of a key": {"contract": Plain},
    "the first of two columns": {"contract": Pair, "partition_by": "k"},
    "two unique columns": {"contract": Apart},
    "the newest of a key": {"contract": Plain, "upsert": "v"},
    "the newest of two columns": {"contract": Pair, "upsert": "v", "partition_by": "u"},
    "the newest, and a unique column": {"contract": Apart, "upsert": "v"},
}

BATCH = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-1, 2), st.sampled_from(["", "a", "b"]), st.none() | st.integers(0, 3)),
    max_size=4,
)
STEPS = st.lists(st.lists(st.tuples(st.integers(1, 4), st.none() | BATCH), min_size=1, max_size=3), max_size=4)
"""In each step, files that are written or (None) removed."""


def text(rows: Rows) -> str:
    lines = [f"{k},{w},{u},{'' if v is None else v}\n" for k, w, u, v in rows]
    return "k,w,u,v\n" + "".join(lines)


def table_of(shape: dict[str, Any]) -> Table:
    source = Source("raw", files("data/*.csv", schema=COLUMNS))
    return Table("items", [source], lambda rows: rows, incremental=True, **shape)


def seen(shop: Workshop, table: Table, version: Version) -> dict[str, object]:
    """All that a table is, without the way to it."""
    facts = {name: value for name, value in version.manifest.facts.items() if not name.startswith("new_")}
    layout = Layout.from_json(facts.pop("layout"))
    older = table.superseded(version, shop.stores)
    aside = table.quarantine(version, shop.stores)
    return {
        "key": version.key,
        "rows": comparable(shop.rows(table, version).to_dicts()),
        "aside": None if aside is None else comparable(aside.collect().to_dicts()),
        "superseded": None if older is None else comparable(older.collect().to_dicts()),
        "facts": facts,
        "partitions": layout.partitions(),
        "by batch": {batch: len(layout.of_batches([batch])) for batch in facts["batches"]},
    }


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=5)
@given(first=BATCH.filter(len), steps=STEPS)
def test_a_grown_table_is_a_rebuilt_one(name: str, first: Rows, steps: list[list[tuple[int, Rows | None]]]) -> None:
    table = table_of(SHAPES[name])
    anchor = [(9, 0, "z", 0), *first]  # so that there is always a row
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        grown, fresh = Workshop(Path(folder)), Workshop(Path(other))
        there = {"data/3.csv": text(anchor)}
        grown.write("data/3.csv", there["data/3.csv"])
        version = grown.table(table)
        for step in steps:
            for number, rows in step:
                file = f"data/{number if number < 3 else number + 1}.csv"
                if rows is None:
                    (grown.folder / file).unlink(missing_ok=True)
                    there.pop(file, None)
                else:
                    there[file] = text(rows)
                    grown.write(file, there[file])
            version = grown.table(table)
        for file, content in there.items():
            fresh.write(file, content)
        assert seen(grown, table, version) == seen(fresh, table, fresh.table(table))
