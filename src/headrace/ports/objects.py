"""Objects of a store or a server beyond the local disk: listed, and fetched. Nothing is ever written there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Found:
    """An object: its key below the root, its size in bytes (-1: not told), and its mark.

    The mark differs whenever the content does, as an ETag does; it is empty where nothing tells that for sure.
    """

    key: str
    size: int
    mark: str


class Objects(Protocol):
    """What lies below one root, such as ``s3://bucket``.

    Every method raises HR360 where the root is not there, HR361 where one may not look, HR362 where it does not answer
    after the declared number of tries.
    """

    def find(self, prefix: str) -> Iterator[Found]:
        """The objects whose keys begin with a prefix, in any order. Raises HR365 where there is no listing."""

    def look(self, key: str) -> Found | None:
        """One object; None where there is none of this key."""

    def fetch(self, found: Found, target: Path) -> None:
        """Write the content into a new local file, piece by piece.

        Raises HR302 where the object is gone, HR312 where it is another one than the one that was found.
        """
