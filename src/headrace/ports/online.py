"""The online feature store: what is known of each entity, packed for look-ups one entity at a time.

A *generation* is one immutable set of entries, named by the key of the step that made it. It can be read from the
moment at which all of it is there, and never changes: readers need no locks, and an answer never mixes two of them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LONGEST_KEY = 500
"""Bytes that a key of an entry may have; it has one at least."""

Entry = tuple[bytes, bytes]


def online_name(view: str) -> str:
    """The name of the node that publishes a view. No view can take it: its name is a Python identifier."""
    return f"{view}.online"


class OnlineStore(Protocol):
    """Generations of entries, each a key and a value of bytes.

    Every method may be called from any thread. Raises HR470 for a generation that is not there, HR471 for one that is
    not as it was written, HR472 when the store cannot be reached, HR473 when it has no room.
    """

    def fill(self, generation: str, entries: Iterable[Entry]) -> int:
        """Write a generation durably: all of it, or, where this is cut off, nothing that can be read.

        Answers how many entries it has. A complete generation is left as it is, and the entries are not asked for.
        Keys must be distinct; they may come in any order, and sorted ones are written fastest.
        """

    def complete(self, generation: str) -> bool:
        """Whether the generation can be read."""

    def get(self, generation: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of the keys, in their order; None for a key without an entry. One consistent read."""

    def entries(self, generation: str) -> Iterator[Entry]:
        """Every entry once, in any order."""

    def generations(self) -> Sequence[str]:
        """Every complete generation, sorted."""

    def size(self, generation: str) -> int:
        """Bytes that the generation takes, roughly; 0 for one that is not there."""

    def drop(self, generation: str) -> None:
        """Remove a generation; removing what is not there is no error. Who reads it at that moment may go on."""

    def sweep(self) -> int:
        """Remove what fills that were cut off left behind. Answers how many that were.

        A fill that is at work elsewhere either survives this or fails with HR470, to be tried again.
        """

    def verify(self, generation: str, digest: str) -> None:
        """Raise HR470 or HR471 unless the generation is there, with entries of this digest (see `digest_of`)."""

    def close(self) -> None:
        """Let go of connections and files. Using the store again opens them again."""


def digest_of(entries: Iterable[Entry]) -> str:
    """A digest of entries that does not depend on their order, since stores give them back in orders of their own.

    It is the sum, modulo 2^256, of the SHA-256 of each entry.
    """
    total = 0
    for key, value in entries:
        found = hashlib.sha256(len(key).to_bytes(2, "little") + key + value).digest()
        total += int.from_bytes(found, "little")
    return f"{total % 2**256:064x}"
