"""One end of the pipe between the engine and a worker: of mappings in pieces, only pieces that did not cross it yet do.

Both ends remember what crossed, in either direction. The engine's end begins anew when that has become much: it says so
with a job, when nothing else is under way.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

from headrace.ports.pieces import Head, Tree

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from headrace.ports.pieces import Fetch

_MOST = 64 * 2**20
"""Bytes of pieces after which both ends begin anew."""


class Link:
    """One end."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._crossed: dict[str, str] = {}
        self._bytes = 0

    def send(self, value: object, *, anew: bool = False) -> None:
        """Send an object; with `anew`, which only the one who asks may say, both ends may forget first."""
        anew = anew and self._bytes > _MOST
        if anew:
            self._forget()
        buffer = io.BytesIO()
        pickler = _Pickler(buffer, self._crossed)
        pickler.dump(value)
        self._note(pickler.new)
        self.connection.send_bytes(pickle.dumps((anew, pickler.new, buffer.getvalue()), pickle.HIGHEST_PROTOCOL))

    def recv(self) -> Any:  # noqa: ANN401 - whatever was sent
        """What the other end has sent. Raises EOFError where it is gone."""
        anew, new, content = pickle.loads(self.connection.recv_bytes())  # noqa: S301 - from our own process, over a private socket
        if anew:
            self._forget()
        self._note(new)
        crossed = self._crossed
        return _Unpickler(io.BytesIO(content), lambda digests: {each: crossed[each] for each in digests}).load()

    def _forget(self) -> None:
        self._crossed, self._bytes = {}, 0  # what was received keeps the pieces that it is made of

    def _note(self, new: dict[str, str]) -> None:
        self._crossed.update(new)
        self._bytes += sum(map(len, new.values()))


class _Pickler(pickle.Pickler):
    """Puts the root in the place of a tree, and gathers the pieces that have not crossed."""

    def __init__(self, buffer: io.BytesIO, crossed: dict[str, str]) -> None:
        super().__init__(buffer, pickle.HIGHEST_PROTOCOL)
        self._crossed = crossed
        self.new: dict[str, str] = {}

    def persistent_id(self, value: object) -> Head | None:
        if not isinstance(value, Tree):
            return None
        for digest, text in value.missing(self._crossed).items():
            self.new[digest] = text
        return value.root


class _Unpickler(pickle.Unpickler):
    def __init__(self, buffer: io.BytesIO, fetch: Fetch) -> None:
        super().__init__(buffer)
        self._fetch = fetch

    def persistent_load(self, root: Any) -> Tree:  # noqa: ANN401 - what `persistent_id` answered
        return Tree(root, None, self._fetch)
