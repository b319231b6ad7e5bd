"""The table node: rows made by a user's function, checked by a contract, grown batch by batch where that is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Unpack, cast

from headrace.errors import HeadraceError
from headrace.graph.node import RowsNode, largest_subset
from headrace.ports.records import Manifest
from headrace.sources.source import Source
from headrace.tables.contract import Contract
from headrace.tables.frames import wanted_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from headrace.graph.node import Options
    from headrace.ports.records import Facts, Json, Ref, Version
    from headrace.ports.stores import Stores
    from headrace.ports.work import Context, Step
    from headrace.tables.making import Made, Parts

_ANSWERS = ("quarantine", "fail")
TABLE, QUARANTINE = "table", "quarantine"
"""The outputs of a version: the clean rows, and, of a table with a contract, those that were set aside."""


class TableSettings(TypedDict, total=False):
    """How a table is made.

    `contract`: what a clean row looks like. `on_breach`: rows that break the contract are set aside ("quarantine", the
    default) or stop the table ("fail"). `max_quarantined`: the largest share of rows, from 0 to 1, that may be set
    aside; more stop the table. `incremental`: the function is called for each new batch of its one source, and the rows
    are appended; it promises that f(A + B) = f(A) + f(B).
    """

    contract: type[Contract] | None
    on_breach: str
    max_quarantined: float | None
    incremental: bool


class Table(RowsNode):
    """Rows made by the user's function out of the rows of the inputs; it can be called like the plain function.

    The facts of a version are `rows`, `new_rows`, `quarantined`, `new_quarantined`, `rules` (how many rows broke each),
    `columns`, `schema`, `input_schema`, of a contract with an event time `first_event` and `last_event`, and of an
    incremental table `batches` (rows and quarantined rows of each).
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
        super().__init__(name, inputs, options)
        self.function = function
        self.contract = settings.get("contract")
        self.on_breach = settings.get("on_breach", "quarantine")
        self.max_quarantined = settings.get("max_quarantined")
        self.incremental = settings.get("incremental", False)
        self._check_inputs()
        self._check_contract()
        self._frames = wanted_frames(function, len(self.inputs), name)

    def _check_inputs(self) -> None:
        for node in self.inputs:
            if not isinstance(node, RowsNode):
                raise HeadraceError("HR416", f"{self.name} has the input {node!r:.60}")
        if self.incremental and (len(self.inputs) != 1 or not isinstance(self.inputs[0], Source)):
            names = ", ".join(f"{node.name} (a {node.kind})" for node in self.inputs)
            raise HeadraceError("HR410", f"{self.name} is incremental, and its inputs are {names or 'none'}")

    def _check_contract(self) -> None:
        contract, share = self.contract, self.max_quarantined
        if contract is not None and not (isinstance(contract, type) and issubclass(contract, Contract)):
            raise HeadraceError("HR415", f"{self.name} has the contract {contract!r:.60}")
        if self.on_breach not in _ANSWERS:
            raise HeadraceError("HR409", f"{self.name}: on_breach is {self.on_breach!r}")
        if share is not None and not 0 <= share <= 1:
            raise HeadraceError("HR409", f"{self.name}: max_quarantined is {share}")
        if share is not None and self.on_breach == "fail":
            raise HeadraceError(
                "HR409", f'{self.name}: on_breach="fail" allows no breach, max_quarantined={share} does'
            )
        if contract is None and (share is not None or self.on_breach == "fail"):
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
        return next(iter(inputs.values())) if self.incremental else {}

    def base(self, wanted: Mapping[str, str], live: Sequence[Version]) -> Version | None:
        """The largest version to append to, for an incremental table."""
        return largest_subset(wanted, live) if self.incremental else None

    def check_sample(self, inputs: Mapping[str, Version], stores: Stores) -> Sequence[HeadraceError]:
        """Whether an incremental table keeps its promise, f(A + B) = f(A) + f(B): HR417, or as `make`."""
        if not self.incremental:
            return ()
        from headrace.tables.additive import refuse_dependent

        source = cast("Source", self.inputs[0])
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
            or base.batches.keys() >= context.versions[self.inputs[0].name].batches.keys()
        ):
            base = None
        parts = self._run(context, {} if base is None else base.batches)
        if base is not None and not self._continues(parts, base, context):
            context.log("made from all batches: new rows do not simply go after those that are there")
            base, parts = None, self._run(context, {})
        return self._write(step.key, parts.made(self.name, self.contract), base, context)

    def _input_schema(self, context: Context) -> Json:
        return {each.name: context.versions[each.name].manifest.facts.get("schema") for each in self.inputs}

    def _run(self, context: Context, done: Mapping[str, str]) -> Parts:
        """Call the function: once for each new batch of an incremental table, else once for all rows."""
        from headrace.tables.making import Parts, Recipe

        recipe = Recipe(self.name, self.function, self._frames, self.contract)
        if not self.incremental:
            inputs = [cast("RowsNode", each) for each in self.inputs]
            return Parts(
                [None], [recipe.rows([each.read(context.versions[each.name], context.stores) for each in inputs])]
            )
        source = cast("Source", self.inputs[0])
        version = context.versions[source.name]
        wanted = [batch for batch in sorted(version.batches) if batch not in done]
        splits = []
        for number, (batch, frame) in enumerate(source.read_batches(version, context.stores, wanted)):
            context.progress(number, len(wanted))
            splits.append(recipe.rows([frame], batch))
        context.progress(len(wanted), len(wanted))
        return Parts(wanted, splits)

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
        old: Mapping[str, Ref] = {} if base is None else base.manifest.outputs
        outputs: dict[str, Ref] = {}
        if self.contract is not None:
            name = f"{self.name}.{QUARANTINE}"
            outputs[QUARANTINE] = context.stores.tables.write(key, name, made.aside, old.get(QUARANTINE))
        outputs[TABLE] = context.stores.tables.write(key, self.name, made.clean, old.get(TABLE))
        context.log(_told(facts))
        return Manifest(key, outputs, {**facts, "input_schema": self._input_schema(context)})


def _told(facts: Facts) -> str:
    rules = "".join(f"\n  {count} rows: {rule}" for rule, count in facts["rules"].items())
    return f"{facts['rows']} rows, {facts['new_rows']} of them new; {facts['quarantined']} set aside{rules}"
