"""The table node: rows made by a user's function, checked by a contract, grown batch by batch where that is allowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, cast

from headrace.errors import HeadraceError
from headrace.graph.node import RowsNode, largest_subset
from headrace.ports.records import Manifest
from headrace.sources.source import Source
from headrace.tables.contract import keys, marked
from headrace.tables.frames import call, convert, failed, to_lazy, wanted_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from headrace.graph.node import Options
    from headrace.ports.records import Json, Ref, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step
    from headrace.tables.contract import Contract

_BREACHES = ("quarantine", "fail")


@dataclass
class _Parts:
    """What one making has found so far: clean rows, quarantined rows, and how many broke which rule."""

    clean: list[pl.DataFrame] = field(default_factory=list)
    quarantined: list[pl.DataFrame] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


class Table(RowsNode):
    """Rows made by the user's function out of the rows of the inputs; it can be called like the plain function."""

    kind: ClassVar[str] = "table"

    def __init__(
        self,
        name: str,
        inputs: Sequence[RowsNode],
        function: Callable[..., Any],
        *,
        contract: type[Contract] | None = None,
        on_breach: str = "quarantine",
        max_quarantined: float | None = None,
        incremental: bool = False,
        options: Options | None = None,
    ) -> None:
        if on_breach not in _BREACHES:
            raise HeadraceError("HR409", f"{name}: on_breach is {on_breach!r}")
        if incremental and (len(inputs) != 1 or not isinstance(inputs[0], Source)):
            raise HeadraceError("HR410", f"{name} is incremental and has inputs {[each.name for each in inputs]}")
        super().__init__(name, inputs, options)
        self.function = function
        self.contract = contract
        self.on_breach = on_breach
        self.max_quarantined = max_quarantined
        self.incremental = incremental
        self._frames = wanted_frames(function, len(inputs), name)

    def __call__(self, *frames: Any) -> Any:
        """The plain function, for a unit test."""
        return self.function(*frames)

    def functions(self) -> Sequence[Callable[..., object] | type]:
        """The function that makes the rows."""
        return (self.function,)

    def settings(self) -> Mapping[str, object]:
        """The contract, what a breach does, and whether the table grows."""
        return {
            "contract": None if self.contract is None else self.contract.__headrace_canonical__(),
            "on_breach": self.on_breach,
            "max_quarantined": self.max_quarantined,
            "incremental": self.incremental,
        }

    def columns(self) -> Sequence[str] | None:
        """The columns of the contract; None without one."""
        return None if self.contract is None else [each.name for each in self.contract.__columns__]

    def batches(self, inputs: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
        """An incremental table covers the batches of its source."""
        return next(iter(inputs.values())) if self.incremental else {}

    def base(self, wanted: Mapping[str, str], live: Sequence[Version]) -> Version | None:
        """The largest version to append to, for an incremental table."""
        return largest_subset(wanted, live) if self.incremental else None

    def read(self, version: Version, stores: Stores) -> pl.LazyFrame:
        """The clean rows."""
        return stores.tables.scan(version.manifest.outputs["table"])

    def quarantine(self, version: Version, stores: Stores) -> pl.LazyFrame | None:
        """The rows that were set aside, with `_rule`, `_column`, `_value` and `_batch`; None without a contract."""
        ref = version.manifest.outputs.get("quarantine")
        return None if ref is None else stores.tables.scan(ref)

    def make(self, step: Step, context: Context) -> Manifest:
        """Run the function, check the contract, write the quarantine and then the rows. Raises HR4xx."""
        base = self._usable(step.base, context)
        parts = self._run(context, None if base is None else base.batches)
        if base is not None and self._doubles(parts, base, context):
            context.log("a key appears in an earlier batch as well: made from all batches")
            base, parts = None, self._run(context, None)
        return self._write(step.key, parts, base, context)

    def _usable(self, base: Version | None, context: Context) -> Version | None:
        """The base, unless the schema of the source has changed since it was made."""
        if base is None or base.manifest.facts["input_schema"] != self._input_schema(context):
            return None
        return base

    def _input_schema(self, context: Context) -> Json:
        return {each.name: context.versions[each.name].manifest.facts.get("schema") for each in self.inputs}

    def _run(self, context: Context, done: Mapping[str, str] | None) -> _Parts:
        """Call the function: once for each new batch of an incremental table, else once for all rows."""
        parts = _Parts()
        if not self.incremental:
            frames = [cast("RowsNode", each).read(context.versions[each.name], context.stores) for each in self.inputs]
            self._add(parts, self._called(frames), None)
        else:
            source = cast("Source", self.inputs[0])
            version = context.versions[source.name]
            wanted = [name for name in sorted(version.batches) if name not in (done or {})]
            for number, (name, frame) in enumerate(source.read_batches(version, context.stores, wanted)):
                context.progress(number, len(wanted))
                self._add(parts, self._called([frame]), name)
        self._set_doubles_aside(parts)
        return parts

    def _called(self, frames: Sequence[pl.LazyFrame]) -> pl.DataFrame:
        arguments = [convert(frame, kind) for frame, kind in zip(frames, self._frames, strict=True)]
        result = to_lazy(call(self.function, arguments, self.name), self.name)
        try:
            return result.collect()
        except Exception as error:
            raise failed(self.function, self.name, error) from error

    def _add(self, parts: _Parts, frame: pl.DataFrame, batch: str | None) -> None:
        if self.contract is None:
            parts.clean.append(frame)
            return
        from headrace.tables.quarantine import split

        found = split(frame, self.contract, table=self.name, batch=batch)
        parts.clean.append(found.clean)
        parts.quarantined.append(found.quarantined)
        for rule, count in found.counts.items():
            parts.counts[rule] = parts.counts.get(rule, 0) + count

    def _set_doubles_aside(self, parts: _Parts) -> None:
        """Keys that appear in two of the new batches: the row of the later batch, by name, is set aside."""
        names = keys(self.contract)
        if not names or len(parts.clean) < 2:  # noqa: PLR2004 - one batch has been checked by itself
            return
        import polars as pl

        from headrace.tables.quarantine import doubles

        rows = pl.concat(parts.clean)
        later = ~rows.select(pl.struct(names).is_first_distinct()).to_series()
        if not later.any():
            return
        start = 0
        for number, frame in enumerate(parts.clean):
            here = later.slice(start, frame.height)
            start += frame.height
            batch = parts.quarantined[number].get_column("_batch")[0] if parts.quarantined[number].height else None
            parts.quarantined.append(doubles(frame.filter(here), names, batch))
            parts.clean[number] = frame.filter(~here)
        rule = f"{', '.join(names)} is unique"
        parts.counts[rule] = parts.counts.get(rule, 0) + int(later.sum())

    def _doubles(self, parts: _Parts, base: Version, context: Context) -> bool:
        """Whether a new row has the key of a row that the base holds."""
        names = keys(self.contract)
        if not names or not parts.clean:
            return False
        import polars as pl

        new = pl.concat(parts.clean).lazy().select(names)
        return not self.read(base, context.stores).select(names).join(new, on=list(names), how="semi").collect().is_empty()

    def _write(self, key: str, parts: _Parts, base: Version | None, context: Context) -> Manifest:
        import polars as pl

        before = dict(base.manifest.facts) if base is not None else {}
        rows = sum(frame.height for frame in parts.clean) + before.get("rows", 0)
        quarantined = sum(frame.height for frame in parts.quarantined) + before.get("quarantined", 0)
        counts = dict(before.get("rules", {}))
        for rule, count in parts.counts.items():
            counts[rule] = counts.get(rule, 0) + count
        self._refuse(rows, quarantined, counts, parts)
        outputs: dict[str, Ref] = {}
        if self.contract is not None:
            old = base.manifest.outputs["quarantine"] if base is not None else None
            aside = pl.concat(parts.quarantined)
            outputs["quarantine"] = context.stores.tables.write(key, f"{self.name}.quarantine", aside, old)
        old = base.manifest.outputs["table"] if base is not None else None
        clean = pl.concat(parts.clean)
        outputs["table"] = context.stores.tables.write(key, self.name, clean, old)
        facts = {
            "rows": rows,
            "new_rows": clean.height,
            "quarantined": quarantined,
            "rules": counts,
            "schema": {name: str(kind) for name, kind in clean.schema.items()},
            "input_schema": self._input_schema(context),
            **self._times(clean, before),
        }
        context.log(f"{rows} rows, {clean.height} of them new; {quarantined} set aside")
        return Manifest(key, outputs, facts)

    def _refuse(self, rows: int, quarantined: int, counts: Mapping[str, int], parts: _Parts) -> None:
        """Nothing is published when no row is left, or when too many were set aside."""
        if rows == 0:
            detail = "; ".join(f"{count} rows break {rule}" for rule, count in counts.items())
            raise HeadraceError("HR411", f"{self.name} has no rows{' left: ' + detail if detail else ''}")
        share = quarantined / (rows + quarantined)
        limit = 0.0 if self.on_breach == "fail" else self.max_quarantined
        if limit is not None and share > limit:
            listed = ", ".join(f"{rule}: {count}" for rule, count in sorted(counts.items()))
            shown = [row for frame in parts.quarantined for row in frame.head(3).to_dicts()][:3]
            examples = ", ".join(f"{row['_column']} = {row['_value']}" for row in shown)
            what = f"{self.name}: {quarantined} of {rows + quarantined} rows break its contract ({listed}); {examples}"
            raise HeadraceError("HR412", what)

    def _times(self, clean: pl.DataFrame, before: Mapping[str, Any]) -> dict[str, str]:
        """The first and the last event time, as text."""
        name = marked(self.contract, "event_time")
        if name is None:
            return {}
        times = clean.get_column(name)
        found = [times.min(), times.max()] if times.len() else []
        texts = [value.isoformat() for value in cast("list[Any]", found)]
        texts += [before[bound] for bound in ("first_event", "last_event") if bound in before]
        return {"first_event": min(texts), "last_event": max(texts)}
