"""The workers of a project: light to import, so that they begin to load the project before anything else happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.runtime.jobs import KitLoader
from headrace.runtime.processes import ProcessExecutor

if TYPE_CHECKING:
    from headrace.project.settings import Settings


def workers_of(settings: Settings) -> ProcessExecutor:
    """The executor that a project's settings ask for, not started yet."""
    loader = KitLoader("headrace.project.loading:load_kit", settings.folder)
    return ProcessExecutor(loader, settings.workers, settings.logs / "workers.log")
