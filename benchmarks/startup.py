"""Headrace's command line from start to end: `--help`, and the plan of the demonstration's year of flights."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from benchmarks.support.children import run as run_command
from benchmarks.support.figures import Result
from benchmarks.support.ours import COMMAND, bare_python, environment, seconds_of
from headrace.cli.demo.data import MONTHS, Year

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.support.figures import Options

_WORK = "start-up"
_APPLY_TIMEOUT = 600.0


def run(options: Options) -> list[Result]:
    """Each command once. The project is laid out and applied in the first round only."""
    project = options.scratch / "flights"
    if not project.exists():
        lay_out(project)
    bare = bare_python()
    help_text = seconds_of([COMMAND, "--help"])
    plan = seconds_of([COMMAND, "--project", str(project), "plan"])
    return [
        Result(_WORK, "bare Python", 1000 * bare, "ms", floor=True),
        Result(_WORK, "headrace --help", 1000 * help_text, "ms", target="15 x floor"),
        Result(_WORK, "headrace plan, flights", 1000 * plan, "ms", target="< 1500 ms"),
    ]


def lay_out(project: Path) -> None:
    """The project of `headrace demo`, with all twelve months, applied once: nothing is left to make."""
    project.mkdir()
    for file in files("headrace.cli.demo").joinpath("project").iterdir():
        if file.is_file():  # a folder beside them holds compiled modules
            (project / file.name).write_bytes(file.read_bytes())
    year = Year()
    for month in MONTHS:
        year.arrive(month, project)
    log = project.with_suffix(".log")
    run_command([COMMAND, "--project", str(project), "apply"], environment(), log, _APPLY_TIMEOUT)
