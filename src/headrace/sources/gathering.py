"""The batches of a version of a source while it is put together: those of its base, and what is landed now.

What many batches come to is gathered piece by piece (see `headrace.ports.mappings`): one more costs what one costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from headrace.ports.mappings import changed, counted, differences, folded, pairs
from headrace.ports.records import REFS
from headrace.sources.types import union_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.ports.records import Batch, Facts, Ref, Version
    from headrace.sources.origin import Landing


def rows_of(batches: Mapping[str, Facts]) -> int:
    """The rows of all batches."""
    return counted(batches, _rows)


def firsts_of(batches: Mapping[str, Facts], what: str) -> dict[int | None, str]:
    """For each of the "schema"s or the lists of "nulls" (None: not recorded), the first batch that has it, in order."""
    return folded(batches, _first_schemas if what == "schema" else _first_nulls, _first_of)


def _rows(batches: Mapping[str, Facts]) -> int:
    return sum(of["rows"] for of in batches.values())


def _first_schemas(batches: Mapping[str, Facts]) -> dict[int | None, str]:
    return _first_of([{of["schema"]: batch} for batch, of in batches.items()])


def _first_nulls(batches: Mapping[str, Facts]) -> dict[int | None, str]:
    return _first_of([{of.get("nulls"): batch} for batch, of in batches.items()])


def _first_of(found: Sequence[dict[int | None, str]]) -> dict[int | None, str]:
    firsts: dict[int | None, str] = {}
    for each in found:
        for place, batch in each.items():
            firsts.setdefault(place, batch)
    return firsts


class Landed:
    """The batches of a version under construction."""

    def __init__(self) -> None:
        self.schemas: list[dict[str, str]] = []
        self.nulls: list[list[str]] = []
        self._outputs: Mapping[str, Ref] = {}
        self._batches: Mapping[str, Facts] = {}
        self._more: dict[str, tuple[Ref, dict[str, Any]]] = {}

    @classmethod
    def of(cls, base: Version | None, wanted: Mapping[str, str]) -> Self:
        """What of the wanted batches a base has landed already, taken over by reference."""
        landed = cls()
        if base is not None:
            facts = base.manifest.facts
            gone = [batch for batch, (was, _) in differences(base.batches, wanted).items() if was is not None]
            landed.schemas, landed.nulls = list(facts["schemas"]), list(facts.get("nulls", ()))
            landed._outputs = changed(base.manifest.outputs, {}, gone, REFS)
            landed._batches = changed(facts["batches"], {}, gone)
            if gone:
                landed._forget()
        return landed

    def has(self, batch: str) -> bool:
        """Whether a batch is there."""
        return batch in self._outputs or batch in self._more

    def add(self, batch: Batch, landing: Landing, nulls: Sequence[str]) -> None:
        """One more batch. One without rows goes together with every type, and what it tells of types is kept."""
        facts = {"digest": batch.digest, "bytes": batch.size, "rows": landing.rows, **landing.facts}
        schema = dict(landing.schema)
        if not landing.rows:
            facts["types"], schema = schema, dict.fromkeys(schema, "Null")
        more = {"schema": _place(schema, self.schemas), "nulls": _place(list(nulls), self.nulls)}
        self._more[batch.id] = (landing.ref, {**facts, **more})

    @property
    def outputs(self) -> Mapping[str, Ref]:
        """Where the batches lie."""
        return changed(self._outputs, {batch: ref for batch, (ref, _) in self._more.items()}, (), REFS)

    @property
    def batches(self) -> Mapping[str, Facts]:
        """What is recorded of each batch."""
        return changed(self._batches, {batch: facts for batch, (_, facts) in self._more.items()})

    def in_order(self) -> list[tuple[str, Mapping[str, str]]]:
        """The different schemas, each with the first batch that has it, in order of those."""
        firsts = firsts_of(self.batches, "schema")
        return [(batch, self.schemas[place]) for place, batch in firsts.items() if place is not None]

    def without_rows(self) -> dict[str, str]:
        """The types that batches without rows tell, where none has a row; Null where no batch tells one."""
        told = [(batch, of.get("types", {})) for batch, of in pairs(self.batches)]
        known = {name for _, of in told for name, kind in of.items() if kind != "Null"}
        return {name: kind if name in known else "Null" for name, kind in union_schema(told).items()}

    def _forget(self) -> None:
        """Leave schemas and lists of nulls out that no batch has any more."""
        schemas, nulls = firsts_of(self._batches, "schema"), firsts_of(self._batches, "nulls")
        if len(schemas) == len(self.schemas) and len(nulls.keys() - {None}) == len(self.nulls):
            return
        before, self.schemas, self.nulls = (self.schemas, self.nulls), [], []
        renamed = {}
        for batch, of in pairs(self._batches):
            renamed[batch] = {**of, "schema": _place(before[0][of["schema"]], self.schemas)}
            if "nulls" in of:
                renamed[batch]["nulls"] = _place(before[1][of["nulls"]], self.nulls)
        self._batches = changed({}, renamed)


def _place(value: Any, among: list[Any]) -> int:  # noqa: ANN401 - a schema or a list of columns
    """The place of a schema, or a list of columns, among those that there are. Each is kept once.

    Two schemas with other orders of columns are one: a ledger does not keep the order.
    """
    if value not in among:
        among.append(value)
    return among.index(value)
