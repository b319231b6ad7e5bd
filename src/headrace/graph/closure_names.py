"""What the names in user code mean: each reference is resolved as Python would, and described by a short text.

Module-level names are described by value where that is plain data, as parts where they are the user's functions and
classes, by name where they are of a library, and by the statement that assigns them otherwise.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import importlib.util
import sys
from dataclasses import dataclass, field
from datetime import date
from types import BuiltinFunctionType, FunctionType, MappingProxyType, ModuleType
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.graph.closure import library_name, refuse_impure
from headrace.graph.closure_values import NotPlain, Statement, Values, node_name
from headrace.graph.syntax_bindings import Binding, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.graph.syntax_names import Import, Reference
    from headrace.graph.syntax_source import Namespace, Source

_MODULE_NAMES = frozenset(
    ("__file__", "__name__", "__doc__", "__package__", "__spec__", "__loader__", "__path__", "__builtins__")
)
_FROZEN: dict[type, type] = {list: tuple, dict: MappingProxyType, set: frozenset, bytearray: bytes}
_MUTABLE = tuple(_FROZEN)
_MUTATORS = frozenset(
    name
    for kind in _MUTABLE
    for name in vars(kind)
    if not name.startswith("_") and callable(getattr(kind, name)) and name not in vars(_FROZEN[kind])
) - {"copy", "fromkeys"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reference stands: the module, the values that the function captured, the functions around it."""

    namespace: Namespace
    source: Source
    cells: Mapping[str, object] = field(default_factory=dict)
    enclosing: frozenset[str] = frozenset()


class Names:
    """Resolves references for one fingerprint. Constants are noted in `constants`: name of the part to its data."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.constants: dict[str, bytes] = {}
        self._constant_names: dict[tuple[int, str], str] = {}

    def where(self, place: Place, line: int) -> str:
        """The file and the line, as messages show them."""
        return f"{self.values.project.shown(place.source.file)}:{line}"

    def describe(self, reference: Reference, place: Place) -> str:
        """What the reference means, as text for the digest of the part that makes it.

        Raises:
            HeadraceError: HR210 to HR221: it cannot be part of a fingerprint, or must not be.
        """
        if reference.stores:
            _refuse_state(None, (), reference, self.where(place, reference.line))
        if reference.imports:
            return "|".join([self._imported(target, reference, place) for target in reference.imports])
        root = reference.chain[0]
        if root in place.cells:
            return self._captured(place.cells[root], reference, place)
        if root in place.enclosing:
            raise HeadraceError("HR210", f"{self.where(place, reference.line)}: {root}")
        if root in place.namespace:
            return self._global(place, reference.chain, reference, self.where(place, reference.line))
        if hasattr(builtins, root):
            refuse_impure(f"builtins.{root}", reference, self.where(place, reference.line))
            return "builtin"
        return "|".join(["absent", *_texts(_targets(place.source.bindings.get(root, ()), Kind.TYPING))])

    def _captured(self, value: object, reference: Reference, place: Place) -> str:
        where = self.where(place, reference.line)
        rest = reference.chain[1:]
        _refuse_state(value, rest, reference, where)
        if isinstance(value, ModuleType):
            return self._module(value, rest, reference, where)
        self._refuse_impure_object(value, rest, reference, where)
        return "captured"

    def _module(self, module: ModuleType, rest: Sequence[str], reference: Reference, where: str) -> str:
        if not self.values.project.holds(module):
            refuse_impure(".".join((module.__name__, *rest)), reference, where)
            self.values.library(module.__name__)
            return f"library {module.__name__}"
        if not rest:
            if reference.statement:
                return "module"
            raise HeadraceError("HR215", f"{where}: {module.__name__}")
        namespace = vars(module)
        if rest[0] not in namespace:
            return "absent"
        if isinstance(inner := namespace[rest[0]], ModuleType):
            return self._module(inner, rest[1:], reference, where)  # a package without __init__.py has no source
        return self._global(Place(namespace, self.values.cache.source(namespace)), rest, reference, where)

    def _global(self, place: Place, chain: Sequence[str], reference: Reference, where: str) -> str:
        """A name of a module, and what is taken of it."""
        name, rest = chain[0], chain[1:]
        value = place.namespace[name]
        _refuse_state(value, rest, reference, where)
        if name in _MODULE_NAMES:
            return "module"
        if (node := node_name(value)) is not None:
            return f"node {node}"
        if isinstance(value, ModuleType):
            return self._module(value, rest, reference, where)
        bindings = place.source.bindings.get(name, ())
        imported = self._global_import(value, bindings, place, (rest, reference, where))
        if imported is not None:
            return imported
        self._refuse_impure_object(value, rest, reference, where)
        label = f"{self.values.project.label(place.namespace.get('__file__'))}.{name}"
        if isinstance(value, type) and value.__module__ == place.namespace.get("__name__"):
            self.values.homes[value] = place.namespace
        if isinstance(value, (FunctionType, type)):
            described = self._code(value, label, where)
            if described is not None:
                self._refuse_mutated(place, name, Kind.STORE)
                return described
        return self._constant(value, name, place, (label, where))

    def _code(self, value: FunctionType | type, hint: str, where: str) -> str | None:
        """A function or a class; None for a class that no class statement made."""
        self.values.where = where
        try:
            part = self.values.function(value, hint) if isinstance(value, FunctionType) else self.values.class_(value)
        except NotPlain:
            return None
        return f"{part.kind} {part.value}" if isinstance(part.value, str) else None

    def _constant(self, value: object, name: str, place: Place, told: tuple[str, str]) -> str:
        """A module-level value: by value where it is plain, by its statement otherwise."""
        label, where = told
        key = (id(place.namespace), name)
        known = self._constant_names.get(key)
        if known is not None:
            return f"constant {known}"
        bindings = place.source.bindings.get(name, ())
        self._refuse_impure_statement(bindings, place)
        try:
            data = self.values.encode(value, where)
        except NotPlain:
            part = self.values.part(("statement", *key), label, self._statement(bindings, name, place, where))
            return f"part {part}"
        if "__wrapped__" in getattr(value, "__dict__", {}):  # the function in it is a part of that name
            return f"value {hashlib.sha256(data).hexdigest()}"
        known = self._constant_names[key] = self.values.new_name(label)
        self.constants[known] = data
        return f"constant {known}"

    def _statement(self, bindings: Sequence[Binding], name: str, place: Place, where: str) -> Statement:
        """The one statement of the module that makes a value which is not plain."""
        real = [binding for binding in bindings if binding.kind is not Kind.TYPING]
        if len(real) != 1 or not real[0].top or real[0].node is None:
            lines = ", ".join(str(binding.line) for binding in real) or "none"
            kind = type(place.namespace[name])
            told = f"{kind.__module__}.{kind.__qualname__}; the statements that bind it are on lines: {lines}"
            raise HeadraceError("HR211", f"{where}: {name} holds a {told}")
        self._refuse_mutated(place, name, Kind.STORE, Kind.CALL)
        return Statement(place.namespace, place.source, real[0].node)

    def _refuse_mutated(self, place: Place, name: str, *kinds: Kind) -> None:
        for mutation in place.source.mutations.get(name, ()):
            if mutation.kind in kinds:
                raise HeadraceError("HR212", f"{self.where(place, mutation.line)}: {name}")

    def _global_import(
        self, value: object, bindings: Sequence[Binding], place: Place, use: tuple[Sequence[str], Reference, str]
    ) -> str | None:
        """A name that a module-level import binds; None where it has to be described by its value."""
        targets = _targets(bindings, Kind.IMPORT)
        rest, reference, where = use
        for target in targets:
            module = sys.modules.get(self._absolute(target.level, target.module, place, where))
            if module is None or target.name is None or not self.values.project.holds(module):
                continue
            origin = vars(module)
            if target.name in origin and origin[target.name] is value:
                inner = Place(origin, self.values.cache.source(origin))
                return self._global(inner, (target.name, *rest), reference, where)
        replaced = any(binding.kind not in (Kind.IMPORT, Kind.TYPING) for binding in bindings)
        if not targets or (replaced and value is None):
            return None
        names = [name for target, name in zip(targets, _texts(targets), strict=True) if not self._is_local(target)]
        for name in names:
            refuse_impure(".".join((name, *rest)), reference, where)
            self.values.library(name)
        return f"library {'|'.join(names)}" if len(names) == len(targets) else None

    def _imported(self, target: Import, reference: Reference, place: Place) -> str:
        """A name that an import inside of a function binds."""
        where = self.where(place, reference.line)
        rest = reference.chain[1:]
        if self._is_local(target):
            return self._imported_local(target, reference, place)
        name = _texts([target])[0]
        refuse_impure(".".join((name, *rest)), reference, where)
        self.values.library(name)
        return f"library {name}"

    def _imported_local(self, target: Import, reference: Reference, place: Place) -> str:
        where = self.where(place, reference.line)
        rest = reference.chain[1:]
        module = self._load(self._absolute(target.level, target.loads, place, where), where)
        if module is None:
            return "absent"
        if target.name is None:
            return self._module(sys.modules[target.module], rest, reference, where)
        if target.name not in vars(module):
            submodule = self._load(f"{module.__name__}.{target.name}", where) if hasattr(module, "__path__") else None
            return "absent" if submodule is None else self._module(submodule, rest, reference, where)
        if reference.statement:
            return "module"  # what is used of it stands in references of its own
        return self._module(module, (target.name, *rest), reference, where)

    def _is_local(self, target: Import) -> bool:
        return target.level > 0 or self.values.project.holds_module(target.module.partition(".")[0])

    def _absolute(self, level: int, name: str, place: Place, where: str) -> str:
        if level == 0:
            return name
        package = place.namespace.get("__package__") or ""
        try:
            return importlib.util.resolve_name("." * level + name, str(package))
        except ImportError as error:
            raise HeadraceError("HR216", f"{where}: {error}") from error

    def _load(self, name: str, where: str) -> ModuleType | None:
        """A module of the project, imported if it is not yet; None if there is none of that name."""
        if name in sys.modules:
            return sys.modules[name]
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
                return None
            raise HeadraceError("HR216", f"{where}: {name}: {error}") from error
        except Exception as error:
            raise HeadraceError("HR216", f"{where}: {name}: {type(error).__name__}: {error}") from error

    def _refuse_impure_object(self, value: object, rest: Sequence[str], reference: Reference, where: str) -> None:
        """Refuses the clock and the like where they are reached through an object: `clock = datetime`, a subclass."""
        if isinstance(value, type) and rest and issubclass(value, date):
            owner = next((base for base in value.__mro__ if rest[0] in vars(base)), value)
            refuse_impure(".".join((library_name(owner), *rest)), reference, where)
        elif isinstance(value, (type, FunctionType, BuiltinFunctionType)):
            refuse_impure(".".join((library_name(value), *rest)), reference, where)

    def _refuse_impure_statement(self, bindings: Sequence[Binding], place: Place) -> None:
        """Refuses a constant whose statement reads the clock: its value is another one in each process."""
        for binding in bindings:
            if binding.node is None:
                continue
            for reference in place.source.definition(binding.node).references:
                self.refuse_if_impure(reference, place)

    def refuse_if_impure(self, reference: Reference, place: Place) -> None:
        """Checks a reference to a library without describing it."""
        root, rest = reference.chain[0], reference.chain[1:]
        where = self.where(place, reference.line)
        value = place.cells.get(root, place.namespace.get(root))
        if isinstance(value, ModuleType):
            if not self.values.project.holds(value):
                refuse_impure(".".join((value.__name__, *rest)), reference, where)
            return
        for name in _texts(_targets(place.source.bindings.get(root, ()), Kind.IMPORT)):
            refuse_impure(".".join((name, *rest)), reference, where)
        self._refuse_impure_object(value, rest, reference, where)


def _targets(bindings: Sequence[Binding], kind: Kind) -> list[Import]:
    return [binding.target for binding in bindings if binding.kind is kind and binding.target is not None]


def _texts(targets: Sequence[Import]) -> list[str]:
    """The full names that imports bind, as they are written."""
    return [
        "." * target.level + (target.module if target.name is None else f"{target.module}.{target.name}")
        for target in targets
    ]


def _refuse_state(value: object, rest: Sequence[str], reference: Reference, where: str) -> None:
    """Refuses code that changes a value which outlives the call."""
    mutated = rest and reference.arguments >= 0 and isinstance(value, _MUTABLE) and rest[0] in _MUTATORS
    if reference.stores or mutated:
        raise HeadraceError("HR213", f"{where}: {'.'.join(reference.chain)}")
