"""Tables as Delta directories on a file system. One directory is one line of descent.

A table that is written whole gets a directory of its own, built aside and named when it is complete. Rows that are
appended go into the directory of their base, if that still ends at the base. Otherwise the line forks: a new
directory with hard links to the files of the base. Rows that go away take a commit too: the files that held them are
written again without them, and the others stay. The Delta library syncs nothing; what must survive a power cut is
synced here, data before the commit that names it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from headrace.adapters import delta_commit, delta_compact, delta_log
from headrace.adapters.delta_draft import RowsDraft
from headrace.adapters.delta_log import Entry, content_digest
from headrace.adapters.delta_schema import stored
from headrace.adapters.delta_work import KEY, Work
from headrace.adapters.durable import (
    Folders,
    link_or_copy,
    storage_errors,
    sync_file,
    sync_folder,
)
from headrace.adapters.places import place_of, safe_name
from headrace.adapters.scratch import Scratch
from headrace.errors import HeadraceError
from headrace.ports.failpoints import failpoint
from headrace.ports.records import Ref
from headrace.ports.stores import Change, Difference
from headrace.ports.work import MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headrace.adapters.delta_log import Files
    from headrace.ports.stores import Draft

_WHOLE = Change()
_COMPACTED = "c"  # before the key that a directory of compacted rows is named after
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY})


class DeltaTableStore:
    """Tables below `root`, as `NAME/KEY16`. See `headrace.ports.stores.TableStore`."""

    def __init__(self, root: Path, memory: int = MEMORY) -> None:
        self._root = Path(root)
        self._memory = memory
        self._scratch = Scratch(self._root)
        self._folders = Folders()

    def draft(self, name: str) -> RowsDraft:
        """Rows to be taken piece by piece, and then to be written. Raises HR636 and HR637."""
        with storage_errors(self._root):
            return RowsDraft(self._scratch.folder(), name, self._memory)

    def write(
        self,
        key: str,
        name: str,
        frame: pl.DataFrame | pl.LazyFrame | Iterable[pl.DataFrame] | Draft,
        base: Ref | None = None,
        change: Change = _WHOLE,
    ) -> Ref:
        """Write rows durably: all of the table, or `base` plus these rows, less those that the change names.

        The same key, name and base again answer the reference of the first write. What a crashed or powerless attempt
        left is adopted where it is complete, and otherwise left aside.

        Raises:
            HeadraceError: HR630 to HR632 when the base is damaged, HR636 when the disk is full, HR637 when the store
                cannot be written, HR638 to HR642 and HR644 when the rows cannot be stored as they are.
        """
        if isinstance(frame, pl.DataFrame):
            frame = stored(frame, name)
        folder = self._root / safe_name(name)
        with storage_errors(self._root):
            made, _ = self._made(folder, key)
            if made is not None:
                return made
            with self._scratch.working() as aside:
                work = Work(key, name, folder, self._taken(frame, name, change), aside, change)
                return self._begin(work) if base is None else self._grow(work, base)

    def _taken(
        self, rows: pl.DataFrame | pl.LazyFrame | Iterable[pl.DataFrame] | Draft, name: str, change: Change
    ) -> pl.DataFrame | RowsDraft:
        """The rows as a frame or a draft of this store; as a frame where they are still to be cut in pieces."""
        if isinstance(rows, pl.DataFrame | RowsDraft):
            return rows
        draft = self.draft(name)
        draft.extend(_frames(rows))
        return draft.lazy().collect() if change.pieces else draft

    def scan(self, ref: Ref) -> pl.LazyFrame:
        """The rows of exactly this version, in the order in which they were written.

        Raises:
            HeadraceError: HR630 when the log is damaged, HR631 when a file is missing, HR632 when it has another size.
        """
        directory, files = self._read(ref)
        return _scan(directory, files, files)

    def files(self, ref: Ref) -> Sequence[str]:
        """The Parquet files of exactly this version, in the order of its rows. Raises what `scan` raises."""
        directory, files = self._read(ref)
        return [str(directory / file.name) for file in files]

    def difference(self, ref: Ref, base: Ref) -> Difference | None:
        """What this version has else than another one: the rows of the files that only one of them has.

        Raises:
            HeadraceError: HR630 to HR632 when one of them is damaged.
        """
        directory, files = self._read(ref)
        if not place_of(self._root, base, "table").is_dir():
            return None
        other, before = self._read(base)
        if files[: len(before)] == before:
            return Difference(None, _scan(directory, files[len(before) :], files), behind=True)
        shared = set(files) & set(before)
        if 2 * sum(file.rows for file in shared) < sum(file.rows for file in files):
            return None
        gone, new = (tuple(file for file in each if file not in shared) for each in (before, files))
        return Difference(_scan(other, gone, before) if gone else None, _scan(directory, new, files))

    def compact(self, key: str, ref: Ref, least: int, parts: Sequence[int] = ()) -> Ref | None:
        """Lay the rows of a version into fewer files: a line of its own begins, without a past, so that it is short.

        Small files at the end of each part become one; large ones are linked, and so are all where there are few files
        and many commits. The rows are compared before the directory gets its name. Raises HR630 to HR632 when the
        version is damaged, HR636 and HR637.
        """
        directory, files = self._read(ref)
        merged = delta_compact.merged(files, parts, least)
        if not merged and ref.version < delta_compact.COMMITS:
            return None
        with storage_errors(self._root):
            made, _ = self._made(directory.parent, _COMPACTED + key)
            if made is not None:
                return made
            with self._scratch.working() as aside:
                rows = pl.DataFrame(schema=pl.read_parquet_schema(directory / files[0].name))
                work = Work(_COMPACTED + key, directory.parent.name, directory.parent, rows, aside, _WHOLE)
                laid = [self._merged(work, directory, small, number) for number, small in enumerate(merged)]
                return self._begin(work, directory, delta_compact.after(files, merged, laid), tuple(chain(*laid)))

    def _merged(self, work: Work, directory: Path, small: Files, number: int) -> Files:
        """The rows of some files that follow each other, in fewer of them."""
        delta_log.check_files(directory, small, content=True)
        rows = self.draft(work.name)
        rows.extend(delta_compact.frames(directory, small))
        added = work.drafted(rows, f"g{number}-")
        delta_compact.check_same(directory, small, work.aside, added)
        return added

    def verify(self, ref: Ref) -> None:
        """Read every byte of a version. Raises HR630, HR631 or HR632 unless it is what was written."""
        directory, files = self._read(ref)
        delta_log.check_files(directory, files, content=True)

    def paths(self) -> Sequence[str]:
        """Every table directory that the store holds, damaged ones too, sorted."""
        return sorted(path.relative_to(self._root).as_posix() for path in self._root.glob("[!.]*/[!.]*"))

    def size(self, path: str) -> int:
        """Bytes on disk under a table directory; a file that two directories share counts in both."""
        files = place_of(self._root, path).rglob("*")
        return sum(file.stat().st_size for file in files if file.is_file())

    def remove(self, path: str) -> None:
        """Remove a table directory: first out of sight, at once and durably, then file by file."""
        directory = place_of(self._root, path)
        with storage_errors(self._root):
            if directory.exists():
                self._scratch.discard(directory)
                sync_folder(directory.parent)
            self.sweep()

    def sweep(self) -> int:
        """Remove what dead processes left under construction. Answers how many processes that were."""
        return self._scratch.sweep()

    def _read(self, ref: Ref) -> tuple[Path, Files]:
        """The directory and the files of a version, there in full size."""
        directory = place_of(self._root, ref, "table")
        if not directory.is_dir():
            raise HeadraceError("HR631", f"{directory} is missing")
        files = delta_log.read_files(directory, ref.version)
        if content_digest(files) != ref.digest:
            raise HeadraceError("HR630", f"the log of {directory} names other files than were written as {ref.digest}")
        delta_log.check_files(directory, files, content=False)
        return directory, files

    def _grow(self, work: Work, base: Ref) -> Ref:
        """Commit to the line of the base, or fork it."""
        directory, files = self._read(base)
        work = work.fitted(pl.read_parquet_schema(directory / files[0].name))
        entry = work.entry(directory, files)
        version = base.version + 1
        if delta_log.entry_path(directory, version).exists():
            adopted = self._adopted(directory, version, files, work)
        else:
            adopted = self._changed(directory, version, files, entry, work)
        return adopted or self._begin(work, directory, entry.after(files), entry.files)

    def _changed(self, directory: Path, version: int, files: Files, entry: Entry, work: Work) -> Ref | None:
        """Commit on top of the base; None when another commit came first, by another process."""
        handle = delta_commit.handle_at(directory, version - 1)
        if handle is None:
            return self._adopted(directory, version, files, work)
        delta_commit.checkpoint(handle, directory)
        work.place(entry.files, directory)
        sync_folder(directory)
        failpoint("table.commit.before")
        if delta_commit.commit(handle, directory, entry):
            failpoint("table.commit.after")
            return self._settled(directory, version, entry.after(files), work)
        adopted = self._adopted(directory, version, files, work)
        if adopted is None:
            for file in entry.files:
                (directory / file.name).unlink(missing_ok=True)  # another attempt at this key may have been here too
        return adopted

    def _adopted(self, directory: Path, version: int, files: Files, work: Work) -> Ref | None:
        """The commit that another attempt at the same key made, if it is one and complete."""
        entry = _intact(directory, version, work.key)
        return None if entry is None else self._settled(directory, version, entry.after(files), work)

    def _settled(self, directory: Path, version: int, files: Files, work: Work) -> Ref:
        """Put a commit on the disk; the data files that it names are there already."""
        path = delta_log.entry_path(directory, version)
        failpoint("table.sync.before")
        sync_file(path)
        sync_folder(path.parent)
        failpoint("table.sync.after")
        delta_log.write_summary(directory, version, files, work.aside)
        return self._ref(directory, version, files)

    def _begin(self, work: Work, source: Path | None = None, files: Files = (), added: Files = ()) -> Ref:
        """Build a directory aside, with links to the files of another one, and name it when it is complete."""
        build = work.aside / "table"
        build.mkdir()
        if source is None:
            files = added = work.files()
        for file in files:
            if source is not None and file not in added:
                link_or_copy(source / file.name, build / file.name)
        work.place(added, build)
        delta_commit.create(build, work.rows.head(0), Entry(work.key, files))
        delta_log.write_summary(build, 0, files, work.aside)
        sync_file(delta_log.entry_path(build, 0))
        sync_folder(build / delta_log.LOG)
        sync_folder(build)
        self._folders.make(work.folder)
        return self._named(build, files, work)

    def _named(self, build: Path, files: Files, work: Work) -> Ref:
        while True:
            made, free = self._made(work.folder, work.key)
            if made is not None:
                return made
            failpoint("table.commit.before")
            try:
                build.rename(free)
            except OSError as error:
                if error.errno in _TAKEN:
                    continue  # another process named one at this moment
                raise
            failpoint("table.commit.after")
            failpoint("table.sync.before")
            sync_folder(work.folder)
            failpoint("table.sync.after")
            return self._ref(free, 0, files)

    def _made(self, folder: Path, key: str) -> tuple[Ref | None, Path]:
        """The directory that was begun for a key, and the next free one. One that is damaged is left as it is."""
        stem = safe_name(key[:KEY])
        directory = folder / stem
        number = 1
        while True:
            if not directory.exists():
                return None, directory
            entry = _intact(directory, 0, key)
            if entry is not None:
                self._folders.make(folder)
                sync_folder(folder)
                return self._ref(directory, 0, entry.files), directory
            number += 1
            directory = folder / f"{stem}-{number}"

    def _ref(self, directory: Path, version: int, files: Files) -> Ref:
        return Ref("table", directory.relative_to(self._root).as_posix(), content_digest(files), version)


def _scan(directory: Path, files: Files, whole: Files) -> pl.LazyFrame:
    """The rows of some files of a version, and its columns where there are none."""
    paths = [directory / file.name for file in files or whole]
    rows = pl.scan_parquet(paths, glob=False, hive_partitioning=False)
    return rows if files else rows.head(0)


def _frames(rows: pl.LazyFrame | Iterable[pl.DataFrame] | Draft) -> Iterator[pl.DataFrame]:
    """Rows of any form, some at a time, at least one frame if there is a column."""
    if isinstance(rows, pl.LazyFrame):
        yield rows.head(0).collect()
        yield from rows.collect_batches(maintain_order=True)
    elif isinstance(rows, Iterable):
        yield from rows
    else:
        yield from rows.frames()


def _intact(directory: Path, version: int, key: str) -> Entry | None:
    """The commit of a version, if it was made for this key and every byte that it added is there."""
    try:
        entry = delta_log.read_entry(directory, version)
        if entry.key != key:
            return None
        delta_log.check_files(directory, entry.files, content=True)
    except HeadraceError:
        return None  # a crash or a power cut ended that attempt half way: it is made again beside
    return entry
