"""Prefect with a local server on SQLite, timed until the server has recorded every step as completed.

The server and the flow are processes of their own, as Prefect advises for a machine of one's own. The flow's process
is warm: a flow of two steps has run in it before.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rivals.scripts import measured
from benchmarks.support import venvs
from benchmarks.support.children import child, free_port, inherited, wait_for
from benchmarks.support.figures import per_step
from benchmarks.support.web import answers

if TYPE_CHECKING:
    from benchmarks.support.figures import Options, Result

_START_TIMEOUT = 120.0
_FLOW_TIMEOUT = 900.0


def run(options: Options) -> list[Result]:
    """Start a server with an empty database, run both works against it, end it."""
    python = venvs.python("prefect")
    port = free_port()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        home = Path(folder)
        env, log = environment(home, port), home / "server.log"
        argv = [str(python), "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        with child(argv, env, log) as server:
            wait_for("Prefect's server", lambda: answers(f"http://127.0.0.1:{port}/api/health"), server, _START_TIMEOUT)
            seconds = measured("prefect", options, home, env, _FLOW_TIMEOUT)
    steps = {"chain": options.chain, "fan-out": options.fan + 1}
    note = f"Prefect {venvs.version('prefect', 'prefect')}"
    return [replace(per_step(work, "prefect", seconds[work], steps[work]), note=note) for work in steps]


def environment(home: Path, port: int) -> dict[str, str]:
    """Nothing of the user's own settings, and nothing that reports home."""
    return {
        **inherited("PREFECT_"),
        "DO_NOT_TRACK": "1",
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_HOME": str(home),
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
