"""What the statements of a module bind its names to, and which of them change a value in place."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from headrace.graph.syntax_names import Import, imports_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Kind(Enum):
    """How a statement binds a name, or what it does to the value."""

    IMPORT = "import"
    TYPING = "import for the type checker only"
    DEFINITION = "definition"
    ASSIGNMENT = "assignment"
    OTHER = "other"
    STORE = "assignment to a part"
    CALL = "call of a method"


@dataclass(frozen=True, slots=True)
class Binding:
    """One statement about a name. `top` says that no `if`, `try` or loop is around it.

    `node` is what is assigned, or the definition; `target` is what is imported.
    """

    kind: Kind
    line: int
    top: bool
    node: ast.expr | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | None = None
    target: Import | None = None


def module_bindings(tree: ast.Module) -> Mapping[str, list[Binding]]:
    """The statements that bind each name of a module, in the order of the module."""
    table: dict[str, list[Binding]] = {}
    for statement, top, typing in _statements(tree.body, top=True, typing=False):
        for name, binding in _bindings(statement, top=top, typing=typing):
            table.setdefault(name, []).append(binding)
    return table


def module_mutations(tree: ast.Module) -> Mapping[str, list[Binding]]:
    """The statements that assign to a part of what a name holds, or call one of its methods and drop the result."""
    table: dict[str, list[Binding]] = {}
    for statement, top, _ in _statements(tree.body, top=True, typing=False):
        for target in _targets(statement):
            name = _root(target)
            if name is not None and not isinstance(target, ast.Name):
                table.setdefault(name, []).append(Binding(Kind.STORE, statement.lineno, top))
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            called = statement.value.func
            name = _root(called)
            if name is not None and not isinstance(called, ast.Name):
                table.setdefault(name, []).append(Binding(Kind.CALL, statement.lineno, top))
    return table


def _statements(body: Iterable[ast.stmt], *, top: bool, typing: bool) -> Iterator[tuple[ast.stmt, bool, bool]]:
    """Every statement of the module itself, unless it runs only where the module is run as a script."""
    for statement in body:
        yield statement, top, typing
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or _is_main(statement):
            continue
        only_typing = typing or (isinstance(statement, ast.If) and _ends_in(statement.test, "TYPE_CHECKING"))
        yield from _statements(getattr(statement, "body", ()), top=False, typing=only_typing)
        for field in ("orelse", "finalbody"):
            yield from _statements(getattr(statement, field, ()), top=False, typing=typing)
        for inner in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from _statements(inner.body, top=False, typing=typing)


def _is_main(statement: ast.stmt) -> bool:
    test = getattr(statement, "test", None)
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def _ends_in(test: ast.expr, name: str) -> bool:
    return getattr(test, "attr", getattr(test, "id", None)) == name


def _bindings(statement: ast.stmt, *, top: bool, typing: bool) -> Iterator[tuple[str, Binding]]:
    line = statement.lineno
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        kind = Kind.TYPING if typing else Kind.IMPORT
        for name, imported in imports_of(statement).items():
            yield name, Binding(kind, line, top, target=imported)
    elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name, Binding(Kind.DEFINITION, line, top, statement)
    elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
        if statement.value is not None:
            for target in _targets(statement):
                yield from _assigned(target, Binding(Kind.ASSIGNMENT, line, top, statement.value))
        yield from _walrus(statement)
    else:
        for target in _targets(statement):
            yield from _assigned(target, Binding(Kind.OTHER, line, top))
        yield from _walrus(statement)


def _assigned(target: ast.expr, binding: Binding) -> Iterator[tuple[str, Binding]]:
    if isinstance(target, ast.Name):
        yield target.id, binding
    elif isinstance(target, ast.Starred):
        yield from _assigned(target.value, binding)
    elif isinstance(target, (ast.Tuple, ast.List)):
        for element in target.elts:
            yield from _assigned(element, Binding(Kind.OTHER, binding.line, binding.top))


def _walrus(statement: ast.stmt) -> Iterator[tuple[str, Binding]]:
    """The names that the expressions of a statement bind, and what binds a name by text: `except ... as name`."""
    for node in _own_nodes(statement):
        if isinstance(node, ast.NamedExpr):
            yield node.target.id, Binding(Kind.OTHER, statement.lineno, top=False)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            yield node.name, Binding(Kind.OTHER, statement.lineno, top=False)


def _own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement without those of the statements inside of it."""
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt))


def _targets(statement: ast.stmt) -> list[ast.expr]:
    """What a statement assigns to, deletes or binds."""
    if isinstance(statement, (ast.Assign, ast.Delete)):
        return statement.targets
    if isinstance(statement, (ast.AnnAssign, ast.AugAssign, ast.For, ast.AsyncFor)):
        return [statement.target]
    if isinstance(statement, (ast.With, ast.AsyncWith)):
        return [item.optional_vars for item in statement.items if item.optional_vars is not None]
    return []


def _root(node: ast.expr) -> str | None:
    """The name that an attribute or an item is taken of."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
