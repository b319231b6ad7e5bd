"""Which names a piece of code uses that it does not define itself, and what it does with them.

The scopes are those of the language: function, class, comprehension and type parameter scopes, `global`, `nonlocal`,
and imports inside of functions. Annotations of arguments, results and local variables are not followed; those of a
class body are.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from headrace.graph.syntax import FUNCTIONS, FunctionNode, unquoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

NOT_CALLED = -1
MANY = 1000  # a call with `*values` or `**values` may have any number of arguments

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True)
class Import:
    """What an import statement binds a name to: a module (`name` is None), or a name of a module.

    `loads` is the module that the statement loads: for `import a.b` it is "a.b", while the name `a` denotes "a".
    """

    level: int
    module: str
    name: str | None
    loads: str


@dataclass(frozen=True, slots=True)
class Reference:
    """One use of a name from outside: `chain` is ("np", "random", "rand") for `np.random.rand`.

    `imports` are the import statements inside of the function that bind the first name (empty: it is not local).
    `arguments` counts the arguments other than a literal None, or is NOT_CALLED. `now` says that an argument is the
    text "now". `stores` says that the code assigns to the name or to a part of it. `statement` marks an import.
    """

    chain: tuple[str, ...]
    line: int
    imports: tuple[Import, ...] = ()
    arguments: int = NOT_CALLED
    now: bool = False
    stores: bool = False
    statement: bool = False


Names: TypeAlias = dict[str, tuple[Import, ...]]  # an empty tuple: bound by something else than an import


def references(nodes: Iterable[ast.AST]) -> tuple[Reference, ...]:
    """The uses of outside names in expressions, the first of each kind, in the order of the code."""
    finder = _Finder()
    for node in nodes:
        finder.visit(node)
    return tuple(finder.found.values())


def body_references(node: FunctionNode | ast.ClassDef) -> tuple[Reference, ...]:
    """The uses of outside names by a function or a class, without its decorators and the defaults of arguments."""
    finder = _Finder()
    if isinstance(node, ast.ClassDef):
        finder.class_parts(node)
    else:
        finder.function_body(node)
    return tuple(finder.found.values())


def default_expressions(node: FunctionNode) -> dict[str, ast.expr]:
    """The default of each argument that has one."""
    arguments = node.args
    positional = (*arguments.posonlyargs, *arguments.args)
    pairs = [
        *zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    return {arg.arg: default for arg, default in pairs if default is not None}


def bound_names(node: FunctionNode) -> frozenset[str]:
    """The names that are local to a function."""
    return frozenset(_function_scope(node).names)


def imports_of(statement: ast.Import | ast.ImportFrom) -> dict[str, Import]:
    """What an import statement binds."""
    if isinstance(statement, ast.ImportFrom):
        module, level = statement.module or "", statement.level
        return {alias.asname or alias.name: Import(level, module, alias.name, module) for alias in statement.names}
    bound = {}
    for alias in statement.names:
        denoted = alias.name if alias.asname else alias.name.split(".")[0]
        bound[alias.asname or denoted] = Import(0, denoted, None, alias.name)
    return bound


class _Scope:
    """What one scope binds, and what it declares to be global."""

    __slots__ = ("declared", "is_class", "names")

    def __init__(self, *, is_class: bool = False) -> None:
        self.names: Names = {}
        self.declared: set[str] = set()
        self.is_class = is_class

    def binds_in_class(self, name: str) -> bool:
        """Whether this is a class body that binds the name."""
        return self.is_class and name in self.names


def _function_scope(node: FunctionNode) -> _Scope:
    scope = _Scope()
    arguments = node.args
    for arg in (*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg):
        if arg is not None:
            scope.names[arg.arg] = ()
    for parameter in getattr(node, "type_params", ()):
        scope.names[parameter.name] = ()
    _bind(node.body if isinstance(node.body, list) else [node.body], scope)
    return scope


def _bind(nodes: Sequence[ast.AST], scope: _Scope) -> None:
    """Adds what the nodes bind in this scope; inner functions and classes bind their name only."""
    outer: list[str] = []
    stack: list[tuple[ast.AST, bool]] = [(node, False) for node in nodes]
    while stack:
        node, in_comprehension = stack.pop()
        kind = type(node)
        if kind is ast.Name:
            if not in_comprehension and not isinstance(node.ctx, ast.Load):  # type: ignore[attr-defined]
                scope.names.setdefault(node.id, ())  # type: ignore[attr-defined]
            continue
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            outer += node.names
            scope.declared.update(node.names if isinstance(node, ast.Global) else ())
            continue
        if isinstance(node, ast.NamedExpr):
            scope.names.setdefault(node.target.id, ())
        inner = in_comprehension or kind in _COMPREHENSIONS
        stack.extend((child, inner) for child in _binding_children(node, scope))
    for name in outer:
        scope.names.pop(name, None)


def _binding_children(node: ast.AST, scope: _Scope) -> Iterable[ast.AST]:
    """Binds what the node itself binds by a text field, and gives the children that may bind more in this scope."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        for name, target in imports_of(node).items():
            scope.names[name] = (*scope.names.get(name, ()), target)
        return ()
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        scope.names[node.name] = ()
        return (*node.decorator_list, *default_expressions(node).values())
    if isinstance(node, ast.Lambda):
        return default_expressions(node).values()
    if isinstance(node, ast.ClassDef):
        scope.names[node.name] = ()
        return (*node.decorator_list, *node.bases, *node.keywords)
    for field in ("name", "rest"):  # except ... as name, case name, case {**rest}
        bound = getattr(node, field, None)
        if isinstance(bound, str):
            scope.names[bound] = ()
    return ast.iter_child_nodes(node)


class _Finder:
    """Visits code with the scopes that it stands in, and keeps the references to names of none of them."""

    def __init__(self) -> None:
        self.found: dict[tuple[object, ...], Reference] = {}
        self._scopes: list[_Scope] = []

    def visit(self, node: ast.AST) -> None:
        special = _VISITS.get(type(node))
        if special is not None:
            special(self, node)
        else:
            self._children(node)

    def function_body(self, node: FunctionNode) -> None:
        self._scopes.append(_function_scope(node))
        for part in node.body if isinstance(node.body, list) else [node.body]:
            self.visit(part)
        self._scopes.pop()

    def class_parts(self, node: ast.ClassDef) -> None:
        parameters = _Scope()
        for parameter in getattr(node, "type_params", ()):
            parameters.names[parameter.name] = ()
        self._scopes.append(parameters)
        for part in (*node.bases, *node.keywords):
            self.visit(part)
        scope = _Scope(is_class=True)
        _bind(node.body, scope)
        self._scopes.append(scope)
        for part in node.body:
            self.visit(part)
        del self._scopes[-2:]

    def name(self, node: ast.Name) -> None:
        self._use((node.id,), node, stores=not isinstance(node.ctx, ast.Load))

    def attribute(self, node: ast.Attribute, **use: bool | int) -> None:
        attributes = [node.attr]
        inner: ast.expr = node.value
        while isinstance(inner, ast.Attribute):
            attributes.append(inner.attr)
            inner = inner.value
        stores = not isinstance(node.ctx, ast.Load)
        if not isinstance(inner, ast.Name):
            self._store_into(inner, stores=stores)
            self.visit(inner)
            return
        self._use((inner.id, *reversed(attributes)), node, stores=stores, **use)

    def subscript(self, node: ast.Subscript) -> None:
        self._store_into(node.value, stores=not isinstance(node.ctx, ast.Load))
        self._children(node)

    def call(self, node: ast.Call) -> None:
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        spread = any(isinstance(v, ast.Starred) for v in node.args) or any(k.arg is None for k in node.keywords)
        constants = [v.value for v in values if isinstance(v, ast.Constant)]
        arguments = MANY if spread else len(values) - constants.count(None)
        now = "now" in constants
        if isinstance(node.func, ast.Name):
            self._use((node.func.id,), node.func, arguments=arguments, now=now)
        elif isinstance(node.func, ast.Attribute):
            self.attribute(node.func, arguments=arguments, now=now)
        else:
            self.visit(node.func)
        for part in (*node.args, *node.keywords):
            self.visit(part)

    def definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda) -> None:
        for part in getattr(node, "decorator_list", ()):
            self.visit(part)
        if isinstance(node, ast.ClassDef):
            self.class_parts(node)
            return
        for part in default_expressions(node).values():
            self.visit(part)
        self.function_body(node)

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.visit(node.generators[0].iter)  # evaluated in the enclosing scope
        scope = _Scope()
        for generator in node.generators:
            _bind([generator.target], scope)
        self._scopes.append(scope)
        for position, generator in enumerate(node.generators):
            self._children(generator, skip=generator.iter if position == 0 else None)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(part)
        self._scopes.pop()

    def annotated(self, node: ast.AnnAssign) -> None:
        if self._scopes and self._scopes[-1].is_class:
            self.visit(unquoted(node.annotation))
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)

    def import_statement(self, node: ast.Import | ast.ImportFrom) -> None:
        for name, target in imports_of(node).items():
            key = (name, target)
            self.found.setdefault(key, Reference((name,), node.lineno, (target,), statement=True))

    def _children(self, node: ast.AST, skip: ast.AST | None = None) -> None:
        for child in ast.iter_child_nodes(node):
            if child is not skip:
                self.visit(child)

    def _store_into(self, node: ast.expr, *, stores: bool) -> None:
        """Notes an assignment to a part of what `node` says, such as `TABLE[key][0] = 1`."""
        while isinstance(node, (ast.Subscript, ast.Attribute)):
            node = node.value
        if stores and isinstance(node, ast.Name):
            self._use((node.id,), node, stores=True)

    def _use(self, chain: tuple[str, ...], node: ast.expr, **use: bool | int) -> None:
        imports = self._local(chain[0])
        if imports is None or (use.get("stores") and self._is_own(chain, imports)):
            return
        reference = Reference(chain, node.lineno, imports, **use)  # type: ignore[arg-type]
        key = (chain, imports, reference.arguments, reference.now, reference.stores)
        self.found.setdefault(key, reference)

    def _is_own(self, chain: tuple[str, ...], imports: tuple[Import, ...]) -> bool:
        """Whether an assignment to the name stays within the code: in a class body, or to a name it imports itself."""
        in_class = bool(self._scopes) and self._scopes[-1].binds_in_class(chain[0])
        return in_class or (bool(imports) and len(chain) == 1)

    def _local(self, name: str) -> tuple[Import, ...] | None:
        """The imports that bind a local name; () for a name from outside; None for a local name bound otherwise.

        A name of the class body itself counts as one from outside as well: before it is bound there, it is.
        """
        for position, scope in enumerate(reversed(self._scopes)):
            if name in scope.declared:
                return ()
            if scope.is_class and (position > 0 or not scope.names.get(name)):
                continue
            if name in scope.names:
                return scope.names[name] or None
        return ()


_VISITS: dict[type[ast.AST], Callable[..., None]] = {
    ast.Name: _Finder.name,
    ast.Attribute: _Finder.attribute,
    ast.Subscript: _Finder.subscript,
    ast.Call: _Finder.call,
    ast.ClassDef: _Finder.definition,
    ast.AnnAssign: _Finder.annotated,
    ast.Import: _Finder.import_statement,
    ast.ImportFrom: _Finder.import_statement,
    **dict.fromkeys(FUNCTIONS, _Finder.definition),
    **dict.fromkeys(_COMPREHENSIONS, _Finder.comprehension),
}
