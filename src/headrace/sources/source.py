"""The source node: it lands each batch once, immutably, and its versions are sets of landed batches."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.errors import HeadraceError
from headrace.graph.node import RowsNode
from headrace.ports.records import Batch, Manifest, Observation
from headrace.sources.types import dtype, union_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import polars as pl

    from headrace.graph.node import Options
    from headrace.ports.records import Json, Ref, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step
    from headrace.sources.files import Files


class Source(RowsNode):
    """Raw rows from files, as they are: each file is a batch.

    The outputs of a version are its batches, as Parquet artefacts by batch id. Its facts are `rows`, `new_rows`,
    `batches` (by id: digest, bytes, rows, and which of `schemas` it has), `schemas` (the different ones that were
    landed, column to type) and `schema` (the one that all batches are read with).
    """

    kind: ClassVar[str] = "source"
    verb: ClassVar[str] = "land"

    def __init__(self, name: str, of: Files, *, options: Options | None = None) -> None:
        super().__init__(name, (), options)
        self.of = of

    def settings(self) -> Mapping[str, object]:
        """How files are parsed."""
        return self.of.settings()

    def observe(self, project: Path) -> Observation | None:
        """The files that are there now. Raises HR301 where there is none, HR302 for one that cannot be read."""
        return Observation(self.name, self.of.observe(project))

    def settled(self, observation: Observation, before: Version | None, excluded: frozenset[str]) -> Observation:
        """What was observed, and by the rule of the source the files that are published and gone.

        Raises:
            HeadraceError: HR301 where there is no file at all, HR331 for a removed file where none may be.
        """
        there = observation.identity()
        gone = {} if before is None else {batch: of for batch, of in before.batches.items() if batch not in there}
        gone = {batch: of for batch, of in gone.items() if batch not in excluded}
        if gone and self.of.removed == "fail":
            more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
            raise HeadraceError("HR331", f"{self.name}: {min(gone)}{more}")
        if gone and self.of.removed == "keep" and before is not None:
            facts = before.manifest.facts["batches"]
            kept = [Batch(batch, digest, facts[batch]["bytes"]) for batch, digest in gone.items()]
            observation = Observation(self.name, tuple(sorted((*observation.batches, *kept), key=lambda each: each.id)))
        if not observation.batches:
            raise HeadraceError("HR301", f"no file matches {self.of.pattern}")
        return observation

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
            landed.add(batch, *self._land(batch, context))
        context.progress(len(new), len(new))
        schema = union_schema(landed.in_order())
        rows = sum(facts["rows"] for facts in landed.batches.values())
        if rows == 0:
            raise HeadraceError("HR313", f"{self.name}: {len(landed.batches)} files, and no row in any of them")
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

    def _land(self, batch: Batch, context: Context) -> tuple[Ref, pl.DataFrame]:
        """Parse the bytes that were observed, and store their rows."""
        from headrace.sources.parse import parse

        try:
            content = (context.project / batch.id).read_bytes()
        except FileNotFoundError:
            if self.of.removed == "keep":
                raise HeadraceError("HR332", f"{self.name}: {batch.id}") from None
            raise HeadraceError("HR302", f"{batch.id} cannot be read: it is gone") from None
        except OSError as error:
            raise HeadraceError("HR302", f"{batch.id} cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != batch.digest:
            raise HeadraceError("HR312", f"{batch.id} changed after it was observed")
        frame = parse(batch.id, content, self.of)
        landed = io.BytesIO()
        frame.write_parquet(landed, compression="zstd")
        context.log(f"landed {batch.id}: {frame.height} rows")
        return context.stores.artefacts.put(landed.getvalue(), ".parquet"), frame


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

    def add(self, batch: Batch, ref: Ref, frame: pl.DataFrame) -> None:
        """One more batch."""
        schema = {name: str(kind) for name, kind in frame.schema.items()}
        facts = {"digest": batch.digest, "bytes": batch.size, "rows": frame.height}
        self.outputs[batch.id] = ref
        self.batches[batch.id] = {**facts, "schema": self.known(schema)}

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
