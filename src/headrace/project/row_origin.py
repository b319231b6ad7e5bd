"""`headrace why NODE --row KEY`: from a row of a table to the file and the line that it came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError, article, did_you_mean
from headrace.graph.node import RowsNode
from headrace.ports.outside import Outside
from headrace.ports.records import Batch
from headrace.project.opened import Environment
from headrace.sources.origin import Placed
from headrace.sources.source import Source
from headrace.tables.contract import keys
from headrace.tables.layout import Layout
from headrace.tables.rules import MENDED
from headrace.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl

    from headrace.graph.node import Node
    from headrace.ports.records import Json, Version
    from headrace.project.workspace import Workspace

_REASONS = ("_rule", "_column", "_value", "_batch")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class RowOrigin:
    """A row, or `rows` of them, of a version, and what it was made of.

    `place` says where it stands: file and line of a row, or the batches of several. `aside` says why it was set aside.
    `alike` rows more, clean or set aside, have the values that it was asked for by.
    """

    node: str
    version: str
    rows: int
    row: Mapping[str, Json]
    place: str | None = None
    aside: str | None = None
    inputs: tuple[RowOrigin, ...] = ()
    alike: int = 0

    def to_json(self) -> Json:
        """Plain data."""
        return {
            "node": self.node,
            "version": self.version,
            "rows": self.rows,
            "row": {name: _plain(value) for name, value in self.row.items()},
            "place": self.place,
            "aside": self.aside,
            "alike": self.alike,
            "inputs": [each.to_json() for each in self.inputs],
        }


def _plain(value: Any) -> Json:  # noqa: ANN401 - whatever a row holds
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def why_row(workspace: Workspace, environment: str, name: str, text: str) -> RowOrigin:
    """Where a row came from: it is named by its key ("17"), or by columns ("shop=a,order_id=17").

    Raises:
        HeadraceError: HR609, HR830 and HR831 for what is not there, HR338 for a row that is not, or that is not named
            well, HR339 for a node whose rows cannot be traced.
    """
    with Environment(workspace, environment) as opened:
        version = opened.version(name)
    node = workspace.graph[name]
    if not isinstance(node, Source | Table):
        traceable = ", ".join(each.name for each in workspace.graph if isinstance(each, Source | Table))
        raise HeadraceError("HR339", f"{name} is {article(node.kind)}", fix=f"Name a source or a table: {traceable}.")
    return _Walk(workspace).begin(node, version, text)


class _Walk:
    """Walks from a row to what it was made of."""

    def __init__(self, workspace: Workspace) -> None:
        self._graph = workspace.graph
        self._ledger = workspace.ledger
        self._stores = workspace.stores
        self._folder = workspace.settings.folder

    def begin(self, node: Source | Table, version: Version, text: str) -> RowOrigin:
        """The origin of the first row that is named so, among the clean ones and then among those set aside."""
        rows = node.read(version, self._stores)
        aside = node.quarantine(version, self._stores) if isinstance(node, Table) else None
        named = _named(node, text, rows.collect_schema().names())
        clean = _having(rows, named)
        broken = None if aside is None else _having(aside, named)
        found = _first(clean)
        if found is not None:
            origin = self._of_clean(node, version, found)
        else:
            found = None if broken is None else _first(broken)
            if found is None or isinstance(node, Source):
                told = ", ".join(f"{column} {value}" for column, value in named.items())
                raise HeadraceError("HR338", f"{node.name} has no row with {told}")
            origin = self._of_broken(node, version, found)
        return replace(origin, alike=_count(clean) + (0 if broken is None else _count(broken)) - 1)

    def _of_clean(self, node: Source | Table, version: Version, found: pl.DataFrame) -> RowOrigin:
        at = int(found["_at"].item())
        if isinstance(node, Source):
            return self._of_source(node, version, self._source_rows(node, version, None)[at])
        return self._of_table(node, version, found.drop("_at"), self._batch(version, at))

    def _of_broken(self, node: Table, version: Version, found: pl.DataFrame) -> RowOrigin:
        why = f"{found['_rule'].item()}: {found['_column'].item()} = {found['_value'].item()}"
        row = found.drop("_at", *(name for name in found.columns if name in _REASONS))
        return self._of_table(node, version, row, found["_batch"].item(), why)

    def _batch(self, version: Version, at: int) -> str | None:
        import numpy as np

        layout = version.manifest.facts.get("layout")
        return None if layout is None else Layout.from_json(layout).batches_at(np.array([at]))[0]

    def _of_table(
        self, node: Table, version: Version, row: pl.DataFrame, batch: str | None, aside: str | None = None
    ) -> RowOrigin:
        from headrace.tables.tracing import AT, traced

        if batch is not None and batch.startswith(f"{MENDED}/{node.name}/"):
            return self._of_mended(node, version, row, batch, aside)
        pinned = dict(version.inputs)
        parents: list[tuple[Node, Version]] = []
        frames: list[pl.DataFrame] = []
        for parent in node.taken:
            made = self._ledger.version(pinned[parent.name])
            if made is None:
                raise HeadraceError("HR831", f"{parent.name} has no version {pinned[parent.name][:12]}")
            parents.append((parent, made))
            frames.append(self._rows(parent, made, batch).with_row_index(AT))
        needed = traced(node, row, [_seen(frame) for frame in frames])
        inputs = []
        for (source, made), frame, some in zip(parents, frames, needed or frames, strict=True):
            inputs.append(self._of_input(source, made, frame[some[AT].to_list()].drop(AT)))
        values = row.row(0, named=True)
        return RowOrigin(node.name, version.key, 1, values, batch, aside, tuple(inputs))

    def _of_mended(self, node: Table, version: Version, row: pl.DataFrame, batch: str, aside: str | None) -> RowOrigin:
        """A row that was mended is made of the one that it mends."""
        from headrace.tables.replaced import replaced

        others = [each for each in version.batches if each.startswith(f"{MENDED}/{node.name}/")]
        before = replaced(node, row, batch, self._folder, others, self._given(node, version))
        inputs = () if before is None else (self._of_table(node, version, *before),)
        return RowOrigin(node.name, version.key, 1, row.row(0, named=True), batch, aside, inputs)

    def _given(self, node: Table, version: Version) -> Iterator[tuple[str | None, list[pl.LazyFrame]]]:
        """What the function of a table was given: batch by batch, or all at once."""
        pinned = dict(version.inputs)
        parents = [(parent, self._ledger.version(pinned[parent.name])) for parent in node.taken]
        found = [(parent, made) for parent, made in parents if made is not None]
        source = node.taken[0] if node.incremental and found else None
        if isinstance(source, Source):
            yield from ((batch, [frame]) for batch, frame in source.read_batches(found[0][1], self._stores))
        elif len(found) == len(parents):
            yield None, [parent.read(made, self._stores) for parent, made in found]

    def _rows(self, node: Node, version: Version, batch: str | None) -> pl.DataFrame:
        if isinstance(node, Source):
            return self._source_rows(node, version, None if batch is None or batch not in version.batches else [batch])
        assert isinstance(node, RowsNode)  # noqa: S101 - a table takes nothing else
        return node.read(version, self._stores).with_row_index("_at").collect()

    def _source_rows(self, node: Source, version: Version, batches: Sequence[str] | None) -> pl.DataFrame:
        """Rows with their batch and their place in it."""
        import polars as pl

        return pl.concat(
            frame.with_row_index("_at").with_columns(pl.lit(batch).alias("_in")).collect()
            for batch, frame in node.read_batches(version, self._stores, batches)
        )

    def _of_input(self, node: Node, version: Version, rows: pl.DataFrame) -> RowOrigin:
        if isinstance(node, Source):
            return self._of_source(node, version, rows)
        if isinstance(node, Table) and rows.height == 1:
            batch = self._batch(version, int(rows["_at"].item()))
            return self._of_table(node, version, rows.drop("_at"), batch)
        values = rows.drop("_at").row(0, named=True) if rows.height == 1 else {}
        return RowOrigin(node.name, version.key, rows.height, values)

    def _of_source(self, node: Source, version: Version, rows: pl.DataFrame) -> RowOrigin:
        batches = sorted(set(rows["_in"].to_list()))
        if rows.height != 1:
            more = f" and {len(batches) - _SHOWN} more" if len(batches) > _SHOWN else ""
            return RowOrigin(node.name, version.key, rows.height, {}, ", ".join(batches[:_SHOWN]) + more)
        at = int(rows["_at"].item())
        facts = version.manifest.facts["batches"][batches[0]]
        batch = Batch(batches[0], version.batches[batches[0]], facts["bytes"])
        place = f"row {at + 1}"
        if isinstance(node.of, Placed):
            place = node.of.placing(batch, Outside(self._folder, self._stores))(at)
        values = rows.drop("_at", "_in").row(0, named=True)
        return RowOrigin(node.name, version.key, 1, values, f"{batches[0]}, {place}")


def _seen(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows as the function sees them, and their numbers."""
    return frame.drop("_at", "_in", strict=False)


def _named(node: Source | Table, text: str, columns: Sequence[str]) -> dict[str, str]:
    """The columns and values that name a row. Raises HR338."""
    parts = text.split(",")
    key = keys(node.contract) if isinstance(node, Table) else ()
    named = {name.strip(): value for name, _, value in (part.partition("=") for part in parts)}
    alone = len(key) == 1 and isinstance(node, Table) and dict(_types(node))[key[0]] == "String"
    if all("=" in part for part in parts) and not (alone and named.keys().isdisjoint(columns)):
        for name in named:
            if name not in columns:
                raise HeadraceError("HR338", f"{node.name} has no column {name!r}", fix=did_you_mean(name, columns))
        return named
    if alone:  # whatever it holds
        return {key[0]: text}
    if len(key) != len(parts):
        what = f"the key of {node.name} is {', '.join(key)}" if key else f"{node.name} has no key"
        raise HeadraceError("HR338", f"{what}, and the row is named by {text!r}")
    return dict(zip(key, parts, strict=True))


def _types(node: Table) -> list[tuple[str, str]]:
    return [] if node.contract is None else [(each.name, each.type) for each in node.contract.__columns__]


def _having(rows: pl.LazyFrame, named: Mapping[str, str]) -> pl.LazyFrame:
    """The rows with these values, and their numbers."""
    import polars as pl

    types = rows.collect_schema()
    fits = [_fits(pl.col(name), types[name], value) for name, value in named.items()]
    return rows.with_row_index("_at").filter(pl.all_horizontal(fits))


def _first(rows: pl.LazyFrame) -> pl.DataFrame | None:
    found = rows.head(1).collect()
    return found if found.height else None


def _count(rows: pl.LazyFrame) -> int:
    import polars as pl

    return int(rows.select(pl.len()).collect().item())


def _fits(column: pl.Expr, kind: pl.DataType, text: str) -> pl.Expr:
    """Whether a value is the one that a person spelled: -8 is -8.0, and a moment may be spelled as it is printed."""
    import polars as pl

    spelled = column.cast(pl.String) == text
    try:
        if kind.is_float():
            return spelled | (column == float(text))
        if kind.is_decimal():
            return spelled | (column == Decimal(text))
        if isinstance(kind, pl.Datetime):
            moment = datetime.fromisoformat(text)
            return spelled | (column == (moment if moment.tzinfo else moment.replace(tzinfo=UTC)))
    except (ValueError, ArithmeticError):
        pass
    return spelled
