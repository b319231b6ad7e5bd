"""Rows that were set aside, named so that they can be mended; and corrected rows, landed as a batch of their own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from headrace.adapters.durable import Folders, remove_file, rename_file, storage_errors, write_file
from headrace.errors import HeadraceError
from headrace.ports.failpoints import failpoint
from headrace.sources.parse import parse
from headrace.sources.spec import FileSpec
from headrace.tables.breaches import BATCH
from headrace.tables.conform import conformed, dtype_of
from headrace.tables.mending import ID, folder_of, identities, name_of, observed, read, written
from headrace.tables.quarantine import keep_rows
from headrace.tables.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.ports.records import Batch, Json
    from headrace.project.opened import Environment
    from headrace.project.workspace import Workspace
    from headrace.tables.contract import Contract


@dataclass(frozen=True, slots=True)
class Mended:
    """A batch of mended rows: where it lies, how many there are, how many still break a rule of one row.

    `unchanged` rows of the file were as before and are not part of it; `new` is False where the same batch was there.
    """

    batch: str
    rows: int
    broken: int
    unchanged: int
    new: bool

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "batch": self.batch,
            "rows": self.rows,
            "broken": self.broken,
            "unchanged": self.unchanged,
            "new": self.new,
        }


def set_aside(opened: Environment, node: str) -> pl.DataFrame:
    """The rows of a table that were set aside, each with its name in `_id`. Raises HR833 for other nodes."""
    rows = opened.quarantine(node).collect()
    return rows.with_columns(identities(rows))


def mend(workspace: Workspace, opened: Environment, node: str, file: Path) -> Mended:
    """Land the corrected rows of a file; the next apply puts them in the place of those that they mend.

    The same file a second time changes nothing.

    Raises:
        HeadraceError: HR432 without names, HR433 for a row that mends nothing, HR436 where nothing differs, HR406 to
            HR408 for rows that do not have the columns of the contract, and what reading the file raises.
    """
    table = workspace.graph[node]
    aside = set_aside(opened, node)
    assert isinstance(table, Table)  # noqa: S101 - it has rows that were set aside
    assert table.contract is not None  # noqa: S101 - as above
    given = _read(file, table.contract)
    if ".csv" in file.name.lower():
        given = _with_empty_texts(given, aside)
    there = observed(workspace.settings.folder, node)
    before = [read(each.id, _content(workspace, each), table.contract) for each in there]
    same = next((place for place, rows in enumerate(before) if _changed(given, aside).equals(rows)), None)
    if same is not None:
        changed = before[same]
        return Mended(there[same].id, changed.height, _broken(changed, table), given.height - changed.height, new=False)
    _refuse_strangers(file, given, aside, before)
    changed = _changed(given, aside)
    if changed.is_empty():
        raise HeadraceError("HR436", f"{file}: {given.height} rows, none of which differs from what was set aside")
    batch = _land(workspace, node, len(there), written(changed))
    return Mended(batch, changed.height, _broken(changed, table), given.height - changed.height, new=True)


def _read(file: Path, contract: type[Contract]) -> pl.DataFrame:
    """The rows of a file, with the columns and types of the contract, and the name of what each mends."""
    types = {each.name: dtype_of(each) for each in contract.__columns__}
    with storage_errors(file):
        try:
            content = file.read_bytes()
        except OSError as error:
            raise HeadraceError("HR302", f"{file} cannot be read: {error.strerror}") from error
    name, content = _as_lines(file.name, content)
    try:
        frame = parse(name, content, FileSpec(name, schema={ID: pl.String(), **types}))
    except HeadraceError as error:
        if error.code == "HR310" and repr(ID) in error.what:
            raise HeadraceError("HR432", f"{file} has no column {ID!r}") from error
        raise
    if frame.get_column(ID).null_count():
        raise HeadraceError("HR432", f"{file} has rows without {ID!r}")
    rows = frame.select(name for name in frame.columns if not name.startswith("_"))
    return conformed(rows, contract, str(file), exactly=True).select(frame.get_column(ID), pl.all())


def _with_empty_texts(given: pl.DataFrame, aside: pl.DataFrame) -> pl.DataFrame:
    """An empty text and no value look alike in a CSV file: what was an empty text is one still."""
    texts = [name for name, dtype in given.schema.items() if dtype == pl.String and name != ID]
    mended = aside.select(ID, *texts).unique(ID)
    was = given.select(ID).join(mended, on=ID, how="left", maintain_order="left")
    return given.with_columns(
        pl.when(pl.col(name).is_null() & (was.get_column(name) == "")).then(pl.lit("")).otherwise(name).alias(name)
        for name in texts
    )


def _as_lines(name: str, content: bytes) -> tuple[str, bytes]:
    """A list in JSON, as `--format json` exports it, as lines of JSON; what is none is left to the reader of lines."""
    if not name.lower().endswith(".json"):
        return name, content
    try:
        rows = json.loads(content)
    except ValueError:
        rows = None
    lines = content if not isinstance(rows, list) else "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    return f"{name}l", lines


def _refuse_strangers(file: Path, given: pl.DataFrame, aside: pl.DataFrame, before: list[pl.DataFrame]) -> None:
    """Raise HR433 for a row that mends none which is set aside, or one that waits to be mended already."""
    left: dict[str, int] = dict(aside.get_column(ID).value_counts().iter_rows())
    for rows in before:
        for name in rows.get_column(ID):
            left[name] = left.get(name, 0) - 1
    for place, name in enumerate(given.get_column(ID), start=1):
        left[name] = left.get(name, 0) - 1
        if left[name] < 0:
            raise HeadraceError("HR433", f"row {place} of {file} mends {name!r}")


def _changed(given: pl.DataFrame, aside: pl.DataFrame) -> pl.DataFrame:
    """The rows that differ from what they mend: those that would have another name in the batch of that row."""
    batches = dict(aside.select(ID, BATCH).iter_rows())
    origin = pl.Series(BATCH, [batches.get(name) for name in given.get_column(ID)], dtype=pl.String)
    names = identities(given.with_columns(origin))
    return given.filter(names != given.get_column(ID))


def _broken(rows: pl.DataFrame, table: Table) -> int:
    """How many of the mended rows break a rule of one row still; references are asked when the table is made."""
    assert table.contract is not None  # noqa: S101 - what is mended has one
    known = {
        column.name: rows.get_column(column.name)
        for column in table.contract.__columns__
        if column.rules.references is not None
    }
    found = keep_rows(rows.drop(ID), table.contract, table=table.name, known=known, answer=table.on_breach)
    return found.quarantined.height


def _content(workspace: Workspace, batch: Batch) -> bytes:
    return (workspace.settings.folder / batch.location).read_bytes()


def _land(workspace: Workspace, node: str, number: int, content: bytes) -> str:
    """Write the batch, durably; it has its name only when all of it is there."""
    folder = folder_of(workspace.settings.folder, node)
    name = name_of(number + 1, hashlib.sha256(content).hexdigest())
    with storage_errors(folder):
        Folders().make(folder)
        unfinished = folder / f".{name}.{workspace.clock.new_id()}"
        failpoint("mended.write.before")
        try:
            write_file(unfinished, content)
            rename_file(unfinished, folder / name)
        except BaseException:
            remove_file(unfinished)
            raise
        failpoint("mended.write.after")
    return (folder / name).relative_to(workspace.settings.folder).as_posix()
