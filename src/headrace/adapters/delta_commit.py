"""The two commits that a table directory sees: the one that begins it, and one for each change.

Delta records application transactions and does not enforce them: by a stale handle, under another application id or
none, an append commits silently on top of whatever came in between. So every commit goes through the handle that was
checked, under one constant application id and without retries, and fails when the directory moved on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from headrace.adapters.delta_bounds import statistics
from headrace.adapters.delta_log import EVERY, LOG
from headrace.adapters.delta_schema import in_utc
from headrace.adapters.durable import sync_file, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from headrace.adapters.delta_log import DataFile, Entry

_APPLICATION = "headrace"
_FOR_EVER = "interval 36500 days"
_PROPERTIES = {  # old versions stay readable: only the ledger knows what is garbage
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": _FOR_EVER,
    "delta.deletedFileRetentionDuration": _FOR_EVER,
}
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


def create(directory: Path, rows: pl.DataFrame, entry: Entry) -> None:
    """Make a directory a Delta table whose version 0 holds the files of the entry, which lie there already."""
    schema = Schema.from_arrow(in_utc(rows.head(0)).to_arrow().schema)
    create_table_with_add_actions(
        str(directory),
        schema,
        [_added(directory, file) for file in entry.files],
        configuration=_PROPERTIES,
        commit_properties=_properties(entry, 0),
        post_commithook_properties=_NO_HOOKS,
    )


def handle_at(directory: Path, version: int) -> DeltaTable | None:
    """A handle to append by, None when the directory is not at this version or cannot be opened any more."""
    try:
        handle = DeltaTable(str(directory))
    except DeltaError:
        return None  # the log is damaged behind the version, which the caller has read: nothing can be appended here
    if handle.version() != version:
        return None
    return handle


def commit(handle: DeltaTable, directory: Path, entry: Entry) -> bool:
    """Commit the entry on top of the handle's version; False when another commit came first."""
    actions: list[AddAction | RemoveAction] = [_added(directory, file) for file in entry.files]
    actions += [_removed(directory, name) for name in entry.instead]
    try:
        handle.create_write_transaction(
            actions,
            "append",
            handle.schema(),
            commit_properties=_properties(entry, handle.version() + 1),
            post_commithook_properties=_NO_HOOKS,
        )
    except CommitFailedError:
        return False
    return True


def checkpoint(handle: DeltaTable, directory: Path) -> None:
    """Sum up the log for the Delta library, every so many versions, durably: opening a table reads the log since then.

    It is done between two commits and not by the library after one, so that only what is on the disk is summed up.
    """
    version = handle.version()
    path = directory / LOG / f"{version:020}.checkpoint.parquet"
    if version == 0 or version % EVERY or path.exists():
        return
    handle.create_checkpoint()
    sync_file(path)
    sync_file(path.with_name("_last_checkpoint"))
    sync_folder(path.parent)


def _added(directory: Path, file: DataFile) -> AddAction:
    modified = (directory / file.name).stat().st_mtime_ns // 1_000_000
    stats = statistics(directory / file.name, file.rows)
    return AddAction(file.name, file.size, {}, modified, data_change=True, stats=stats)


def _removed(directory: Path, name: str) -> RemoveAction:
    """That a file belongs to no later version. The time is that of the file: equal commits are equal."""
    status = (directory / name).stat()
    return RemoveAction(name, data_change=True, deletion_timestamp=status.st_mtime_ns // 1_000_000, size=status.st_size)


def _properties(entry: Entry, version: int) -> CommitProperties:
    return CommitProperties(
        custom_metadata={_APPLICATION: entry.to_json()},
        max_commit_retries=0,
        app_transactions=[Transaction(_APPLICATION, version)],
    )
