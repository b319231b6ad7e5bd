"""The table node: rows made by a user's function, checked by a contract, grown batch by batch where that is allowed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Unpack, cast

from headrace.errors import HeadraceError, article
from headrace.graph.node import RowsNode
from headrace.ports.mappings import differences
from headrace.ports.records import Manifest, Observation
from headrace.ports.stores import Change
from headrace.sources.source import Source
from headrace.tables.bases import base_of, fitting, mended_of, same_references
from headrace.tables.contract import Contract, keys, references
from headrace.tables.frames import wanted_frames
from headrace.tables.layout import Layout
from headrace.tables.partitions import partition_of
from headrace.tables.results import relative_rules
from headrace.tables.rules import ANSWERS
from headrace.tables.touching import TracedNode
from headrace.tables.upsert import upsert_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import polars as pl

    from headrace.graph.node import Options
    from headrace.ports.outside import Outlook
    from headrace.ports.records import Decision, Json, Ref, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step
    from headrace.tables.breaches import Split
    from headrace.tables.growing import Before, Delta, Grown
    from headrace.tables.kept import Kept
    from headrace.tables.making import Recipe
    from headrace.tables.mending import Mending
    from headrace.tables.shape import Shape

_WHOLE = Change()
TABLE, QUARANTINE, SUPERSEDED = "table", "quarantine", "superseded"
"""The outputs of a version: clean rows; with a contract, those set aside; with upserts, older rows of a key."""


class TableSettings(TypedDict, total=False):
    """How a table is made.

    `contract`: what a clean row looks like. `on_breach`: rows that break the contract are set aside ("quarantine", the
    default), stop the table ("fail"), or stay and are counted ("warn"), unless a rule says otherwise.
    `max_quarantined`: the largest share of rows, from 0 to 1, that may be set aside; more stop the table.
    `incremental`: the function is called for each new batch of its one source, and the rows are appended; it promises
    that f(A + B) = f(A) + f(B). `upsert`: of the rows of one key the newest stays instead of the first, by the column
    that is named, or by the contract's known-at column (True). `partition_by`: the rows lie in files by the value of a
    column, or by "year", "month", "day" or "hour" of the event time, or of a column: "month(sold_at)".
    """

    contract: type[Contract] | None
    on_breach: str
    max_quarantined: float | None
    incremental: bool
    upsert: bool | str
    partition_by: str | None


class Table(TracedNode):
    """Rows made by the user's function out of the rows of the inputs; it can be called like the plain function.

    The facts of a version are `rows`, `new_rows`, `quarantined`, `new_quarantined`, `rules` (how many rows broke each),
    `results` (what became of each rule, and of how many rows that stay of earlier code it was `unasked`), `kept` (which
    rules those were asked), `measures` (what its rules of the whole table measured), `warnings` (of rules that only
    warn), `columns`, `schema`, `input_schema`, of a contract with an event time `first_event` and `last_event`, and of
    an incremental table `batches` (rows and quarantined rows of each).
    """

    kind: ClassVar[str] = "table"

    def __init__(
        self,
        name: str,
        inputs: Sequence[RowsNode],
        function: Callable[..., Any],
        *,
        options: Options | None = None,
        **settings: Unpack[TableSettings],
    ) -> None:
        self.contract = settings.get("contract")
        self.taken = tuple(inputs)
        """The inputs that the function takes. Tables whose keys the contract references are inputs as well."""
        super().__init__(name, _with_references(inputs, self.contract), options)
        self.function = function
        self.on_breach = settings.get("on_breach", "quarantine")
        self.max_quarantined = settings.get("max_quarantined")
        self.incremental = self.goes_forward = settings.get("incremental", False)
        self._partition_by = settings.get("partition_by")
        self._check_inputs()
        self._check_contract()
        self.upsert = upsert_of(name, self.contract, settings.get("upsert", False))
        self._check_growth()
        self.partition = partition_of(name, self.contract, self._partition_by)
        self.gated = bool(relative_rules(self.contract))
        self._frames = wanted_frames(function, len(self.taken), name)

    def _check_inputs(self) -> None:
        for node in self.inputs:
            if not isinstance(node, RowsNode):
                raise HeadraceError("HR416", f"{self.name} has the input {node!r:.60}")
        if self.incremental and (len(self.taken) != 1 or not isinstance(self.taken[0], Source)):
            names = ", ".join(f"{node.name} ({article(node.kind)})" for node in self.taken)
            raise HeadraceError("HR410", f"{self.name} is incremental, and its inputs are {names or 'none'}")

    def _check_growth(self) -> None:
        """Rows that take one another's place are no sum: an incremental table has to do the same with its own."""
        source = self.taken[0] if self.incremental else None
        if isinstance(source, Source) and not source.of.grows and not self.upsert:
            raise HeadraceError(
                "HR355", f"{self.name} is incremental, and newer rows of {source.name} replace older ones"
            )

    def _check_contract(self) -> None:
        contract, share = self.contract, self.max_quarantined
        if contract is not None and not (isinstance(contract, type) and issubclass(contract, Contract)):
            raise HeadraceError("HR415", f"{self.name} has the contract {contract!r:.60}")
        if self.on_breach not in ANSWERS:
            raise HeadraceError("HR409", f"{self.name}: on_breach is {self.on_breach!r}")
        if share is not None and not 0 <= share <= 1:
            raise HeadraceError("HR409", f"{self.name}: max_quarantined is {share}")
        if share is not None and self.on_breach == "fail":
            raise HeadraceError(
                "HR409", f'{self.name}: on_breach="fail" allows no breach, max_quarantined={share} does'
            )
        if contract is None and (share is not None or self.on_breach != "quarantine"):
            raise HeadraceError("HR409", f"{self.name} says what a breach does, and has no contract")

    def __call__(self, *frames: Any) -> Any:  # noqa: ANN401 - whatever the function takes and returns
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
            **({} if self.upsert is None else {"upsert": self.upsert.order}),
            **({} if self._partition_by is None else {"partition_by": self._partition_by}),
        }

    def columns(self) -> Sequence[str] | None:
        """The columns of the contract; None without one."""
        return None if self.contract is None else [each.name for each in self.contract.__columns__]

    def batches(self, inputs: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
        """An incremental table covers the batches of its source."""
        return inputs[self.taken[0].name] if self.incremental else {}

    def base(self, wanted: Mapping[str, str], live: Sequence[Version]) -> Version | None:
        """The version that an incremental table grows from."""
        return base_of(self.name, wanted, live) if self.incremental else None

    @property
    def observes(self) -> bool:
        """Whether there may be rows that were mended."""
        return self.contract is not None or not self.inputs

    def observe(self, outlook: Outlook) -> Observation | None:
        """The batches of mended rows, where there are any. Raises HR435 for one that was edited."""
        if self.contract is None:
            return None
        from headrace.tables.mending import observed

        found = observed(outlook.project, self.name)
        return Observation(self.name, found) if found else None

    def check_sample(self, inputs: Mapping[str, Version], stores: Stores) -> Sequence[HeadraceError]:
        """Whether an incremental table keeps its promise, f(A + B) = f(A) + f(B): HR417, or as `make`."""
        if not self.incremental:
            return ()
        from headrace.tables.additive import refuse_dependent

        source = cast("Source", self.taken[0])
        batches = [frame for _, frame in source.read_batches(inputs[source.name], stores)]
        try:
            refuse_dependent(self.name, self.function, self._frames[0], batches)
        except HeadraceError as error:
            return (error,)
        return ()

    def read(self, version: Version, stores: Stores) -> pl.LazyFrame:
        """The clean rows."""
        return stores.tables.scan(version.manifest.outputs[TABLE])

    def lies_in(self, version: Version) -> Ref | None:
        """The table of the clean rows."""
        return version.manifest.outputs[TABLE]

    def read_partitions(self, version: Version, stores: Stores, names: Collection[str]) -> pl.LazyFrame:
        """The clean rows of some partitions; only their files are read."""
        import polars as pl

        runs = Layout.from_json(version.manifest.facts.get("layout", ())).slices(names)
        rows = self.read(version, stores)
        return pl.concat([rows.slice(start, length) for start, length in runs or [(0, 0)]])

    def quarantine(self, version: Version, stores: Stores) -> pl.LazyFrame | None:
        """The rows that were set aside, with `_rule`, `_column`, `_value` and `_batch`; None without a contract."""
        ref = version.manifest.outputs.get(QUARANTINE)
        return None if ref is None else stores.tables.scan(ref)

    def superseded(self, version: Version, stores: Stores) -> pl.LazyFrame | None:
        """Older rows of keys that are in the table, with `_batch`; None without upserts."""
        ref = version.manifest.outputs.get(SUPERSEDED)
        return None if ref is None else stores.tables.scan(ref)

    def make(self, step: Step, context: Context) -> Manifest:
        """Call the function, check the contract, write the rows that were set aside and then the clean ones.

        Of an incremental table, only batches that came or changed are made; the rows of those that changed or went away
        are taken out. Where rows share a key, the ones that are touched are settled again, so that a version is what a
        rebuild would have made. All batches are made again where a refresh asks for it, where the columns of the
        source or of the rows have changed, and where several columns are unique each for itself and a row shares a
        value with one that is there.

        Raises:
            HeadraceError: HR406 to HR408, HR411 to HR414, HR422, HR423, HR427, HR434 and HR484. Nothing is published.
        """
        from headrace.tables.kept import kept_of
        from headrace.tables.making import facts_of, refuse, refuse_kept, told
        from headrace.tables.whole import whole

        fits = fitting(self.name, self.contract, step, self._input_schema(context))
        kept = kept_of(step.base, step.batches)
        base = fits if fits is not None and same_references(self.contract, fits, step) else None
        before = None if base is None else self._before(base, step, context)
        made = None if before is None else self._grown(step, before, context)
        if made is None and base is None and fits is not None and kept.marks:
            made = self._asked_again(step, self._before(fits, step, context), kept, context)
        elif made is None:
            refuse_kept(self.name, step.batches)
        if made is None and before is not None:
            context.log("made from all batches: new rows do not simply go with those that are there")
            base = before = None
        made = made or self._grown(step, None, context)
        assert made is not None  # noqa: S101 - all batches together can always be made
        facts = facts_of(made, self._shape(step), before)
        facts.update(kept.facts(facts))
        limit = 0.0 if self.on_breach == "fail" else self.max_quarantined
        fed = not self.taken or any(context.versions[each.name].rows != 0 for each in self.taken)
        refuse(self.name, made, facts, self.on_breach, limit, fed=fed)
        facts.update(whole(self.name, self.contract, made, before, facts))
        outputs = self._written(step.key, made, {} if base is None else base.manifest.outputs, context)
        context.log(told(facts))
        for line in facts.get("warnings", ()):
            context.log(f"warning: {line}")
        for batch, what in made.mended.items():
            context.log(f"{batch}: " + ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in what.items()))
        return Manifest(step.key, outputs, {**facts, "input_schema": self._input_schema(context)})

    def _known(self, context: Context) -> Mapping[str, pl.Series]:
        """The keys of the tables that the contract references, by referring column."""
        found = {}
        for column, table in references(self.contract).items():
            key = keys(table.contract)[0]
            rows = table.read(context.versions[table.name], context.stores)
            found[column] = rows.select(key).collect().get_column(key)
        return found

    def decision_key(self, candidate: Version, champion: Version | None) -> str:
        """The key of the decision by the rules that compare with the last good version."""
        from headrace.tables.verdict import decision_key

        assert self.contract is not None  # noqa: S101 - what is gated has one
        return decision_key(self.contract, candidate, champion)

    def decide(self, candidate: Version, champion: Version | None, context: Context) -> Decision:
        """Judge a version by the rules that compare it with the last good one."""
        from headrace.tables.verdict import decide

        assert self.contract is not None  # noqa: S101 - what is gated has one
        return decide(self.contract, candidate, champion, lambda version: self.read(version, context.stores))

    def _input_schema(self, context: Context) -> Json:
        return {each.name: context.versions[each.name].manifest.facts.get("schema") for each in self.taken}

    def _shape(self, step: Step) -> Shape:
        from headrace.tables.shape import Shape

        mended = bool(mended_of(self.name, step.batches))
        return Shape(self.name, self.contract, self.upsert, self.partition, self.on_breach, mended=mended)

    def _grown(self, step: Step, before: Before | None, context: Context) -> Grown | None:
        """What is left of the base and what comes to it; None where that is not what a rebuild would make."""
        from headrace.tables.appending import appended, may_be_poured
        from headrace.tables.growing import grown
        from headrace.tables.making import refuse_different, schema_of
        from headrace.tables.pouring import can_be_settled, large_inputs, poured

        done = {} if before is None or step.base is None else step.base.batches
        mended = mended_of(self.name, step.batches)
        new = differences(done, step.batches)
        wanted = [batch for batch, (_, now) in new.items() if now is not None and batch not in mended]
        recipe, shape = self._recipe(context), self._shape(step)
        if step.observation is None:
            large = large_inputs(self.taken, wanted if self.incremental else None, context)
            if large and may_be_poured(shape, before, step.batches):
                made = poured(recipe, shape, large, context)
                found = made if before is None else appended(made, before, shape)
                if found is not None or not can_be_settled(self.taken, wanted, context):
                    return found
        splits = self._splits(wanted, recipe, context)
        names = wanted if self.incremental else [None]
        refuse_different(self.name, splits, names)
        if before is not None and splits and schema_of(splits[0].clean) != before.facts["schema"]:
            return None
        found = grown(splits, names, shape, before, self._mending(step, recipe, context, before))
        if found is not None:
            found.left_out = recipe.left_out
        return found

    def _asked_again(self, step: Step, before: Before, kept: Kept, context: Context) -> Grown | None:
        """Rows of earlier code as they are, the others made again, and all asked for the keys that are there now."""
        from headrace.tables.kept import asked_again

        recipe = self._recipe(context)
        others = sorted(step.batches.keys() - kept.marks.keys())
        made = dict(zip(others, self._splits(others, recipe, context), strict=True))
        return asked_again(made, before, kept, recipe, self._shape(step))

    def _recipe(self, context: Context) -> Recipe:
        from headrace.tables.making import Recipe

        known = self._known(context)
        return Recipe(self.name, self.function, self._frames, self.contract, self.on_breach, known)

    def _mending(self, step: Step, recipe: Recipe, context: Context, before: Before | None) -> Mending | None:
        """The rows that were mended, unless the base has them. Raises HR312 for a batch that changed, HR434."""
        if step.observation is None or self.contract is None:
            return None
        from headrace.tables.mending import Mending, landed

        there = {} if before is None else before.facts.get("mended", {})
        new = [batch for batch in step.observation.batches if batch.id not in there]
        rows = {batch.id: landed(batch, context, self.contract) for batch in new}
        return Mending(rows, recipe.checked) if rows else None

    def _splits(self, wanted: Sequence[str], recipe: Recipe, context: Context) -> list[Split]:
        """Call the function: once for each new batch of an incremental table, else once for all rows."""
        if not self.incremental:
            return [recipe.rows([each.read(context.versions[each.name], context.stores) for each in self.taken])]
        source = cast("Source", self.taken[0])
        splits = []
        for number, (batch, frame) in enumerate(
            source.read_batches(context.versions[source.name], context.stores, wanted)
        ):
            context.progress(number, len(wanted))
            splits.append(recipe.rows([frame], batch))
        context.progress(len(wanted), len(wanted))
        return splits

    def _before(self, base: Version, step: Step, context: Context) -> Before:
        from headrace.tables.growing import Before

        gone = [batch for batch, (was, _) in differences(base.batches, step.batches).items() if was is not None]
        outputs = base.manifest.outputs
        aside, older = (
            None if name not in outputs else context.stores.tables.scan(outputs[name])
            for name in (QUARANTINE, SUPERSEDED)
        )
        return Before(base.manifest.facts, self.read(base, context.stores), aside, older, frozenset(gone))

    def _written(self, key: str, made: Grown, old: Mapping[str, Ref], context: Context) -> dict[str, Ref]:
        """The outputs, the clean rows last."""
        outputs: dict[str, Ref] = {}

        def put(output: str, name: str, delta: Delta | None, change: Change = _WHOLE) -> None:
            if delta is not None:
                change = replace(change, less=delta.less.tolist())
                outputs[output] = context.stores.tables.write(key, name, delta.rows, old.get(output), change)

        put(QUARANTINE, f"{self.name}.{QUARANTINE}", made.aside)
        put(SUPERSEDED, f"{self.name}.{SUPERSEDED}", made.superseded)
        put(TABLE, self.name, made.clean, Change(pieces=made.pieces, places=made.places))
        return outputs


def _with_references(inputs: Sequence[RowsNode], contract: object) -> tuple[RowsNode, ...]:
    """The inputs of the function, then the tables whose keys the contract references, each once."""
    named = references(contract).values() if isinstance(contract, type) and issubclass(contract, Contract) else ()
    return (*inputs, *dict.fromkeys(each for each in named if each not in inputs))
