"""The making of a table: call the function, check what it returns, count, and refuse what must not be published."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from headrace.errors import HeadraceError
from headrace.plan.marks import is_kept
from headrace.ports.mappings import folded, pairs
from headrace.tables.breaches import COLUMN, RULE, VALUE, Split, added
from headrace.tables.conform import left_out
from headrace.tables.contract import marked
from headrace.tables.frames import call, collected, convert, to_lazy
from headrace.tables.picking import left_of
from headrace.tables.quarantine import asked_by, keep_rows
from headrace.tables.results import row_results
from headrace.tables.rules import FAIL, QUARANTINE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.ports.records import Facts, Json
    from headrace.ports.stores import Draft
    from headrace.tables.contract import Contract
    from headrace.tables.growing import Before, Grown
    from headrace.tables.quarantine import Check
    from headrace.tables.shape import Shape

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
    left_out: set[str] = field(default_factory=set)
    """The columns that the function returned so far and the contract does not name."""

    def rows(self, inputs: Sequence[pl.LazyFrame], batch: str | None = None) -> Split:
        """Call the function, and check its rows one by one. Raises HR406 to HR408, HR422 and HR423."""
        return self.checked(collected(self.asked(inputs), self.function, self.name), batch)

    def asked(self, inputs: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
        """Call the function. Raises HR422 and HR423."""
        arguments = [convert(frame, kind) for frame, kind in zip(inputs, self.frames, strict=True)]
        return to_lazy(call(self.function, arguments, self.name), self.name)

    def checked(self, frame: pl.DataFrame, batch: str | None = None) -> Split:
        """Check rows one by one. Raises HR406 to HR408."""
        if self.contract is None:
            return Split(frame, frame.clear(), {})
        self.left_out.update(left_out(frame.columns, self.contract))
        return keep_rows(frame, self.contract, table=self.name, batch=batch, known=self.known, answer=self.answer)

    def asked_by(self, rows: pl.DataFrame, found: Sequence[Check], batch: str) -> Split:
        """Rows as the contract has them, split by some of its rules alone."""
        assert self.contract is not None  # noqa: S101 - rules are those of a contract
        return asked_by(rows, found, self.contract, batch=batch, answer=self.answer)


def refuse_different(name: str, splits: Sequence[Split], batches: Sequence[str | None]) -> None:
    """Raise HR414 where the batches came to different columns."""
    for split, batch in zip(splits[1:], batches[1:], strict=True):
        refuse_other_columns(name, splits[0].clean.schema, split.clean, (batches[0], batch))


def refuse_other_columns(
    name: str, first: pl.Schema, rows: pl.DataFrame, batches: tuple[str | None, str | None]
) -> None:
    """Raise HR414 where the rows of the second batch have other columns than those of the first one."""
    if rows.schema != first:
        differing = sorted(str(each) for each in set(rows.schema.items()) ^ set(first.items()))
        what = f"{name} of {batches[0]} and of {batches[1]} differ: {', '.join(differing) or 'in their order'}"
        raise HeadraceError("HR414", what)


def refuse_kept(name: str, batches: Mapping[str, str]) -> None:
    """Raise HR486 where rows are to stay that earlier code made: they cannot be made again."""
    kept = sorted(batch for batch, identity in pairs(batches) if is_kept(identity))
    if kept:
        raise HeadraceError("HR486", f"{name}: the rows of {len(kept)} batches, {kept[0]} first, are to stay")


def facts_of(made: Grown, shape: Shape, before: Before | None = None) -> dict[str, Json]:
    """What is recorded of a table, what it grew from included."""
    contract, sizes = shape.contract, made.sizes
    batches = sizes if None not in sizes else {batch: of for batch, of in sizes.items() if batch is not None}
    incremental = before is not None or bool(batches)
    sums = _sums([*sizes.values()]) if None in sizes else folded(sizes, _of_batches, _sums)  # type: ignore[arg-type]
    counts = sums["rules"]
    return {
        "rows": made.layout.rows,
        "new_rows": made.clean.rows.height,
        "quarantined": sums["quarantined"],
        "new_quarantined": made.new_aside,
        **({} if made.superseded is None else {"superseded": sums["superseded"]}),
        "rules": counts,
        **({} if contract is None else {"results": row_results(contract, counts, shape.answer)}),
        "columns": made.clean.rows.columns,
        "schema": schema_of(made.clean.rows) if before is None else before.facts["schema"],
        **({"batches": batches} if incremental else {}),
        **({"layout": made.layout.to_json()} if incremental or shape.partition is not None else {}),
        **_left_out(made, before),
        **_mended(made, before),
        **_times(made, shape, before),
    }


def _left_out(made: Grown, before: Before | None) -> dict[str, Json]:
    """The columns that the contract does not name, those that the base was made without included."""
    names = {*made.left_out, *(() if before is None else before.facts.get("left_out", ()))}
    return {"left_out": sorted(names)} if names else {}


def _of_batches(batches: Mapping[str, Facts]) -> dict[str, Any]:
    return _sums([*batches.values()])


def _sums(parts: Sequence[Facts]) -> dict[str, Any]:
    """How many rows of several batches were set aside and superseded, and how many broke each rule."""
    sums = {what: sum(of.get(what, 0) for of in parts) for what in ("quarantined", "superseded")}
    return {**sums, "rules": added(of.get("rules", {}) for of in parts)}


def _mended(made: Grown, before: Before | None) -> dict[str, Json]:
    """What became of each mended batch, those of the base included."""
    told = {**({} if before is None else before.facts.get("mended", {})), **made.mended}
    return {"mended": dict(told)} if told else {}


def _times(made: Grown, shape: Shape, before: Before | None) -> dict[str, str]:
    """The first and the last event time, as text."""
    name = marked(shape.contract, "event_time")
    if name is None:
        return {}
    frames = [made.clean.rows.lazy().select(name)]
    texts: list[str] = []
    if before is not None and len(made.clean.less):
        frames.append(left_of(before.clean.select(name), made.clean.less))
    elif before is not None:
        texts = [before.facts[bound] for bound in ("first_event", "last_event") if bound in before.facts]
    bounds = pl.concat(frames).select(pl.min(name), pl.max(name).alias("")).collect().row(0)
    texts += [moment.isoformat(timespec="microseconds") for moment in bounds if moment is not None]
    return {"first_event": min(texts), "last_event": max(texts)} if texts else {}


def refuse(name: str, made: Grown, facts: Facts, answer: str, limit: float | None, *, fed: bool) -> None:
    """Raise HR411 where no row is left, HR412 where more than a share `limit` was set aside or a rule allows none.

    A table may be without rows where all that it is made from is: it is not `fed`.
    """
    rows, quarantined = facts["rows"], facts["quarantined"]
    told = ", ".join(f"{rule}: {count}" for rule, count in facts["rules"].items())
    failed = [each for each in facts.get("results", ()) if each["on_breach"] == FAIL and each["broken"]]
    if failed and answer != FAIL:
        broken = ", ".join(f"{each['rule']}: {each['broken']}" for each in failed)
        raise HeadraceError("HR412", f"{name}: rows break a rule that allows none ({broken}){_examples(made)}")
    if rows == 0 and (fed or quarantined):
        if not quarantined:
            raise HeadraceError("HR411", f"{name} has no rows: its function returned none")
        what = f"{name} has no rows left: {quarantined} break its contract ({told}){_examples(made)}"
        raise HeadraceError("HR411", what)
    if limit is not None and quarantined > limit * (rows + quarantined):
        share = f"{quarantined} of {rows + quarantined} rows"
        allowed = "none is allowed" if limit == 0 else f"{limit:.3%} are allowed"
        raise HeadraceError("HR412", f"{name}: {share} break its contract, {allowed} ({told}){_examples(made)}")


def _examples(made: Grown) -> str:
    """The first rows that were set aside: rule and value."""
    if made.aside is None or made.aside.rows.is_empty():
        return ""
    rows = made.aside.rows.head(EXAMPLES).select(RULE, COLUMN, VALUE).iter_rows()
    return "; for example " + ", ".join(f"{column} = {str(value)[:_LONGEST]}" for _, column, value in rows)


def schema_of(frame: pl.DataFrame | Draft) -> dict[str, str]:
    """Columns and types as text."""
    return {name: str(kind) for name, kind in frame.schema.items()}


def told(facts: Facts) -> str:
    """What a table came to, for its log."""
    rules = "".join(f"\n  {count} rows: {rule}" for rule, count in facts["rules"].items())
    return f"{facts['rows']} rows, {facts['new_rows']} of them new; {facts['quarantined']} set aside{rules}"
