"""The values that user code reaches, as data: plain values by value, the user's functions and classes as parts.

A part is a piece of the user's code with a name and a digest of its own. What a value refers to is not digested in
place but queued as a part, so that recursion ends and a change can be told by the name of the part.
"""

from __future__ import annotations

import functools
import sys
from collections import deque
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, TypeAlias

from headrace.errors import HeadraceError
from headrace.graph.closure import Project, Where, is_third_party, library_name, refuse_impure, stable_name
from headrace.graph.syntax_names import Reference
from headrace.ports.canonical import StandIn, canonical, is_numpy_scalar, qualified_name

if TYPE_CHECKING:
    import ast
    from collections.abc import Hashable, Iterator

    from headrace.graph.syntax_source import Namespace, Source, SourceCache

_USED = Reference((), 0)  # a use that is not a call
_LIBRARY_CALLABLES = (FunctionType, BuiltinFunctionType, MethodType)
_UNBOUND_KINDS = frozenset(
    ("ufunc", "method_descriptor", "wrapper_descriptor", "method-wrapper", "_ArrayFunctionDispatcher")
)


class NotPlain(Exception):  # noqa: N818 - a signal within the package, and no error that anybody sees
    """The value is neither plain data nor made of functions and classes: it has to be described by its syntax."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A module-level statement that stands for the value that it makes."""

    namespace: Namespace
    source: Source
    node: ast.expr | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


Part: TypeAlias = FunctionType | type | Statement


class Values:
    """Turns values into data for one fingerprint, and keeps the queue of the parts that are still to be described."""

    def __init__(self, project: Project, cache: SourceCache) -> None:
        self.project = project
        self.cache = cache
        self.libraries: set[str] = set()
        self.queue: deque[tuple[str, Part]] = deque()
        self.where: Where | str = ""
        self._names: dict[Hashable, tuple[str, object]] = {}
        self._taken: set[str] = set()

    def encode(self, value: object, where: Where | str) -> bytes:
        """The canonical bytes of a value.

        Raises:
            NotPlain: The value has to be described in another way.
            HeadraceError: Something that it refers to cannot be part of a fingerprint.
        """
        self.where = where
        try:
            return canonical(value, extend=self.stand_in)
        except HeadraceError as error:
            if error.code in ("HR200", "HR201"):
                raise NotPlain from error
            raise

    def part(self, key: Hashable, wanted: str, part: Part) -> str:
        """The name of a part, which is queued when it is met for the first time.

        Two parts that would have one name, such as two functions that one factory made, are told apart by a number in
        the order in which the code refers to them.
        """
        known = self._names.get(key)
        if known is not None:
            return known[0]
        name = self.new_name(wanted)
        self._names[key] = (name, part)  # keeps the object alive, since its identity is the key
        self.queue.append((name, part))
        return name

    def new_name(self, wanted: str) -> str:
        """The wanted name, or with a number where it is taken."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}#{number}"
        self._taken.add(name)
        return name

    def third_party(self, name: str) -> tuple[str, ...]:
        """The top-level name of the third-party package that a full name is of; empty for all other names."""
        top = name.partition(".")[0]
        return (top,) if is_third_party(top) and not self.project.holds_module(top) else ()

    def stand_in(self, value: object) -> StandIn | None:
        """What stands for a value that is not of a built-in plain type; None leaves it to `canonical`."""
        if type(value) is str or isinstance(value, PurePath):
            return self._path(value)
        name = node_name(value)
        if name is not None:
            return StandIn("node", name)
        if isinstance(value, FunctionType):
            return self.function(value)
        if isinstance(value, type):
            return self.class_(value)
        return self._callable(value) or self._instance(value)

    def function(self, value: FunctionType) -> StandIn:
        """A function: of the project as a part, of a library by name."""
        wanted = self.function_name(value)
        if wanted is None:
            return self._wrapper(value) or self._library(value)
        return StandIn("part", self.part(id(value), wanted, value))

    def class_(self, value: type) -> StandIn:
        """A class: of the project as a part, of a library by name."""
        wanted = self.class_name(value)
        return self._library(value) if wanted is None else StandIn("part", self.part(id(value), wanted, value))

    def function_name(self, value: FunctionType, hint: str | None = None) -> str | None:
        """The name of the part that a function of the project is, of a lambda the hint; None for one of a library."""
        file = value.__globals__.get("__file__")
        if not isinstance(file, str) and not value.__code__.co_filename.startswith("<frozen"):
            raise HeadraceError("HR202", f"{self.where}: {value.__qualname__} ({value.__code__.co_filename})")
        label = self.project.label(file)
        if label is None:
            return None
        qualified = value.__code__.co_qualname
        return hint if hint is not None and qualified == "<lambda>" else f"{label}.{qualified}"

    def class_name(self, value: type) -> str | None:
        """The name of the part that a class of the project is; None for one of a library.

        Raises:
            NotPlain: No class statement made the class, but a call such as `namedtuple(...)`.
        """
        namespace = self.class_namespace(value)
        label = self.project.label(namespace.get("__file__"))
        if label is None:
            return None
        if self.cache.source(namespace).class_(value) is None:
            raise NotPlain
        return f"{label}.{value.__qualname__}"

    def class_namespace(self, value: type) -> Namespace:
        """The namespace of the module that defines a class.

        Its own methods know it best: another module of the same name may have been imported since.
        """
        namespace = self._known_namespace(value)
        if namespace is None:
            raise HeadraceError("HR202", f"{self.where}: {qualified_name(value)}")
        return namespace

    def is_local_class(self, value: type) -> bool:
        """Whether a class is known to be the user's own."""
        namespace = self._known_namespace(value)
        return namespace is not None and self.project.label(namespace.get("__file__")) is not None

    def is_local(self, value: type | FunctionType | BuiltinFunctionType) -> bool:
        """Whether a function or a class is the user's own."""
        if isinstance(value, type):
            return self.is_local_class(value)
        namespace: Namespace = getattr(value, "__globals__", {})
        return self.project.label(namespace.get("__file__")) is not None

    def _known_namespace(self, value: type) -> Namespace | None:
        for method in own_methods(value):
            return method.__globals__
        home = self.project.homes.get(id(value))
        if home is not None and home[0] is value:
            return home[1]
        module = sys.modules.get(value.__module__)
        return None if module is None else vars(module)

    def _path(self, value: str | PurePath) -> StandIn | None:
        """A path into the project without the place where the project lies."""
        text = value if isinstance(value, str) else value.as_posix()
        if text.startswith(self.project.texts):
            for root in self.project.texts:
                if text == root or text.startswith(f"{root}/"):
                    return StandIn("in project", (isinstance(value, str), text[len(root) + 1 :]))
        return None

    def _library(self, value: object) -> StandIn:
        name = library_name(value)
        refuse_impure(name, _USED, self.where)
        self.libraries.update(self.third_party(name))
        return StandIn("library", stable_name(value))

    def _wrapper(self, value: object) -> StandIn | None:
        """What a library made of a function of the user: `functools.lru_cache`, `contextlib.contextmanager`."""
        attributes: dict[str, object] = getattr(value, "__dict__", {})
        wrapped = attributes.get("__wrapped__")
        if not callable(wrapped):
            return None
        if "registry" in attributes and "dispatch" in attributes:  # functools.singledispatch
            return StandIn("dispatch", (wrapped, attributes["registry"]))
        module = getattr(value, "__globals__", {}).get("__name__") or type(value).__module__
        self.libraries.update(self.third_party(module))
        return StandIn("wrapper", (module.split(".")[0], wrapped))

    def _callable(self, value: object) -> StandIn | None:
        if isinstance(value, functools.partial):
            return StandIn("partial", (value.func, value.args, value.keywords))
        if isinstance(value, MethodType) and isinstance(value.__func__, FunctionType):
            if self.project.label(value.__func__.__globals__.get("__file__")) is None:
                return self._library(value)
            return StandIn("method", (value.__self__, value.__func__))
        if isinstance(value, ModuleType):
            if self.project.holds(value):
                raise HeadraceError("HR215", f"{self.where}: {value.__name__}")
            return self._library(value)
        if isinstance(value, _LIBRARY_CALLABLES) or type(value).__name__ in _UNBOUND_KINDS:
            module = sys.modules.get(getattr(value, "__module__", None) or "")
            if module is not None and self.project.holds(module):
                raise HeadraceError("HR202", f"{self.where}: {library_name(value)}")
            return self._library(value)
        return self._wrapper(value)

    def _instance(self, value: object) -> StandIn | None:
        kind = type(value)
        own = getattr(kind, "__headrace_canonical__", None)
        if own is not None and self.is_local_class(kind):
            return StandIn("own", (kind, own(value)))
        if own is not None or kind.__module__.partition(".")[0] == "headrace":
            return None
        if kind.__module__ == "logging":
            return StandIn("logger", kind.__qualname__)
        if isinstance(value, Enum):
            return StandIn("member", (kind, value.name, value.value if self.is_local_class(kind) else None))
        if is_dataclass(value) or (isinstance(value, tuple) and hasattr(kind, "_fields")):
            if not self.is_local_class(kind):
                raise NotPlain
            return StandIn("instance", (kind, _state(value)))
        if is_numpy_scalar(value):
            self.libraries.add("numpy")
        return None


def node_name(value: object) -> str | None:
    """The name of a node of a pipeline, where the value is one."""
    name = getattr(value, "__headrace_node__", None)
    return name if isinstance(name, str) and name else None


def own_methods(kind: type) -> Iterator[FunctionType]:
    """The functions that the body of a class defines: methods, class and static methods, the parts of properties."""
    within = f"{kind.__qualname__}."
    for value in vars(kind).values():
        for inner in (value, *(getattr(value, name, None) for name in ("__func__", "fget", "fset", "func"))):
            if (
                isinstance(inner, FunctionType)
                and inner.__module__ == kind.__module__
                and inner.__code__.co_qualname.startswith(within)
                and not inner.__code__.co_filename.startswith("<")  # made by `exec`, as data classes do
            ):
                yield inner


def _state(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(value)
    return {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]
