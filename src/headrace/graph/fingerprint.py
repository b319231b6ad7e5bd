"""The fingerprint of user code: a digest that changes when what the code would make may change.

Covered are the functions and classes of a node, and whatever of the project they use, transitively: functions and
classes by their syntax (see `syntax`), captured values and module-level constants by value, and module-level objects
that are not plain data by the statement that assigns them. Libraries are covered by name only. Comments, docstrings,
layout, the order of definitions, annotations and line numbers are not covered, with one exception: the annotations of
the arguments of the node's own functions, since they decide which kind of frame a function gets.

Decorators of headrace are not covered: what they say are settings of the node.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.graph.closure import Project, Where
from headrace.graph.closure_names import Names, Place
from headrace.graph.closure_values import NotPlain, Statement, Values, node_name, own_methods
from headrace.graph.syntax import SCHEME
from headrace.graph.syntax_source import SourceCache
from headrace.ports.canonical import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from headrace.graph.syntax_names import Reference
    from headrace.graph.syntax_source import Decorator, Definition

_ROOTS = frozenset(("part", "partial", "method", "wrapper", "dispatch"))
_CACHE = SourceCache()
_PROJECTS: dict[str, Project] = {}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a node is made by.

    `digest` is of everything. `parts` are the digests of each function, class and constant of the project that is
    covered, by qualified name, and `settings` those of each setting, so that a plan can say which of them changed.
    `libraries` are the top-level names of the third-party packages that the code uses.
    """

    digest: str
    parts: Mapping[str, str]
    libraries: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


def fingerprint(
    functions: Sequence[Callable[..., object] | type],
    settings: Mapping[str, object],
    *,
    project: Path,
    cache: SourceCache | None = None,
) -> Fingerprint:
    """The fingerprint of the user's code and settings.

    Args:
        functions: The node's own functions and classes, in an order that means something.
        settings: Plain data by name (see `headrace.ports.canonical`).
        project: The folder whose Python files are the user's own.
        cache: The sources that were read already; those of this process unless given.

    Raises:
        HeadraceError: HR200 to HR221, with the file and the line: something cannot be part of a fingerprint.
    """
    root = os.path.abspath(project)  # noqa: PTH100 - Path.absolute costs more than the rest of a small fingerprint
    known = _PROJECTS.get(root)
    if known is None:
        known = _PROJECTS[root] = Project(root)
    walk = _Walk(Values(known, _CACHE if cache is None else cache))
    roots = [walk.root(function) for function in functions]
    walk.run()
    digests = {name: digest_of(value, what=f"the setting {name!r}") for name, value in settings.items()}
    parts = dict(sorted(walk.parts.items()))
    digests = dict(sorted(digests.items()))
    whole = repr((SCHEME, roots, list(parts.items()), list(digests.items())))  # of text and numbers: one spelling
    libraries = tuple(sorted(walk.values.libraries))
    return Fingerprint(_digest(whole.encode()), parts, libraries, digests)


class _Walk:
    """The walk over the parts of one fingerprint: each is described once, so that recursion ends."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.names = Names(values)
        self.parts: dict[str, str] = {}

    def root(self, function: object) -> str:
        """What stands for one of the node's own functions or classes; its parts are queued."""
        if node_name(function) is not None and not isinstance(function, type):
            function = getattr(function, "function", function)
        where = f"{getattr(function, '__module__', None)}.{getattr(function, '__qualname__', repr(function))}"
        self.values.where = where
        try:
            # A class may be a node itself and still has to be described.
            part = self.values.class_(function) if isinstance(function, type) else self.values.stand_in(function)
            if part is None or part.kind not in _ROOTS:
                raise HeadraceError("HR206", where)
            self._argument_annotations(function)
            return str(part.value) if part.kind == "part" else _digest(self.values.encode(part, where))
        except NotPlain as reason:
            raise HeadraceError("HR206", where) from reason

    def run(self) -> None:
        """Describes the queued parts, and those that they queue."""
        queue = self.values.queue
        while queue:
            name, part = queue.popleft()
            if isinstance(part, FunctionType):
                lines = self._function(part)
            elif isinstance(part, Statement):
                lines = self._statement(part)
            else:
                lines = self._class(part)
            self.parts[name] = _digest("\n".join(lines).encode())
        self.parts.update({name: _digest(data) for name, data in self.names.constants.items()})

    def _function(self, function: FunctionType) -> list[str]:
        source, node = self.values.cache.function(function)
        definition = source.definition(node)
        place = Place(function.__globals__, source, _cells(function), definition.enclosing)
        return [
            definition.digest,
            *self._captured(place, definition),
            *self._defaults(function, place, definition),
            *self._decorators(place, definition),
            *self._references(definition.references, place),
        ]

    def _class(self, kind: type) -> list[str]:
        namespace = self.values.class_namespace(kind)
        source = self.values.cache.source(namespace)
        node = source.class_(kind)
        if node is None:
            raise HeadraceError("HR202", f"{source.file}: {kind.__qualname__}")
        definition = source.definition(node)
        cells: dict[str, object] = {}
        for method in own_methods(kind):
            self.values.cache.function(method)  # the text is the one that was compiled
            cells.update(_cells(method))
        place = Place(namespace, source, cells, definition.enclosing)
        where = self.names.where(place, node.lineno)
        bases = [base for base in kind.__mro__[1:] if self.values.is_local_class(base)]
        return [
            definition.digest,
            *(f"base {self._encoded(base, where, base.__qualname__)}" for base in bases),
            *self._captured(place, definition),
            *self._decorators(place, definition),
            *self._references(definition.references, place),
        ]

    def _statement(self, part: Statement) -> list[str]:
        definition = part.source.definition(part.node)
        place = Place(part.namespace, part.source, {}, definition.enclosing)
        defaults = [reference for references in definition.defaults.values() for reference in references]
        return [
            definition.digest,
            *self._references(defaults, place),
            *self._decorators(place, definition),
            *self._references(definition.references, place),
        ]

    def _references(self, references: Iterable[Reference], place: Place) -> list[str]:
        describe = self.names.describe
        return [f"{'.'.join(reference.chain)} = {describe(reference, place)}" for reference in references]

    def _captured(self, place: Place, definition: Definition) -> list[str]:
        """The values of the variables of enclosing functions. A module is described by what is used of it."""
        return [
            f"captured {name} = {self._encoded(value, self.names.where(place, definition.line), name)}"
            for name, value in sorted(place.cells.items())
            if not isinstance(value, ModuleType)
        ]

    def _encoded(self, value: object, where: Where, name: str) -> str:
        try:
            return _digest(self.values.encode(value, where))
        except NotPlain as reason:
            kind = type(value)
            told = f"{where}: {name} is a {kind.__module__}.{kind.__qualname__}"
            raise HeadraceError("HR210", told) from reason

    def _defaults(self, function: FunctionType, place: Place, definition: Definition) -> list[str]:
        """Defaults of arguments by value, since they were computed once; by syntax where they are not plain."""
        if not definition.defaults:
            return []
        lines = []
        values = _default_values(function)
        for name, references in definition.defaults.items():
            for reference in references:
                self.names.refuse_if_impure(reference, place)
            where = self.names.where(place, definition.line)
            try:
                lines.append(f"default {name} = {_digest(self.values.encode(values[name], where))}")
            except NotPlain as reason:
                if any(reference.chain[0] in definition.enclosing for reference in references):
                    raise HeadraceError("HR210", f"{where}: the default of {name}") from reason
                lines += self._references(references, place)
        return lines

    def _decorators(self, place: Place, definition: Definition) -> list[str]:
        """The decorators that are not headrace's. One that may read annotations brings those in."""
        lines: list[str] = []
        reads_annotations = False
        for decorator in definition.decorators:
            if _is_headrace(decorator, place):
                continue
            reads_annotations |= decorator.reads_annotations
            known = [r for r in decorator.references if r.chain[0] in place.cells or r.chain[0] not in place.enclosing]
            lines += [decorator.digest, *self._references(known, place)]
        if reads_annotations:
            lines += [f"annotation {name} = {digest}" for name, digest in definition.annotations.items()]
        return lines

    def _argument_annotations(self, function: object) -> None:
        """The annotations of the arguments of a node's own function, as a part of their own."""
        while isinstance(function, (partial, MethodType)):
            function = function.func if isinstance(function, partial) else function.__func__
        inner = getattr(function, "__wrapped__", function)  # a decorator that keeps the signature says so
        if not isinstance(inner, FunctionType):
            return
        label = self.values.project.label(inner.__globals__.get("__file__"))
        if label is None:  # a partial of a function of a library
            return
        source, node = self.values.cache.function(inner)
        annotations = source.definition(node).annotations
        if annotations:
            name = self.values.new_name(f"{label}.{inner.__code__.co_qualname}: arguments")
            self.parts[name] = _digest(repr(list(annotations.items())).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _cells(function: FunctionType) -> dict[str, object]:
    """The captured variables of a function, without those that are not bound yet."""
    cells: dict[str, object] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            cells[name] = cell.cell_contents
        except ValueError:  # empty until the enclosing function binds it
            cells[name] = ...
    return cells


def _default_values(function: FunctionType) -> dict[str, object]:
    code = function.__code__
    positional = code.co_varnames[: code.co_argcount]
    defaults = function.__defaults__ or ()
    return dict(zip(positional[len(positional) - len(defaults) :], defaults, strict=True)) | (
        function.__kwdefaults__ or {}
    )


def _is_headrace(decorator: Decorator, place: Place) -> bool:
    """Whether a decorator is headrace's: a function or class of it, or a method of one of its objects."""
    if not decorator.references:
        return False
    chain = decorator.references[0].chain
    value = place.cells.get(chain[0], place.namespace.get(chain[0]))
    for name in chain[1:]:
        if not isinstance(value, ModuleType) or name not in vars(value):
            break
        value = vars(value)[name]
    holder = value if isinstance(value, (FunctionType, type)) else type(value)
    module = value.__name__ if isinstance(value, ModuleType) else holder.__module__
    return node_name(value) is not None or module.partition(".")[0] == "headrace"
