"""Rows that were mended: immutable batches of corrected rows, each of which takes the place of one that was set aside.

A mended batch is a file `mended/TABLE/NUMBER-DIGEST.ndjson` of the project, written once by `headrace quarantine
--mend` and observed like the files of a source: it is part of the key of the table, and taking it away takes the
mending back. A row of it names what it mends by the identity of that row, a digest of its content and its batch.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import polars as pl

from headrace.errors import HeadraceError
from headrace.ports.records import Batch
from headrace.tables.breaches import BATCH, COLUMN, RULE, VALUE, Split, added, counted
from headrace.tables.conform import dtype_of
from headrace.tables.rules import MENDED
from headrace.tables.upsert import ROW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from headrace.ports.records import Json
    from headrace.ports.work import Context
    from headrace.tables.contract import Contract

ID: Final = "_id"
"""The column that names the row that another one mends."""
_REASONS: Final = (RULE, COLUMN, VALUE, BATCH, ID, ROW)
_DIGITS: Final = 16
_GONE: Final = "\x00"
_NEXT: Final = "\x1f"
_INFINITE: Final = ("inf", "-inf")
"""Numbers that JSON does not know, as texts."""


def _number(value: Any) -> Any:  # noqa: ANN401 - whether it is one is asked of all values of the column
    return float(value) if value in _INFINITE else value


_PARSED: Final = {"Datetime": datetime.fromisoformat, "Date": date.fromisoformat, "Float64": _number}


def folder_of(project: Path, table: str) -> Path:
    """Where the mended batches of a table lie."""
    return project / MENDED / table


def observed(project: Path, table: str) -> tuple[Batch, ...]:
    """The mended batches that are there, in the order in which they were written. Raises HR435 for an edited one."""
    folder = folder_of(project, table)
    try:
        names = sorted(each.name for each in folder.iterdir() if each.suffix == ".ndjson")
    except FileNotFoundError:
        return ()
    found = []
    for name in names:
        content = (folder / name).read_bytes()
        location = f"{MENDED}/{table}/{name}"
        digest = hashlib.sha256(content).hexdigest()
        if name != name_of(int(name.partition("-")[0]) if name[:1].isdecimal() else 0, digest):
            raise HeadraceError("HR435", location)
        found.append(Batch(location, digest, len(content), location))
    return tuple(found)


def name_of(number: int, digest: str) -> str:
    """What the file of a mended batch is called: its number among those of the table, and what it holds."""
    return f"{number:04d}-{digest[:12]}.ndjson"


def identities(aside: pl.DataFrame) -> pl.Series:
    """What each row that was set aside is named by: rows of equal content and batch have the same name.

    NaN is no value here either: not every kind of file can tell the two apart.
    """
    columns = [name for name in aside.columns if name not in _REASONS]
    texts = [pl.col(name).cast(pl.String).fill_null(_GONE) for name in (*columns, BATCH)]
    whole = (
        aside.with_columns(pl.col(pl.Float64).fill_nan(None)).select(pl.concat_str(texts, separator=_NEXT)).to_series()
    )
    names = [hashlib.sha256(text.encode()).hexdigest()[:_DIGITS] for text in whole]
    return pl.Series(ID, names, dtype=pl.String)


def written(rows: pl.DataFrame) -> bytes:
    """Mended rows as a file: one line of JSON each, the name of the row that it mends first."""
    columns = [ID, *(name for name in rows.columns if name not in _REASONS)]
    lines = [json.dumps(_plain(row), ensure_ascii=False, allow_nan=False) for row in rows.select(columns).to_dicts()]
    return "".join(f"{line}\n" for line in lines).encode()


def _plain(row: Mapping[str, Any]) -> dict[str, Json]:
    def plain(value: Any) -> Json:  # noqa: ANN401 - of any column
        if isinstance(value, (date, datetime)):
            return value.isoformat()
        if isinstance(value, float) and not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        return value

    return {name: plain(value) for name, value in row.items()}


def landed(batch: Batch, context: Context, contract: type[Contract]) -> pl.DataFrame:
    """The rows of a mended batch as it was observed. Raises HR312 where it changed since, and what `read` raises."""
    try:
        content = (context.project / batch.location).read_bytes()
    except FileNotFoundError:
        content = b""
    if hashlib.sha256(content).hexdigest() != batch.digest:
        raise HeadraceError("HR312", f"{batch.id} changed after it was observed")
    return read(batch.id, content, contract)


def read(batch: str, content: bytes, contract: type[Contract]) -> pl.DataFrame:
    """The rows of a mended batch, in the types of the contract. Raises HR434 where they do not fit it any more."""
    rows = [json.loads(line) for line in content.splitlines() if line]
    data: dict[str, list[Json]] = {ID: [row[ID] for row in rows]}
    schema: dict[str, pl.DataType] = {ID: pl.String()}
    for column in contract.__columns__:
        values = [row.get(column.name) for row in rows]
        parse = _PARSED.get(column.type)
        schema[column.name] = dtype_of(column)
        try:
            data[column.name] = [value if value is None or parse is None else parse(value) for value in values]
            pl.Series(data[column.name], dtype=schema[column.name], strict=True)
        except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
            first = str(error).partition("\n")[0]
            raise HeadraceError("HR434", f"{batch}: {column.name} is {column.type} by now: {first}") from error
    return pl.DataFrame(data, schema=schema)


Settle: TypeAlias = "Callable[[Sequence[Split], Sequence[str | None]], tuple[Sequence[Split], list[pl.DataFrame]]]"


@dataclass(slots=True)
class Mending:
    """Mended batches on their way into a table. `check` asks the rules of one row; `told` is what became of each."""

    rows: Mapping[str, pl.DataFrame]
    check: Callable[[pl.DataFrame, str], Split]
    told: dict[str, Json] = field(default_factory=dict)

    def mended(
        self, parts: Sequence[Split], batches: Sequence[str | None], lost: list[pl.DataFrame], settle: Settle
    ) -> tuple[list[Split], list[str | None], list[pl.DataFrame]]:
        """Put mended rows in the place of those that they mend, batch by batch, in their order, after all others.

        Each is checked like any other, and `settle` shuts out the rows that share what is to be unique; one that breaks
        a rule is set aside with its new values. One whose row is not set aside any more is left out, so that no row is
        there twice: it was mended at its source, or a changed rule lets it through.

        Args:
            parts: Rows that are settled.
            batches: The batch of each part.
            lost: By part, the rows that an upsert superseded; empty without one.
            settle: Settles the parts again, and answers them with the rows that are superseded now.

        Returns:
            The parts, their batches, and what is superseded, each with the mended batches at the end.
        """
        found, names = list(parts), list(batches)
        for batch, rows in self.rows.items():
            found, used = _taken(found, rows)
            names = [*names, batch]
            settled, more = settle([*found, self.check(rows.filter(used).drop(ID), batch)], names)
            found = list(settled)
            if more:  # what is superseded now was the newest until now
                lost = [pl.concat([new, old]) for new, old in zip_longest(more, lost, fillvalue=more[-1].clear())]
            sizes = {"clean": found[-1].clean.height, "broken": found[-1].quarantined.height}
            self.told[batch] = {"rows": rows.height, **sizes, "left_out": rows.height - int(used.sum())}
        return found, names, lost

    def onto(self, clean: pl.DataFrame, aside: pl.DataFrame, settle: Settle) -> Onto:
        """Mend rows that were set aside by an earlier version, which is not made again.

        Args:
            clean: The clean rows of that version, none of them: for the columns.
            aside: The rows that it set aside, numbered (`_row`).
            settle: Settles the mended rows among themselves.
        """
        parts, names, lost = self.mended([Split(clean, aside, {})], [None], [], settle)
        left, *made = parts
        return Onto(made, names[1:], lost[1:], aside.join(left.quarantined, on=ROW, how="anti", maintain_order="left"))


@dataclass(frozen=True, slots=True)
class Onto:
    """Mended batches that come to a version: their parts, what is superseded of each, and the rows that they mend."""

    parts: Sequence[Split]
    batches: Sequence[str | None]
    lost: list[pl.DataFrame]
    gone: pl.DataFrame


def _taken(parts: Sequence[Split], rows: pl.DataFrame) -> tuple[list[Split], pl.Series]:
    """The parts without the rows that are mended, and which of `rows` mend one."""
    wanted: dict[str, list[int]] = {}
    for place, name in enumerate(rows.get_column(ID)):
        wanted.setdefault(name, []).append(place)
    used = [False] * rows.height
    found = []
    for part in parts:
        gone = []
        for name in identities(part.quarantined):
            places = wanted.get(name)
            gone.append(bool(places))
            if places:
                used[places.pop(0)] = True
        found.append(_without(part, pl.Series(gone, dtype=pl.Boolean)) if any(gone) else part)
    return found, pl.Series(used, dtype=pl.Boolean)


def _without(part: Split, gone: pl.Series) -> Split:
    """A part without some of the rows that were set aside, which do not count any more."""
    left = counted(part.quarantined.filter(gone), part.counts)
    counts = {rule: part.counts[rule] - left.get(rule, 0) for rule in part.counts}
    return Split(part.clean, part.quarantined.filter(~gone), added([counts]))
