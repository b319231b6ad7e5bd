"""Prefect: from the call that creates a run of a deployment to the first line of its task. See `benchmarks.events`.

The deployment is served by `flow.serve`, in a process of its own beside the server.
"""

from __future__ import annotations

import tempfile
import time
import urllib.error
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.events import WORK
from benchmarks.rivals.prefect.bench import environment
from benchmarks.support import venvs
from benchmarks.support.bells import began
from benchmarks.support.children import child, free_port, wait_for
from benchmarks.support.figures import BenchError, Result
from benchmarks.support.web import answers, call

if TYPE_CHECKING:
    from benchmarks.support.bells import Began
    from benchmarks.support.children import Child
    from benchmarks.support.figures import Options

EVENTS = 8

_TIMEOUT = 120.0
_TRIES = 20
_OVER = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def run(options: Options) -> list[Result]:
    """So many runs, one after the other; the first one, which warms up, is not counted."""
    python, port = str(venvs.python("prefect")), free_port()
    api = f"http://127.0.0.1:{port}/api"
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        home = Path(folder)
        env = {**environment(home, port), "BENCH_PIPE": str(home / "pipe")}
        server_argv = [python, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        served_argv = [python, str(venvs.RIVALS / "prefect" / "served.py")]
        with began(home / "pipe") as bell, child(server_argv, env, home / "server.log") as server:
            wait_for("Prefect's server", lambda: answers(f"{api}/health"), server, _TIMEOUT)
            with child(served_argv, env, home / "served.log") as served:
                deployment = f"{api}/deployments/name/tell/bench"
                wait_for("the deployment", lambda: answers(deployment), served, _TIMEOUT)
                url = f"{api}/deployments/{call(deployment)['id']}/create_flow_run"
                starts = [_event(api, url, bell, served) for _ in range(EVENTS + 1)][1:]
    spread = f"{1000 * min(starts):,.0f} to {1000 * max(starts):,.0f} ms"
    note = f"Prefect {venvs.version('prefect', 'prefect')}, {spread}"
    return [Result(WORK, "prefect", 1000 * median(starts), "ms", EVENTS, note=note)]


def _event(api: str, url: str, bell: Began, served: Child) -> float:
    """Seconds to the first line of the task; the next one is sent when the run is over."""
    begin, created = _created(url)
    seconds = bell.when(_TIMEOUT) - begin
    state = f"{api}/flow_runs/{created['id']}"
    wait_for("the end of the run", lambda: call(state)["state"]["type"] in _OVER, served, _TIMEOUT)
    return seconds


def _created(url: str) -> tuple[float, Any]:
    """A new run, and when it was asked for: a server that is busy says so, and Prefect's own client asks again."""
    for _ in range(_TRIES):
        begin = time.perf_counter()
        try:
            return begin, call(url, body={})
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
        time.sleep(1)
    raise BenchError("Prefect's server is busy")
