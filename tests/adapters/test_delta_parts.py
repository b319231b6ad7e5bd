"""Rows in parts: each part has files of its own, new rows go behind those of their part, and compaction keeps it so."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.adapters import delta_compact
from headrace.adapters.delta import DeltaTableStore
from headrace.adapters.delta_compact import merged
from headrace.adapters.delta_log import DataFile, read_files
from headrace.errors import HeadraceError
from headrace.ports.stores import Change
from headrace.tables.layout import Layout, Run
from headrace.testing.stores import key_of

if TYPE_CHECKING:
    from headrace.ports.records import Ref

Rows = list[tuple[str, int]]
ROWS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 99)), max_size=5)
WRITES = st.lists(st.tuples(ROWS, st.sets(st.integers(0, 9), max_size=3), st.booleans()), min_size=2, max_size=10)
"""New rows, which rows go before, and whether the table is compacted then."""


def frame(rows: Rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"part": pl.String, "value": pl.Int64}, orient="row")


def layout_of(rows: Rows) -> Layout:
    return Layout().plus(Run(None, 1, part) for part, _ in rows)


def parts_of(layout: Layout) -> list[int]:
    return list(layout.partitions().values())


def files_of(store: DeltaTableStore, ref: Ref) -> list[list[str]]:
    """The parts that each file has rows of."""
    return [sorted(set(pl.read_parquet(file)["part"])) for file in store.files(ref)]


@settings(max_examples=40)
@given(first=ROWS.filter(len), writes=WRITES)
def test_parts_stay_together(first: Rows, writes: list[tuple[Rows, set[int], bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = DeltaTableStore(Path(folder))
        held = sorted(first, key=lambda row: row[0])
        layout = layout_of(held)
        ref = store.write(key_of(0), "t", frame(held), change=Change((), layout.pieces()))
        for number, (rows, less, compacts) in enumerate(writes, start=1):
            gone = sorted(each for each in less if each < len(held))
            new = sorted(rows, key=lambda row: row[0])
            added = layout_of(new)
            change = Change(gone, added.pieces(), layout.places(added))
            ref = store.write(key_of(number), "t", frame(new), ref, change)
            layout = layout.changed(np.array(gone, dtype=np.int64), added)
            held = sorted([row for at, row in enumerate(held) if at not in gone] + new, key=lambda row: row[0])
            if compacts:
                compacted = store.compact(key_of(number), ref, 2, parts_of(layout))
                ref = compacted or ref
                parts = [part for part in files_of(store, ref) if part]
                assert len(parts) == len(layout.partitions())
            assert store.scan(ref).collect().rows() == held
            assert layout == layout_of(held)
            assert all(len(parts) <= 1 for parts in files_of(store, ref))
            store.verify(ref)


def test_many_commits_of_many_parts_stay_few_files(tmp_path: Path) -> None:
    store = DeltaTableStore(tmp_path)
    layout, ref, commits = Layout(), None, 45
    for number in range(commits):
        added = layout_of([(part, number) for part in "abcdef"[: 3 + number % 4]])
        change = Change((), added.pieces(), layout.places(added) if ref else ())
        rows = [(run.partition or "", number) for run in added.runs]
        ref = store.write(key_of(number), "t", frame(rows), ref, change)
        layout = layout.changed(np.empty(0, dtype=np.int64), added)
    assert ref is not None
    before = store.scan(ref).collect()
    compacted = store.compact(key_of(commits - 1), ref, 2, parts_of(layout))
    assert compacted is not None
    assert files_of(store, compacted) == [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]]
    assert store.scan(compacted).collect().equals(before)
    assert compacted.version == 0
    assert store.compact(key_of(commits - 1), ref, 2, parts_of(layout)) == compacted
    assert store.compact(key_of(commits - 1), compacted, 2, parts_of(layout)) is None
    more = store.write(key_of(99), "t", frame([("b", 99)]), compacted, Change((), (1,), (layout.partitions()["a"],)))
    assert (more.path, more.version) == (compacted.path, 1)
    assert files_of(store, more) == [["a"], ["b"], ["b"], ["c"], ["d"], ["e"], ["f"]]


def test_rows_in_another_order_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DeltaTableStore(tmp_path)
    ref = store.write(key_of(0), "t", frame([("a", 1), ("b", 2)]), change=Change((), (1, 1)))
    ref = store.write(key_of(1), "t", frame([("a", 3), ("b", 4)]), ref, Change((), (1, 1), (1, 2)))
    read = delta_compact.frames
    monkeypatch.setattr(delta_compact, "frames", lambda folder, files: reversed(list(read(folder, files))))
    with pytest.raises(HeadraceError, match="HR643"):
        store.compact(key_of(1), ref, 2, (2, 2))
    assert len(read_files(tmp_path / ref.path, 1)) == 4


def test_pieces_go_to_the_ends_of_files(tmp_path: Path) -> None:
    store = DeltaTableStore(tmp_path)
    ref = store.write(key_of(0), "t", frame([("a", 1), ("b", 2)]))
    with pytest.raises(ValueError, match="lie in a file with others"):
        store.write(key_of(1), "t", frame([("a", 3)]), ref, Change((), (1,), (1,)))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=20), st.integers(2, 4))
def test_only_small_files_of_one_part_become_one(sizes: list[tuple[int, int]], least: int) -> None:
    parts = sorted(sizes)
    files = tuple(DataFile(str(number), 9, "", rows) for number, (_, rows) in enumerate(parts))
    rows = [sum(rows for part, rows in parts if part == each) for each in sorted({part for part, _ in parts})]
    found = merged(files, rows, least) if files else []
    of = {file.name: part for file, (part, _) in zip(files, parts, strict=True)}
    assert [len({of[file.name] for file in group}) for group in found] == [1] * len(found)
    counts = [sum(part == each for part, _ in parts) for each in sorted({part for part, _ in parts})]
    assert [len(group) for group in found] == [count for count in counts if count >= least]
