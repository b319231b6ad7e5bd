"""Which files of a project were read while its code was loaded, and whether they are still as they were.

Code that is loaded before it is needed must be the code that is there when it is needed: so is a text that a module
reads when it is imported.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OPEN = "open"
_WRITING = os.O_WRONLY | os.O_RDWR


class LoadedFiles:
    """Watches what this process opens below a folder, for as long as it is told to. Its own state is left out."""

    def __init__(self, folder: Path, state: Path) -> None:
        self._folder = f"{folder}/"
        self._state = f"{state}/"
        self._found: dict[str, tuple[int, int, int] | None] = {}
        self._watching = False
        sys.addaudithook(self._hear)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note what is opened meanwhile, and what modules there are then: some come out of a cache."""
        self._watching = True
        try:
            yield
        finally:
            self._watching = False
        modules = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        for path in modules:
            if path and self._counts(path):
                self._found.setdefault(path, _state_of(path))

    def changed(self) -> bool:
        """Whether any of the files is not as it was when it was opened."""
        return any(_state_of(path) != state for path, state in self._found.items())

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        """Python tells of every file that it opens."""
        if not self._watching or event != _OPEN:
            return
        path, _, flags = arguments
        name = os.path.abspath(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else ""  # noqa: PTH100
        if self._counts(name) and not (isinstance(flags, int) and flags & _WRITING):
            self._found.setdefault(name, _state_of(name))

    def _counts(self, path: str) -> bool:
        inside = path.startswith(self._folder) and not path.startswith(self._state)
        return inside and "/__pycache__/" not in path and "/site-packages/" not in path


def _state_of(path: str) -> tuple[int, int, int] | None:
    """What differs once a file is written again; None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - as quick as can be: it is asked for each file that is opened
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
