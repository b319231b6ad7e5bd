"""A table in many small files becomes one in few, with the same rows; nothing that is read elsewhere is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from headrace.adapters.delta import DeltaTableStore
from headrace.adapters.delta_compact import tail
from headrace.adapters.delta_log import DataFile, read_files
from headrace.errors import HeadraceError
from headrace.testing.stores import key_of, rows

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.records import Ref

MANY = 30


def grown(store: DeltaTableStore, count: int = MANY) -> list[Ref]:
    refs = [store.write(key_of(0), "table", rows(0))]
    for number in range(1, count):
        refs.append(store.write(key_of(number), "table", rows(number), refs[-1]))
    return refs


def test_compacted_rows_are_the_rows(tmp_path: Path) -> None:
    store = DeltaTableStore(tmp_path)
    refs = grown(store)
    ref = store.compact(key_of(MANY - 1), refs[-1], 2)
    assert ref is not None
    assert (ref.version, ref.path == refs[-1].path) == (0, False)
    assert len(read_files(tmp_path / ref.path, 0)) == 1
    for each, expected in ((ref, MANY), (refs[-1], MANY), (refs[3], 4)):
        assert_frame_equal(store.scan(each).collect(), rows(*range(expected)))
        store.verify(each)
    assert store.compact(key_of(MANY - 1), refs[-1], 2) == ref
    assert store.compact(key_of(MANY - 1), ref, 2) is None


def test_a_compacted_line_goes_on(tmp_path: Path) -> None:
    store = DeltaTableStore(tmp_path)
    refs = grown(store, 5)
    compacted = store.compact(key_of(4), refs[-1], 2)
    assert compacted is not None
    more = store.write(key_of(5), "table", rows(5), compacted)
    fork = store.write(key_of(6), "table", rows(6), refs[-1])
    assert more.path == compacted.path
    assert_frame_equal(store.scan(more).collect(), rows(*range(6)))
    assert_frame_equal(store.scan(fork).collect(), rows(*range(5), 6))
    assert_frame_equal(
        pl.DataFrame(DeltaTable(str(tmp_path / more.path)).to_pyarrow_table()).sort("number"), rows(*range(6))
    )


def test_any_reader_of_delta_sees_the_newest_rows(tmp_path: Path) -> None:
    store = DeltaTableStore(tmp_path)
    refs = grown(store, 45)
    found = DeltaTable(str(tmp_path / refs[-1].path)).to_pyarrow_table()
    assert sorted(found.column("number").to_pylist()) == list(range(45))


def test_many_empty_commits_are_left_behind(tmp_path: Path) -> None:
    store = DeltaTableStore(tmp_path)
    ref = store.write(key_of(0), "table", rows(1, 2))
    for number in range(1, 42):
        ref = store.write(key_of(number), "table", rows(), ref)
    compacted = store.compact(key_of(41), ref, 2)
    assert compacted is not None
    assert compacted.version == 0
    assert_frame_equal(store.scan(compacted).collect(), rows(1, 2))
    assert_frame_equal(store.scan(store.write(key_of(42), "table", rows(3), compacted)).collect(), rows(1, 2, 3))


def test_few_files_are_left_alone(tmp_path: Path) -> None:
    store = DeltaTableStore(tmp_path)
    [ref] = grown(store, 1)
    assert store.compact(key_of(0), ref, 2) is None


def test_a_damaged_file_is_not_compacted(tmp_path: Path) -> None:
    store = DeltaTableStore(tmp_path)
    ref = grown(store, 3)[-1]
    victim = tmp_path / ref.path / read_files(tmp_path / ref.path, 1)[1].name
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    with pytest.raises(HeadraceError, match="HR632"):
        store.compact(key_of(2), ref, 2)


@given(st.lists(st.integers(1, 5_000_000), max_size=60))
def test_compacting_again_and_again_leaves_few_files(sizes: list[int]) -> None:
    files: tuple[DataFile, ...] = ()
    for size in sizes:
        files = (*files, DataFile("f", size, "", 1))
        last = tail(files)
        assert len(last) >= 1
        files = (*files[: len(files) - len(last)], DataFile("f", sum(file.size for file in last), "", 1))
    assert len(files) <= 25
