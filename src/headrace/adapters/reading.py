"""What the readers of databases share: their addresses, their errors, and the query that they send."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.ports.reading import Selection

T = TypeVar("T")

_PAUSES = (0.1, 0.5, 2.0)
"""Seconds before each further try to connect."""
_LONG = 300


@dataclass(frozen=True)
class Address:
    """Where a database lies. What is shown of it is its name and its kind; the address may hold a password."""

    name: str
    kind: str
    url: str

    @property
    def where(self) -> str:
        """What people see."""
        return f"database {self.name!r} ({self.kind})"

    def hidden(self, text: object) -> str:
        """A message of a driver in one line, without the password and without the address."""
        line = " ".join(str(text).split())
        password = urlsplit(self.url).password
        for secret in (self.url, password, unquote(password) if password else None):
            if secret:
                line = line.replace(secret, "***")
        return line if len(line) <= _LONG else f"{line[:_LONG]} ..."

    def unreachable(self, error: object) -> HeadraceError:
        """The server does not answer, or lets nobody in."""
        return HeadraceError("HR341", f"{self.where}: {self.hidden(error)}")

    def gone(self, error: object) -> HeadraceError:
        """The connection was lost while it was read from."""
        return HeadraceError("HR342", f"{self.where}: {self.hidden(error)}")

    def refused(self, error: object) -> HeadraceError:
        """The server does not do what is asked."""
        return HeadraceError("HR343", f"{self.where}: {self.hidden(error)}")

    def no_type(self, column: str, kind: str, instead: str) -> HeadraceError:
        """A column of a type that has no place in the table of types. `instead` is what a query may select."""
        fix = f'Select it as another type: query="select {instead} ..."; or declare schema={{{column!r}: pl.String}}.'
        return HeadraceError("HR344", f"{self.where}: column {column!r} is of type {kind}", fix=fix)


def patiently(connect: Callable[[], T], lost: type[Exception] | tuple[type[Exception], ...]) -> T:
    """Try to connect again after a moment, for a server that is just starting; the last error stands."""
    for pause in _PAUSES:
        try:
            return connect()
        except lost:
            Event().wait(pause)
    return connect()


def subject(selection: Selection, quote: str) -> str:
    """The table or the query as something to select from."""
    if selection.table is not None:
        return ".".join(quoted(part, quote) for part in selection.table.split("."))
    return f"({(selection.query or '').strip().rstrip(';')}\n) AS selected"


def quoted(name: str, quote: str) -> str:
    """A name of the database, with what a quote inside it needs."""
    return f"{quote}{name.replace(quote, quote * 2)}{quote}"
