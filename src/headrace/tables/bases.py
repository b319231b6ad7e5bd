"""Which version of an incremental table another one is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.graph.node import nearest
from headrace.plan.marks import has_kept
from headrace.ports.mappings import beginning, differences
from headrace.tables.rules import MENDED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.ports.records import Version


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


def _waits_for(mended: Mapping[str, str], version: Version, wanted: Mapping[str, str]) -> bool:
    """Whether a version has all of what is wanted, but mended batches that come after those that it has."""
    different = differences(version.batches, wanted)
    if not different or any(was is not None or each not in mended for each, (was, _) in different.items()):
        return False
    return all(each in different or each < min(different) for each in mended)
