"""One exclusive transaction of the ledger: named statements, and entries that are appended to the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.ledger.chain import GENESIS, encoded, hash_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headrace.ports.ledger import Connection
    from headrace.ports.pieces import Tree
    from headrace.ports.records import Json


class Transaction:
    """What the handlers of items work with. `at` is the time of every entry of this transaction."""

    def __init__(
        self, connection: Connection, statements: Mapping[str, str], at: str, held: frozenset[str] | set[str]
    ) -> None:
        self.connection = connection
        self.at = at
        self.touched = 0
        self.pieces: set[str] = set()
        """The digests of the pieces that this transaction has written."""
        self._held = held
        self._statements = statements
        self._head: tuple[int, str] | None = None

    def run(self, name: str, values: Mapping[str, object]) -> int:
        """Execute a named statement; answers how many rows it touched."""
        touched = self.connection.run(self._statements[name], values)
        self.touched += touched
        return touched

    def rows(self, name: str, values: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Execute a named query."""
        return self.connection.rows(self._statements[name], values)

    def keep(self, trees: Iterable[Tree]) -> None:
        """Write the pieces that the ledger is not known to hold, before the entry that names them."""
        for tree in trees:
            for digest, text in tree.missing(self._held).items():
                if digest not in self.pieces:
                    self.run("add_piece", {"digest": digest, "body": text})
                    self.pieces.add(digest)

    def pieces_of(self, digests: Sequence[str]) -> Mapping[str, str]:
        """The texts of pieces, by digest."""
        return dict(self.rows("pieces", {"digests": encoded(sorted(digests))})) if digests else {}

    def next_entry(self) -> int:
        """The number that the next entry will have."""
        return self._read_head()[0] + 1

    def append(self, kind: str, body: Json) -> int:
        """Append an entry; answers its number."""
        return self.append_text(kind, encoded(body))

    def append_text(self, kind: str, body: str) -> int:
        """Append an entry whose body is canonical JSON already; answers its number."""
        head = self._read_head()
        digest = hash_of(head, self.at, kind, body)
        seq = head[0] + 1
        values = {"seq": seq, "at": self.at, "kind": kind, "body": body, "previous": head[1], "hash": digest}
        self.run("add_entry", values)
        self._head = (seq, digest)
        return seq

    def forget_head(self) -> None:
        """Read the end of the chain again, and take no piece for written: a savepoint was undone."""
        self._head = None
        self.pieces.clear()

    def _read_head(self) -> tuple[int, str]:
        if self._head is None:
            found = self.rows("head")
            self._head = (found[0][0], found[0][1]) if found else (0, GENESIS)
        return self._head
