"""`headrace.toml`: where things lie and how they run. None of it is part of a fingerprint."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError, suggestion
from headrace.ports.durations import duration
from headrace.ports.notify import KINDS, Severity
from headrace.ports.sizes import size
from headrace.ports.work import MEMORY
from headrace.project.storage import storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

FILE = "headrace.toml"
_LEAST_MEMORY = 128 * 2**20


@dataclass(frozen=True, slots=True)
class Channel:
    """Somebody who is told: `to` is an address (see `adapters.notify`), `secret_env` names the variable that signs.

    `only` are the kinds of notices that it gets (all, where there are none), from the severity `at_least` on.
    """

    name: str
    to: str
    secret_env: str | None = None
    only: tuple[str, ...] = ()
    at_least: str = Severity.INFO.value


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
    memory: int = MEMORY
    keep: timedelta = timedelta(days=30)
    quarantine_share: float = 0.05
    notify: tuple[Channel, ...] = ()
    databases: Mapping[str, str] = field(default_factory=dict, repr=False)  # an address may hold a password
    storage: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)  # may hold a secret

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
    own: Mapping[str, Callable[[Any, Path], Any]] = {
        "databases": _databases,
        "memory": _memory,
        "notify": channels,
        "storage": storage_of,
    }
    if name in own:
        return own[name](value, path)
    if name == "quarantine_share":
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            raise HeadraceError("HR803", f"{path}: {name} is {value!r}", fix="Use a number from 0 to 1.")
        return float(value)
    if name == "workers":
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise HeadraceError("HR803", f"{path}: workers is {value!r}", fix="Use a whole number of at least 1.")
        return value
    if not isinstance(value, str) or not value:
        raise HeadraceError("HR803", f"{path}: {name} is {value!r}", fix="Use a text in quotes.")
    return value


def _memory(value: object, path: Path) -> int:
    found = size(value) if isinstance(value, str) else None
    if found is None or found < _LEAST_MEMORY:
        fix = 'Use a size of at least 128 MiB, such as memory = "2GiB".'
        raise HeadraceError("HR803", f"{path}: memory is {value!r}", fix=fix)
    return found


def _databases(table: object, path: Path) -> dict[str, str]:
    """The addresses of `[databases]`; an error never shows one."""
    if not isinstance(table, dict):
        fix = 'Write [databases], and below it NAME = "postgresql://...", or NAME = "env:VARIABLE".'
        raise HeadraceError("HR803", f"{path}: databases is no table", fix=fix)
    for name, address in table.items():
        if not isinstance(address, str) or not address:
            raise HeadraceError("HR803", f"{path}: databases.{name} is no text", fix="Use a text in quotes.")
    return dict(table)


def channels(tables: object, path: Path) -> tuple[Channel, ...]:
    """The channels of `[notify.NAME]`. Raises HR803."""
    if not isinstance(tables, dict) or not all(isinstance(each, dict) for each in tables.values()):
        raise HeadraceError(
            "HR803", f"{path}: notify holds no tables", fix="Write [notify.NAME], and below it to = ..."
        )
    return tuple(_channel(name, each, path) for name, each in tables.items())


def _channel(name: str, content: Mapping[str, Any], path: Path) -> Channel:
    where = f"{path}: notify.{name}"
    known = [each.name for each in fields(Channel) if each.name != "name"]
    for key, value in content.items():
        if key not in known:
            raise HeadraceError("HR803", f"{where}: unknown setting {key!r}", fix=suggestion(key, known))
        if key == "only":
            wrong = value if not isinstance(value, list) else next((each for each in value if each not in KINDS), None)
            if wrong is not None:
                hint = suggestion(str(wrong), KINDS)
                raise HeadraceError("HR803", f"{where}: only holds {wrong!r}", fix=hint or f"Use {', '.join(KINDS)}.")
        elif not isinstance(value, str) or not value:
            raise HeadraceError("HR803", f"{where}: {key} is {value!r}", fix="Use a text in quotes.")
    if "to" not in content:
        raise HeadraceError("HR803", f"{where} says not where to", fix='Add to = "https://..." or to = "log:".')
    at_least = content.get("at_least", Severity.INFO.value)
    severities = [each.value for each in Severity]
    if at_least not in severities:
        raise HeadraceError("HR803", f"{where}: at_least is {at_least!r}", fix=f"Use {', '.join(severities)}.")
    return Channel(name, **{**content, "only": tuple(content.get("only", ()))})
