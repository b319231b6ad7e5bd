"""`headrace.open("prod")`: what an environment points to, for programs, notebooks and services. Reads only.

The pointers are read once, when the environment is opened: everything that is read belongs together, whatever is
published meanwhile.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from headrace.errors import HeadraceError, article, suggestion
from headrace.graph.node import Node, RowsNode
from headrace.models.model import Model
from headrace.project.framed import framed
from headrace.project.sides import side
from headrace.project.workspace import Workspace
from headrace.runtime.environments import existing
from headrace.tables.table import Table
from headrace.tables.uniqueness import with_doubles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import duckdb
    import polars as pl

    from headrace.models.predictor import Predictor
    from headrace.ports.records import Version

QUARANTINE = "quarantine"
"""The output of a version that holds the rows that broke its contract."""

_View: TypeAlias = "tuple[str, RowsNode, Version]"
"""What a query sees: a name, and the version of a node that it stands for."""
_ELSEWHERE: Final = re.compile(r'"(\w+)@([^"]+)"')

_ALONE: dict[str, str | bool | int | float | list[str]] = {"python_enable_replacements": False}


class Environment:
    """An environment at one moment: the version of each node, and how to read it. A context manager."""

    def __init__(self, workspace: Workspace, name: str, *, owned: bool = False) -> None:
        self._workspace = workspace
        self._owned = owned
        self._snapshot = existing(workspace.ledger, name)
        pointers = self._snapshot.pointers
        live = workspace.ledger.live(sorted(set(pointers.values())))
        self._versions = {node: live[key] for node, key in pointers.items() if key in live}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<environment {self.name}: {len(self._versions)} versions>"

    def close(self) -> None:
        """Let go of the project."""
        if self._owned:
            self._workspace.close()

    @property
    def name(self) -> str:
        """The name of the environment."""
        return self._snapshot.environment

    @property
    def versions(self) -> Mapping[str, Version]:
        """The version that each node points to."""
        return dict(self._versions)

    def table(self, table: str | Node) -> pl.LazyFrame:
        """The rows of a source, a table or a feature view. Raises HR830, HR831 or HR832 where there are none."""
        node = self._node(table)
        if not isinstance(node, RowsNode):
            rows = [each.name for each in self._workspace.graph if isinstance(each, RowsNode)]
            raise HeadraceError(
                "HR832",
                f"{node.name} is {article(node.kind)}",
                fix=f"Name one of those that have rows: {', '.join(rows)}.",
            )
        return node.read(self.version(node), self._workspace.stores)

    def quarantine(self, table: str | Node) -> pl.LazyFrame:
        """The rows of a table that broke its contract, with every rule that each broke, the columns and the values.

        Raises HR833 for other nodes.
        """
        node = self._node(table)
        ref = self.version(node).manifest.outputs.get(QUARANTINE)
        if ref is None:
            raise HeadraceError("HR833", f"{node.name} has no contract that could set rows aside")
        rows = self._workspace.stores.tables.scan(ref)
        if not isinstance(node, Table) or node.contract is None:
            return rows
        return with_doubles(rows, self.table(node), node.contract)

    def model(self, model: str | Node) -> Predictor:
        """A model, loaded and ready to predict. Raises HR830, HR831 or HR834 where there is none."""
        node = self._node(model)
        if not isinstance(node, Model):
            raise HeadraceError("HR834", f"{node.name} is {article(node.kind)}, not a model")
        return node.predictor(self.version(node), self._workspace.stores)

    def query(self, sql: str) -> pl.DataFrame:
        """The answer to a query in DuckDB's SQL; each source, table and feature view is a view of its name.

        ``"orders@dev"``, in quotation marks, is what the node is in another environment, and ``"orders@57ac80da"`` one
        version of it, by the beginning of its key. The query sees nothing else: no file, no network, no variable of the
        program. Raises HR835 when it fails, HR609, HR831 and HR837 for a version that is not there.
        """
        import duckdb

        with duckdb.connect(":memory:", config=_ALONE) as connection:
            views = [*self._mentioned(sql), *self._elsewhere(sql)]
            try:
                self._show(connection, views)
                return _answer(connection, sql, self._readable())
            except HeadraceError:
                for _, _, version in views:
                    self._refuse_damaged(version)
                raise

    def _show(self, connection: duckdb.DuckDBPyConnection, views: Sequence[_View]) -> None:
        """Make views of the nodes, and then shut the connection off from everything else.

        Where the rows of a node are those of Parquet files, DuckDB reads them itself: it passes over the parts that
        hold no row that the query asks for, and does not need to have all of the others in memory.
        """
        import duckdb

        allowed: list[str] = []
        for name, node, version in views:
            ref = node.lies_in(version)
            if ref is None:
                connection.register(name, node.read(version, self._workspace.stores))
                continue
            files = [*self._workspace.stores.tables.files(ref)]
            try:
                connection.read_parquet(files, hive_partitioning=False).create_view(name)
            except duckdb.Error as error:
                raise HeadraceError("HR835", f"{name}: {_first_line(error)}") from error
            allowed += files
        texts = ", ".join("'{}'".format(path.replace("'", "''")) for path in allowed)
        connection.execute(f"SET allowed_paths = [{texts}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")

    def version(self, node: str | Node) -> Version:
        """The version of a node. Raises HR830 for an unknown node, HR831 for one that was not made here yet."""
        found = self._node(node)
        if found.name not in self._versions:
            raise HeadraceError(
                "HR831", f"{found.name} has no version in {self.name}", fix=f"Make it: headrace apply {self.name}"
            )
        return self._versions[found.name]

    def _node(self, node: str | Node) -> Node:
        name: str = getattr(node, "__headrace_node__", node)  # type: ignore[arg-type]  # a handle, or its name
        nodes = self._workspace.graph.nodes
        if name not in nodes:
            raise HeadraceError("HR830", f"there is no node {name!r}", fix=suggestion(str(name), nodes))
        return nodes[name]

    def _refuse_damaged(self, version: Version) -> None:
        """Raise HR630 to HR634 where an output is not as it was written: then that is why a query failed."""
        for ref in version.manifest.outputs.values():
            self._workspace.stores.verify(ref)

    def _readable(self) -> list[str]:
        nodes = [node for node in self._workspace.graph if isinstance(node, RowsNode)]
        return [node.name for node in nodes if node.name in self._versions]

    def _mentioned(self, sql: str) -> list[_View]:
        """The nodes whose names occur in a query, so that the others need not be read."""
        words = {word.lower() for word in re.findall(r"\w+", sql)}
        nodes = [self._workspace.graph[name] for name in self._readable() if name.lower() in words]
        return [(node.name, node, self.version(node)) for node in nodes if isinstance(node, RowsNode)]

    def _elsewhere(self, sql: str) -> list[_View]:
        """The versions that a query names, each by its node and by an environment or a key."""
        found: list[_View] = []
        for name, text in sorted(set(_ELSEWHERE.findall(sql))):
            node = self._workspace.graph.nodes.get(name)
            if not isinstance(node, RowsNode):
                continue
            there = side(self._workspace.ledger, text)
            version = there.versions.get(name)
            if version is None and there.only is not None:
                raise HeadraceError("HR837", f"{text} is a version of {there.only}, not of {name}")
            if version is None:
                raise HeadraceError("HR831", f"{name} has no version in {text}", fix=f"Make it: headrace apply {text}")
            found.append((f"{name}@{text}", node, version))
        return found


def _answer(connection: duckdb.DuckDBPyConnection, sql: str, names: Sequence[str]) -> pl.DataFrame:
    import duckdb
    import polars as pl

    try:
        answer = connection.sql(sql)
        if answer is None:
            raise HeadraceError("HR836", f"{sql.strip() or 'an empty text'!r} asks for nothing")
        return framed(answer.to_arrow_table())
    except duckdb.CatalogException as error:
        missing = re.search(r"Table with name (\S+) does not exist", str(error))
        fix = None if missing is None else suggestion(missing.group(1), names)
        raise HeadraceError("HR835", _first_line(error), fix=fix) from error
    except duckdb.Error as error:
        raise HeadraceError("HR835", str(error).strip()) from error
    except pl.exceptions.DuplicateError as error:
        raise HeadraceError(
            "HR835", _first_line(error), fix="Name the columns, each with a name of its own."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def open(environment: str | None = None, *, project: Path | str | None = None) -> Environment:  # noqa: A001 - headrace.open
    """An environment of the project around the present folder, or of the one at `project`. Reads only.

    Args:
        environment: Its name; None for the main environment of `headrace.toml`.
        project: A folder in the project; None for the present folder.

    Raises:
        HeadraceError: HR801 where there is no project, HR609 for an unknown environment.
    """
    workspace = Workspace.open(project)
    try:
        return Environment(workspace, environment or workspace.settings.environment, owned=True)
    except BaseException:
        workspace.close()
        raise
