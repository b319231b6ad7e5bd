"""Generations of the online store in memory, packed from views in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from headrace.errors import HeadraceError
from headrace.features.lookup import OnlineView
from headrace.features.packing import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.features.join import ViewRows
    from headrace.features.packed import Header
    from headrace.ports.online import OnlineStore


class Shelf:
    """One generation; it counts how many keys it was asked for."""

    def __init__(self, view: ViewRows, made: int | None = None) -> None:
        self.header, entries = pack(view, made)
        self.entries = list(entries)
        self._found = dict(self.entries)
        self.asked = 0

    def cut(self, size: int) -> None:
        """Leave no more than so many bytes of the entries of entities."""
        self._found = {key: value[:size] if key.startswith(b"\x01") else value for key, value in self.entries}

    def get(self, generation: str, keys: Sequence[bytes]) -> list[bytes | None]:
        if generation != "generation":
            raise HeadraceError("HR470", generation)
        self.asked += len(keys)
        return [self._found.get(key) for key in keys]


def opened(view: ViewRows, made: int | None = None) -> OnlineView:
    """A view as it is looked up."""
    return OnlineView.open(cast("OnlineStore", Shelf(view, made)), "generation")


def header_of(view: ViewRows, made: int | None = None) -> Header:
    return pack(view, made)[0]
