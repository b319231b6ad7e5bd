"""What decides which rows of a table stay, and the settling of rows that shut each other out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.tables.rules import QUARANTINE, WARN
from headrace.tables.uniqueness import Unique, set_doubles_aside, unique_rules
from headrace.tables.upsert import supersede

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from headrace.tables.breaches import Split
    from headrace.tables.contract import Contract
    from headrace.tables.partitions import Partition
    from headrace.tables.upsert import Upsert


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides which rows of a table stay: its name, its contract, how its keys are settled, how it is parted."""

    name: str
    contract: type[Contract] | None = None
    upsert: Upsert | None = None
    partition: Partition | None = None
    answer: str = QUARANTINE
    mended: bool = False

    @property
    def rules(self) -> list[Unique]:
        """What is unique besides what an upsert settles, in order."""
        rules = [] if self.contract is None else unique_rules(self.contract)
        return [rule for rule in rules if self.upsert is None or rule.names != self.upsert.names]

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """Every group of columns by which rows shut each other out, or are counted."""
        upsert = [] if self.upsert is None else [self.upsert.names]
        return [*upsert, *(rule.names for rule in self.rules)]

    @property
    def simple(self) -> bool:
        """Whether one group at most decides, and shuts rows out: then touched keys can be settled by themselves.

        Not where rows were mended, which come after all others.
        """
        return (
            not self.mended and len(self.groups) <= 1 and all(rule.answer(self.answer) != WARN for rule in self.rules)
        )


def settled(
    splits: Sequence[Split], batches: Sequence[str | None], shape: Shape
) -> tuple[Sequence[Split], list[pl.DataFrame]]:
    """The parts without rows that others shut out; those that an upsert supersedes, by part."""
    lost: list[pl.DataFrame] = []
    if shape.upsert is not None:
        splits, lost = supersede(splits, batches, shape.upsert)
    if shape.contract is not None:
        settled = () if shape.upsert is None else shape.upsert.names
        splits = set_doubles_aside(splits, batches, shape.contract, shape.answer, settled)
    return splits, lost
