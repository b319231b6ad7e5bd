"""What user code reaches outside of the project: the names of libraries, and the calls that a node must not make.

No node reads the clock, draws random numbers without a seed, or runs code that cannot be seen: what it made could not
be made again, and its key would not cover what it was made from.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.graph.syntax_names import Reference


def _names(text: str) -> frozenset[str]:
    """Full names, from lines of a module and its names."""
    lines = [line.split() for line in text.strip().splitlines()]
    return frozenset(f"{module}.{name}" for module, *names in lines for name in names)


_DYNAMIC = _names("""
    builtins eval exec globals __import__
    importlib import_module __import__
    sys modules _getframe
""")
_CLOCK = _names("""
    time time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns
    time thread_time thread_time_ns clock_gettime clock_gettime_ns
    datetime datetime.now datetime.utcnow datetime.today date.today
    pandas Timestamp.now Timestamp.utcnow Timestamp.today
    arrow now utcnow
    pendulum now today tomorrow yesterday
""")
_CLOCK_WITHOUT = {  # they read the clock when called with fewer arguments than this
    **dict.fromkeys(_names("time localtime gmtime ctime asctime"), 1),
    "time.strftime": 2,
}
_CLOCK_NOW = _names("""
    pandas Timestamp to_datetime
    numpy datetime64
""")  # they read the clock when called with the text "now"
_RANDOM = _names("""
    uuid uuid1 uuid4 uuid6 uuid7
    os urandom getrandom
    posix urandom getrandom
    nt urandom
    random SystemRandom
""")
_RANDOM_WITHOUT = dict.fromkeys(  # they draw a seed from the system when called without one
    _names("""
        random Random
        numpy.random default_rng RandomState SeedSequence PCG64 PCG64DXSM MT19937 Philox SFC64
    """),
    1,
)
_GENERATORS = {  # classes of the generators that all code shares, and the modules whose functions are their methods
    "random.Random": "random",
    "random.SystemRandom": "secrets",
    "numpy.random.mtrand.RandomState": "numpy.random",
}
_PURE = _names("""
    numpy.random Generator BitGenerator bit_generator mtrand
    secrets compare_digest
""")


@dataclass(frozen=True, slots=True)
class Where:
    """A line of a file of the project. It is only spelled where a message needs it."""

    project: Project
    file: str
    line: int

    def __str__(self) -> str:
        path = Path(self.file).resolve()
        inside = path.is_relative_to(self.project.root)
        return f"{path.relative_to(self.project.root) if inside else self.file}:{self.line}"


def refuse_impure(name: str, reference: Reference, where: Where | str) -> None:
    """Refuses a use of a library that a node must not make.

    Args:
        name: What is used, by its full name, such as "datetime.datetime.now".
        reference: How it is used.
        where: Where, for the message.

    Raises:
        HeadraceError: HR214 code that cannot be seen, HR220 the clock, HR221 randomness without a seed.
    """
    code = _verdict(name, reference.arguments, reference.now)
    if code is not None:
        raise HeadraceError(code, f"{where}: {name.removeprefix('builtins.')}")


@functools.lru_cache(maxsize=4096)
def _verdict(name: str, arguments: int, now: bool) -> str | None:  # noqa: FBT001 - a key of the cache
    if any(name == banned or name.startswith(f"{banned}.") for banned in _DYNAMIC):
        return "HR214"
    if name in _CLOCK or (now and name in _CLOCK_NOW) or 0 <= arguments < _CLOCK_WITHOUT.get(name, 0):
        return "HR220"
    if name in _RANDOM or 0 <= arguments < _RANDOM_WITHOUT.get(name, 0) or _draws_from_global_state(name):
        return "HR221"
    return None


def _draws_from_global_state(name: str) -> bool:
    module, _, function = name.rpartition(".")
    if module == "random":
        return not function[:1].isupper()
    return module in ("secrets", "numpy.random") and name not in _PURE and name not in _RANDOM_WITHOUT


def library_name(value: object) -> str:
    """The full name of a function, class or module of a library, as a user would spell it where that can be told.

    A bound function of the generators behind `random`, `secrets` and `numpy.random` is named as of those modules.
    """
    if isinstance(value, ModuleType):
        return value.__name__
    name = str(getattr(value, "__name__", type(value).__name__))
    owner = getattr(value, "__self__", None)
    if isinstance(owner, ModuleType):
        return f"{owner.__name__}.{name}"
    if isinstance(owner, type):
        return f"{owner.__module__}.{owner.__qualname__}.{name}"
    kind = type(owner)
    shared = _GENERATORS.get(f"{kind.__module__}.{kind.__qualname__}")
    if shared is not None:
        return f"{shared}.{name}"
    module = getattr(value, "__module__", None) or type(value).__module__
    return f"{module}.{getattr(value, '__qualname__', name)}"


def stable_name(value: object) -> str:
    """The name of something of a library without the modules in between, which move from version to version."""
    name = library_name(value)
    if isinstance(value, ModuleType):
        return name
    return f"{name.split('.')[0]}:{getattr(value, '__qualname__', name)}"


def is_third_party(top: str) -> bool:
    """Whether a top-level name is neither of the standard library nor headrace itself."""
    return top not in sys.stdlib_module_names and top not in ("headrace", "builtins", "__main__")


class Project:
    """Which files are the user's own, and what their modules are called in fingerprints."""

    def __init__(self, root: str) -> None:
        self.root = Path(root).resolve()
        self.texts = tuple({self.root.as_posix(), Path(root).absolute().as_posix()})
        self.meanings: dict[int, tuple[object, object, Any]] = {}
        """What was found out about references, kept for later fingerprints by `closure_names`."""
        self.homes: dict[int, tuple[type, dict[str, object]]] = {}
        """Classes, and the namespaces of the modules that were seen to define them."""
        self._labels: dict[str, str | None] = {}
        self._local: dict[str, bool] = {}
        prefixes = {Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
        self._foreign = [prefix for prefix in prefixes if prefix != self.root and prefix.is_relative_to(self.root)]
        package = Path(__file__).resolve().parents[1]
        if not self.root.is_relative_to(package):
            self._foreign.append(package)  # headrace itself, where it is developed inside of the project

    def label(self, file: object) -> str | None:
        """The name of the module that a file holds, from its path within the project; None outside of the project.

        The path, not `__name__`: the same file may be run as a script, or imported under another name.
        """
        if not isinstance(file, str):
            return None
        if file not in self._labels:
            self._labels[file] = self._find_label(file)
        return self._labels[file]

    def _find_label(self, file: str) -> str | None:
        path = Path(file).resolve()
        if not path.is_relative_to(self.root) or any(path.is_relative_to(prefix) for prefix in self._foreign):
            return None
        parts = path.relative_to(self.root).with_suffix("").parts
        if {"site-packages", "dist-packages"}.intersection(parts):
            return None
        parts = parts[1:] if len(parts) > 1 and parts[0] == "src" else parts
        parts = parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts
        return ".".join(parts)

    def holds_module(self, name: str) -> bool:
        """Whether a top-level module or package is the user's own; it is not imported to find out."""
        module = sys.modules.get(name)
        if module is None:
            return self._holds_spec(name)
        if name not in self._local:
            self._local[name] = self.holds(module)
        return self._local[name]

    def holds(self, module: ModuleType) -> bool:
        """Whether a module is the user's own."""
        return self._holds_files(vars(module))

    def _holds_files(self, namespace: Mapping[str, object]) -> bool:
        file = namespace.get("__file__")
        if file is not None:
            return self.label(file) is not None
        portions = namespace.get("__path__")  # a package without __init__.py
        return any(self.label(os.path.join(portion, "__init__.py")) is not None for portion in portions or ())  # type: ignore[attr-defined]  # noqa: PTH118

    def _holds_spec(self, name: str) -> bool:
        try:
            spec = importlib.util.find_spec(name)
        except ValueError:  # a module without a spec, such as one made by hand: no file
            return False
        if spec is None:
            return False
        return self._holds_files(
            {"__file__": spec.origin if spec.has_location else None, "__path__": spec.submodule_search_locations}
        )
