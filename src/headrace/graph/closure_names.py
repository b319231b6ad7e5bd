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
from headrace.graph.closure import Where, library_name, refuse_impure
from headrace.graph.closure_values import NotPlain, Part, Statement, Values, node_name
from headrace.graph.syntax_bindings import Binding, Kind

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from headrace.graph.syntax_names import Import, Reference
    from headrace.graph.syntax_source import Namespace, Source

_MODULE_NAMES = frozenset(
    ("__file__", "__name__", "__doc__", "__package__", "__spec__", "__loader__", "__path__", "__builtins__")
)
_FROZEN: dict[type, type] = {list: tuple, dict: MappingProxyType, set: frozenset, bytearray: bytes}
_MUTABLE = tuple(_FROZEN)
_CONTAINERS = (*_MUTABLE, tuple)
_LASTING = (type(None), bool, int, float, str, bytes)
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


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reference means: a text, unless it is a part (key, name, value) or a constant (key, name, data).

    `libraries` are the third-party packages that it uses. `lasting`: it is the same as long as the name that the
    reference begins with holds the same object.
    """

    text: str = ""
    libraries: tuple[str, ...] = ()
    part: tuple[Hashable, str, Part] | None = None
    constant: tuple[Hashable, str, bytes] | None = None
    lasting: bool = False


class Names:
    """Resolves references for one fingerprint. Constants are noted in `constants`: name of the part to its data."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.constants: dict[str, bytes] = {}
        self._constant_names: dict[Hashable, str] = {}

    def where(self, place: Place, line: int) -> Where:
        """The file and the line, for messages."""
        return Where(self.values.project, place.source.file, line)

    def describe(self, reference: Reference, place: Place) -> str:
        """What the reference means, as text for the digest of the part that makes it.

        Raises:
            HeadraceError: HR210 to HR221: it cannot be part of a fingerprint, or must not be.
        """
        if reference.imports:
            imported = [self._imported(target, reference, place) for target in reference.imports]
            return "|".join([self._noted(meaning) for meaning in imported])
        root = reference.chain[0]
        if root in place.cells or root in place.enclosing or root not in place.namespace:
            return self._noted(self._unusual(reference, place))
        value = place.namespace[root]
        known = self.values.project.meanings.get(id(reference))
        if known is not None and known[0] is reference and known[1] is value:
            return self._noted(known[2])
        meaning = self._global(place, reference.chain, reference, self.where(place, reference.line))
        if meaning.lasting and not (isinstance(value, ModuleType) and self.values.project.holds(value)):
            self.values.project.meanings[id(reference)] = (reference, value, meaning)
        return self._noted(meaning)

    def _noted(self, meaning: Meaning) -> str:
        """The text of a meaning; its part, its constant and its libraries are noted."""
        self.values.libraries.update(meaning.libraries)
        if meaning.part is not None:
            return f"part {self.values.part(*meaning.part)}"
        if meaning.constant is None:
            return meaning.text
        key, label, data = meaning.constant
        name = self._constant_names.get(key)
        if name is None:
            name = self._constant_names[key] = self.values.new_name(label)
            self.constants[name] = data
        return f"constant {name}"

    def _unusual(self, reference: Reference, place: Place) -> Meaning:
        """A name that is no name of the module: captured, built in, or absent."""
        root = reference.chain[0]
        where = self.where(place, reference.line)
        if root in place.cells:
            return self._captured(place.cells[root], reference, where)
        if root in place.enclosing:
            raise HeadraceError("HR210", f"{where}: {root}")
        _refuse_state(None, (), reference, where)
        if hasattr(builtins, root):
            refuse_impure(f"builtins.{root}", reference, where)
            return Meaning("builtin")
        return Meaning("|".join(["absent", *_texts(_targets(place.source.bindings.get(root, ()), Kind.TYPING))]))

    def _captured(self, value: object, reference: Reference, where: Where) -> Meaning:
        rest = reference.chain[1:]
        _refuse_state(value, rest, reference, where)
        if isinstance(value, ModuleType):
            return self._module(value, rest, reference, where)
        self._refuse_impure_object(value, rest, reference, where)
        return Meaning("captured")

    def _module(self, module: ModuleType, rest: Sequence[str], reference: Reference, where: Where) -> Meaning:
        _refuse_state(module, rest, reference, where)
        if not self.values.project.holds(module):
            return self._library([module.__name__], rest, reference, where)
        if not rest:
            if reference.statement:
                return Meaning("module")
            raise HeadraceError("HR215", f"{where}: {module.__name__}")
        namespace = vars(module)
        if rest[0] not in namespace:
            return Meaning("absent")
        if isinstance(inner := namespace[rest[0]], ModuleType):
            return self._module(inner, rest[1:], reference, where)  # a package without __init__.py has no source
        return self._global(Place(namespace, self.values.cache.source(namespace)), rest, reference, where)

    def _library(self, names: Sequence[str], rest: Sequence[str], reference: Reference, where: Where) -> Meaning:
        libraries: tuple[str, ...] = ()
        for name in names:
            refuse_impure(".".join((name, *rest)), reference, where)
            libraries += self.values.third_party(name)
        return Meaning(f"library {'|'.join(names)}", libraries, lasting=True)

    def _global(self, place: Place, chain: Sequence[str], reference: Reference, where: Where) -> Meaning:
        """A name of a module, and what is taken of it."""
        name, rest = chain[0], chain[1:]
        value = place.namespace[name]
        _refuse_state(value, rest, reference, where)
        if name in _MODULE_NAMES:
            return Meaning("module", lasting=True)
        if isinstance(value, ModuleType):
            return self._module(value, rest, reference, where)
        if (node := node_name(value)) is not None:
            return Meaning(f"node {node}")
        bindings = place.source.bindings.get(name, ())
        imported = self._global_import(value, bindings, place, (rest, reference, where))
        if imported is not None:
            return imported
        self._refuse_impure_object(value, rest, reference, where)
        label = f"{self.values.project.label(place.namespace.get('__file__'))}.{name}"
        if isinstance(value, (FunctionType, type)):
            code = self._code(value, label, place, where)
            if code is not None:
                self._refuse_mutated(place, name, Kind.STORE)
                return code
        return self._constant(value, name, place, (label, where))

    def _code(self, value: FunctionType | type, hint: str, place: Place, where: Where) -> Meaning | None:
        """A function or a class of the project; None for others, and for a class that no class statement made."""
        self.values.where = where
        if isinstance(value, type) and value.__module__ == place.namespace.get("__name__"):
            self.values.project.homes[id(value)] = (value, place.namespace)
        try:
            name = self.values.class_name(value) if isinstance(value, type) else self.values.function_name(value, hint)
        except NotPlain:
            return None
        return None if name is None else Meaning(part=(id(value), name, value), lasting=True)

    def _constant(self, value: object, name: str, place: Place, told: tuple[str, Where]) -> Meaning:
        """A module-level value: by value where it is plain, by its statement otherwise."""
        label, where = told
        key = (id(place.namespace), name)
        bindings = place.source.bindings.get(name, ())
        self._refuse_impure_statement(bindings, place)
        try:
            data = self.values.encode(value, where)
        except NotPlain:
            statement = self._statement(bindings, name, place, where)
            return Meaning(part=(("statement", *key), label, statement), lasting=not isinstance(value, _CONTAINERS))
        if "__wrapped__" in getattr(value, "__dict__", {}):  # the function in it is a part of that name
            return Meaning(f"value {hashlib.sha256(data).hexdigest()}")
        return Meaning(constant=(key, label, data), lasting=type(value) in _LASTING)

    def _statement(self, bindings: Sequence[Binding], name: str, place: Place, where: Where) -> Statement:
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
        self, value: object, bindings: Sequence[Binding], place: Place, use: tuple[Sequence[str], Reference, Where]
    ) -> Meaning | None:
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
        if not targets or (replaced and value is None) or any(self._is_local(target) for target in targets):
            return None
        return self._library(_texts(targets), rest, reference, where)

    def _imported(self, target: Import, reference: Reference, place: Place) -> Meaning:
        """A name that an import inside of a function binds."""
        where = self.where(place, reference.line)
        rest = reference.chain[1:]
        _refuse_state(None, rest, reference, where)
        if self._is_local(target):
            return self._imported_local(target, reference, place)
        return self._library(_texts([target]), rest, reference, where)

    def _imported_local(self, target: Import, reference: Reference, place: Place) -> Meaning:
        where = self.where(place, reference.line)
        rest = reference.chain[1:]
        module = self._load(self._absolute(target.level, target.loads, place, where), where)
        if module is None:
            return Meaning("absent")
        if target.name is None:
            return self._module(sys.modules[target.module], rest, reference, where)
        if target.name not in vars(module):
            submodule = self._load(f"{module.__name__}.{target.name}", where) if hasattr(module, "__path__") else None
            return Meaning("absent") if submodule is None else self._module(submodule, rest, reference, where)
        if reference.statement:
            return Meaning("module")  # what is used of it stands in references of its own
        return self._module(module, (target.name, *rest), reference, where)

    def _is_local(self, target: Import) -> bool:
        return target.level > 0 or self.values.project.holds_module(target.module.partition(".")[0])

    def _absolute(self, level: int, name: str, place: Place, where: Where) -> str:
        if level == 0:
            return name
        package = place.namespace.get("__package__") or ""
        try:
            return importlib.util.resolve_name("." * level + name, str(package))
        except ImportError as error:
            raise HeadraceError("HR216", f"{where}: {error}") from error

    def _load(self, name: str, where: Where) -> ModuleType | None:
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

    def _refuse_impure_object(self, value: object, rest: Sequence[str], reference: Reference, where: Where) -> None:
        """Refuses the clock and the like where they are reached through an object: `clock = datetime`, a subclass."""
        if isinstance(value, type) and rest and issubclass(value, date):
            owner = next((base for base in value.__mro__ if rest[0] in vars(base)), value)
            refuse_impure(".".join((library_name(owner), *rest)), reference, where)
        elif isinstance(value, (type, FunctionType, BuiltinFunctionType)) and not self.values.is_local(value):
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
        targets = _targets(place.source.bindings.get(root, ()), Kind.IMPORT)
        for name in _texts([target for target in targets if not self._is_local(target)]):
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


def _refuse_state(value: object, rest: Sequence[str], reference: Reference, where: Where) -> None:
    """Refuses code that changes a value which outlives the call."""
    mutated = rest and reference.arguments >= 0 and isinstance(value, _MUTABLE) and rest[0] in _MUTATORS
    if reference.stores or mutated:
        raise HeadraceError("HR213", f"{where}: {'.'.join(reference.chain)}")
