"""A project of user code in a temporary folder: write its modules, import them, take fingerprints."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import contextmanager
from textwrap import dedent
from typing import TYPE_CHECKING

from headrace.graph.fingerprint import Fingerprint, fingerprint
from headrace.graph.syntax_source import SourceCache

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import ModuleType


class UserCode:
    """The modules of one folder. `load` imports one afresh; `take` gives the fingerprint of functions of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = SourceCache()

    def write(self, modules: Mapping[str, str]) -> None:
        """Writes modules by path, such as {"pkg/helpers.py": "..."}; the text may be indented."""
        for path, text in modules.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(dedent(text), encoding="utf-8")

    def load(self, name: str = "pipeline") -> ModuleType:
        """Imports a module of the folder afresh, and the others with it."""
        self.forget()
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def forget(self) -> None:
        """Takes the modules of the folder out of the interpreter."""
        inside = f"{self.folder}{os.sep}"
        for name, module in list(sys.modules.items()):
            places = [vars(module).get("__file__"), *(vars(module).get("__path__") or ())]
            if any(str(place).startswith(inside) for place in places):
                del sys.modules[name]

    def of(self, *functions: object, project: Path | None = None, **settings: object) -> Fingerprint:
        """The fingerprint of functions that are loaded already."""
        return fingerprint(functions, settings, project=project or self.folder, cache=self.cache)  # type: ignore[arg-type]

    def take(self, modules: str | Mapping[str, str], *names: str) -> Fingerprint:
        """Writes modules, imports `pipeline`, and takes the fingerprint of functions of it: `node`, if not named."""
        self.write({"pipeline.py": modules} if isinstance(modules, str) else modules)
        module = self.load()
        return self.of(*(getattr(module, name) for name in names or ("node",)))


@contextmanager
def user_code(folder: Path) -> Iterator[UserCode]:
    """A project in a folder from which modules can be imported while the context lasts; no bytecode is written."""
    code = UserCode(folder.resolve())
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(code.folder))
    try:
        yield code
    finally:
        sys.path.remove(str(code.folder))
        sys.dont_write_bytecode = writes
        code.forget()
