"""One command at work: the project that it works on, and where it prints to."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.cli.output import Output, Style

if TYPE_CHECKING:
    from headrace.project.settings import Settings
    from headrace.project.workspace import Workspace
    from headrace.runtime.processes import ProcessExecutor


class Session:
    """What every verb is handed. The project is opened when it is first asked for."""

    def __init__(self, style: Style | None = None, project: Path | None = None) -> None:
        self.out = Output(style or Style())
        self.project = project
        self._executor: ProcessExecutor | None = None

    @cached_property
    def workspace(self) -> Workspace:
        """The project at or above the present folder, or the one that --project names."""
        from headrace.project.workspace import Workspace

        return Workspace.open(self.project) if self._executor is None else Workspace(self._settings(), self._executor)

    def start_workers(self) -> None:
        """Let the workers' process load the project while this one has still to import what it needs itself."""
        from headrace.project.workers import workers_of

        self._executor = workers_of(self._settings())
        self._executor.start()

    def have_a_worker(self) -> None:
        """Wait until the workers' process has loaded the project, and have one worker at hand."""
        if self._executor is not None:
            self._executor.get_ready()

    def _settings(self) -> Settings:
        from headrace.project.settings import find, load

        return load(find((self.project or Path()).resolve()))

    def environment(self, name: str | None) -> str:
        """The environment that was named, or the main one."""
        return name or self.workspace.settings.environment

    def close(self) -> None:
        """Close the project, if it was opened."""
        workspace = self.__dict__.pop("workspace", None)
        if workspace is not None:
            workspace.close()
        if self._executor is not None:
            self._executor.close()
