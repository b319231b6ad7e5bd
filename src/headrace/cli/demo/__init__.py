"""`headrace demo`: a year of real flights, from raw files to a gated model; then a change, tried and promoted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.cli.demo.story import Demo, clear
from headrace.project.loading import forget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def tell(folder: Path, run: Callable[[Sequence[str]], int], say: Callable[[str], None]) -> None:
    """Lay the demo out in a folder, in place of an earlier demo there, and tell its story.

    `run` runs a command line in this process and answers its exit code. Between two commands the project's own modules
    are forgotten, so that each command reads the pipeline as it is then.
    """

    def command(project: Path, words: list[str]) -> int:
        forget(project)
        return run(["--project", str(project), *words])

    clear(folder)
    Demo(folder, command, say).tell()
