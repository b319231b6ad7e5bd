"""What a node may look at when it observes the world, before anything is planned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import polars as pl

    from headrace.ports.objects import Objects
    from headrace.ports.reading import Reader
    from headrace.ports.records import Version
    from headrace.ports.stores import Stores


def _no_database(name: str) -> Reader:
    raise HeadraceError("HR340", f"there is no database {name!r} here")


def _no_objects(root: str) -> Objects:
    raise HeadraceError("HR364", f"nothing reads {root} here")


class Neighbour(Protocol):
    """Another project, read only; `environment` is the one that was asked last."""

    environment: str

    def version(self, table: str, environment: str | None) -> Version:
        """The version of a table that an environment points to; by default the main one. Raises HR354."""

    def rows(self, version: Version, start: int = 0) -> Iterator[pl.DataFrame]:
        """Its rows from a number on, in pieces and in order. Raises HR356 where it goes away meanwhile."""

    def continues(self, version: Version, key: str) -> bool:
        """Whether it begins with all rows of an earlier version, as far as the files of both can tell."""


def _no_neighbour(project: str) -> AbstractContextManager[Neighbour]:
    raise HeadraceError("HR354", f"there is no project {project!r} here")


@dataclass(frozen=True, slots=True)
class Outside:
    """The world around a project: its folder, and the stores that keep what was seen of things that change.

    `database` answers the database of a name in the settings, or raises HR340 and HR341; `neighbour` opens another
    project by its folder, or raises HR354.
    `objects` answers what lies below a root such as ``s3://bucket``, or raises HR361, HR364 and HR366.
    """

    project: Path
    stores: Stores
    database: Callable[[str], Reader] = _no_database
    objects: Callable[[str], Objects] = _no_objects
    neighbour: Callable[[str], AbstractContextManager[Neighbour]] = _no_neighbour


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Something that can be told before anything is made: in words, and the columns that it is about."""

    text: str
    columns: tuple[str, ...] = ()


def _nothing() -> Sequence[Version]:
    return ()


@dataclass(frozen=True, slots=True)
class Outlook:
    """The world as one node of one environment sees it.

    `before` is the version that the environment points to, where it was made by the same code; `excluded` are batches
    that the environment leaves out; `made` answers the live versions of the node with the same fingerprint, oldest
    first; `fingerprint` is of the code and the settings of the node.
    """

    outside: Outside
    before: Version | None = None
    excluded: frozenset[str] = frozenset()
    made: Callable[[], Sequence[Version]] = _nothing
    fingerprint: str = ""

    @property
    def project(self) -> Path:
        """The folder of the project."""
        return self.outside.project
