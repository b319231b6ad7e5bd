"""Tables of many small commits are laid into fewer files, and the ledger records where their rows are since.

A version keeps its key, and its rows are the same: they are compared first. Where it lay stays as it is, for older
versions and for whoever reads there, until `gc` finds that nothing needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from headrace.ports.failpoints import failpoint
from headrace.ports.ledger import Relocate
from headrace.ports.mappings import Pieces, counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Json, Ref, Version
    from headrace.ports.stores import Stores

COMMITS = 64
"""After so many commits to one directory an apply compacts a table that it has published."""
FEWEST = 2
"""Fewer files than these cannot become one."""
_LAID = "table"
"""The output whose rows the fact `layout` tells of: runs of rows, each with its batch, how many, and its partition."""
_ROWS, _PARTITION = 1, 2


@dataclass(frozen=True, slots=True)
class Compacted:
    """A version whose outputs lie elsewhere now."""

    node: str
    key: str
    outputs: tuple[str, ...]


def compact(ledger: Ledger, stores: Stores, versions: Iterable[Version], commits: int = 0) -> list[Compacted]:
    """Compact the tables of versions that were changed by at least so many commits.

    Killed at any moment, it leaves a directory that nothing refers to, which the next time takes up, or `gc` removes.
    """
    done = []
    for version in versions:
        before = version.manifest.outputs
        if isinstance(before, Pieces) and not counted(before, _tables):
            continue
        outputs = {name: _compacted(version, name, stores, commits) for name in before}
        moved = tuple(sorted(name for name, ref in outputs.items() if ref != before[name]))
        if not moved:
            continue
        failpoint("compact.record.before")
        [answer] = ledger.write(Relocate(version.key, outputs, before))
        if answer.get():
            done.append(Compacted(version.node, version.key, moved))
        failpoint("compact.record.after")
    return done


def _tables(outputs: Mapping[str, Json]) -> int:
    return sum(ref["store"] == "table" for ref in outputs.values())


def _compacted(version: Version, name: str, stores: Stores, commits: int) -> Ref:
    """Where the rows of an output lie when it is compacted, if it is worth it."""
    ref = version.manifest.outputs[name]
    if ref.store != "table" or ref.version < commits:
        return ref
    parts = _parts(version) if name == _LAID else []
    return stores.tables.compact(version.key, ref, FEWEST, parts) or ref


def _parts(version: Version) -> list[int]:
    """How many rows of each partition follow each other, in the order of the rows; empty for a table without."""
    runs = [run for run in version.manifest.facts.get("layout", ()) if len(run) > _PARTITION]
    return [sum(run[_ROWS] for run in of) for _, of in groupby(runs, key=lambda run: run[_PARTITION])]
