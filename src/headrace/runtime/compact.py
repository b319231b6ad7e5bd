"""Tables of many small commits are laid into fewer files, and the ledger records where their rows are since.

A version keeps its key, and its rows are the same: they are compared first. Where it lay stays as it is, for older
versions and for whoever reads there, until `gc` finds that nothing needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.ports.failpoints import failpoint
from headrace.ports.ledger import Relocate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.ports.ledger import Ledger
    from headrace.ports.records import Ref, Version
    from headrace.ports.stores import Stores

COMMITS = 64
"""After so many commits to one directory an apply compacts a table that it has published."""
FEWEST = 2
"""Fewer files than these cannot become one."""


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
        outputs = {name: _compacted(version, ref, stores, commits) for name, ref in before.items()}
        moved = tuple(sorted(name for name, ref in outputs.items() if ref != before[name]))
        if not moved:
            continue
        failpoint("compact.record.before")
        [answer] = ledger.write(Relocate(version.key, outputs, before))
        if answer.get():
            done.append(Compacted(version.node, version.key, moved))
        failpoint("compact.record.after")
    return done


def _compacted(version: Version, ref: Ref, stores: Stores, commits: int) -> Ref:
    """Where the rows of an output lie when it is compacted, if it is worth it."""
    if ref.store != "table" or ref.version < commits or _parted(version):
        return ref
    return stores.tables.compact(version.key, ref, FEWEST) or ref


def _parted(version: Version) -> bool:
    """Whether the rows lie in files by partition, which they shall go on doing."""
    return any(len(run) > 2 for run in version.manifest.facts.get("layout", ()))  # noqa: PLR2004 - batch, rows, partition
