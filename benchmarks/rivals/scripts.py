"""Runs a flow script in a rival's environment and reads what it measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.support import venvs
from benchmarks.support.children import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.support.figures import Options


def measured(rival: str, options: Options, home: Path, env: Mapping[str, str], timeout: float) -> dict[str, float]:
    """Seconds by work, as `flow.py` of a rival measured them with its own clock.

    The script is called with three arguments: the length of the chain, the width of the fan-out, and the file that it
    writes its figures to as JSON. It may take `timeout` seconds. What it says goes to a file in `home`.

    Raises:
        BenchError: The script failed or took too long.
    """
    script, answer = venvs.RIVALS / rival / "flow.py", home / "seconds.json"
    argv = [str(venvs.python(rival)), str(script), str(options.chain), str(options.fan), str(answer)]
    run(argv, env, home / "flow.log", timeout)
    return {str(work): float(seconds) for work, seconds in json.loads(answer.read_text(encoding="utf-8")).items()}
