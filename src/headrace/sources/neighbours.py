"""A table of another project as the origin of a source: it follows the pointer of an environment of that project.

The rows of a published version are a chain of batches: each one lies behind those before it. A new version that begins
with the rows of the chain, or of its first batches, adds one batch to these; any other one takes the place of them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from headrace.ports.records import Batch, Ref
from headrace.sources.origin import Origin
from headrace.sources.staged import Staging, glimpsed, known, landed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl

    from headrace.ports.outside import Neighbour, Outlook, Outside
    from headrace.ports.records import Version
    from headrace.ports.stores import ArtefactStore
    from headrace.ports.work import Context
    from headrace.sources.origin import Landing
    from headrace.sources.peeking import Peek

_AFTER: Final = "after"
"""The fact of a batch that names the one before it; the first one of a chain has none."""
_FORM = 2
"""Raised when batches are cut or named in another way: what was landed before is landed again."""
_LOOKS = 10
"""How many of the versions that were landed are compared with a new one."""


@dataclass(frozen=True)
class Shared(Origin):
    """What to read of another project. See `shared`."""

    project: str
    table: str
    environment: str | None = None

    def settings(self) -> dict[str, object]:
        """Which table it is. Where the project lies does not matter, nor which environment of it is followed."""
        return {"table": self.table, "batches": _FORM}

    def observe(self, outlook: Outlook) -> tuple[Batch, ...]:
        """The batches of the published version; rows that are not there yet are copied into the store.

        A version that this environment leaves out leaves what is there in place. Raises HR354 where there is no such
        project, environment or table, HR316 for a column that cannot be landed, HR633 where a landed batch is missing.
        """
        there = known(outlook)
        with outlook.outside.neighbour(self.project) as neighbour:
            version = neighbour.version(self.table, self.environment)
            found = _whole_chain(version.key, there) or self._landed(neighbour, version, outlook, there)
        if found and found[0].id in outlook.excluded and outlook.before is not None:
            return tuple(batch for each, batch in sorted(there.items()) if each not in outlook.excluded)
        return tuple(found)

    def _landed(
        self, neighbour: Neighbour, version: Version, outlook: Outlook, there: Mapping[str, Batch]
    ) -> list[Batch]:
        """What of the chains that are there a version begins with, and its other rows as one more batch."""
        from headrace.sources.types import landable

        artefacts = outlook.outside.stores.artefacts
        fresh = (chain for chain in _chains(there) if chain[0].id not in outlook.excluded)
        chains = list(islice(fresh, _LOOKS))
        label = f"{self.table} of {self.project}"

        def rows(start: int) -> Iterator[pl.DataFrame]:
            return (landable(label, frame, frame.columns) for frame in neighbour.rows(version, start))

        chain = _by_files(neighbour, version, chains)
        if chain is None:
            chain = _by_rows(rows(0), chains[0], artefacts) if chains else []
        with Staging(artefacts) as staging:
            for frame in rows(sum(_rows(batch, artefacts) for batch in chain)):
                staging.add(frame)
            if chain and not staging.rows:
                return chain
            staging.begin(landable(label, *_columns(version)))
            digest = staging.digest.hexdigest()
            ref, size = staging.kept()
        facts = {"project": self.project, "environment": neighbour.environment, "key": version.key}
        after = {_AFTER: chain[-1].id} if chain else {}
        name = f"{self.table}/{len(chain):06d}-{version.key[:12]}"
        return [*chain, Batch(name, digest, size, ref.path, {**facts, **after})]

    def land(self, batch: Batch, context: Context) -> Landing:
        """Its rows lie in the store already. Raises HR350 where they do not any more."""
        return landed(batch, context)

    def peek(self, batch: Batch, outside: Outside) -> Peek | None:
        """Its columns, for those who read a plan."""
        return glimpsed(batch, outside)


def shared(project: str, table: str, *, environment: str | None = None) -> Shared:
    """A table of another Headrace project, such as ``shared("../flights", "departures", environment="prod")``.

    Each look follows the pointer of that environment (by default the main one of that project). Rows that a new version
    of the table has behind those that are there are one more batch; where older rows changed, they are replaced. The
    other project is only read.
    """
    return Shared(project, table, environment)


def _columns(version: Version) -> tuple[pl.DataFrame, list[str]]:
    """The columns of a version without rows, all of them known."""
    import polars as pl

    from headrace.sources.types import dtype

    schema = {name: dtype(kind) for name, kind in version.manifest.facts["schema"].items()}
    return pl.DataFrame(schema=schema), list(schema)


def _chain(last: Batch, there: Mapping[str, Batch]) -> list[Batch] | None:
    """A batch and those that it lies behind, in order; None where one of them is not known any more."""
    chain = [last]
    while (before := chain[0].facts.get(_AFTER)) is not None:
        if before not in there:
            return None
        chain.insert(0, there[before])
    return chain


def _chains(there: Mapping[str, Batch]) -> Iterator[list[Batch]]:
    """Every chain and what it is a part of, the longest first."""
    for each in sorted(there, reverse=True):
        chain = _chain(there[each], there)
        if chain is not None:
            yield chain


def _whole_chain(key: str, there: Mapping[str, Batch]) -> list[Batch] | None:
    """The batches of a version over there, where all of it was landed."""
    for batch in there.values():
        if batch.facts["key"] == key:
            return _chain(batch, there)
    return None


def _by_files(neighbour: Neighbour, version: Version, chains: Sequence[list[Batch]]) -> list[Batch] | None:
    """The longest chain whose version is the beginning of another one, as their files tell."""
    for chain in chains:
        if neighbour.continues(version, chain[-1].facts["key"]):
            return chain
    return None


def _by_rows(frames: Iterator[pl.DataFrame], chain: Sequence[Batch], artefacts: ArtefactStore) -> list[Batch]:
    """The batches of a chain whose rows are those that frames begin with."""
    coming = _Coming(frames)
    same = []
    for batch in chain:
        if not all(coming.begins_with(frame) for frame in _scan(batch, artefacts).collect_batches(maintain_order=True)):
            break
        same.append(batch)
    return same


class _Coming:
    """Frames of rows, taken in other pieces than they come in."""

    def __init__(self, frames: Iterator[pl.DataFrame]) -> None:
        self._frames = frames
        self._left: pl.DataFrame | None = None

    def begins_with(self, wanted: pl.DataFrame) -> bool:
        """Whether the next rows are these; they are used up by it."""
        while wanted.height:
            if self._left is None or self._left.is_empty():
                self._left = next(self._frames, None)
                if self._left is None:
                    return False
                continue
            height = min(wanted.height, self._left.height)
            some = wanted.head(height)
            if some.schema != self._left.schema or not some.equals(self._left.head(height)):
                return False
            wanted, self._left = wanted.slice(height), self._left.slice(height)
        return True


def _scan(batch: Batch, artefacts: ArtefactStore) -> pl.LazyFrame:
    import polars as pl

    return pl.scan_parquet(artefacts.path(Ref("artefact", batch.location, "")))


def _rows(batch: Batch, artefacts: ArtefactStore) -> int:
    import polars as pl

    return int(_scan(batch, artefacts).select(pl.len()).collect().item())
