"""A table made by a query: DuckDB over the rows of the inputs, each under the name of its node."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from headrace.errors import HeadraceError
from headrace.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import duckdb
    import polars as pl

    from headrace.graph.node import Options, RowsNode
    from headrace.tables.contract import Contract

_SEALED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "python_enable_replacements": False,
}
_CLOCKS = (
    *("now", "today", "current_date", "current_localtime", "current_localtimestamp", "get_current_time"),
    *("get_current_timestamp", "transaction_timestamp"),
)
_CHANCES = ("random", "uuid", "gen_random_uuid", "uuidv4", "uuidv7")


class SqlTable(Table):
    """A table whose rows a query makes. It finds each input under the name of its node; the dialect is DuckDB's.

    Times are in UTC. A query that asks for the present or for chance fails: what a table holds depends on its inputs.
    """

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
        self.query = query.strip()
        super().__init__(name, inputs, self._rows, contract=contract, options=options)

    def functions(self) -> Sequence[Callable[..., object] | type]:
        """None: the query is a setting."""
        return ()

    def settings(self) -> Mapping[str, object]:
        """The settings of a table, and the text of the query."""
        return {**super().settings(), "query": self.query}

    def _rows(self, *frames: pl.LazyFrame) -> pl.DataFrame:
        names = [each.name for each in self.taken]
        return run_query(self.query, dict(zip(names, frames, strict=True)), self.name)


def run_query(query: str, frames: Mapping[str, pl.LazyFrame], node: str) -> pl.DataFrame:
    """The answer to one query over frames by name. Whole numbers stay whole numbers. Raises HR425."""
    import duckdb
    import polars as pl

    with duckdb.connect(":memory:", config=_SEALED) as connection:
        try:
            connection.execute("SET TimeZone = 'UTC'")
            for name in (*_CLOCKS, *_CHANCES):
                reason = f"{name}() differs from one time to the next, and what a table holds depends on its inputs"
                connection.execute(f"CREATE MACRO \"{name}\"() AS error('{reason}')")
            for name, frame in frames.items():
                connection.register(name, frame)
            asked = [each.type for each in connection.extract_statements(query)]
            if asked not in ([duckdb.StatementType.SELECT], [duckdb.StatementType.MULTI]):  # a PIVOT is several in one
                raise HeadraceError("HR425", f"{node}: a table is made by one SELECT")
            return pl.DataFrame(_narrow(connection.sql(query)).to_arrow_table())
        except duckdb.Error as error:
            raise HeadraceError("HR425", f"{node}: {str(error).strip()}") from None


def _narrow(answer: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The answer with 128-bit integers, which sums of integers are, as 64-bit ones; what does not fit is an error."""
    sums = [f'"{name}"' for name, kind in zip(answer.columns, answer.types, strict=True) if str(kind) == "HUGEINT"]
    if not sums:
        return answer
    return answer.project(f"* REPLACE ({', '.join(f'CAST({name} AS BIGINT) AS {name}' for name in sums)})")
