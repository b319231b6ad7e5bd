"""The source of the user's modules: read once, parsed once, and asked for definitions.

A module in memory is bound to the text that its file had when it was first looked at, so that a process which runs for
days describes the code that it runs and not the code that somebody has written since. That the file was not edited
between the import and that first look is checked against the compiled code of each function.
"""

from __future__ import annotations

import ast
import hashlib
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from headrace.errors import HeadraceError
from headrace.graph.syntax import FunctionNode, has_no_effect, reads_annotations, written, written_annotations
from headrace.graph.syntax_bindings import Binding, module_bindings, module_mutations
from headrace.graph.syntax_names import Reference, body_references, bound_names, default_expressions, references

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import CodeType, FunctionType

Namespace: TypeAlias = dict[str, object]
DefinitionNode: TypeAlias = FunctionNode | ast.ClassDef | ast.expr


@dataclass(frozen=True, slots=True)
class Decorator:
    """A decorator of a definition. `reads_annotations`: it may act on the annotations of arguments."""

    digest: str
    references: tuple[Reference, ...]
    reads_annotations: bool


@dataclass(frozen=True, slots=True)
class Definition:
    """What the syntax alone says of a function, a class or an expression; made once, used for every fingerprint.

    `enclosing` are the local names of the functions that it stands in.
    """

    digest: str
    references: tuple[Reference, ...]
    line: int
    defaults: Mapping[str, tuple[Reference, ...]] = field(default_factory=dict)
    decorators: tuple[Decorator, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    enclosing: frozenset[str] = frozenset()


class Source:
    """One text of one module. `label` names the module in fingerprints, `path` in messages."""

    def __init__(self, text: bytes, file: str) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they were given when the module was compiled
                self.tree = ast.parse(text, filename=file)
        except SyntaxError as error:
            raise HeadraceError("HR204", f"{file}:{error.lineno}: {error.msg}") from error
        self.file = file
        self._definitions: dict[ast.AST, Definition] = {}
        self._enclosing: dict[ast.AST, tuple[FunctionNode, ...]] = {}
        self._functions: dict[tuple[int, str], list[FunctionNode]] = {}
        self._classes: dict[str, list[ast.ClassDef]] = {}
        self._index(self.tree.body, "", ())

    @cached_property
    def bindings(self) -> Mapping[str, list[Binding]]:
        """What the statements of the module bind each name to."""
        return module_bindings(self.tree)

    @cached_property
    def mutations(self) -> Mapping[str, list[Binding]]:
        """The statements of the module that change what a name holds in place."""
        return module_mutations(self.tree)

    def definition(self, node: DefinitionNode) -> Definition:
        """The static part of a function, a class or an expression of this module."""
        found = self._definitions.get(node)
        if found is None:
            found = self._definitions[node] = self._define(node)
        return found

    def function(self, code: CodeType) -> FunctionNode:
        """The definition that a code object was compiled from.

        Raises:
            HeadraceError: HR203 where the text is not what was compiled, HR204 where two lambdas cannot be told apart.
        """
        where = f"{self.file}:{code.co_firstlineno}: {code.co_qualname}"
        if code.co_name == "<lambda>":
            nodes = _innermost(code, self._lambdas.get(code.co_firstlineno, []))
        else:
            nodes = self._functions.get((code.co_firstlineno, code.co_name), [])
        if not nodes:
            raise HeadraceError("HR203", where)
        if len({self.definition(node).digest for node in nodes}) > 1:
            raise HeadraceError("HR204", f"{where}: the line holds {len(nodes)} of that name, and they differ")
        return nodes[0]

    def class_(self, kind: type) -> ast.ClassDef | None:
        """The statement that defines a class; None where it was made in another way (`type(...)`, a named tuple)."""
        nodes = self._classes.get(kind.__qualname__, [])
        if len(nodes) > 1:
            lines = {code.co_firstlineno for code in _method_codes(kind)}
            last = {id(node): node.end_lineno or node.lineno for node in nodes}
            nodes = [node for node in nodes if any(node.lineno <= line <= last[id(node)] for line in lines)] or nodes
        if len({self.definition(node).digest for node in nodes}) > 1:
            raise HeadraceError("HR204", f"{self.file}: {kind.__qualname__} is defined {len(nodes)} times")
        return nodes[0] if nodes else None

    def compiled(self, code: CodeType) -> bool:
        """Whether this text compiles to that code object, line numbers included."""
        return any(code == known for known in self._codes.get((code.co_firstlineno, code.co_qualname), ()))

    @cached_property
    def _codes(self) -> dict[tuple[int, str], list[CodeType]]:
        table: dict[tuple[int, str], list[CodeType]] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stack: list[CodeType] = [compile(self.tree, self.file, "exec", dont_inherit=True)]
        while stack:
            code = stack.pop()
            table.setdefault((code.co_firstlineno, code.co_qualname), []).append(code)
            stack.extend(constant for constant in code.co_consts if hasattr(constant, "co_code"))
        return table

    @cached_property
    def _lambdas(self) -> dict[int, list[FunctionNode]]:
        table: dict[int, list[FunctionNode]] = {}
        stack: list[tuple[ast.AST, tuple[FunctionNode, ...]]] = [(self.tree, ())]
        while stack:
            node, enclosing = stack.pop()
            if isinstance(node, ast.Lambda):
                table.setdefault(node.lineno, []).append(node)
                self._enclosing[node] = enclosing
            inner = (*enclosing, node) if isinstance(node, FunctionNode) else enclosing
            stack.extend((child, inner) for child in ast.iter_child_nodes(node))
        return table

    def _index(self, statements: Iterable[ast.AST], prefix: str, enclosing: tuple[FunctionNode, ...]) -> None:
        for node in statements:
            if isinstance(node, ast.ClassDef):
                self._classes.setdefault(prefix + node.name, []).append(node)
                self._enclosing[node] = enclosing
                self._index(node.body, f"{prefix}{node.name}.", enclosing)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                self._functions.setdefault((line, node.name), []).append(node)
                self._enclosing[node] = enclosing
                self._index(node.body, f"{prefix}{node.name}.<locals>.", (*enclosing, node))
            else:
                self._index(_inner_statements(node), prefix, enclosing)

    def _define(self, node: DefinitionNode) -> Definition:
        digest = _digest(written(node))
        if isinstance(node, ast.expr) and not isinstance(node, ast.Lambda):
            return Definition(digest, references([node]), node.lineno)
        enclosing = frozenset[str]().union(*(bound_names(outer) for outer in self._enclosing.get(node, ())))
        decorators = tuple(
            Decorator(_digest(written(decorator)), references([decorator]), reads_annotations(decorator))
            for decorator in getattr(node, "decorator_list", ())
        )
        if isinstance(node, ast.ClassDef):
            return Definition(digest, body_references(node), node.lineno, {}, decorators, {}, enclosing)
        annotations = {name: _digest(data) for name, data in written_annotations(node).items()}
        defaults = {name: references([default]) for name, default in default_expressions(node).items()}
        return Definition(digest, body_references(node), node.lineno, defaults, decorators, annotations, enclosing)


class SourceCache:
    """Sources by file and digest of the text, and the source that each module in memory is bound to."""

    def __init__(self) -> None:
        self._sources: dict[tuple[str, bytes], Source] = {}
        self._bound: dict[int, tuple[Namespace, object, Source]] = {}
        self._located: dict[int, tuple[CodeType, Source, FunctionNode]] = {}

    @property
    def parsed(self) -> int:
        """How many texts were parsed."""
        return len(self._sources)

    def source(self, namespace: Namespace) -> Source:
        """The source of the module with that namespace.

        Raises:
            HeadraceError: HR202 where the module has no Python source, HR204 where the text cannot be parsed.
        """
        spec = namespace.get("__spec__")
        bound = self._bound.get(id(namespace))
        if bound is not None and bound[0] is namespace and bound[1] is spec:
            return bound[2]
        file = namespace.get("__file__")
        if not isinstance(file, str) or not file.endswith((".py", ".pyw")):
            raise HeadraceError("HR202", f"{namespace.get('__name__')} ({file or 'no file'})")
        source = self._read(file)
        self._bound[id(namespace)] = (namespace, spec, source)
        return source

    def function(self, function: FunctionType) -> tuple[Source, FunctionNode]:
        """The source of a function and the definition in it.

        Raises:
            HeadraceError: HR202 to HR204, see `Source` and `source`.
        """
        code = function.__code__
        found = self._located.get(id(code))
        if found is not None:
            return found[1], found[2]
        namespace = function.__globals__
        if not is_file_of(namespace, code.co_filename):
            where = f"{code.co_qualname} ({code.co_filename}, line {code.co_firstlineno})"
            raise HeadraceError("HR202", where)
        source = self.source(namespace)
        node = source.function(code)
        hooked = type(namespace.get("__loader__")) is not SourceFileLoader  # an import hook compiles something else
        if not hooked and not source.compiled(code):
            raise HeadraceError("HR203", f"{source.file}:{code.co_firstlineno}: {code.co_qualname}")
        self._located[id(code)] = (code, source, node)
        return source, node

    def _read(self, file: str) -> Source:
        try:
            text = Path(file).read_bytes()
        except OSError as error:
            raise HeadraceError("HR202", f"{file}: {error.strerror}") from error
        key = (file, hashlib.sha256(text).digest())
        source = self._sources.get(key)
        if source is None:
            source = self._sources[key] = Source(text, file)
        return source


def is_file_of(namespace: Namespace, filename: str) -> bool:
    """Whether code with that file name was compiled from the file of the module, and not made by `exec`."""
    file = namespace.get("__file__")
    return isinstance(file, str) and (file == filename or Path(file).resolve() == Path(filename).resolve())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _inner_statements(node: ast.AST) -> Iterator[ast.AST]:
    """The statements inside of an `if`, `for`, `while`, `with`, `try` or `match`."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(node, name, ()):
            if not has_no_effect(inner):
                yield inner


def _method_codes(kind: type) -> Iterator[CodeType]:
    for value in vars(kind).values():
        function = getattr(value, "__func__", getattr(value, "fget", value))
        if hasattr(function, "__code__"):
            yield function.__code__


def _innermost(code: CodeType, lambdas: list[FunctionNode]) -> list[FunctionNode]:
    """Of the lambdas of a line, those whose body holds all instructions of the code and no other such lambda."""
    if len(lambdas) < 2:  # noqa: PLR2004 - one is no choice
        return lambdas
    places = [
        ((line, column), (end_line, end_column))
        for line, end_line, column, end_column in code.co_positions()
        if line is not None and end_line is not None and column is not None and end_column
    ]
    spans = [(_span(node), node) for node in lambdas]
    around = [(span, node) for span, node in spans if all(span[0] <= start and end <= span[1] for start, end in places)]
    innermost = [
        node for span, node in around if not any(other != span and _within(other, span) for other, _ in around)
    ]
    return innermost or lambdas


_Place: TypeAlias = tuple[int, int]


def _span(node: FunctionNode) -> tuple[_Place, _Place]:
    body = node.body if isinstance(node.body, ast.expr) else node
    return (body.lineno, body.col_offset), (body.end_lineno or body.lineno, body.end_col_offset or 0)


def _within(inner: tuple[_Place, _Place], outer: tuple[_Place, _Place]) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]
