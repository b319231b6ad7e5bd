"""What an observation comes to: the identity of each batch. What is nearly as before, as it mostly is, costs little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from headrace.ports.mappings import changed, pieced

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Observed(Protocol):
    """A batch, as far as it matters here."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def digest(self) -> str:
        """The digest of its content."""


_NODES: Final = 64
_OBSERVED: dict[str, tuple[dict[str, Observed], Mapping[str, str]]] = {}
"""By node what was observed last, so that it need not be cut into pieces from the beginning."""


def identity(node: str, observed: Iterable[Observed]) -> Mapping[str, str]:
    """Batch id to content digest. It depends on the batches alone; those of the last time are not looked at again."""
    batches: dict[str, Observed] = {batch.id: batch for batch in observed}
    before, known = _OBSERVED.get(node, ({}, {}))
    new = {name: batch.digest for name, batch in batches.items() if before.get(name) is not batch}
    if len(new) < len(before):
        found = changed(known, new, before.keys() - batches.keys())
    else:
        found = pieced({name: batch.digest for name, batch in batches.items()})
    while len(_OBSERVED) >= _NODES:
        _OBSERVED.pop(next(iter(_OBSERVED)), None)
    _OBSERVED[node] = (batches, found)
    return found
