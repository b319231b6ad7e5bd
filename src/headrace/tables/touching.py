"""Which columns of a table follow from which columns of its inputs: the function is run on frames without rows.

Polars tells a scan which columns a query needs of it. So each column of the result is asked for by itself, and the
frames note what they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.graph.node import RowsNode
from headrace.sources.types import dtype
from headrace.tables.frames import call, convert, to_lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    import polars as pl

    from headrace.ports.records import Version
    from headrace.tables.contract import Contract


class TracedNode(RowsNode):
    """A node whose rows a function makes of the rows of `taken`, its first inputs, as the frames of `_frames`."""

    function: Callable[..., Any]
    taken: Sequence[RowsNode]
    contract: type[Contract] | None
    _frames: Sequence[str]

    def touched(self, columns: Mapping[str, frozenset[str]], versions: Mapping[str, Version]) -> frozenset[str]:
        """The columns that the function makes of them; any, where it cannot be run without rows."""
        names = [each.name for each in self.taken]
        if not all(name in versions for name in names) or any("*" in each for each in columns.values()):
            return super().touched(columns, versions)
        schemas = [versions[name].manifest.facts["schema"] for name in names]
        given = [columns.get(name, frozenset()) for name in names]
        try:
            found = touched(self.function, self._frames, list(zip(schemas, given, strict=True)))
        except Exception:  # noqa: BLE001 - it is the user's function, and a plan is no place to fail because of it
            return super().touched(columns, versions)
        return found if self.contract is None else found & {each.name for each in self.contract.__columns__}


def touched(
    function: Callable[..., Any],
    frames: Sequence[str],
    inputs: Sequence[tuple[Mapping[str, str], frozenset[str]]],
) -> frozenset[str]:
    """The columns of the result that need any of the columns of the inputs.

    `inputs` are the schemas of the arguments, as they were recorded, and the columns in question. A function that asks
    for whole frames needs all columns of them. Raises whatever the function raises about frames without rows.
    """
    asked: list[set[str]] = [set() for _ in inputs]
    arguments = [
        convert(_noting(schema, noted), kind) for (schema, _), noted, kind in zip(inputs, asked, frames, strict=True)
    ]
    result = to_lazy(call(function, arguments, "touched"), "touched")
    eagerly = any(noted & columns for noted, (_, columns) in zip(asked, inputs, strict=True))
    found = set()
    for name in result.collect_schema().names():
        for noted in asked:
            noted.clear()
        result.select(name).collect()
        if any(noted & columns for noted, (_, columns) in zip(asked, inputs, strict=True)) or eagerly:
            found.add(name)
    return frozenset(found)


def _noting(schema: Mapping[str, str], noted: set[str]) -> pl.LazyFrame:
    """A frame without rows that notes the columns that are asked for."""
    import polars as pl
    from polars.io.plugins import register_io_source

    types = {name: dtype(text) for name, text in schema.items()}

    def rows(
        columns: list[str] | None,
        _predicate: pl.Expr | None,
        _rows: int | None,
        _size: int | None,
    ) -> Iterator[pl.DataFrame]:
        noted.update(types if columns is None else columns)
        frame = pl.DataFrame(schema=types)
        yield frame if columns is None else frame.select(columns)

    return register_io_source(rows, schema=types)
