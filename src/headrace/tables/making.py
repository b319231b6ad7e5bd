"""The making of a table: call the function, check what it returns, count, and refuse what must not be published."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from headrace.errors import HeadraceError
from headrace.tables.breaches import COLUMN, RULE, VALUE, Split, added
from headrace.tables.contract import marked
from headrace.tables.frames import call, collected, convert, to_lazy
from headrace.tables.quarantine import keep_rows
from headrace.tables.results import row_results
from headrace.tables.rules import FAIL, QUARANTINE
from headrace.tables.uniqueness import collides, set_doubles_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.ports.records import Facts, Json
    from headrace.tables.contract import Contract

EXAMPLES = 3
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Recipe:
    """What makes the rows of a table: its name, its function, the frames that the function takes, the contract.

    `answer` is what a breach does where a rule does not say, `known` the keys of other tables by referring column.
    """

    name: str
    function: Callable[..., Any]
    frames: Sequence[str]
    contract: type[Contract] | None
    answer: str = QUARANTINE
    known: Mapping[str, pl.Series] = field(default_factory=dict)

    def rows(self, inputs: Sequence[pl.LazyFrame], batch: str | None = None) -> Split:
        """Call the function, and check its rows one by one. Raises HR406 to HR408, HR422 and HR423."""
        arguments = [convert(frame, kind) for frame, kind in zip(inputs, self.frames, strict=True)]
        result = to_lazy(call(self.function, arguments, self.name), self.name)
        frame = collected(result, self.function, self.name)
        if self.contract is None:
            return Split(frame, frame.clear(), {})
        return keep_rows(frame, self.contract, table=self.name, batch=batch, known=self.known, answer=self.answer)


@dataclass(frozen=True)
class Parts:
    """The rows of a table under construction, batch by batch; one part without a batch where it is made at once."""

    batches: Sequence[str | None]
    splits: Sequence[Split] = field(default_factory=tuple)
    answer: str = QUARANTINE

    def collide(self, clean: pl.LazyFrame, aside: pl.LazyFrame | None, contract: type[Contract] | None) -> bool:
        """Whether a row shares what is to be unique with a row of the base, given as clean rows and those set aside."""
        return contract is not None and aside is not None and collides(self.splits, clean, aside, contract)

    def made(self, name: str, contract: type[Contract] | None) -> Made:
        """The parts as one, doubles set aside. Raises HR414 where the parts have different columns."""
        first = self.splits[0].clean.schema
        for split, batch in zip(self.splits, self.batches, strict=True):
            if split.clean.schema != first:
                differing = sorted(str(each) for each in set(split.clean.schema.items()) ^ set(first.items()))
                what = f"{name} of {self.batches[0]} and of {batch} differ: {', '.join(differing) or 'in their order'}"
                raise HeadraceError("HR414", what)
        splits = self.splits
        if contract is not None:
            splits = set_doubles_aside(splits, self.batches, contract, self.answer)
        clean = pl.concat([split.clean for split in splits])
        aside = pl.concat([split.quarantined for split in splits])
        sizes = {
            batch: {"rows": split.clean.height, "quarantined": split.quarantined.height}
            for batch, split in zip(self.batches, splits, strict=True)
            if batch is not None
        }
        return Made(name, clean, aside, added(split.counts for split in splits), sizes, self.answer)


@dataclass(frozen=True, slots=True)
class Made:
    """New rows of a table: clean ones, those set aside, how many broke which rule, how many came of each batch."""

    name: str
    clean: pl.DataFrame
    aside: pl.DataFrame
    counts: Mapping[str, int]
    sizes: Mapping[str, Mapping[str, int]]
    answer: str = QUARANTINE

    def facts(self, contract: type[Contract] | None, before: Facts) -> dict[str, Json]:
        """What is recorded of the table, the facts of its base included."""
        sizes = {**before.get("batches", {}), **self.sizes}
        counts = added([before.get("rules", {}), self.counts])
        return {
            "rows": before.get("rows", 0) + self.clean.height,
            "new_rows": self.clean.height,
            "quarantined": before.get("quarantined", 0) + self.aside.height,
            "new_quarantined": self.aside.height,
            "rules": counts,
            **({} if contract is None else {"results": row_results(contract, counts, self.answer)}),
            "columns": self.clean.columns,
            "schema": schema_of(self.clean),
            **({"batches": dict(sorted(sizes.items()))} if sizes else {}),
            **self._times(contract, before),
        }

    def _times(self, contract: type[Contract] | None, before: Facts) -> dict[str, str]:
        """The first and the last event time, as text."""
        name = marked(contract, "event_time")
        if name is None:
            return {}
        found: list[Any] = (
            [] if self.clean.is_empty() else [*self.clean.select(pl.min(name), pl.max(name).alias("")).row(0)]
        )
        texts = [moment.isoformat(timespec="microseconds") for moment in found]
        texts += [before[bound] for bound in ("first_event", "last_event") if bound in before]
        return {"first_event": min(texts), "last_event": max(texts)} if texts else {}

    def refuse(self, facts: Facts, limit: float | None) -> None:
        """Raise HR411 where no row is left, HR412 where a larger share than `limit` was set aside."""
        rows, quarantined = facts["rows"], facts["quarantined"]
        told = ", ".join(f"{rule}: {count}" for rule, count in facts["rules"].items())
        failed = [each for each in facts.get("results", ()) if each["on_breach"] == FAIL and each["broken"]]
        if failed and self.answer != FAIL:
            broken = ", ".join(f"{each['rule']}: {each['broken']}" for each in failed)
            raise HeadraceError(
                "HR412", f"{self.name}: rows break a rule that allows none ({broken}); {self._examples()}"
            )
        if rows == 0:
            if not quarantined:
                raise HeadraceError("HR411", f"{self.name} has no rows: its function returned none")
            what = f"{self.name} has no rows left: {quarantined} break its contract ({told}); {self._examples()}"
            raise HeadraceError("HR411", what)
        if limit is not None and quarantined > limit * (rows + quarantined):
            share = f"{quarantined} of {rows + quarantined} rows"
            allowed = "none is allowed" if limit == 0 else f"{limit:.3%} are allowed"
            what = f"{self.name}: {share} break its contract, {allowed} ({told}); {self._examples()}"
            raise HeadraceError("HR412", what)

    def _examples(self) -> str:
        """The first rows that were set aside: rule and value."""
        rows = self.aside.head(EXAMPLES).select(RULE, COLUMN, VALUE).iter_rows()
        return "for example " + ", ".join(f"{column} = {str(value)[:_LONGEST]}" for _, column, value in rows)


def schema_of(frame: pl.DataFrame) -> dict[str, str]:
    """Columns and types as text."""
    return {name: str(kind) for name, kind in frame.schema.items()}
