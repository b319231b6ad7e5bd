"""What an apply says while it is at work, with a bar for each running step: for terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from headrace.cli.output import painted_by_sign
from headrace.cli.progress import Narrator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.progress import TaskID

    from headrace.ports.records import Decision, Version


class Bars(Narrator):
    """The lines of `Narrator` above, the running steps below: a spinner until a step says how far it is."""

    def __init__(self, *, color: bool) -> None:
        super().__init__(self._print)
        self._color = color
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=Console(stderr=True, no_color=not color, highlight=False),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step_started(self, node: str, attempt: int) -> None:
        """See `Observer`."""
        self._end(node)
        again = "" if attempt == 1 else f" (attempt {attempt})"
        self._tasks[node] = self._progress.add_task(f"{node}{again}", total=None)

    def step_progressed(self, node: str, done: int, total: int) -> None:
        """See `Observer`."""
        if node in self._tasks:
            self._progress.update(self._tasks[node], completed=done, total=total)

    def step_made(self, version: Version) -> None:
        """See `Observer`."""
        self._end(version.node)
        super().step_made(version)

    def step_adopted(self, version: Version) -> None:
        """See `Observer`."""
        self._end(version.node)
        super().step_adopted(version)

    def step_failed(self, node: str, error: Mapping[str, str]) -> None:
        """See `Observer`."""
        self._end(node)
        super().step_failed(node, error)

    def step_retried(self, node: str, error: Mapping[str, str], seconds: float) -> None:
        """See `Observer`."""
        self._end(node)
        super().step_retried(node, error, seconds)

    def decided(self, decision: Decision) -> None:
        """See `Observer`."""
        self._end(decision.node)
        super().decided(decision)

    def _end(self, node: str) -> None:
        task = self._tasks.pop(node, None)
        if task is not None:
            self._progress.remove_task(task)
            self._progress.refresh()  # else the next line is printed above a bar that is no longer there

    def _print(self, line: str) -> None:
        text = Text.from_ansi(painted_by_sign(line)) if self._color else Text(line)
        self._progress.console.print(text, soft_wrap=True)
