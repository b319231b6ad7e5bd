"""A database that rows are read from: one consistent view of it, in pieces, each column as what it lands as."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import date, datetime

    import polars as pl

Mark: TypeAlias = "int | date | datetime"
"""A value of a cursor: a whole number, a day, or a time with its zone."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What to read: a table or a query, from a value of the cursor on (with it), or all of it.

    `declared` are the types that the user declared, by column: such a column is delivered as text where its own type is
    another one.
    """

    table: str | None = None
    query: str | None = None
    cursor: str | None = None
    since: Mark | None = None
    declared: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """A column and the type that its values land in, as `str(dtype)` writes it.

    Where a frame holds texts and this is another type, the texts are still to be read as that.
    """

    name: str
    kind: str


class Reading(Protocol):
    """One consistent view of a selection."""

    @property
    def columns(self) -> Sequence[ReadColumn]:
        """The columns, in order."""

    def without_cursor(self) -> int:
        """How many rows have no value of the cursor, or none that can be compared."""

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows in pieces, with exactly these columns."""


class Reader(Protocol):
    """A database behind a name of the settings. Its errors are coded, and never show a password."""

    @property
    def where(self) -> str:
        """The name and the kind of the database, for people."""

    def ask(self, seconds: int = 10) -> str:
        """What the server says that it is. Raises HR341 where it does not answer in time."""

    def open(self, selection: Selection) -> AbstractContextManager[Reading]:
        """Begin to read: one transaction, closed with the block.

        Raises:
            HeadraceError: HR341 where the database cannot be reached, HR342 where it goes away meanwhile, HR343 for
                what it refuses, HR344 for a column of a type that cannot be landed.
        """
