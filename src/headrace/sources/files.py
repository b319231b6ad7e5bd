"""Files as a source: which ones there are, and the digests of their content."""

from __future__ import annotations

import glob
import os
import stat
from contextlib import contextmanager
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, Unpack

from headrace.errors import HeadraceError, did_you_mean
from headrace.ports.mappings import at_hand, differences
from headrace.ports.outside import Outside
from headrace.ports.records import Batch, Observation
from headrace.ports.work import MEMORY
from headrace.sources import remote
from headrace.sources.digests import DigestCache
from headrace.sources.kinds import kind_of
from headrace.sources.options import Options, checked, dialect_of, limits_of, removed_of
from headrace.sources.origin import Origin
from headrace.sources.spec import FileSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import polars as pl

    from headrace.ports.outside import Outlook
    from headrace.ports.records import Version
    from headrace.ports.work import Context
    from headrace.sources.landing import Arrival
    from headrace.sources.origin import Landing
    from headrace.sources.peeking import Peek

    ColumnType: TypeAlias = pl.DataType | type[pl.DataType | str | int | float | bool | date | datetime]

_SHOWN = 3
_PYTHON_TYPES = {str: "String", int: "Int64", float: "Float64", bool: "Boolean", date: "Date", datetime: "Datetime"}


class Files(FileSpec, Origin):
    """Files as the origin of a source. See `files`."""

    def observe(self, outlook: Outlook) -> tuple[Batch, ...]:
        """Every matching file with the digest of its content, sorted by name.

        The name of a file is its path relative to the project, or its absolute path where it lies outside. Hidden files
        are left out. Raises HR301 where no file matches, unless those that were there are kept, HR302 for a file that
        cannot be read.
        """
        if remote.is_remote(self.pattern):
            return remote.observe(self, outlook)
        root = Path(os.path.abspath(outlook.project))  # noqa: PTH100 - a link in the path shall not rename the files
        found = self._found(root)
        if not found and self.removed != "keep":
            raise HeadraceError("HR301", f"no file matches {self.pattern}", fix=self._hint(root))
        return DigestCache(root).batches(found)

    def settled(self, observation: Observation, before: Version | None, excluded: frozenset[str]) -> Observation:
        """What was observed, and by the declared rule the files that are published and gone.

        Raises:
            HeadraceError: HR301 where there is no file at all, HR331 for a removed file where none may be.
        """
        there = {} if before is None else differences(before.batches, observation.identity())
        gone = {batch: was for batch, (was, now) in there.items() if was and not now and batch not in excluded}
        if gone and self.removed == "fail":
            more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
            raise HeadraceError("HR331", f"{observation.node}: {min(gone)}{more}")
        if gone and self.removed == "keep" and before is not None:
            facts = at_hand(before.manifest.facts["batches"], len(gone))
            kept = [Batch(batch, digest, facts[batch]["bytes"]) for batch, digest in gone.items()]
            batches = sorted((*observation.batches, *kept), key=lambda each: each.id)
            observation = Observation(observation.node, tuple(batches))
        if not observation.batches:
            raise HeadraceError("HR301", f"no file matches {self.pattern}")
        return observation

    def land(self, batch: Batch, context: Context) -> Landing:
        """Read the bytes that were observed, and store their rows, piece by piece where there are many.

        Raises:
            HeadraceError: HR302 and HR304 to HR317, HR332 for a file that cannot be read as it was observed.
        """
        from headrace.sources.landing import land

        return land(
            self._arrival(batch, Outside(context.project, context.stores), context.memory), context.stores.artefacts
        )

    def _arrival(self, batch: Batch, outside: Outside, memory: int) -> Arrival:
        from headrace.sources.landing import Arrival

        def known(file: BinaryIO) -> str | None:
            return cache.known(batch.id, os.fstat(file.fileno()))

        cache = DigestCache(outside.project)
        opened = partial(self._opened, batch, outside)
        if remote.is_remote(self.pattern):
            return Arrival(batch, opened, self, memory)
        return Arrival(batch, opened, self, memory, known)

    @contextmanager
    def _opened(self, batch: Batch, outside: Outside) -> Iterator[BinaryIO]:
        path = remote.path_of(batch, outside.stores) if remote.is_remote(self.pattern) else outside.project / batch.id
        try:
            file = path.open("rb")
        except FileNotFoundError:
            if self.removed == "keep":
                raise HeadraceError("HR332", batch.id) from None
            raise HeadraceError("HR302", f"{batch.id} cannot be read: it is gone") from None
        except OSError as error:
            raise HeadraceError("HR302", f"{batch.id} cannot be read: {error.strerror}") from error
        with file:
            yield file

    def peek(self, batch: Batch, outside: Outside) -> Peek | None:
        """What can be seen cheaply of a file that was observed."""
        from headrace.sources.peeking import peek

        return peek(batch, self._opened(batch, outside), self)

    def placing(self, batch: Batch, outside: Outside) -> Callable[[int], str]:
        """Where landed rows stand in their file, such as "line 17"; their numbers where it is another one by now."""
        from headrace.sources.places import placer

        try:
            found = remote.recalled(batch, outside) if remote.is_remote(self.pattern) else batch
            with self._arrival(found, outside, MEMORY).read() as file:
                content = file.read()
        except HeadraceError:
            return lambda row: f"row {row + 1}"
        return placer(batch.id, content, self)

    def _found(self, root: Path) -> dict[str, os.stat_result]:
        """The files that match, sorted by name. There may be very many."""
        found: dict[str, os.stat_result] = {}
        folder = str(root).rstrip("/") + "/"
        plain = os.path.normpath(self.pattern) == self.pattern and not self.pattern.startswith(("/", ".."))
        for each in glob.iglob(self.pattern, root_dir=root, recursive=True):  # noqa: PTH207 - leaves hidden files out
            path = folder + each if plain else os.path.normpath(os.path.join(folder, each))  # noqa: PTH118 - ten times as fast
            file = _file(path, each)
            if file is not None:
                found[path.removeprefix(folder)] = file
        return _once({name: found[name] for name in sorted(found)}, folder)

    def _hint(self, root: Path) -> str:
        """What the user probably meant: the folder of nearly this name, or the files that are there instead."""
        folder = root
        for part in Path(self.pattern).parts[:-1]:
            if glob.has_magic(part):
                break
            if not (folder / part).is_dir():
                known = [each.name for each in _listing(folder, root) if each.is_dir()]
                return f"There is no folder {part!r} in {_shown(folder, root)}: {did_you_mean(part, known)}"
            folder = folder / part
        there = [each.name for each in _listing(folder, root)]
        where = _shown(folder, root)
        shown = ", ".join(there[:_SHOWN]) + (", ..." if len(there) > _SHOWN else "")
        holds = f"holds {shown}" if there else "is empty"
        return f"{where[:1].upper()}{where[1:]} {holds}: put files there, or correct the pattern."


def files(
    pattern: str,
    *,
    schema: Mapping[str, ColumnType] | None = None,
    null_values: Sequence[str] = ("",),
    **options: Unpack[Options],
) -> Files:
    """Files of a pattern, relative to the project's folder, such as ``files("data/flights/*.csv.gz")``.

    The pattern may be an address, such as ``files("s3://bucket/flights/*.csv.gz")``: S3, Google Cloud (gs://), Azure
    (az://), https:// without wildcards, or whatever fsspec reads; this needs the extra `cloud`.

    The ending says what they are: CSV (.csv), NDJSON (.ndjson, .jsonl), each plain or compressed (.gz, .zst, .bz2,
    .xz), Parquet (.parquet), ORC (.orc), Avro (.avro) or Excel (.xlsx). Each file is a batch, known by its content: it
    is read again only when that changes. The types of columns that a file does not bring along are inferred from all
    of its rows: whole numbers, numbers, true and false, ISO 8601 dates and times, else text. Times without a zone are
    UTC.

    Args:
        pattern: The files; `*` stands for any part of a name, `**` for any folders.
        schema: Types of columns that are not to be inferred, such as ``{"zip": pl.String}`` for codes made of digits.
        null_values: The texts of a CSV file that stand for no value. An empty field always does.
        **options: How a CSV file is written: `separator` (","), `quote` ('"', or None), `encoding` ("utf-8", "utf-16",
            "utf-16-le", "utf-16-be", "latin-1", "cp1252"), `header` (True; False with the columns in `names`),
            `comment` (lines that begin with it are left out), `decimal` ("." or ","). `sheet` of an Excel workbook with
            several. `hive=True` for a column from each folder called KEY=VALUE. `removed`: whether the rows of a file
            that is gone go with it ("drop", as by default) or stay ("keep"), or whether that is an error ("fail").
            `max_bytes` (8 GiB) and `max_ratio` (1000): how much one file may unpack to.

    Raises:
        HeadraceError: HR303 for a kind of file that cannot be read, HR318 for a type that cannot be landed, HR322 for
            an option that does not fit, HR365 for an address without a path.
    """
    if remote.is_remote(pattern):
        remote.split(pattern)
    checked(kind_of(pattern), options, nulls=bool(set(null_values) - {""}))
    types = {name: declared_type(name, kind) for name, kind in (schema or {}).items()}
    nulls = tuple(sorted({"", *null_values}))
    sheet, hive = options.get("sheet"), options.get("hive", False)
    return Files(pattern, types, nulls, dialect_of(options), sheet, hive, limits_of(options), removed_of(options))


def declared_type(name: str, kind: ColumnType, of: str = "files") -> pl.DataType:
    """What is declared of a column as a type that can be landed. Raises HR318 for one that cannot."""
    import polars as pl

    from headrace.sources.types import dtype

    found = getattr(pl, _PYTHON_TYPES[kind]) if isinstance(kind, type) and kind in _PYTHON_TYPES else kind
    try:
        made = found() if isinstance(found, type) else found
        declared = dtype(str(made))
    except (HeadraceError, TypeError):
        declared = pl.Null()
    if isinstance(declared, pl.Null):
        raise HeadraceError("HR318", f"{of}(schema={{{name!r}: {kind!r}}})")
    return declared


def _once(found: dict[str, os.stat_result], folder: str) -> dict[str, os.stat_result]:
    """The files, each by one of its names: links may lead to a file that matches itself, or around in a circle."""
    if len({(file.st_dev, file.st_ino) for file in found.values()}) == len(found):
        return found
    names: dict[str, list[str]] = {}
    for name in found:
        names.setdefault(os.path.realpath(os.path.join(folder, name)), []).append(name)  # noqa: PTH118 - there may be many
    own = {min(same, key=lambda name: (not real.endswith(name), len(name))) for real, same in names.items()}
    return {name: file for name, file in found.items() if name in own}


def _file(path: str, name: str) -> os.stat_result | None:
    """What is known of a file; None for what is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - `Path.is_file` hides that it may not be looked at
    except OSError as error:
        raise HeadraceError("HR302", f"{name} cannot be read: {error.strerror}") from error
    return found if stat.S_ISREG(found.st_mode) else None


def _listing(folder: Path, root: Path) -> list[Path]:
    """What is in a folder, less what is hidden."""
    try:
        return sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    except OSError as error:
        raise HeadraceError("HR302", f"{_shown(folder, root)} cannot be read: {error.strerror}") from error


def _shown(folder: Path, root: Path) -> str:
    if folder == root:
        return "the project's folder"
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else str(folder)
