"""The trap of the Delta library that `delta_commit` avoids, on the installed version, and that it does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction

from headrace.adapters import delta_commit
from headrace.adapters.delta_log import EVERY, DataFile, Entry, entry_path, read_entry
from headrace.adapters.durable import file_digest

if TYPE_CHECKING:
    from pathlib import Path

ROWS = pl.DataFrame({"a": [1, 2]})


def data_file(directory: Path, name: str) -> DataFile:
    path = directory / name
    ROWS.write_parquet(path)
    return DataFile(name, path.stat().st_size, file_digest(path), ROWS.height)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    delta_commit.create(tmp_path, ROWS, Entry("key 0", (data_file(tmp_path, "0.parquet"),)))
    return tmp_path


def handle(table: Path, version: int) -> DeltaTable:
    found = delta_commit.handle_at(table, version)
    assert found is not None
    return found


def append_as(handle: DeltaTable, table: Path, application: str, number: int) -> None:
    file = data_file(table, f"{application}{number}.parquet")
    added = AddAction(file.name, file.size, {}, 0, data_change=True, stats=json.dumps({"numRecords": file.rows}))
    properties = CommitProperties(app_transactions=[Transaction(application, number)])
    handle.create_write_transaction([added], "append", handle.schema(), commit_properties=properties)


def test_the_trap_a_stale_handle_commits_under_another_application_id(table: Path) -> None:
    stale = DeltaTable(str(table))
    append_as(DeltaTable(str(table)), table, "one", 1)
    append_as(stale, table, "two", 1)
    assert DeltaTable(str(table)).version() == 2


def test_the_trap_a_fresh_handle_commits_the_same_transaction_twice(table: Path) -> None:
    append_as(DeltaTable(str(table)), table, "one", 1)
    append_as(DeltaTable(str(table)), table, "one", 1)
    assert DeltaTable(str(table)).version() == 2


def test_a_stale_handle_fails_under_the_same_application_id(table: Path) -> None:
    stale = DeltaTable(str(table))
    append_as(DeltaTable(str(table)), table, "one", 1)
    with pytest.raises(CommitFailedError):
        append_as(stale, table, "one", 2)


def test_the_trap_an_empty_log_entry_passes_for_a_commit(table: Path) -> None:
    assert delta_commit.commit(handle(table, 0), table, Entry("key 1", (data_file(table, "1.parquet"),)))
    entry_path(table, 1).write_bytes(b"")
    assert DeltaTable(str(table)).to_pyarrow_table().num_rows == 2


def test_an_append_carries_its_key_and_its_files(table: Path) -> None:
    entry = Entry("key 1", (data_file(table, "1.parquet"),))
    assert delta_commit.commit(handle(table, 0), table, entry)
    assert read_entry(table, 1) == entry
    assert DeltaTable(str(table)).history(1)[0]["headrace"] == entry.to_json()


def test_an_append_of_no_rows_is_a_version(table: Path) -> None:
    assert delta_commit.commit(handle(table, 0), table, Entry("key 1", ()))
    assert read_entry(table, 1) == Entry("key 1", ())
    assert DeltaTable(str(table)).version() == 1


def test_a_stale_handle_commits_nothing(table: Path) -> None:
    stale = handle(table, 0)
    assert delta_commit.commit(handle(table, 0), table, Entry("key 1", (data_file(table, "1.parquet"),)))
    assert not delta_commit.commit(stale, table, Entry("key 2", (data_file(table, "2.parquet"),)))
    assert DeltaTable(str(table)).version() == 1


def test_a_stale_handle_commits_nothing_after_another_program(table: Path) -> None:
    stale = handle(table, 0)
    append_as(DeltaTable(str(table)), table, "other", 1)
    assert not delta_commit.commit(stale, table, Entry("key 2", (data_file(table, "2.parquet"),)))
    assert DeltaTable(str(table)).version() == 1


def test_there_is_no_handle_at_another_version(table: Path) -> None:
    assert delta_commit.handle_at(table, 1) is None


@pytest.mark.parametrize("damage", [b"{", b"\0" * 100])
def test_there_is_no_handle_where_the_log_is_damaged(table: Path, damage: bytes) -> None:
    assert delta_commit.commit(handle(table, 0), table, Entry("key 1", ()))
    entry_path(table, 1).write_bytes(damage)
    assert delta_commit.handle_at(table, 0) is None


def test_checkpoints_are_made_between_commits_and_nothing_is_cleaned_up(table: Path) -> None:
    for version in range(1, EVERY + 3):
        before = handle(table, version - 1)
        delta_commit.checkpoint(before, table)
        delta_commit.checkpoint(before, table)
        assert delta_commit.commit(before, table, Entry(f"key {version}", (data_file(table, f"{version}.parquet"),)))
    names = sorted(path.name for path in (table / "_delta_log").iterdir())
    entries = [entry_path(table, version).name for version in range(EVERY + 3)]
    assert names == sorted([*entries, f"{EVERY:020}.checkpoint.parquet", "_last_checkpoint"])
    assert DeltaTable(str(table)).to_pyarrow_table().num_rows == 2 * (EVERY + 3)
    assert DeltaTable(str(table), version=1).to_pyarrow_table().num_rows == 4


def test_the_library_is_told_to_clean_up_nothing(table: Path) -> None:
    assert DeltaTable(str(table)).metadata().configuration == {
        "delta.enableExpiredLogCleanup": "false",
        "delta.logRetentionDuration": "interval 36500 days",
        "delta.deletedFileRetentionDuration": "interval 36500 days",
    }
