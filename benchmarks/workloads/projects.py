"""Generated projects: pipelines of tasks that do nothing, in any number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WARM_UP = "warm_up"
"""A task beside the others, so that workers can be warm before these begin."""
EFFECTS = "effects.txt"
"""Where tasks that leave a trace leave it: a line for each call, with the name of the task and of the try."""
TRY = "BENCH_TRY"
"""The variable of the environment that names the try."""

_WORKERS = 4
_HEAD = """\
import os
from pathlib import Path

from headrace import Pipeline

work = Pipeline("work")


def trace(name):
    with (Path(__file__).parent / "effects.txt").open("a") as effects:
        effects.write(f"{name} {os.environ['BENCH_TRY']}\\n")
"""


def lay_out(folder: Path, tasks: Sequence[str]) -> None:
    """Write a project with these tasks, and the one that warms workers up, into a new folder."""
    folder.mkdir()
    code = "\n\n".join((_HEAD, task(WARM_UP, (), "0"), *tasks))
    (folder / "pipeline.py").write_text(code, encoding="utf-8")
    (folder / "headrace.toml").write_text(f'pipeline = "pipeline:work"\nworkers = {_WORKERS}\n', encoding="utf-8")


def task(name: str, inputs: Sequence[str], result: str) -> str:
    """A task that returns `result`, an expression, and does not look at its inputs."""
    parameters = ", ".join(f"input_{place}" for place in range(len(inputs)))
    return f"@work.task({', '.join(inputs)})\ndef {name}({parameters}):\n    return {result}\n"


def chain(length: int, *, traced: bool = False) -> list[str]:
    """Tasks that each depend on the one before. With `traced`, each call leaves a line in `EFFECTS`."""
    names = [f"step_{place}" for place in range(length)]
    results = [f"trace({name!r})" if traced else str(place) for place, name in enumerate(names)]
    before = [[], *([name] for name in names)]
    return [task(name, inputs, result) for name, inputs, result in zip(names, before, results, strict=False)]


def fan_out(width: int) -> list[str]:
    """Tasks side by side and one that depends on all of them."""
    names = [f"step_{place}" for place in range(width)]
    return [*(task(name, (), str(place)) for place, name in enumerate(names)), task("join", names, str(width))]


def layers(depth: int, width: int) -> list[str]:
    """`depth` layers of `width` tasks; each depends on two neighbours in the layer above."""
    tasks = []
    for layer in range(depth):
        for place in range(width):
            above = [f"step_{layer - 1}_{(place + shift) % width}" for shift in (0, 1)] if layer else []
            tasks.append(task(f"step_{layer}_{place}", above, str(place)))
    return tasks
