"""A table made by a query: DuckDB over the rows of the inputs, each under the name of its node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from headrace.errors import HeadraceError
from headrace.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from headrace.graph.node import Options, RowsNode
    from headrace.tables.contract import Contract


class SqlTable(Table):
    """A table whose rows a query makes. The text of the query, without needless white space, is its code."""

    kind: ClassVar[str] = "table"

    def __init__(
        self,
        name: str,
        inputs: Sequence[RowsNode],
        query: str,
        *,
        contract: type[Contract] | None = None,
        options: Options | None = None,
    ) -> None:
        self.query = query
        super().__init__(name, inputs, self._run_query, contract=contract, options=options)

    def functions(self) -> Sequence[Callable[..., object] | type]:
        """None: the query is a setting."""
        return ()

    def settings(self) -> Mapping[str, object]:
        """The settings of a table, and the query."""
        return {**super().settings(), "query": " ".join(self.query.split())}

    def _run_query(self, *frames: pl.LazyFrame) -> pl.DataFrame:
        names = [each.name for each in self.inputs]
        return run_query(self.query, dict(zip(names, frames, strict=True)))


def run_query(query: str, frames: Mapping[str, Any]) -> pl.DataFrame:
    """Run one query over frames by name, without access to files or to the network. Raises HR425."""
    import duckdb

    connection = duckdb.connect(":memory:", config={"enable_external_access": "false"})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        for name, frame in frames.items():
            connection.register(name, frame.collect().to_arrow())
        return connection.sql(query).pl()
    except duckdb.Error as error:
        raise HeadraceError("HR425", str(error)) from error
    finally:
        connection.close()
