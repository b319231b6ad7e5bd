"""Rows that stay as earlier code made them: which rules they were asked, and how they go on when a reference moves."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from headrace.plan.marks import KEPT, is_kept, kept_among, mark_of
from headrace.ports.mappings import at_hand, pairs
from headrace.tables.breaches import BATCH, BETWEEN, RULE, Split, added, counted
from headrace.tables.growing import grown
from headrace.tables.making import refuse_different
from headrace.tables.picking import only
from headrace.tables.quarantine import checks
from headrace.tables.upsert import ROW

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from headrace.ports.records import Facts, Json, Version
    from headrace.tables.growing import Before, Grown
    from headrace.tables.making import Recipe
    from headrace.tables.shape import Shape

_KEY = 16


@dataclass(frozen=True, slots=True)
class Kept:
    """The batches that stay, each with the mark of the version that made its rows, and the rules asked by each mark."""

    marks: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def facts(self, made: Facts) -> dict[str, Json]:
        """What is recorded of the rules: which were asked of these rows, and of how many each was not."""
        if not self.marks:
            return {}
        results = made.get("results", ())
        unasked = self._unasked([each["rule"] for each in results], made["batches"])
        every = made["rows"] + made["quarantined"] + made.get("superseded", 0)
        told = []
        for each in results:
            rows = unasked.get(each["rule"], 0)
            unknown = {"broken": None, "passed": None} if rows == every and not each["broken"] else {}
            told.append({**each, **({"unasked": rows, **unknown} if rows else {})})
        return {
            "kept": {mark: list(rules) for mark, rules in self.asked.items()},
            **({"results": told} if told else {}),
        }

    def _unasked(self, rules: Collection[str], batches: Mapping[str, Facts]) -> dict[str, int]:
        """Of how many rows each of the rules was never asked; only those of which there are some."""
        lacking = {mark: [rule for rule in rules if rule not in self.asked.get(mark, ())] for mark in self._different}
        found: dict[str, int] = {}
        there = at_hand(batches, len(self.marks)) if any(lacking.values()) else {}
        for batch, mark in self.marks.items() if there else ():
            of = there[batch]
            rows = of["rows"] + of["quarantined"] + of.get("superseded", 0)
            for rule in lacking[mark] if rows else ():
                found[rule] = found.get(rule, 0) + rows
        return found

    @property
    def _different(self) -> list[str]:
        return sorted({*self.marks.values()})


def kept_of(base: Version | None, batches: Mapping[str, str]) -> Kept:
    """What stays of a base."""
    if base is None or not kept_among(batches):
        return Kept()
    marks = {batch: mark_of(identity) for batch, identity in pairs(batches) if is_kept(identity)}
    facts = base.manifest.facts
    known = {
        **facts.get("kept", {}),
        f"{KEPT}{base.key[:_KEY]}": [each["rule"] for each in facts.get("results", ()) if "broken" in each],
    }
    return Kept(marks, {mark: known[mark] for mark in sorted({*marks.values()}) if mark in known})


def asked_again(made: Mapping[str, Split], before: Before, kept: Kept, recipe: Recipe, shape: Shape) -> Grown | None:
    """A table of the batches that were made again and of those that stay, which are asked again for what they refer to.

    Raises HR414 where their columns differ.
    """
    splits = {**made, **_splits(before, kept, recipe, shape)}
    names = sorted(splits)
    parts = [splits[name] for name in names]
    refuse_different(recipe.name, parts, names)
    found = grown(parts, names, shape)
    if found is not None:
        found.left_out = recipe.left_out.union(before.facts.get("left_out", ()))
    return found


def _splits(before: Before, kept: Kept, recipe: Recipe, shape: Shape) -> dict[str, Split]:
    """The rows that stay, batch by batch, as if they were just made.

    What else they were set aside for stays. What shut others out, or was shut out, is to be settled again.
    """
    parts = _Parts(before, [*kept.marks])
    facts = at_hand(before.facts["batches"], len(kept.marks))
    referring = [] if recipe.contract is None else [c for c in checks(recipe.contract, recipe.known) if c.refers]
    settles = [rule.text for rule in shape.rules]
    found = {}
    for batch, mark in kept.marks.items():
        again = [check for check in referring if check.text in kept.asked.get(mark, ())]
        open_again = [*settles, *(check.text for check in again)]
        rows, aside = parts.of(batch, open_again)
        split = Split(rows, aside, {}) if recipe.contract is None else recipe.asked_by(rows, again, batch)
        counts = {rule: count for rule, count in facts[batch].get("rules", {}).items() if rule not in open_again}
        told = counted(aside, [check.text for check in again])
        found[batch] = Split(split.clean, _joined(aside, split), added([counts, told, split.counts]))
    return found


class _Parts:
    """The rows of some batches of a table: clean ones, those that newer ones superseded, and those set aside."""

    def __init__(self, before: Before, batches: Sequence[str]) -> None:
        clean = only(before.clean, before.layout.of_batches(batches)).collect()
        numbers = clean.get_column(ROW).to_numpy()
        clean = clean.drop(ROW).with_columns(pl.Series(BATCH, before.layout.batches_at(numbers), pl.String))
        self._frames = [clean, *(_of(rows, batches) for rows in (before.superseded, before.aside) if rows is not None)]
        self._parts = [
            {batch: rows for (batch,), rows in frame.partition_by(BATCH, as_dict=True, maintain_order=True).items()}
            for frame in self._frames
        ]
        self._columns = [name for name in clean.columns if name != BATCH]
        self._has_aside = before.aside is not None

    def of(self, batch: str, rules: Collection[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows of a batch that may be clean, if these rules alone are asked, and those that others set aside."""
        found = [part.get(batch, frame.clear()) for part, frame in zip(self._parts, self._frames, strict=True)]
        aside = found.pop() if self._has_aside else found[0].clear()
        if rules and aside.height:
            texts = "|".join(re.escape(rule) for rule in rules)
            alone = pl.col(RULE).str.contains(f"^(?:{texts})(?:{BETWEEN}(?:{texts}))*$")
            found.append(aside.filter(alone))
            aside = aside.filter(~alone)
        return pl.concat([rows.select(self._columns) for rows in found]), aside


def _of(rows: pl.LazyFrame, batches: Sequence[str]) -> pl.DataFrame:
    return rows.filter(pl.col(BATCH).is_in(batches)).collect()


def _joined(aside: pl.DataFrame, split: Split) -> pl.DataFrame:
    return pl.concat([aside, split.quarantined]) if aside.height else split.quarantined
