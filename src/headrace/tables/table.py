"""The table node: rows made by a user's function, checked by a contract, grown batch by batch where that is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Unpack, cast

from headrace.errors import HeadraceError
from headrace.graph.node import RowsNode, largest_subset
from headrace.ports.records import Manifest
from headrace.sources.source import Source
from headrace.tables.contract import Contract, keys, references
from headrace.tables.frames import wanted_frames
from headrace.tables.results import refuse_failed, relative_rules, table_results, warnings_of
from headrace.tables.rules import ANSWERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from headrace.graph.node import Options
    from headrace.ports.records import Decision, Facts, Json, Ref, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step
    from headrace.tables.making import Made, Parts

TABLE, QUARANTINE = "table", "quarantine"
"""The outputs of a version: the clean rows, and, of a table with a contract, those that were set aside."""


class TableSettings(TypedDict, total=False):
    """How a table is made.

    `contract`: what a clean row looks like. `on_breach`: rows that break the contract are set aside ("quarantine", the
    default), stop the table ("fail"), or stay and are counted ("warn"), unless a rule says otherwise.
    `max_quarantined`: the largest share of rows, from 0 to 1, that may be set aside; more stop the table.
    `incremental`: the function is called for each new batch of its one source, and the rows are appended; it promises
    that f(A + B) = f(A) + f(B).
    """

    contract: type[Contract] | None
    on_breach: str
    max_quarantined: float | None
    incremental: bool


class Table(RowsNode):
    """Rows made by the user's function out of the rows of the inputs; it can be called like the plain function.

    The facts of a version are `rows`, `new_rows`, `quarantined`, `new_quarantined`, `rules` (how many rows broke each),
    `results` (what became of each rule), `measures` (what its rules of the whole table measured), `warnings` (of rules
    that only warn), `columns`, `schema`, `input_schema`, of a contract with an event time `first_event` and
    `last_event`, and of an incremental table `batches` (rows and quarantined rows of each).
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
        self.incremental = settings.get("incremental", False)
        self._check_inputs()
        self._check_contract()
        self.gated = bool(relative_rules(self.contract))
        self._frames = wanted_frames(function, len(self.taken), name)

    def _check_inputs(self) -> None:
        for node in self.inputs:
            if not isinstance(node, RowsNode):
                raise HeadraceError("HR416", f"{self.name} has the input {node!r:.60}")
        if self.incremental and (len(self.taken) != 1 or not isinstance(self.taken[0], Source)):
            names = ", ".join(f"{node.name} (a {node.kind})" for node in self.taken)
            raise HeadraceError("HR410", f"{self.name} is incremental, and its inputs are {names or 'none'}")

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
        }

    def columns(self) -> Sequence[str] | None:
        """The columns of the contract; None without one."""
        return None if self.contract is None else [each.name for each in self.contract.__columns__]

    def batches(self, inputs: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
        """An incremental table covers the batches of its source."""
        return inputs[self.taken[0].name] if self.incremental else {}

    def base(self, wanted: Mapping[str, str], live: Sequence[Version]) -> Version | None:
        """The largest version to append to, for an incremental table."""
        return largest_subset(wanted, live) if self.incremental else None

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

    def quarantine(self, version: Version, stores: Stores) -> pl.LazyFrame | None:
        """The rows that were set aside, with `_rule`, `_column`, `_value` and `_batch`; None without a contract."""
        ref = version.manifest.outputs.get(QUARANTINE)
        return None if ref is None else stores.tables.scan(ref)

    def make(self, step: Step, context: Context) -> Manifest:
        """Call the function, check the contract, write the rows that were set aside and then the clean ones.

        The base is left aside, and all batches are made again, where a refresh asks for it, and where the result would
        otherwise depend on the order in which they arrived: where the columns of the source or of the rows have
        changed, or where what is to be unique appears in a row of the base as well. So a version is what a rebuild
        would have made.

        Raises:
            HeadraceError: HR406 to HR408, HR411 to HR414, HR422 and HR423. Nothing is published then.
        """
        base = step.base
        if base is not None and (
            base.generation != step.generation
            or base.manifest.facts["input_schema"] != self._input_schema(context)
            or self._referenced(dict(base.inputs)) != self._referenced(dict(step.inputs))
            or base.batches.keys() >= context.versions[self.taken[0].name].batches.keys()
        ):
            base = None
        parts = self._run(context, {} if base is None else base.batches)
        if base is not None and not self._continues(parts, base, context):
            context.log("made from all batches: new rows do not simply go after those that are there")
            base, parts = None, self._run(context, {})
        return self._write(step.key, parts.made(self.name, self.contract), base, context)

    def _referenced(self, inputs: Mapping[str, str]) -> Mapping[str, str | None]:
        """The keys of the versions whose keys the contract references: where one moves, every row is asked again."""
        return {each.name: inputs.get(each.name) for each in references(self.contract).values()}

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

    def _run(self, context: Context, done: Mapping[str, str]) -> Parts:
        """Call the function: once for each new batch of an incremental table, else once for all rows."""
        from headrace.tables.making import Parts, Recipe

        known = self._known(context)
        recipe = Recipe(self.name, self.function, self._frames, self.contract, self.on_breach, known)
        if not self.incremental:
            rows = recipe.rows([each.read(context.versions[each.name], context.stores) for each in self.taken])
            return Parts([None], [rows], self.on_breach)
        source = cast("Source", self.taken[0])
        version = context.versions[source.name]
        wanted = [batch for batch in sorted(version.batches) if batch not in done]
        splits = []
        for number, (batch, frame) in enumerate(source.read_batches(version, context.stores, wanted)):
            context.progress(number, len(wanted))
            splits.append(recipe.rows([frame], batch))
        context.progress(len(wanted), len(wanted))
        return Parts(wanted, splits, self.on_breach)

    def _continues(self, parts: Parts, base: Version, context: Context) -> bool:
        """Whether a rebuild from all batches would have made the rows of the base and then these."""
        from headrace.tables.making import schema_of

        if schema_of(parts.splits[0].clean) != base.manifest.facts["schema"]:
            return False
        stores = context.stores
        return not parts.collide(self.read(base, stores), self.quarantine(base, stores), self.contract)

    def _write(self, key: str, made: Made, base: Version | None, context: Context) -> Manifest:
        facts = made.facts(self.contract, {} if base is None else base.manifest.facts)
        made.refuse(facts, 0.0 if self.on_breach == "fail" else self.max_quarantined)
        facts.update(self._whole(made, base, context, facts))
        old: Mapping[str, Ref] = {} if base is None else base.manifest.outputs
        outputs: dict[str, Ref] = {}
        if self.contract is not None:
            name = f"{self.name}.{QUARANTINE}"
            outputs[QUARANTINE] = context.stores.tables.write(key, name, made.aside, old.get(QUARANTINE))
        outputs[TABLE] = context.stores.tables.write(key, self.name, made.clean, old.get(TABLE))
        context.log(_told(facts))
        for line in facts.get("warnings", ()):
            context.log(f"warning: {line}")
        return Manifest(key, outputs, {**facts, "input_schema": self._input_schema(context)})

    def _whole(self, made: Made, base: Version | None, context: Context, facts: Facts) -> dict[str, Json]:
        """What the rules of the whole table measure and say. Raises HR427 where one that is to fail does not hold."""
        if self.contract is None:
            return {}
        import polars as pl

        from headrace.tables.measuring import measured

        rows = made.clean.lazy() if base is None else pl.concat([self.read(base, context.stores), made.clean.lazy()])
        measures = measured(rows, [each.measure for each in self.contract.__whole__])
        results = table_results(self.contract, measures)
        refuse_failed(self.name, results)
        every = [*facts["results"], *results]
        warned = warnings_of(every)
        return {
            "results": every,
            **({"measures": measures} if measures else {}),
            **({"warnings": warned} if warned else {}),
        }


def _with_references(inputs: Sequence[RowsNode], contract: object) -> tuple[RowsNode, ...]:
    """The inputs of the function, then the tables whose keys the contract references, each once."""
    named = references(contract).values() if isinstance(contract, type) and issubclass(contract, Contract) else ()
    return (*inputs, *dict.fromkeys(each for each in named if each not in inputs))


def _told(facts: Facts) -> str:
    rules = "".join(f"\n  {count} rows: {rule}" for rule, count in facts["rules"].items())
    return f"{facts['rows']} rows, {facts['new_rows']} of them new; {facts['quarantined']} set aside{rules}"
