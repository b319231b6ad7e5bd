"""The SQL of the ledger, read from the files in `sql/`: by name, and where databases differ by dialect."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)


@cache
def queries(dialect: str) -> Mapping[str, str]:
    """Every statement of the ledger by name, with those of the dialect's own folder."""
    folder = files("headrace.ledger").joinpath("sql")
    found: dict[str, str] = {}
    for place in (folder, folder.joinpath(dialect)):
        for file in _sql_files(place):
            found.update(parse(file.read_text(encoding="utf-8")))
    return found


@cache
def migrations(dialect: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The migrations of a dialect in order: name ("0001_ledger") and statements."""
    folder = files("headrace.ledger").joinpath("sql", dialect, "migrations")
    return tuple(
        (file.name.removesuffix(".sql"), tuple(statements(file.read_text(encoding="utf-8"))))
        for file in _sql_files(folder)
    )


def _sql_files(folder: Traversable) -> list[Traversable]:
    return sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)


def parse(text: str) -> Iterator[tuple[str, str]]:
    """The named statements of one file: each begins with a line such as `-- name: add_version`."""
    pieces = _NAME.split(text)
    for name, statement in zip(pieces[1::2], pieces[2::2], strict=True):
        yield name, _bare(statement)


def statements(text: str) -> Iterator[str]:
    """The statements of a migration; each ends with a semicolon at the end of a line."""
    for piece in _COMMENT.sub("", text).split(";\n"):
        if statement := _bare(piece):
            yield statement


def _bare(statement: str) -> str:
    return _COMMENT.sub("", statement).strip().rstrip(";")
