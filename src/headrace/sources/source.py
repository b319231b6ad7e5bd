"""The source node: it lands each batch once, immutably, and its versions are sets of landed batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from headrace.errors import HeadraceError
from headrace.graph.node import RowsNode
from headrace.ports.records import Manifest, Observation
from headrace.sources.types import dtype, union_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import polars as pl

    from headrace.graph.node import Options
    from headrace.ports.outside import Outlook
    from headrace.ports.records import Batch, Json, Ref, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step
    from headrace.sources.origin import Landing, Origin


class Source(RowsNode):
    """Raw rows from where they are (files, a database), as they are, batch by batch: each file is one, say.

    The outputs of a version are its batches, as Parquet artefacts by batch id. Its facts are `rows`, `new_rows`,
    `batches` (by id: digest, bytes, rows, and which of `schemas` it has), `schemas` (the different ones that were
    landed, column to type) and `schema` (the one that all batches are read with).
    """

    kind: ClassVar[str] = "source"
    verb: ClassVar[str] = "land"

    def __init__(self, name: str, of: Origin, *, options: Options | None = None) -> None:
        super().__init__(name, (), options)
        self.of = of

    def settings(self) -> Mapping[str, object]:
        """How batches are read."""
        return self.of.settings()

    def observe(self, outlook: Outlook) -> Observation | None:
        """The batches that are there now. Raises what its origin raises: HR301 where there is no file, say."""
        return Observation(self.name, self.of.observe(outlook))

    def settled(self, observation: Observation, before: Version | None, excluded: frozenset[str]) -> Observation:
        """What was observed, and by the rule of the origin what is published and gone."""
        return self.of.settled(observation, before, excluded)

    def base(self, wanted: Mapping[str, str], live: Sequence[Version]) -> Version | None:
        """The version with the most of the wanted batches, the newest one of equals: they are not landed again."""
        best, most = None, 0
        for version in live:
            shared = len(version.batches.items() & wanted.items())
            if shared and shared >= most:
                best, most = version, shared
        return best

    def make(self, step: Step, context: Context) -> Manifest:
        """Land the batches that the base does not have.

        Raises:
            HeadraceError: HR302 and HR304 to HR317 for a file that cannot be read as it was observed, or that does not
                go together with the others. Nothing is published then.
        """
        observed = step.observation.batches if step.observation else ()
        landed = _Landed.of(step.base, {batch.id: batch.digest for batch in observed})
        new = [batch for batch in observed if batch.id not in landed.outputs]
        for done, batch in enumerate(new):
            context.progress(done, len(new))
            landing = self.of.land(batch, context)
            context.log(f"landed {batch.id}: {landing.rows} rows")
            landed.add(batch, landing)
        context.progress(len(new), len(new))
        schema = union_schema(landed.in_order())
        rows = sum(facts["rows"] for facts in landed.batches.values())
        if rows == 0:
            raise HeadraceError("HR313", f"{self.name}: no row in {len(landed.batches)} batches")
        facts = {
            "rows": rows,
            "new_rows": sum(landed.batches[batch.id]["rows"] for batch in new),
            "batches": dict(sorted(landed.batches.items())),
            "schemas": landed.schemas,
            "schema": schema,
        }
        return Manifest(step.key, dict(sorted(landed.outputs.items())), facts)

    def read(self, version: Version, stores: Stores) -> pl.LazyFrame:
        """All rows, batch after batch in the order of their ids."""
        import polars as pl

        return pl.concat([frame for _, frame in self.read_batches(version, stores)])

    def read_batches(
        self, version: Version, stores: Stores, ids: Iterable[str] | None = None
    ) -> list[tuple[str, pl.LazyFrame]]:
        """Batches with their ids, in order of id, each with the schema that all batches of the version share."""
        import polars as pl

        facts = version.manifest.facts
        schema = {name: dtype(text) for name, text in facts["schema"].items()}
        found = []
        for batch in sorted(version.manifest.outputs if ids is None else ids):
            frame = pl.scan_parquet(stores.artefacts.path(version.manifest.outputs[batch]))
            own = facts["schemas"][facts["batches"][batch]["schema"]]
            different = [name for name, text in facts["schema"].items() if own[name] != text]
            columns = [pl.col(name).cast(schema[name]) if name in different else pl.col(name) for name in schema]
            found.append((batch, frame.select(columns)))
        return found


class _Landed:
    """The batches of a version under construction."""

    def __init__(self) -> None:
        self.outputs: dict[str, Ref] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.schemas: list[dict[str, str]] = []

    @classmethod
    def of(cls, base: Version | None, wanted: Mapping[str, str]) -> _Landed:
        """What of the wanted batches a base has landed already, taken over by reference."""
        landed = cls()
        if base is not None:
            facts: Mapping[str, Json] = base.manifest.facts
            for batch, _ in sorted(base.batches.items() & wanted.items()):
                of = facts["batches"][batch]
                landed.outputs[batch] = base.manifest.outputs[batch]
                landed.batches[batch] = {**of, "schema": landed.known(facts["schemas"][of["schema"]])}
        return landed

    def add(self, batch: Batch, landing: Landing) -> None:
        """One more batch."""
        facts = {"digest": batch.digest, "bytes": batch.size, "rows": landing.rows, **landing.facts}
        self.outputs[batch.id] = landing.ref
        self.batches[batch.id] = {**facts, "schema": self.known(landing.schema)}

    def known(self, schema: Mapping[str, str]) -> int:
        """The place of a schema among those that were landed; the order of columns counts. Each is kept once."""
        known = [list(each.items()) for each in self.schemas]
        if list(schema.items()) not in known:
            self.schemas.append(dict(schema))
            known.append(list(schema.items()))
        return known.index(list(schema.items()))

    def in_order(self) -> list[tuple[str, Mapping[str, str]]]:
        """The schema of each batch, in order of batch id."""
        return [(batch, self.schemas[facts["schema"]]) for batch, facts in sorted(self.batches.items())]
