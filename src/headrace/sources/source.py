"""The source node: it lands each batch once, immutably, and its versions are sets of landed batches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from headrace.errors import HeadraceError
from headrace.graph.node import RowsNode
from headrace.ports.mappings import at_hand, differences, shared
from headrace.ports.outside import Outside
from headrace.ports.records import Batch, Manifest, Observation
from headrace.ports.stores import RowsFile
from headrace.sources.admission import acceptance, decision_keys, foretold, judged
from headrace.sources.changes import ON_CHANGE, check_rule
from headrace.sources.gathering import Landed, rows_of
from headrace.sources.landed import Lookup, columns_with_nulls
from headrace.sources.origin import Peeking, Placed
from headrace.sources.peeking import MOST
from headrace.sources.types import dtype, union_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import polars as pl

    from headrace.graph.node import Options
    from headrace.ports.outside import Foreseen, Outlook
    from headrace.ports.records import Decision, Json, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step
    from headrace.sources.origin import Origin


class Source(RowsNode):
    """Raw rows from where they are (files, a database), as they are, batch by batch: each file is one, say.

    The outputs of a version are its batches, as Parquet artefacts by batch id. Its facts are `rows`, `new_rows`,
    `batches` (by id: digest, bytes, rows, which of `schemas` it has, and without rows the `types` that it tells),
    `schemas` (the different ones that were landed, column to type), `nulls` (the different lists of columns with nulls;
    each batch says which it has) and `schema` (the one that all batches are read with; a batch that lacks a column has
    nulls there).
    """

    kind: ClassVar[str] = "source"
    verb: ClassVar[str] = "land"

    gated = True

    def __init__(self, name: str, of: Origin, *, on_change: str = ON_CHANGE[0], options: Options | None = None) -> None:
        super().__init__(name, (), options)
        self.of = of
        self.on_change = check_rule(name, on_change)

    def settings(self) -> Mapping[str, object]:
        """How batches are read."""
        return self.of.settings()

    def functions(self) -> Sequence[Callable[..., object]]:
        """The code that the rows come from, where it is the user's."""
        return self.of.functions()

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
            there = shared(version.batches, wanted)
            if there and there >= most:
                best, most = version, there
        return best

    def handed(self, step: Step) -> Step:
        """A step, of whose observation the batches are left out that its base has landed."""
        if step.observation is None or step.base is None:
            return step
        new = differences(step.base.batches, step.batches)
        left = tuple(batch for batch in step.observation.batches if batch.id in new)
        return replace(step, observation=Observation(self.name, left))

    def make(self, step: Step, context: Context) -> Manifest:
        """Land the batches that the base does not have.

        Raises:
            HeadraceError: HR302 and HR304 to HR317 for a file that cannot be read as it was observed, or that does not
                go together with the others. Nothing is published then.
        """
        observed = step.observation.batches if step.observation else ()
        landed = Landed.of(step.base, step.batches)
        new = [batch for batch in observed if not landed.has(batch.id)]
        for done, batch in enumerate(new):
            context.progress(done, len(new))
            landing = self.of.land(batch, context)
            context.log(f"landed {batch.id}: {landing.rows} rows")
            landed.add(batch, landing, columns_with_nulls(context.stores.artefacts.path(landing.ref)))
        context.progress(len(new), len(new))
        outputs, batches = landed.outputs, landed.batches
        look = Lookup(outputs, context.stores.artefacts, self._placing(batches, context))
        rows = rows_of(batches)
        schema = union_schema(landed.in_order(), look.example) if rows else self._without_rows(landed)
        facts = {
            "rows": rows,
            "new_rows": sum(batches[batch.id]["rows"] for batch in new),
            "batches": batches,
            "schemas": landed.schemas,
            "nulls": landed.nulls,
            "schema": schema,
        }
        look.refuse_rounded(facts, None if step.base is None else step.base.manifest.facts)
        return Manifest(step.key, outputs, facts)

    def _without_rows(self, landed: Landed) -> dict[str, str]:
        """The types of a version without rows. Raises HR313 where nothing tells them."""
        schema = landed.without_rows()
        unknown = [name for name, kind in schema.items() if kind == "Null"]
        what = f"{self.name}: no row in {len(landed.batches)} batches"
        if unknown:
            fix = f"Declare their types, for example schema={{{unknown[0]!r}: str}}; or wait for rows."
            raise HeadraceError("HR313", f"{what}, and nothing tells the types of {', '.join(unknown)}", fix=fix)
        if not schema:
            raise HeadraceError("HR313", what)
        return schema

    def read(self, version: Version, stores: Stores) -> pl.LazyFrame:
        """All rows, batch after batch in the order of their ids, less those that others have taken the place of."""
        return self.of.whole([frame for _, frame in self.read_batches(version, stores)])

    def read_batches(
        self, version: Version, stores: Stores, ids: Iterable[str] | None = None
    ) -> list[tuple[str, pl.LazyFrame]]:
        """Batches with their ids, in order of id, each with the schema that all batches of the version share."""
        import polars as pl

        facts = version.manifest.facts
        schema = {name: dtype(text) for name, text in facts["schema"].items()}
        found = []
        wanted = sorted(version.manifest.outputs if ids is None else ids)
        outputs, batches = (at_hand(of, len(wanted)) for of in (version.manifest.outputs, facts["batches"]))
        for batch in wanted:
            if not batches[batch]["rows"]:
                found.append((batch, pl.LazyFrame(schema=schema)))
                continue
            frame = pl.scan_parquet(stores.artefacts.path(outputs[batch]))
            own = facts["schemas"][batches[batch]["schema"]]
            columns = [
                (pl.col(name) if own[name] == text else pl.col(name).cast(schema[name]))
                if name in own
                else pl.lit(None, schema[name]).alias(name)
                for name, text in facts["schema"].items()
            ]
            found.append((batch, frame.select(columns)))
        return found

    def files(self, version: Version, stores: Stores, ids: Iterable[str] | None = None) -> list[RowsFile] | None:
        """The files that hold the rows of batches, in order of id; None where they are not read as they are."""
        facts = version.manifest.facts
        found = []
        for batch in sorted(version.manifest.outputs if ids is None else ids):
            of, ref = facts["batches"][batch], version.manifest.outputs[batch]
            if not self.of.grows or list(facts["schemas"][of["schema"]].items()) != list(facts["schema"].items()):
                return None
            found.append(RowsFile(stores.artefacts.path(ref), ref.digest, of["rows"]))
        return found

    def decision_keys(self, candidate: Version, champion: Version | None) -> Sequence[str]:
        """The decisions about a change of schema; none where it is the same."""
        return decision_keys(self.on_change, candidate, champion)

    def decide(self, candidate: Version, champion: Version | None, context: Context) -> Decision:
        """Whether the schema may be published after the one that is."""
        facts = candidate.manifest.facts
        place = self._placing(facts["batches"], context)
        look = Lookup(candidate.manifest.outputs, context.stores.artefacts, place)
        return judged(
            self.on_change, candidate, champion, lambda change: look.example(change.batch, change.column, change.before)
        )

    def foresee(self, observation: Observation, before: Version, outside: Outside) -> Sequence[Foreseen]:
        """How new batches differ from what is published, as far as that can be seen without landing them."""
        if not isinstance(self.of, Peeking):
            return ()
        identity = observation.identity()
        different = differences(before.batches, identity)
        new = [each for each in observation.batches if each.id in different]
        return foretold(self.of, new[:MOST], identity, before, self.on_change, outside)

    def accept(self, candidate: Version, champion: Version | None, why: str, at: str) -> Decision | None:
        """The decision of a person that the schema may be published; None where nothing stops it."""
        return acceptance(self.on_change, candidate, champion, why, at)

    def _placing(self, batches: Mapping[str, Mapping[str, Json]], context: Context) -> Callable[[str, int], str]:
        """What says where a row of a batch stands, as long as the world is what it was when the batch was landed."""

        def place(batch: str, row: int) -> str:
            if not isinstance(self.of, Placed):
                return f"row {row + 1}"
            landed = Batch(batch, batches[batch]["digest"], batches[batch]["bytes"])
            return self.of.placing(landed, Outside(context.project, context.stores))(row)

        return place
