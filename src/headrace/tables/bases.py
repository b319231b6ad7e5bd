"""Which version of an incremental table another one is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.graph.node import nearest
from headrace.plan.marks import has_kept
from headrace.ports.mappings import beginning, differences
from headrace.tables.contract import references
from headrace.tables.rules import MENDED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.ports.records import Json, Version
    from headrace.ports.work import Step
    from headrace.tables.contract import Contract


def mended_of(table: str, batches: Mapping[str, str]) -> dict[str, str]:
    """Those of the batches that are mended rows of a table."""
    return beginning(batches, f"{MENDED}/{table}/")


def base_of(table: str, wanted: Mapping[str, str], live: Sequence[Version]) -> Version | None:
    """The version that shares the most batches: one with the same mended rows.

    One that only lacks the last of them is better: then they are all that comes.
    """
    usable = [each for each in live if has_kept(each, wanted)]
    mended = mended_of(table, wanted)
    waiting = [each for each in usable if _waits_for(mended, each, wanted)]
    same = [each for each in usable if mended_of(table, each.batches) == mended]
    return nearest(wanted, waiting or same)


def fitting(table: str, contract: type[Contract] | None, step: Step, input_schema: Json) -> Version | None:
    """The base of a step, where its rows go together with what is made now."""
    from headrace.tables.conform import schema_of_contract

    base = step.base
    if base is None or base.generation != step.generation or "layout" not in base.manifest.facts:
        return None
    if contract is not None and schema_of_contract(contract) != base.manifest.facts["schema"]:
        return None
    gone = [was for was, _ in differences(base.batches, step.batches).values() if was is not None]
    if gone and mended_of(table, step.batches):
        return None  # what a mended row mends may be gone
    return base if base.manifest.facts["input_schema"] == input_schema else None


def same_references(contract: type[Contract] | None, base: Version, step: Step) -> bool:
    """Whether the tables whose keys the contract references are those of the base: else every row is asked again."""
    before, now = dict(base.inputs), dict(step.inputs)
    return all(before.get(each.name) == now.get(each.name) for each in references(contract).values())


def _waits_for(mended: Mapping[str, str], version: Version, wanted: Mapping[str, str]) -> bool:
    """Whether a version has all of what is wanted, but mended batches that come after those that it has."""
    different = differences(version.batches, wanted)
    if not different or any(was is not None or each not in mended for each, (was, _) in different.items()):
        return False
    return all(each in different or each < min(different) for each in mended)
