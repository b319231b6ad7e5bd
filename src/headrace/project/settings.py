"""`headrace.toml`: where things lie and how they run. None of it is part of a fingerprint."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError, suggestion
from headrace.ports.durations import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FILE = "headrace.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one project. Paths are relative to the folder of `headrace.toml`."""

    folder: Path
    pipeline: str = "pipeline:pipeline"
    environment: str = "prod"
    ledger: str = "sqlite:.headrace/ledger.db"
    store: str = ".headrace/store"
    online: str = "lmdb"
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    keep: timedelta = timedelta(days=30)

    @property
    def state(self) -> Path:
        """The folder of everything that is Headrace's own."""
        return self.folder / ".headrace"

    @property
    def logs(self) -> Path:
        """The folder with one log file for each node of each run."""
        return self.state / "logs"


def find(start: Path) -> Path:
    """The nearest folder, from `start` upwards, with a `headrace.toml`. Raises HR801."""
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder
    raise HeadraceError("HR801", f"there is no {FILE} in {start} or above it")


def load(folder: Path) -> Settings:
    """Read and check the settings. Raises HR802 for text that is no TOML, HR803 for an unknown or unfit setting."""
    path = folder / FILE
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HeadraceError("HR802", f"{path}: {error}") from error
    known = {each.name: each.type for each in fields(Settings) if each.name != "folder"}
    _refuse_unknown(content, known, path)
    return Settings(folder, **{name: _value(name, value, path) for name, value in content.items()})


def _refuse_unknown(content: Mapping[str, object], known: Iterable[str], path: Path) -> None:
    names = set(known)
    for name in content:
        if name not in names:
            raise HeadraceError("HR803", f"{path}: unknown setting {name!r}", fix=suggestion(name, names))


def _value(name: str, value: Any, path: Path) -> Any:  # noqa: ANN401 - TOML values, checked here
    if name == "keep":
        return duration(value)
    if name == "workers":
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise HeadraceError("HR803", f"{path}: workers is {value!r}", fix="Use a whole number of at least 1.")
        return value
    if not isinstance(value, str) or not value:
        raise HeadraceError("HR803", f"{path}: {name} is {value!r}", fix="Use a text in quotes.")
    return value
