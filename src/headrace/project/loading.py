"""Imports the user's pipeline, here and in workers."""

from __future__ import annotations

import importlib
import sys
import traceback
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.adapters.clocks import SystemClock
from headrace.errors import HeadraceError, suggestion
from headrace.graph.coding import code_of_graph
from headrace.pipeline import Pipeline
from headrace.project import settings as project_settings
from headrace.project.stores import open_stores
from headrace.runtime.jobs import Kit

if TYPE_CHECKING:
    from types import ModuleType

    from headrace.project.settings import Settings


def load_pipeline(settings: Settings) -> Pipeline:
    """Import the module that `headrace.toml` names and take the pipeline out of it. Raises HR804 to HR806."""
    module_name, _, attribute = settings.pipeline.partition(":")
    module = _import(module_name, settings)
    found = getattr(module, attribute or "pipeline", None)
    if isinstance(found, Pipeline):
        return found
    pipelines = [name for name, value in vars(module).items() if isinstance(value, Pipeline)]
    if found is None:
        hint = suggestion(attribute, pipelines)
        raise HeadraceError("HR805", f"{module_name} has no pipeline called {attribute!r}", fix=hint)
    raise HeadraceError("HR806", f"{settings.pipeline} is a {type(found).__name__}, not a Pipeline")


def _import(name: str, settings: Settings) -> ModuleType:
    _make_way(name.partition(".")[0], settings.folder)
    try:
        return importlib.import_module(name)
    except HeadraceError:
        raise
    except Exception as error:
        where = _place(error, settings.folder)
        raise HeadraceError("HR804", f"{name} cannot be imported{where}: {type(error).__name__}: {error}") from error


def _make_way(name: str, folder: Path) -> None:
    """Look in this folder first. Another project of this process may have had a module of this name: it is dropped."""
    sys.path[:] = [str(folder), *(entry for entry in sys.path if entry != str(folder))]
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None or name in sys.stdlib_module_names or _is_project_code(file, folder):
        return
    if PathFinder.find_spec(name, [str(folder)]) is not None:
        other = Path(file).parent
        forget(other.parent if other.name == name else other)


def _place(error: Exception, folder: Path) -> str:
    """The last line of the user's own code that the error went through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(folder))]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def forget(folder: Path) -> None:
    """Drop the modules of the project in this folder, so that the next import reads their present code."""
    inside = [
        name
        for name, module in sys.modules.copy().items()
        if (file := getattr(module, "__file__", None)) and _is_project_code(file, folder)
    ]
    for name in inside:
        del sys.modules[name]
    importlib.invalidate_caches()


def _is_project_code(file: str, folder: Path) -> bool:
    return file.startswith(f"{folder}/") and "site-packages" not in file


def load_kit(folder: Path) -> Kit:
    """What a worker needs. Named in `KitLoader`, called in a fresh process."""
    settings = project_settings.load(folder)
    graph = load_pipeline(settings).graph()
    coded = code_of_graph(graph, settings.folder)
    return Kit(graph, coded, open_stores(settings), settings.folder, SystemClock(), settings.memory)
