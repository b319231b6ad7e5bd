"""One command at work: the project that it works on, and where it prints to."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.cli.output import Output, Style

if TYPE_CHECKING:
    from headrace.project.workspace import Workspace


class Session:
    """What every verb is handed. The project is opened when it is first asked for."""

    def __init__(self, style: Style | None = None, project: Path | None = None) -> None:
        self.out = Output(style or Style())
        self.project = project

    @cached_property
    def workspace(self) -> Workspace:
        """The project at or above the present folder, or the one that --project names."""
        from headrace.project.workspace import Workspace

        return Workspace.open(self.project)

    def environment(self, name: str | None) -> str:
        """The environment that was named, or the main one."""
        return name or self.workspace.settings.environment

    def close(self) -> None:
        """Close the project, if it was opened."""
        workspace = self.__dict__.pop("workspace", None)
        if workspace is not None:
            workspace.close()
