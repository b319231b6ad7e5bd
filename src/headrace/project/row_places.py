"""Where rows that were set aside stand in files, all of them at once. `row_origin` tells more of a single one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from headrace.errors import HeadraceError
from headrace.graph.node import RowsNode
from headrace.ports.outside import Outside
from headrace.ports.records import Batch
from headrace.sources.origin import Placed
from headrace.sources.source import Source
from headrace.tables.layout import Layout
from headrace.tables.locating import located
from headrace.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.graph.node import Node
    from headrace.ports.records import Version
    from headrace.project.workspace import Workspace

PLACE: Final = "_place"
LARGEST: Final = 2_000_000
"""Rows of an input beyond which nobody looks for a row in it."""
_AT, _IN = "_headrace_row", "_headrace_batch"


class Places:
    """Looks for the places of rows, in the files that a version was made of."""

    def __init__(self, workspace: Workspace) -> None:
        self._ledger = workspace.ledger
        self._stores = workspace.stores
        self._outside = Outside(workspace.settings.folder, workspace.stores)

    def of(self, node: Table, version: Version, rows: pl.DataFrame, batches: Sequence[str | None]) -> list[str | None]:
        """File and line of each row, or the batch alone; None where nothing is found. `batches` are those of the rows.

        What a row was made of is looked for in the first input of the table, and from there on in its first input.
        """
        found: list[str | None] = [None] * rows.height
        for batch in dict.fromkeys(batches):
            at = [number for number, each in enumerate(batches) if each == batch]
            for number, place in zip(at, self._of_batch(node, version, rows[at], batch), strict=True):
                found[number] = place or batch
        return found

    def _of_batch(self, node: Table, version: Version, rows: pl.DataFrame, batch: str | None) -> list[str | None]:
        pinned = dict(version.inputs)
        parents = [(parent, self._ledger.version(pinned[parent.name])) for parent in node.taken]
        nothing: list[str | None] = [None] * rows.height
        try:
            frames = [self._rows(parent, made, batch) for parent, made in parents if made is not None]
        except HeadraceError:
            return nothing  # an input was collected, or is damaged: the list of rows is told all the same
        if len(frames) != len(parents) or any(frame is None for frame in frames):
            return nothing
        read = [frame for frame in frames if frame is not None]
        at = located(node, rows, [frame.drop(_AT, _IN, strict=False) for frame in read])
        known = [number for number, place in enumerate(at) if place is not None]
        taken = read[0][[place for place in at if place is not None]]
        first, made = parents[0]
        assert made is not None  # noqa: S101 - as many frames as parents were read
        for number, place in zip(known, self._placed(first, made, taken), strict=True):
            nothing[number] = place
        return nothing

    def _rows(self, node: Node, version: Version, batch: str | None) -> pl.DataFrame | None:
        """The rows of an input, of one batch where that is one of its own; None for too many."""
        ids = None if batch is None or batch not in version.batches else [batch]
        if isinstance(node, Source):
            sizes = version.manifest.facts["batches"]
            if sum(sizes[each]["rows"] for each in ids or sizes) > LARGEST:
                return None
            return pl.concat(
                frame.with_row_index(_AT).with_columns(pl.lit(each).alias(_IN)).collect()
                for each, frame in node.read_batches(version, self._stores, ids)
            )
        if not isinstance(node, RowsNode) or version.manifest.facts.get("rows", 0) > LARGEST:
            return None
        return node.read(version, self._stores).with_row_index(_AT).collect()

    def _placed(self, node: Node, version: Version, rows: pl.DataFrame) -> list[str | None]:
        """The places of rows of an input."""
        if isinstance(node, Source):
            return self._in_files(node, version, rows)
        if isinstance(node, Table) and rows.height:
            layout = version.manifest.facts.get("layout")
            batches: Sequence[str | None] = [None] * rows.height
            if layout is not None:
                batches = Layout.from_json(layout).batches_at(rows[_AT].to_numpy().astype(np.int64))
            return self.of(node, version, rows.drop(_AT), batches)
        return [None] * rows.height

    def _in_files(self, node: Source, version: Version, rows: pl.DataFrame) -> list[str | None]:
        facts = version.manifest.facts["batches"]
        placing = {
            each: node.of.placing(Batch(each, version.batches[each], facts[each]["bytes"]), self._outside)
            if isinstance(node.of, Placed)
            else _row
            for each in rows[_IN].unique().to_list()
        }
        return [f"{batch}, {placing[batch](at)}" for batch, at in rows.select(_IN, _AT).iter_rows()]


def _row(at: int) -> str:
    return f"row {at + 1}"
