"""Where bytes lie: tables, artefacts, manifests. Everything written here is immutable once its manifest stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from headrace.ports.pieces import nothing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    import polars as pl

    from headrace.ports.online import OnlineStore
    from headrace.ports.pieces import Fetch
    from headrace.ports.records import Manifest, Ref


@dataclass(frozen=True, slots=True)
class Change:
    """How a write differs from an append of all rows in one file.

    `less`: the rows of the base that are left out, by their numbers from 0 in the order of `scan`, ascending. `pieces`:
    how many of the new rows each file gets, in order, or each of the parts that a draft was cut
    into; empty for one file. `places`: for each piece, how many rows of
    the base lie before it, up to the end of one of its files; empty for all of them.
    """

    less: Sequence[int] = ()
    pieces: Sequence[int] = ()
    places: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """What a version of a table has else than another one. Rows that were only written again are in both parts.

    `gone`: rows of the other one; None where all of them are there. `new`: rows of this one, in its order. `behind`:
    whether these lie behind all others.
    """

    gone: pl.LazyFrame | None
    new: pl.LazyFrame
    behind: bool = False


_WHOLE: Final = Change()


@dataclass(frozen=True, slots=True)
class RowsFile:
    """A Parquet file of another store that is never changed: where it is, its SHA-256, and its rows."""

    path: Path
    sha256: str
    rows: int


class Draft(Protocol):
    """Rows on their way into a table, taken piece by piece; no more than a part of them is in memory."""

    @property
    def height(self) -> int:
        """How many rows there are so far."""

    @property
    def schema(self) -> pl.Schema:
        """The columns and their types, as the first frame had them; none before it."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""

    def is_empty(self) -> bool:
        """Whether there is no row."""

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows, which go behind those that are there."""

    def cut(self) -> None:
        """Begin a file with the rows that come next."""

    def link(self, file: RowsFile) -> bool:
        """Take the rows of a file by taking the file itself; False where its columns are to be written otherwise."""

    def lazy(self) -> pl.LazyFrame:
        """The rows so far, in order."""

    def head(self, count: int) -> pl.DataFrame:
        """The first rows."""

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows so far, in order, some at a time."""


class TableStore(Protocol):
    """Columnar tables with transactions; each version of a table is readable for as long as it is kept."""

    def draft(self, name: str) -> Draft:
        """A draft to be written as table `name`. What is never written leaves nothing behind."""

    def write(
        self,
        key: str,
        name: str,
        frame: pl.DataFrame | pl.LazyFrame | Iterable[pl.DataFrame] | Draft,
        base: Ref | None = None,
        change: Change = _WHOLE,
    ) -> Ref:
        """Write rows as table `name` for `key`, durably: all of it, or `base` plus these rows, changed as told.

        A draft is used up by it; other rows than those of a frame are taken piece by piece. Rows lie in the order of
        the base, and the new ones after them, or where the change says. Files of the base that lose no row are not
        written again. Writing the same key, name, base and change twice answers the reference of the first write.
        """

    def scan(self, ref: Ref) -> pl.LazyFrame:
        """The rows of exactly this version."""

    def files(self, ref: Ref) -> Sequence[str]:
        """The Parquet files of exactly this version, in the order of its rows, for engines that read them."""

    def compact(self, key: str, ref: Ref, least: int, parts: Sequence[int] = ()) -> Ref | None:
        """Lay the rows of the version of a key into fewer files, in a directory of its own; `ref` stays as it is.

        `parts`: how many rows each part has that keeps files of its own, in order; empty for one part. None where
        fewer than `least` files of no part would become one, and there are few commits. A second time answers what
        the first time made.
        """

    def difference(self, ref: Ref, base: Ref) -> Difference | None:
        """What this version has else than another one, without reading what they share.

        None where they share less than half of its rows, or where the other one is gone.
        """

    def verify(self, ref: Ref) -> None:
        """Raise a coded error when a file of this version is missing or is not what was written."""

    def paths(self) -> Sequence[str]:
        """Every table directory that the store holds, as `Ref.path` spells it."""

    def size(self, path: str) -> int:
        """Bytes on disk under a table directory."""

    def remove(self, path: str) -> None:
        """Remove a table directory; removing what is not there is no error."""


class ArtefactStore(Protocol):
    """Files named by the sha256 of their content."""

    def put(self, content: bytes, suffix: str = "") -> Ref:
        """Store bytes durably (write, fsync, rename, fsync of the folder)."""

    def adopt(self, file: Path, suffix: str = "", digest: str = "") -> Ref:
        """Move a finished file in, durably, without reading it into memory at once.

        `digest` is the SHA-256 of its content, where who wrote it has counted it on the way.
        """

    def get(self, ref: Ref) -> bytes:
        """The bytes, checked against their digest."""

    def path(self, ref: Ref) -> Path:
        """A local path to read from; raises when it is missing."""

    def verify(self, ref: Ref) -> None:
        """Raise a coded error when the file is missing or is not what was written."""

    def paths(self) -> Sequence[str]:
        """Every artefact that the store holds, as `Ref.path` spells it."""

    def size(self, path: str) -> int:
        """Bytes on disk."""

    def remove(self, path: str) -> None:
        """Remove an artefact; removing what is not there is no error."""

    def scratch(self) -> Path:
        """A folder on the same file system for files under construction."""


class ManifestStore(Protocol):
    """What was made for a key, written last: a manifest that stands means outputs that are complete."""

    def put(self, manifest: Manifest, known: Collection[str] = ()) -> None:
        """Store a manifest durably, with the pieces of it that are not known to lie in the ledger, by digest."""

    def get(self, key: str, fetch: Fetch = nothing) -> Manifest | None:
        """The manifest of a key, if its step finished. `fetch` finds pieces that lie elsewhere; None without them."""

    def keys(self) -> Iterable[str]:
        """Every key that has a manifest."""

    def remove(self, key: str) -> None:
        """Remove a manifest; removing what is not there is no error."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of a project."""

    tables: TableStore
    artefacts: ArtefactStore
    manifests: ManifestStore
    online: OnlineStore

    def verify(self, ref: Ref) -> None:
        """Raise a coded error when an output is missing or is not what was written. Every byte of it is read."""
        if ref.store == "table":
            self.tables.verify(ref)
        elif ref.store == "online":
            self.online.verify(ref.path, ref.digest)
        else:
            self.artefacts.verify(ref)
