"""One write to a table: its rows become files on the disk, and the commit that names them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import polars as pl

from headrace.adapters.delta_change import cut, rest, touched
from headrace.adapters.delta_draft import ROWS_OF_A_FILE, ROWS_OF_A_GROUP, RowsDraft, Written
from headrace.adapters.delta_log import DataFile, Entry
from headrace.adapters.delta_schema import fitted
from headrace.adapters.durable import file_digest, link_or_copy, sync_file
from headrace.adapters.places import safe_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headrace.adapters.delta_log import Files
    from headrace.ports.stores import Change

KEY = 16
"""Characters of a key that name a directory, and of a digest that name a file."""


@dataclass(frozen=True, slots=True)
class Work:
    """One write: for which key and name, into which folder, which rows, a folder to build in, and the change."""

    key: str
    name: str
    folder: Path
    rows: pl.DataFrame | RowsDraft
    aside: Path
    change: Change

    def fitted(self, base: Mapping[str, pl.DataType]) -> Work:
        """The same write, its rows fit to be appended to a base."""
        if isinstance(self.rows, pl.DataFrame):
            return replace(self, rows=fitted(self.rows, base, self.name))
        folder = self.aside / "fitted"
        folder.mkdir()
        return replace(self, rows=self.rows.fitted(base, folder))

    def entry(self, directory: Path, base: Files) -> Entry:
        """The commit on top of a base: what is left of the files that lose rows, and the new rows."""
        instead: dict[str, list[str]] = {}
        rewritten: list[DataFile] = []
        for number, (file, gone) in enumerate(touched(base, self.change.less)):
            parts = enumerate(rest(directory, file, gone, ROWS_OF_A_FILE))
            left = [self._file(rows, f"{number}-p{part}-" if part else f"{number}-") for part, rows in parts]
            rewritten += left
            instead[file.name] = [each.name for each in left]
        added = self.files(empty=len(instead) == len(base) and not rewritten)
        return Entry(self.key, (*rewritten, *added), instead, self._behind(base, added))

    def _behind(self, base: Files, added: Files) -> dict[str, str]:
        """The file of the base that each new file comes right behind, unless that is the last one."""
        if not self.change.places:
            return {}
        rows = accumulate(file.rows for file in base)
        ends = {0: "", **{end: file.name for file, end in zip(base, rows, strict=True)}}
        places = list(accumulate(self.change.pieces))
        found = {}
        done = 0
        for file in added:
            piece = bisect_left(places, done + 1)
            done += file.rows
            place = self.change.places[piece]
            if place not in ends or done > places[piece]:
                message = f"rows are to go behind row {place}, and lie in a file with others"
                raise ValueError(message)
            if ends[place] != base[-1].name:
                found[file.name] = ends[place]
        return found

    def files(self, *, empty: bool = True) -> Files:
        """Write the new rows as files, on the disk; with `empty`, at least one."""
        if not isinstance(self.rows, pl.DataFrame):
            return self.drafted(self.rows) if empty or self.rows.height else ()
        pieces = list(cut(self.rows, self.change.pieces)) or ([self.rows] if empty else [])
        names = [""] if len(pieces) == 1 else [f"p{number}-" for number in range(len(pieces))]
        return tuple(self._file(rows, name) for rows, name in zip(pieces, names, strict=True))

    def drafted(self, draft: RowsDraft, part: str = "") -> Files:
        """The files of a draft, with their names."""
        written = draft.files()
        infixes = [part] if len(written) == 1 else [f"{part}p{number}-" for number in range(len(written))]
        return tuple(self._called(file, infix) for file, infix in zip(written, infixes, strict=True))

    def _called(self, written: Written, infix: str) -> DataFile:
        """Give a file that is on the disk its name, in the folder to build in."""
        name = f"{safe_name(self.key[:KEY])}-{infix}{written.sha256[:KEY]}.parquet"
        written.path.rename(self.aside / name)
        return DataFile(name, written.size, written.sha256, written.rows)

    def _file(self, rows: pl.DataFrame, infix: str) -> DataFile:
        """Write rows as a file, on the disk; equal rows give equal bytes, however they lie in memory."""
        path = self.aside / "rows"
        rows.rechunk().write_parquet(path, row_group_size=ROWS_OF_A_GROUP)
        sync_file(path)
        return self._called(Written(path, path.stat().st_size, file_digest(path), rows.height), infix)

    def place(self, files: Files, directory: Path) -> None:
        """Give the written files a name in a directory, where a crashed attempt may have left the same."""
        for file in files:
            link = self.aside / f"{file.name}.link"
            link_or_copy(self.aside / file.name, link)
            link.replace(directory / file.name)
            link.unlink(missing_ok=True)  # renaming one link of a file over another one leaves both
