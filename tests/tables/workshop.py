"""Versions of sources, tables and tasks as the runtime makes them, over real stores in a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.adapters.artefacts import FileArtefactStore
from headrace.adapters.delta import DeltaTableStore
from headrace.adapters.manifests import FileManifestStore
from headrace.adapters.online_lmdb import LmdbOnlineStore
from headrace.ports.canonical import digest_of
from headrace.ports.outside import Outlook, Outside
from headrace.ports.records import Version
from headrace.ports.stores import Stores
from headrace.ports.work import Action, Context, Step
from headrace.sources.files import files
from headrace.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import polars as pl

    from headrace.graph.node import Node
    from headrace.ports.records import Observation
    from headrace.tables.table import Table


@dataclass
class Workshop:
    """Makes versions. It keeps each of them, so that the next one of the same node can build on it."""

    folder: Path
    live: dict[str, list[Version]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        below = self.folder / ".headrace"
        self.stores = Stores(
            DeltaTableStore(below / "tables"),
            FileArtefactStore(below / "artefacts"),
            FileManifestStore(below / "made"),
            LmdbOnlineStore(below / "online"),
        )

    def write(self, name: str, content: str | bytes) -> Path:
        """A file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def land(self, source: Source) -> Version:
        """Observe the files and land them."""
        observation = self.look(source)
        assert observation is not None
        return self.make(source, {}, observation)

    def look(self, node: Node) -> Observation | None:
        """What a node without a past sees."""
        return node.observe(Outlook(Outside(self.folder, self.stores)))

    def make(
        self,
        node: Node,
        versions: Mapping[str, Version] | None = None,
        observation: Observation | None = None,
        *,
        generation: int = 0,
    ) -> Version:
        """Make a version of a node from versions of its inputs."""
        versions = versions or {}
        inputs = tuple((each.name, versions[each.name].key) for each in node.inputs)
        taken = {name: version.batches for name, version in versions.items()}
        batches = {**node.batches(taken), **(observation.identity() if observation is not None else {})}
        step = Step(
            node=node.name,
            key=digest_of((node.name, inputs, dict(batches), generation)),
            fingerprint="",
            inputs=inputs,
            action=Action.MAKE,
            reason="test",
            batches=batches,
            observation=observation,
            base=node.base(batches, self.live.get(node.name, [])),
            generation=generation,
        )
        manifest = node.make(step, self.context(step.key, versions))
        version = Version(
            step.key, node.name, node.kind, "", inputs, manifest, batches=batches, generation=generation, seconds=0.0
        )
        self.live.setdefault(node.name, []).append(version)
        return version

    def context(self, key: str, versions: Mapping[str, Version]) -> Context:
        return Context(
            key=key,
            seed=0,
            project=self.folder,
            stores=self.stores,
            versions=versions,
            log=self.said.append,
            progress=lambda done, total: self.progress.append((done, total)),
        )

    def table(self, table: Table, *, afresh: bool = False) -> Version:
        """Land the one source of a table and make the table."""
        source = table.inputs[0]
        assert isinstance(source, Source)
        if afresh:
            self.live.pop(table.name, None)
        return self.make(table, {source.name: self.land(source)}, self.look(table))

    def rows(self, node: Source | Table, version: Version) -> pl.DataFrame:
        return node.read(version, self.stores).collect()

    def aside(self, table: Table, version: Version) -> pl.DataFrame:
        found = table.quarantine(version, self.stores)
        assert found is not None
        return found.collect()


def csv_source(name: str = "raw", pattern: str = "data/*.csv") -> Source:
    return Source(name, files(pattern))
