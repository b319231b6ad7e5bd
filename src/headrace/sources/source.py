"""The source node: it lands each batch once, immutably, and its versions are sets of landed batches."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, ClassVar

from headrace.errors import HeadraceError
from headrace.graph.node import RowsNode, largest_subset
from headrace.ports.records import Manifest, Observation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import polars as pl

    from headrace.graph.node import Options
    from headrace.ports.records import Batch, Json, Ref, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step
    from headrace.sources.files import Files


class Source(RowsNode):
    """Raw rows from files, as they are: a batch for each file."""

    kind: ClassVar[str] = "source"
    verb: ClassVar[str] = "land"

    def __init__(self, name: str, of: Files, *, options: Options | None = None) -> None:
        super().__init__(name, (), options)
        self.of = of

    def settings(self) -> Mapping[str, object]:
        """How files are parsed."""
        return self.of.settings()

    def observe(self, project: Path) -> Observation | None:
        """The files that are there now."""
        return Observation(self.name, self.of.observe(project))

    def base(self, wanted: Mapping[str, str], live: Sequence[Version]) -> Version | None:
        """The version with the most of the wanted batches: they are not landed again."""
        return largest_subset(wanted, live)

    def make(self, step: Step, context: Context) -> Manifest:
        """Land the batches that the base has not. Raises HR3xx for a file that cannot be read as it was observed."""
        outputs: dict[str, Ref] = dict(step.base.manifest.outputs) if step.base else {}
        batches: dict[str, Json] = dict(step.base.manifest.facts["batches"]) if step.base else {}
        observed = step.observation.batches if step.observation else ()
        new = [batch for batch in observed if batch.id not in outputs]
        for done, batch in enumerate(new):
            context.progress(done, len(new))
            outputs[batch.id], batches[batch.id] = self._land(batch, context)
        context.progress(len(new), len(new))
        schema = union_schema((name, facts["schema"]) for name, facts in sorted(batches.items()))
        rows = sum(facts["rows"] for facts in batches.values())
        if rows == 0:
            raise HeadraceError("HR313", f"{self.name}: {len(batches)} files, and no row in any of them")
        facts = {"rows": rows, "new_rows": sum(batches[each.id]["rows"] for each in new)}
        return Manifest(step.key, outputs, {**facts, "schema": schema, "batches": batches})

    def read(self, version: Version, stores: Stores) -> pl.LazyFrame:
        """All rows, batch after batch in the order of their names."""
        import polars as pl

        return pl.concat([frame for _, frame in self.read_batches(version, stores)])

    def read_batches(
        self, version: Version, stores: Stores, names: Iterable[str] | None = None
    ) -> list[tuple[str, pl.LazyFrame]]:
        """Batches with their names, each with the columns and types that all batches of the version have in common."""
        import polars as pl

        schema = polars_schema(version.manifest.facts["schema"])
        wanted = sorted(version.manifest.outputs if names is None else names)
        return [
            (name, pl.scan_parquet(stores.artefacts.path(version.manifest.outputs[name])).cast(schema))  # type: ignore[arg-type]
            for name in wanted
        ]

    def _land(self, batch: Batch, context: Context) -> tuple[Ref, Json]:
        from headrace.sources.parse import parse

        try:
            content = (context.project / batch.id).read_bytes()
        except OSError as error:
            raise HeadraceError("HR302", f"{batch.id} cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != batch.digest:
            raise HeadraceError("HR312", f"{batch.id} changed after it was observed")
        frame = parse(batch.id, content, self.of)
        landed = io.BytesIO()
        frame.write_parquet(landed, compression="zstd", statistics=True)
        schema = {name: str(kind) for name, kind in frame.schema.items()}
        context.log(f"landed {batch.id}: {frame.height} rows")
        facts = {"rows": frame.height, "bytes": batch.size, "digest": batch.digest, "schema": schema}
        return context.stores.artefacts.put(landed.getvalue(), ".parquet"), facts


_NUMBERS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64")


def union_schema(batches: Iterable[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """The types that every batch can be cast to without loss. Raises HR314 for columns or types that do not go together."""
    union: dict[str, str] = {}
    origin: dict[str, str] = {}
    for batch, schema in batches:
        if union and set(schema) != set(union):
            differing = sorted(set(schema) ^ set(union))
            first = next(iter(origin.values()))
            raise HeadraceError("HR315", f"{batch} and {first} differ in their columns: {', '.join(differing)}")
        for column, kind in schema.items():
            present = union.get(column, "Null")
            merged = _merged(present, kind)
            if merged is None:
                what = f"{column} is {present} in {origin[column]} and {kind} in {batch}"
                raise HeadraceError("HR314", what)
            union[column] = merged
            if kind != "Null":
                origin.setdefault(column, batch)
            origin.setdefault(column, batch)
    return {column: "String" if kind == "Null" else kind for column, kind in union.items()}


def _merged(one: str, other: str) -> str | None:
    if one == other or other == "Null":
        return one
    if one == "Null":
        return other
    if one in _NUMBERS and other in _NUMBERS:
        floats = one.startswith("Float") or other.startswith("Float")
        return "Float64" if floats else "Int64"
    return None


def polars_schema(schema: Mapping[str, str]) -> dict[str, pl.DataType]:
    """Types by name, from the text that `str(dtype)` made of them."""
    return {name: _dtype(text) for name, text in schema.items()}


def _dtype(text: str) -> pl.DataType:
    import polars as pl

    if text.startswith("Datetime"):
        return pl.Datetime("us", "UTC")
    if text.startswith("Decimal"):
        digits = [int("".join(c for c in part if c.isdigit())) for part in text.split(",")]
        return pl.Decimal(digits[0], digits[1])
    kind = getattr(pl, text.partition("(")[0], None)
    if kind is None or "(" in text:
        raise HeadraceError("HR316", f"a column of type {text}")
    return kind()  # type: ignore[no-any-return]
